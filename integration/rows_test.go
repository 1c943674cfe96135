//go:build !slow

package integration_test

// allRows has each test show all of its rows, and not only those of which each shows
// something else. `make slow` has them: see rows_slow_test.go.
const allRows = false
