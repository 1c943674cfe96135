//go:build slow

package integration_test

const allRows = true
