//go:build !slow

package browser_test

// slow_test.go has more.
const (
	scriptRows = 2     // of each script
	allWays    = false // with JavaScript and without
)

// assertAccessible asserts nothing here: axe_test.go runs axe, which takes too long for
// the ordinary suite.
func (tb *tab) assertAccessible(string) {}
