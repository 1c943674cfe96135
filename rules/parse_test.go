package rules_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
)

// head is a file without rules; the next line is line 3.
const head = "version: 1\ndefault: {require: OTP}\n"

// rule is a file with one rule of lines; the first one is line 4.
func rule(lines ...string) string {
	return head + "rules:\n  - " + strings.Join(lines, "\n    ") + "\n"
}

// TestMistakes shows each mistake with its place and what it says.
func TestMistakes(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		given string
		want  []string
	}{
		"empty":                 {"", []string{"1:1: the file is empty"}},
		"only a comment":        {"# nothing\n", []string{"1:1: the file is empty"}},
		"byte order mark":       {"\xef\xbb\xbf" + head, []string{"1:1: the file begins with a byte order mark: save the file as UTF-8 without one"}},
		"UTF-16":                {"\xff\xfev\x00", []string{"1:1: the file is in UTF-16: save the file as UTF-8"}},
		"not text":              {head + "# \xff\n", []string{"3:3: a byte that is no text: save the file as UTF-8"}},
		"control character":     {head + "# \x00\n", []string{"3:3: a byte that is no text: save the file as UTF-8"}},
		"new line in a comment": {head + "# open \u2028rules: []\n", []string{"3:8: the character U+2028, which editors do not show as what it is: remove it"}},
		"new line of YAML 1.1":  {head + "# open\u0085rules: []\n", []string{"3:7: the character U+0085, which editors do not show as what it is: remove it"}},
		"text turned around":    {head + "# \u202eopen\n", []string{"3:3: the character U+202E, which editors do not show as what it is: remove it"}},
		"tab":                   {"version: 1\ndefault:\n\trequire: OTP\n", []string{"3:1: a tab at the beginning of a line: indent with spaces"}},
		"two tabs":              {"version: 1\ndefault:\n  \trequire: OTP\n\tmode: enforce", []string{"3:3: a tab at the beginning of a line: indent with spaces", "4:1: a tab at the beginning of a line: indent with spaces"}},
		"syntax":                {"version: 1\ndefault: {require: OTP\n", []string{"3:1: did not find expected ',' or '}'"}},
		"two documents":         {head + "---\n" + head, []string{"3:1: the file has more than one document: remove the line ---"}},
		"not a mapping":         {"- a\n", []string{"1:1: the file must be a mapping, not a list: its keys are version, policies, default, rules, on_unavailable"}},
		"a text":                {"a\n", []string{`1:1: the file must be a mapping, not the text "a": its keys are version, policies, default, rules, on_unavailable`}},
		"nothing in it": {"{}\n", []string{
			"1:1: the file has no version: begin with version: 1", "1:1: the file has no default: default: {require: ...} guards all other routes",
		}},
		"version":           {"version: 2\ndefault: {require: OTP}\n", []string{"1:10: the version must be 1, not the number 2: version: 1 is the only one"}},
		"version as text":   {"version: \"1\"\ndefault: {require: OTP}\n", []string{`1:10: the version must be 1, not the text "1": version: 1 is the only one`}},
		"unknown key":       {head + "rulse: []\n", []string{`3:1: unknown key "rulse" in the file: did you mean rules?`}},
		"far from all keys": {head + "color: red\n", []string{`3:1: unknown key "color" in the file: its keys are version, policies, default, rules, on_unavailable`}},
		"duplicate key":     {head + "version: 1\n", []string{"3:1: the key version is there twice, first in line 1"}},
		"merge key":         {head + "<<: {rules: []}\n", []string{`3:1: a key must be a text, not the text "<<": put it in quotes: "<<"`}},
		"alias":             {"version: 1\ndefault: &d {require: OTP}\nrules: *d\n", []string{"2:10: anchors are not read: remove &d", "3:8: aliases are not read: write the value out, or give a policy a name"}},
		"tag":               {"version: 1\ndefault: !!map {require: OTP}\n", []string{"2:10: tags are not read: remove !!map"}},
		"no require":        {"version: 1\ndefault: {}\n", []string{"2:10: default has no require"}},
		"default is public": {"version: 1\ndefault: {public: yes}\n", []string{"2:10: default has no require", `2:11: unknown key "public" in default: its keys are require, mode`}},
		"default as text":   {"version: 1\ndefault: OTP\n", []string{`2:10: default must be a mapping, not the text "OTP": its keys are require, mode`}},
		"a directory that an earlier rule guards": {head + "rules:\n  - {name: a, require: FACE, mode: report-only, under: [/admin]}\n  - {name: b, require: FACE, routes: [\"GET /admin*\"]}\n", []string{
			"5:39: the rule b is never met by GET /admin*: the rule a is before it: put it before that rule, or remove it",
		}},
		"a guard of nothing but a directory": {head + "rules:\n  - {name: a, public: b, under: [/admin]}\n  - {name: b, require: FACE, under: [/admin]}\n", []string{
			"5:38: the rule b is never met by /admin: the rule a is before it: put it before that rule, or remove it",
		}},
		"several mistakes": {"version: 1\ndefault: {require: OTB}\nrules:\n  - name: A b\n    requier: OTP\n    routes: [\"PSOT /a\", b]\n", []string{
			`2:20: unknown factor type "OTB": did you mean OTP? (a custom type is quoted)`,
			"4:5: a rule has one of require, public and exempt, not none",
			`4:11: rule "A b": a name has lower-case letters, digits and hyphens, and begins with a letter: did you mean a-b?`,
			`5:5: unknown key "requier" in a rule: did you mean require?`,
			`6:14: unknown method "PSOT": did you mean POST?`,
			`6:25: "b": a path begins with a slash: did you mean "/b"?`,
		}},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := rules.Parse([]byte(row.given), "mfa.yaml")
			assert.Nil(t, f)
			var mistakes rules.Mistakes
			require.ErrorAs(t, err, &mistakes)
			for i := range row.want {
				row.want[i] = "mfa.yaml:" + row.want[i]
			}
			assert.Equal(t, row.want, strings.Split(err.Error(), "\n"))
			for _, m := range mistakes {
				assert.NotEmpty(t, m.Code)
			}
		})
	}
}

