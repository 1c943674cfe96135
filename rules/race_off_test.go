//go:build !race

package rules_test

// randomFiles is how many files are compared with the naive evaluator.
const randomFiles = 1000
