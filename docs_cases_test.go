package echomfa_test

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFieldCasesNameEveryTest compares the table of cases with the tests, both
// ways: no row names a test that is not there, and no test that is named after a
// case is in no row.
func TestFieldCasesNameEveryTest(t *testing.T) {
	t.Parallel()
	declared := declaredTests(t)
	listed := make(map[string]bool)
	rows := regexp.MustCompile(`(?m)^\| ([FHMNX]\d+) \|[^|]+\| ([^|]+) \|$`).FindAllStringSubmatch(read(t, "docs/field-cases.md"), -1)
	require.NotEmpty(t, rows)
	for _, row := range rows {
		tests := regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[2], -1)
		assert.NotEmpty(t, tests, row[1])
		for _, test := range tests {
			assert.True(t, declared[test[1]], "%s: %s", row[1], test[1])
			listed[test[1]] = true
		}
	}
	for test := range declared {
		if regexp.MustCompile(`^Test(Field|[HNX]\d)`).MatchString(test) && test != "TestFieldCasesNameEveryTest" {
			assert.True(t, listed[test], "%s is in no row", test)
		}
	}
}
