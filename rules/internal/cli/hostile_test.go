package cli_test

import (
	"encoding/json"
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
		"no method":                 {"echo/v5", []string{route("", "", "/")}, `: this is not the JSON of an app's coverage: routes[0]: "" is not a method`},
		"a method with a space":     {"net/http", []string{route("GET", "", "/"), route("GET /x", "", "/")}, `routes[1]: "GET /x" is not a method`},
		"what a terminal obeys":     {"echo/v4", []string{`{"method": "GET", "path": "/\u001b[2Jx", "guards": []}`}, `routes[0]: "/\x1b[2Jx" is not a path`},
		"two lines":                 {"echo/v4", []string{`{"method": "GET", "path": "/\nopen: /admin", "guards": []}`}, `is not a path`},
		"another kind":              {"echo/v4", []string{`{"method": "GET", "path": "/", "kind": "odd", "guards": []}`}, `routes[0]: "odd" is not a kind of routes`},
		"no routes but none":        {"echo/v4", []string{`{"method": "ANY", "path": "", "kind": "unmatched", "guards": []}`}, `it has no routes`},
		"no routes":                 {"echo/v4", nil, `: this is not the JSON of an app's coverage: it has no routes`},
		"too many parameters":       {"echo/v4", []string{route("GET", "", strings.Repeat("/:a", 1000))}, ""},
		"many objects":              {"echo/v4", []string{strings.Repeat("{},", 50_000) + "{}"}, ": it has more than 50000 objects"},
		"many values":               {"echo/v4", []string{`{"method": "GET", "path": "/", "guards": [{"roles": [` + strings.Repeat(`"",`, 400_001) + `""]}]}`}, ": it has more than 400000 values"},
		"another framework":         {"gin", []string{route("GET", "", "/")}, `--routes: the framework "gin" is not known: `},
		"no framework":              {"", []string{route("GET", "", "/")}, `--routes: the framework "" is not known: `},
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
					assert.True(t, strings.HasPrefix(errOut, "echomfa: --routes: "), errOut)
					assert.Contains(t, errOut, row.want)
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
		"nothing":           {"", "1:1: the file is empty"},
		"a comment":         {"# nothing\n", "1:1: the file is empty"},
		"a text":            {"text", "1:1: the file must be a mapping of rules, now, cases, routes"},
		"two documents":     {head + "  - {route: GET /, have: [], expect: allow}\n---\n{}\n", "5:1: the file has more than one document: remove the line ---"},
		"no YAML":           {"rules: [\n", "2:1: "},
		"a tab":             {"rules: mfa.yaml\n\tnow: x\n", "2:"},
		"deep":              {head + strings.Repeat("[", 1000), ":"},
		"no cases":          {strings.TrimSuffix(head, "\n") + " []\n", "1:1: there are no cases"},
		"cases of a text":   {strings.TrimSuffix(head, "\n") + " x\n", "3:8: cases must be a list"},
		"a case of a text":  {head + "  - x\n", "4:5: a case must be a mapping of have, expect, name"},
		"twice":             {head + "  - {route: GET /, have: [], have: [], expect: allow}\n", "the key have is there twice"},
		"an alias":          {head + "  - {route: GET /, have: &a [OTP], expect: allow}\n  - {route: GET /, have: *a, expect: allow}\n", "5:26: aliases are not read"},
		"nothing for a key": {head + "  - {route: , have: [], expect: allow}\n", "4:"},
		"a number":          {"rules: mfa.yaml\nnow: 7\ncases: []\n", `2:6: now: "7" is not a time with its offset`},
		"a role of a list":  {head + "  - {route: GET /, have: [], role: [[a]], expect: allow}\n", "a value of role must be a text"},
		"a name twice":      {head + "  - {name: a, route: GET /, have: [], expect: allow}\n  - {name: a, route: GET /, have: [], expect: allow}\n", `5:12: the name "a" is there twice, first in line 4`},
		"nothing in cases":  {head, "cases must be a list"},
		"no key cases":      {"rules: mfa.yaml\nnow: 2026-12-20T09:00:00Z\n", "1:1: the file has no cases"},
		"cases twice":       {head + "  - {route: GET /, have: [], expect: allow}\ncases: []\n", "5:1: the key cases is there twice"},
		"no expectation":    {head + "  - {route: GET /, have: []}\n", "4:5: a case has no expect"},
		"a new outcome":     {head + "  - {route: GET /, have: [], expect: depends}\n", `expect must be allow, report or refuse, not "depends"`},
		"no user":           {head + "  - {route: GET /, expect: allow}\n", "4:5: a case has no have"},
		"a date":            {head + "  - {route: GET /, now: 2026-12-20, have: [], expect: allow}\n", `now: "2026-12-20" is not a time with its offset, such as 2026-12-20T09:00:00+08:00: did you mean 2026-12-20T00:00:00Z?`},
		"no offset":         {head + "  - {route: GET /, now: 2026-12-20T09:00:00, have: [], expect: allow}\n", "did you mean 2026-12-20T09:00:00Z?"},
		"no such day":       {head + "  - {route: GET /, now: 2026-02-30T09:00:00Z, have: [], expect: allow}\n", `now: "2026-02-30T09:00:00Z": day out of range`},
		"a key misspelled":  {head + "  - {rout: GET /, have: [], expect: allow}\n", `4:6: unknown key "rout" in a case: did you mean route?`},
		"a merged case":     {head + "  - &a {route: GET /, have: [], expect: allow}\n  - {<<: *a, expect: refuse}\n", `unknown key "<<" in a case`},
		"an alias's case":   {head + "  - &a {route: GET /, have: [], expect: allow}\n  - *a\n", "5:5: aliases are not read: write the value out"},
		"a hidden name":     {head + "  - {name: \"a\\nok    b\", route: GET /, have: [], expect: allow}\n", `name has a character that cannot be printed: "a\nok    b"`},
		"a long name":       {head + "  - {name: " + strings.Repeat("a", 2000) + ", route: GET /, have: [], expect: allow}\n", "name has more than 1024 bytes"},
		"many values":       {head + strings.Repeat("  - [,]\n", 60_000), "the file has more than 150000 values"},
		"a method of none":  {head + "  - {route: GTE /, have: [], expect: allow}\n", `did you mean "GET /"?`},
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

// TestNothingForTheTerminal shows that what a terminal obeys, or what turns a line around,
// is written out: in answers and in errors, of files and of arguments.
func TestNothingForTheTerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "mfa.yaml")
	require.NoError(t, os.WriteFile(file, []byte("version: 1\ndefault: {require: OTP}\n"), 0o600))
	odd := []string{"check", file, "--pages", "/a\u009b2Jb\u202ec世界"}
	code, out, errOut := run(t, odd...)
	assert.Equal(t, 3, code)
	assert.Contains(t, out+errOut, `a\u009b2Jb\u202ec世界`)
	code, out, _ = run(t, append(odd, "--json")...)
	assert.Equal(t, 3, code)
	assert.True(t, json.Valid([]byte(out)), out)
	code, _, errOut = run(t, "check", filepath.Join(dir, "\x1b[2J.yaml"))
	assert.Equal(t, 2, code)
	assert.Contains(t, errOut, `\x1b[2J.yaml: no such file`)
	code, _, errOut = run(t, "check", file, "--\x1b[2J", "--json")
	assert.Equal(t, 2, code)
	assert.True(t, json.Valid([]byte(errOut)), errOut)
	assert.NotContains(t, errOut, "\x1b")
}
