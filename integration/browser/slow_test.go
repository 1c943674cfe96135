//go:build slow

package browser_test

const scriptRows = 20
