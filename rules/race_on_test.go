//go:build race

package rules_test

// randomFiles is how many files are compared with the naive evaluator. The race detector
// makes each ten times as slow, and `make slow` has a thousand without it.
const randomFiles = 200

const (
	// manyRules is how many rules the largest files of TestHostileFiles have.
	manyRules = 500
	// mostReloaded is how large a file is that it also reloads.
	mostReloaded = 64 << 10
)
