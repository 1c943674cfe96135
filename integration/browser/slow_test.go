//go:build slow

package browser_test

const allWays = true
