// Package rulestest holds the coverage of an app against a golden file in a test.
package rulestest

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/echomfa/echomfa/rules"
)

// update has the golden files written: go test -run TestCoverage . -update-mfa-coverage.
var update = flag.Bool("update-mfa-coverage", false, "write the golden files of rulestest.AssertCoverage") //nolint:gochecknoglobals // flags are

// Set is what packages rulesecho4, rulesecho5 and ruleshttp make for an app of type E.
type Set[E any] interface {
	Coverage(app E) (rules.Coverage, error)
	CheckCoverage(app E) error
}

// AssertCoverage fails the test if a route of the app has no guard, and if the coverage's
// [rules.Coverage.Text] is not that of the golden file: then a route was added, renamed or
// removed, or its guard is another one. Run the test with the flag -update-mfa-coverage to
// write the file, and read what has changed in it.
func AssertCoverage[E any](tb testing.TB, app E, set Set[E], golden string) {
	tb.Helper()
	if err := set.CheckCoverage(app); err != nil {
		tb.Errorf("the coverage is not complete:\n%v", err)
	}
	coverage, _ := set.Coverage(app) // its error is one of CheckCoverage
	is := coverage.Text()
	if *update {
		if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil { //nolint:gosec // as a checkout has it
			tb.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(is), 0o644); err != nil { //nolint:gosec // as a checkout has it
			tb.Fatal(err)
		}
		return
	}
	data, err := os.ReadFile(golden) //nolint:gosec // the test's own file
	if err != nil {
		tb.Fatalf("%v: run the test with -update-mfa-coverage to write it", err)
	}
	if was := strings.ReplaceAll(string(data), "\r\n", "\n"); was != is {
		tb.Errorf("the coverage is not that of %s: run the test with -update-mfa-coverage if that is meant\n%s", golden, difference(was, is))
	}
}

// difference returns the lines that are only in one of two texts.
func difference(was, is string) string {
	count := make(map[string]int)
	for line := range strings.Lines(is) {
		count[line]++
	}
	var b strings.Builder
	for line := range strings.Lines(was) {
		if count[line]--; count[line] < 0 {
			b.WriteString("- " + line)
		}
	}
	for line := range strings.Lines(is) {
		if count[line] > 0 {
			count[line]--
			b.WriteString("+ " + line)
		}
	}
	if b.Len() == 0 {
		return "the same lines in another order"
	}
	return b.String()
}
