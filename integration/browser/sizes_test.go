//go:build !slow

package browser_test

const scriptRows = 2 // of each script: slow_test.go has more

// assertAccessible asserts nothing here: axe_test.go runs axe, which takes too long for
// the ordinary suite.
func (tb *tab) assertAccessible(string) {}
