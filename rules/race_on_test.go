//go:build race

package rules_test

// randomFiles is how many files are compared with the naive evaluator. The race detector
// makes each ten times as slow, and `make slow` has a thousand without it.
const randomFiles = 200

// manyRules is how many rules the largest files of TestHostileFiles have.
const manyRules = 2_000
