//go:build !race

package rules_test

const (
	// randomFiles is how many files are compared with the naive evaluator.
	randomFiles = 1000
	// manyRules is how many rules the largest files of TestHostileFiles have.
	manyRules = 10_000
	// mostReloaded is how large a file is that it also reloads.
	mostReloaded = mebibyte
)
