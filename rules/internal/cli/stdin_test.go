package cli_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules/internal/cli"
)

// TestStandardInput shows that a file named - is standard input, in each place where a file
// is named, and in one of them only.
func TestStandardInput(t *testing.T) {
	t.Parallel()
	const mfa, coverage = "testdata/mfa.yaml", "testdata/coverage.json"
	for name, row := range map[string]struct {
		in   string // the file whose text it is
		args []string
		code int
		want string // on standard output, or on standard error
	}{
		"check":           {mfa, []string{"check", "-"}, 0, "<stdin>: good, 5 rules\n"},
		"check wrong":     {"testdata/wrong.yaml", []string{"check", "-"}, 3, "<stdin>:3:3: "},
		"check --routes":  {coverage, []string{"check", mfa, "--routes", "-"}, 0, "testdata/mfa.yaml: good"},
		"wrong --routes":  {mfa, []string{"check", mfa, "--routes", "-"}, 3, "--routes: <stdin>:1: this is not"},
		"explain":         {mfa, []string{"explain", "-", "--route", "GET /"}, 0, "  hit   <stdin>:"},
		"diff":            {mfa, []string{"diff", "-", mfa}, 0, "no route requires anything else than before\n"},
		"diff, after":     {mfa, []string{"diff", mfa, "-"}, 0, "no route requires anything else than before\n"},
		"test":            {"testdata/stdin_test.yaml", []string{"test", "-"}, 0, "0 of 1 case failed\n"},
		"twice":           {mfa, []string{"diff", "-", "-"}, 2, "only one file can be standard input\n"},
		"twice, --routes": {mfa, []string{"explain", "-", "--routes", "-", "--route", "GET /"}, 2, "--routes: only one file can be standard input\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(row.in)
			require.NoError(t, err)
			var out, errOut bytes.Buffer
			code := cli.Run(t.Context(), row.args, cli.IO{In: bytes.NewReader(text), Out: &out, Err: &errOut, Now: now, Getenv: os.Getenv})
			assert.Equal(t, row.code, code)
			assert.Contains(t, out.String()+errOut.String(), row.want)
		})
	}
	var errOut strings.Builder
	code := cli.Run(t.Context(), []string{"check", "-"}, cli.IO{In: strings.NewReader(strings.Repeat("a", 2<<20)), Out: &errOut, Err: &errOut, Now: now})
	assert.Equal(t, 2, code)
	assert.Contains(t, errOut.String(), "<stdin> has more than ")
}
