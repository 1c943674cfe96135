//go:build !slow

package browser_test

const scriptRows = 2 // of each script: slow_test.go has more
