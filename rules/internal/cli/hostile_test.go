package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCoverageThatCannotBe shows that routes which no router can have are a mistake of the
// file, and not the end of the program.
func TestCoverageThatCannotBe(t *testing.T) {
	t.Parallel()
	route := func(method, host, path string) string {
		return fmt.Sprintf(`{"method": %q, "host": %q, "path": %q, "guards": []}`, method, host, path)
	}
	for name, row := range map[string]struct {
		framework string
		routes    []string
		want      string
	}{
		"two patterns for one path": {"net/http", []string{route("GET", "", "/a/{b}/c"), route("GET", "", "/a/{d}/c")}, "--routes: the routes cannot be registered: "},
		"a pattern that is none":    {"net/http", []string{route("GET", "", "/{")}, "--routes: the routes cannot be registered: "},
		"no pattern":                {"net/http", []string{route("GET", "", "")}, "--routes: the routes cannot be registered: "},
		"no method in v5":           {"echo/v5", []string{route("", "", "/")}, ""},
		"too many parameters":       {"echo/v4", []string{route("GET", "", strings.Repeat("/:a", 1000))}, ""},
		"another framework":         {"gin", nil, `--routes: the framework "gin" is not known: `},
		"no framework":              {"", nil, `--routes: the framework "" is not known: `},
		"a mount without a policy":  {"echo/v4", []string{`{"method": "GET", "path": "/x", "guards": [{"requires": "OTPP"}]}`}, "--routes: the policy of a mount: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "coverage.json")
			text := fmt.Sprintf(`{"format": 1, "framework": %q, "routes": [%s]}`, row.framework, strings.Join(row.routes, ","))
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
			for _, args := range [][]string{{"explain", "testdata/mfa.yaml", "--url", "/x"}, {"check", "testdata/mfa.yaml", "--pages", "/x"}} {
				code, _, errOut := run(t, append(args, "--routes", file)...)
				switch {
				case row.want == "":
					assert.Empty(t, errOut)
				case args[0] == "check" && strings.Contains(row.want, "mount"):
				default:
					assert.Equal(t, 3, code)
					assert.True(t, strings.HasPrefix(errOut, "echomfa: "+row.want), errOut)
				}
			}
		})
	}
}

// TestSuitesThatCannotBe shows that each mistake in a table of cases is one line with its
// place, and that none ends the program.
func TestSuitesThatCannotBe(t *testing.T) {
	t.Parallel()
	head := "rules: mfa.yaml\nnow: 2026-12-20T09:00:00Z\ncases:\n"
	for name, row := range map[string]struct{ text, want string }{
		"nothing":           {"", "1:1: the file has 0 documents, and not one"},
		"a comment":         {"# nothing\n", "1:1: the file has 0 documents, and not one"},
		"a text":            {"text", "1:1: the file must be a mapping of rules, now, cases, routes"},
		"two documents":     {head + "  - {route: GET /, have: [], expect: allow}\n---\n{}\n", "1:1: the file has 2 documents, and not one"},
		"no YAML":           {"rules: [\n", "2:1: "},
		"a tab":             {"rules: mfa.yaml\n\tnow: x\n", "2:"},
		"deep":              {head + strings.Repeat("[", 1000), ":"},
		"no cases":          {head[:strings.Index(head, "cases")] + "cases: []\n", "1:1: there are no cases"},
		"cases of a text":   {strings.TrimSuffix(head, "\n") + " x\n", "3:8: cases must be a list"},
		"a case of a text":  {head + "  - x\n", "4:5: a case must be a mapping of have, expect, name"},
		"twice":             {head + "  - {route: GET /, have: [], have: [], expect: allow}\n", "the key have is there twice"},
		"an alias":          {head + "  - {route: GET /, have: &a [OTP], expect: allow}\n  - {route: GET /, have: *a, expect: allow}\n", "5:26: have must be a list"},
		"nothing for a key": {head + "  - {route: , have: [], expect: allow}\n", "4:"},
		"a number":          {"rules: mfa.yaml\nnow: 7\ncases: []\n", `2:6: now: "7" is not a time with its offset`},
		"a role of a list":  {head + "  - {route: GET /, have: [], role: [[a]], expect: allow}\n", "a value of role must be a text"},
		"no rules there":    {strings.Replace(head, "mfa", "nowhere", 1) + "  - {route: GET /, have: [], expect: allow}\n", "no such file"},
		"wrong rules":       {strings.Replace(head, "mfa", "wrong", 1) + "  - {route: GET /, have: [], expect: allow}\n", "wrong.yaml:3:3: "},
		"no routes there":   {"routes: nowhere.json\n" + head + "  - {url: /, have: [], expect: allow}\n", "--routes: open "},
		"a URL of nothing":  {"routes: coverage.json\n" + head + "  - {url: nothing, have: [], expect: allow}\n", `:5: url: "nothing" has no path`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, name := range []string{"mfa.yaml", "wrong.yaml", "coverage.json"} {
				data, err := os.ReadFile(filepath.Join("testdata", name))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
			}
			file := filepath.Join(dir, "mfa_test.yaml")
			require.NoError(t, os.WriteFile(file, []byte(row.text), 0o600))
			code, out, errOut := run(t, "test", file)
			assert.Contains(t, []int{2, 3}, code)
			assert.Equal(t, strings.Contains(row.want, "no such file") || strings.Contains(row.want, "open "), code == 2)
			assert.Empty(t, out)
			assert.Contains(t, errOut, row.want)
		})
	}
}
