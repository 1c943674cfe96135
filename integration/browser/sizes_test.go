//go:build !slow

package browser_test

// allWays has more tests be run without JavaScript, too: see slow_test.go.
const allWays = false

// assertAccessible asserts nothing here: axe_test.go runs axe, which takes too long for
// the ordinary suite.
func (tb *tab) assertAccessible(string) {}
