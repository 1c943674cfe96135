//go:build !race

package rules_test

// randomFiles is how many files are compared with the naive evaluator, and manyRules how
// many rules the largest files of TestHostileFiles have.
const (
	randomFiles = 1000
	manyRules   = 10_000
)