// TestReasonsAreOneLine shows that a reason or an owner cannot pass for more lines of what
// shows it, such as the routes that check lists.
func TestReasonsAreOneLine(t *testing.T) {
	t.Parallel()
	f := parse(t, rule("name: a", `public: "b\nopen: c"`, `under: ["/a"]`)+"  - name: d\n    exempt:\n      reason: |\n        e\n        f\n      owner: \"g\\nh\"\n      expires: 2099-01-01\n    under: [\"/d\"]\n")
	require.Len(t, f.Rules(), 3)
	assert.Equal(t, "b open: c", f.Rules()[0].Reason())
	assert.Equal(t, "e f", f.Rules()[1].Reason())
	assert.Equal(t, "g h", f.Rules()[1].Owner())
}

// TestMistakesOfRules shows those of one rule; it begins in line 4, column 5.
func TestMistakesOfRules(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		given []string
		want  []string
	}{
		"no name":                       {[]string{"require: OTP", `routes: ["/a"]`}, []string{"4:5: the rule has no name"}},
		"default":                       {[]string{"name: default", "require: OTP", `routes: ["/a"]`}, []string{"4:11: default is the name of the file's default"}},
		"number for a name":             {[]string{"name: 12", "require: OTP", `routes: ["/a"]`}, []string{`4:11: a name must be a text, not the number 12: put it in quotes: "12"`}},
		"long name":                     {[]string{"name: " + strings.Repeat("a", 65), "require: OTP", `routes: ["/a"]`}, []string{`4:11: rule "` + strings.Repeat("a", 60) + `...": a name has at most 64 letters`}},
		"no kind":                       {[]string{"name: a", `routes: ["/a"]`}, []string{"4:5: a rule has one of require, public and exempt, not none"}},
		"two kinds":                     {[]string{"name: a", "require: OTP", "public: b", `routes: ["/a"]`}, []string{"4:5: a rule has one of require, public and exempt, not require and public"}},
		"no routes":                     {[]string{"name: a", "require: OTP"}, []string{`4:5: the rule has neither routes nor under: under: ["/"] is for all of them`}},
		"empty routes":                  {[]string{"name: a", "require: OTP", "routes: []"}, []string{"6:13: routes is an empty list: leave the key out"}},
		"routes as text":                {[]string{"name: a", "require: OTP", "routes: /a"}, []string{`6:13: routes must be a list, not the text "/a": put it in [ ]`}},
		"routes twice":                  {[]string{"name: a", "require: OTP", `routes: ["/a", "/a"]`}, []string{`6:20: "/a" is there twice`}},
		"any":                           {[]string{"name: a", "require: OTP", `routes: ["ANY /a"]`}, []string{`6:14: unknown method "ANY": leave it out: the path alone is for all methods`}},
		"other method":                  {[]string{"name: a", "require: OTP", `routes: ["PROPFIND /a"]`}, []string{`6:14: unknown method "PROPFIND": _OTHER stands for all methods that are not known`}},
		"lower case":                    {[]string{"name: a", "require: OTP", `routes: ["get /a"]`}, []string{`6:14: unknown method "get": did you mean GET?`}},
		"URL":                           {[]string{"name: a", "require: OTP", `routes: ["https://a.example/b"]`}, []string{`6:14: "https://a.example/b": it is a URL: write the path as the app registers it`}},
		"query":                         {[]string{"name: a", "require: OTP", `routes: ["/a?b=c"]`}, []string{`6:14: "/a?b=c": it is the text of a URL: write the path as the app registers it`}},
		"star":                          {[]string{"name: a", "require: OTP", `routes: ["*"]`}, []string{`6:14: "*": a path begins with a slash: did you mean "/"?`}},
		"host":                          {[]string{"name: a", "require: OTP", `routes: ["API.example/a"]`}, []string{`6:14: "API.example/a": a host is in lower case: did you mean "api.example/a"?`}},
		"under a star":                  {[]string{"name: a", "require: OTP", `under: ["/mfa/*"]`}, []string{`6:13: "/mfa/*": under has no wildcard: under: ["/mfa"] has all routes below it`}},
		"under all":                     {[]string{"name: a", "require: OTP", `under: ["/{rest...}"]`}, []string{`6:13: "/{rest...}": under has no wildcard: under: ["/"] has all routes below it`}},
		"under a slash":                 {[]string{"name: a", "require: OTP", `under: ["/mfa/"]`}, []string{`6:13: "/mfa/": under is a path without a slash at its end: remove the last slash`}},
		"under a method":                {[]string{"name: a", "require: OTP", `under: ["GET /mfa"]`}, []string{`6:13: "GET /mfa": under is for all methods: use routes for single methods`}},
		"mode":                          {[]string{"name: a", "require: OTP", "mode: report_only", `under: ["/a"]`}, []string{`6:11: the mode must be enforce or report-only, not the text "report_only": did you mean report-only?`}},
		"public with mode":              {[]string{"name: a", "public: b", "mode: enforce", `under: ["/a"]`}, []string{"6:5: a rule with public has no mode: leave it out"}},
		"public for a role":             {[]string{"name: a", "public: b", "when: {role: [c]}", `under: ["/a"]`}, []string{"6:5: a rule with public has no when: leave it out"}},
		"public without a reason":       {[]string{"name: a", "public:", `under: ["/a"]`}, []string{"5:12: the reason of public must be a text, not nothing"}},
		"public as truth":               {[]string{"name: a", "public: true", `under: ["/a"]`}, []string{`5:13: the reason of public must be a text, not the truth value true: put it in quotes: "true"`}},
		"reason that clears the screen": {[]string{"name: a", `public: "b\e[2K"`, `under: ["/a"]`}, []string{"5:13: the reason of public has the character U+001B, which is not shown as what it is: remove it"}},
		"role turned around":            {[]string{"name: a", "require: OTP", `when: {role: ["b\u202e"]}`, `under: ["/a"]`}, []string{"6:19: a role has the character U+202E, which is not shown as what it is: remove it"}},
		"hour of one digit": {[]string{"name: a", "exempt: {reason: b, owner: c, expires: 2027-01-02T3:04:05Z}", `under: ["/a"]`}, []string{
			"5:44: expires must be a date, such as 2026-03-31, or a time with its offset, such as 2026-03-31T18:00:00+08:00, not the date 2027-01-02T3:04:05Z",
		}},
		"exempt as text":     {[]string{"name: a", "exempt: b", `under: ["/a"]`}, []string{`5:13: exempt must be a mapping, not the text "b": its keys are reason, owner, expires`}},
		"exempt without all": {[]string{"name: a", "exempt: {}", `under: ["/a"]`}, []string{"5:13: exempt has no reason", "5:13: exempt has no owner", "5:13: exempt has no expires"}},
		"exempt without a zone": {[]string{"name: a", "exempt: {reason: b, owner: c, expires: 2027-01-02T03:04:05}", `under: ["/a"]`}, []string{
			"5:44: expires must be a date, such as 2026-03-31, or a time with its offset, such as 2026-03-31T18:00:00+08:00, not the text \"2027-01-02T03:04:05\": add the offset, such as 2027-01-02T03:04:05Z",
		}},
		"exempt until no date": {[]string{"name: a", "exempt: {reason: b, owner: c, expires: 2027-02-30}", `under: ["/a"]`}, []string{
			"5:44: expires must be a date, such as 2026-03-31, or a time with its offset, such as 2026-03-31T18:00:00+08:00, not the text \"2027-02-30\"",
		}},
		"when is empty":     {[]string{"name: a", "require: OTP", "when: {}", `under: ["/a"]`}, []string{"6:11: when is empty: leave the key out"}},
		"when unknown":      {[]string{"name: a", "require: OTP", "when: {rolle: [b]}", `under: ["/a"]`}, []string{"6:11: when is empty: leave the key out", `6:12: unknown key "rolle" in when: did you mean role?`}},
		"when as text":      {[]string{"name: a", "require: OTP", "when: {role: b}", `under: ["/a"]`}, []string{`6:18: role must be a list, not the text "b": put it in [ ]`}},
		"role twice":        {[]string{"name: a", "require: OTP", "when: {role: [b, b]}", `under: ["/a"]`}, []string{`6:22: the role "b" is there twice`}},
		"when asks less":    {[]string{"name: a", "require: SMS", "when: {role: [b]}", `under: ["/a"]`}, []string{"6:5: the rule a asks users for whom its when holds for less than the default in line 2: SMS is not at least OTP: ask for both"}},
		"when reports only": {[]string{"name: a", "require: OTP", "when: {role: [b]}", "mode: report-only", `under: ["/a"]`}, []string{"6:5: the rule a lets users for whom its when holds through, and the default in line 2 does not: it is report-only"}},
		"not yet": {[]string{"name: a", "require: OTP", "verified_within: 10m", "grace_period: 14d", "enforce_from: 2026-12-15T09:00:00+08:00", `under: ["/a"]`}, []string{
			"6:5: verified_within is not supported yet: leave it out", "7:5: grace_period is not supported yet: leave it out", "8:5: enforce_from is not supported yet: leave it out",
		}},
		"exempt policy":  {[]string{"name: a", `require: exempt "b"`, `under: ["/a"]`}, []string{"5:14: an exemption is not a policy here: use public or exempt in a rule"}},
		"policy in text": {[]string{"name: a", "require: OTP and (SMS or EMIAL)", `under: ["/a"]`}, []string{`5:30: unknown factor type "EMIAL": did you mean EMAIL? (a custom type is quoted)`}},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := rules.Parse([]byte(rule(row.given...)), "mfa.yaml")
			require.Error(t, err)
			for i := range row.want {
				row.want[i] = "mfa.yaml:" + row.want[i]
			}
			assert.Equal(t, row.want, strings.Split(err.Error(), "\n"))
		})
	}
}
