//go:build slow

package browser_test

const (
	scriptRows = 20
	allWays    = true
)
