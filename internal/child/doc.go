// Package child is for tests that start other programs.
package child
