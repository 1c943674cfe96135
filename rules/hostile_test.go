package rules_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
)

const mebibyte = 1 << 20

// text makes a file: many of them at once would take more memory than what is measured.
type text func() string

func plain(file string) text { return func() string { return file } }

// repeated repeats a part.
func repeated(begin, part string, count int, end string) text {
	return func() string { return begin + strings.Repeat(part, count) + end }
}

// filled repeats a part up to the size of the largest file.
func filled(begin, part, end string) text {
	return repeated(begin, part, (mebibyte-len(begin)-len(end))/len(part), end)
}

// numbered repeats a part with numbers, as often as said and as fits.
func numbered(begin string, count int, part func(i int) string) text {
	return func() string {
		var b strings.Builder
		b.WriteString(begin)
		for i := range count {
			if next := part(i); b.Len()+len(next) < mebibyte {
				b.WriteString(next)
			}
		}
		return b.String()
	}
}

type hostileFile struct {
	given text
	want  string
}

// hostile are files that try to take time and memory, and what is said of each; "" if it
// is a good file.
func hostile() map[string]hostileFile {
	someRule := func(i int) string { return fmt.Sprintf("- {name: r%d, require: OTP, routes: [/%d]}\n", i, i) }
	return map[string]hostileFile{
		"too large":         {repeated("", " ", mebibyte+1, ""), "mfa.yaml:1:1: the file has 1048577 bytes, which is more than 1048576"},
		"10,000 rules":      {numbered(head+"rules:\n", 10_000, someRule), ""},
		"10,001 rules":      {numbered(head+"rules:\n", 10_001, someRule), "mfa.yaml:10004:3: the file has 10001 rules, which is more than 10000"},
		"brackets":          {filled("", "[", ""), "the file has more than 150000 values"},
		"braces":            {filled("", "{a: ", ""), "the file has more than 150000 values"},
		"dashes":            {filled("", "- ", "a"), "the file has more than 150000 values"},
		"questions":         {filled("", "? ", "a"), "the file has more than 150000 values"},
		"17 brackets":       {repeated("", "[", 17, ""), "exceeded max depth of 16"},
		"17 braces":         {repeated("", "{a: ", 17, ""), "exceeded max depth of 16"},
		"17 dashes":         {repeated("", "- ", 17, ""), "exceeded max depth of 16"},
		"17 questions":      {repeated("", "? ", 17, ""), "exceeded max depth of 16"},
		"aliases":           {filled("", "*a ", "a"), "the file has more than 150000 values"},
		"tags":              {filled("", "!a ", "a"), "the file has more than 150000 values"},
		"15,000 anchors":    {repeated("", "&a ", 14_999, ""), "did not find expected"},
		"15,000 aliases":    {repeated("[", "*a, ", 12_000, "]"), "unknown anchor"},
		"15,000 tags":       {repeated("", "!a ", 14_999, ""), "did not find expected"},
		"quotes":            {filled(head, `"" `, ""), "the file has more than 150000 values"},
		"a long list":       {filled("[", "a,", "a]"), "the file has more than 150000 values"},
		"a long mapping":    {filled("{", "a,", "a: a}"), "the file has more than 150000 values"},
		"lines":             {filled("", "a:\n", ""), "the file has more than 150000 values"},
		"empty lines":       {filled("", "\n", ""), "the file has more than 150000 values"},
		"comments":          {filled(head, "#\n", ""), "the file has more than 150000 values"},
		"new lines of YAML": {filled("", "?\u0085", ""), "the character U+0085"},
		"a long comment":    {filled(head+"#", "x", ""), ""},
		"a long text":       {filled(head[:len(head)-1]+"\n\"", "x", "\": a"), "a key has more than 1024 bytes"},
		"a long plain text": {filled(head+"rules: ", "x", ""), "rules must be a list"},
		"escapes":           {filled(head+"rules: \"", `\u0041`, `"`), "rules must be a list"},
		"anchors":           {filled("", "&a ", "a"), "the file has more than 150000 values"},
		"aliases that blow up": {
			plain("a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\n" +
				"e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]\ng: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f]\nversion: *g\ndefault: *g\n"),
			`mfa.yaml:1:1: unknown key "a" in the file`,
		},
		"an alias of itself": {plain("version: 1\ndefault: &a {require: *a}\n"), "mfa.yaml:2:10: anchors are not read"},
		"routes": {
			numbered(head+"rules:\n- name: a\n  require: OTP\n  routes:\n", 20_001, func(i int) string { return fmt.Sprintf("  - /%d\n", i) }),
			"mfa.yaml:20007:5: the file has more than 20000 routes",
		},
		"20,000 routes on 16 hosts": {
			numbered(head+"rules:\n- name: a\n  require: OTP\n  routes:\n", 20_000, func(i int) string {
				if i < 16 {
					return fmt.Sprintf("  - h%d/%d\n", i, i)
				}
				return fmt.Sprintf("  - /%d\n", i)
			}), "",
		},
		"17 hosts": {
			numbered(head+"rules:\n- name: a\n  require: OTP\n  routes:\n", 17, func(i int) string { return fmt.Sprintf("  - h%d/a\n", i) }),
			`mfa.yaml:23:5: "h16/a": the file names too many hosts`,
		},
		"10,000 rules for one path": {
			numbered(head+"rules:\n", 10_000, func(i int) string { return fmt.Sprintf("- {name: r%d, require: OTP, under: [/]}\n", i) }),
			"and 9899 more mistakes",
		},
		"1,000 rules with when for one path": {
			numbered(head+"rules:\n", 1000, func(i int) string {
				return fmt.Sprintf("- {name: r%d, require: OTP, under: [/, /x%d], when: {role: [x%d]}}\n", i, i, i)
			}),
			"more than 16 rules with when match the same routes",
		},
		"many rules with under, and 16 hosts": {
			numbered(head+"rules:\n", manyRules, func(i int) string {
				switch {
				case i < 4:
					return fmt.Sprintf("- {name: r%d, require: OTP and FACE, under: [h%d/], when: {role: [admin]}}\n", i, i)
				case i < 16:
					return fmt.Sprintf("- {name: r%d, exempt: {reason: a, owner: b, expires: 2099-12-31}, under: [h%d/]}\n", i, i)
				}
				return fmt.Sprintf("- {name: r%d, require: OTP, under: [/a%d, /b%d]}\n", i, i, i)
			}), "",
		},
		"many rules with under, and some with when for all": {
			numbered(head+"rules:\n", manyRules, func(i int) string {
				if i < 5 {
					return fmt.Sprintf("- {name: r%d, require: OTP and FACE, under: [/], when: {tenant: [t%d]}}\n", i, i)
				}
				return fmt.Sprintf("- {name: r%d, require: OTP, under: [/a%d, /b%d]}\n", i, i, i)
			}), "",
		},
		"rules with when of many others": {
			numbered(head+"rules:\n", 10_000, func(i int) string {
				if i < 16 {
					return fmt.Sprintf("- {name: r%d, require: OTP and FACE, under: [/], when: {tenant: [t%d]}}\n", i, i)
				}
				return fmt.Sprintf("- {name: r%d, require: OTP, under: [/a%d, /b%d]}\n", i, i, i)
			}), "meet the routes of more than",
		},
		"deep paths": {
			numbered(head+"rules:\n", 2000, func(i int) string {
				return fmt.Sprintf("- {name: r%d, require: OTP, routes: [\"%s/%d\"], under: [\"%s\"]}\n", i, strings.Repeat("/a", 200), i, strings.Repeat("/a", 1+i%200))
			}),
			"is never met by",
		},
		"policies of many sets": {
			numbered(head+"rules:\n", 2000, func(i int) string {
				return fmt.Sprintf("- {name: r%d, require: 'OTP and 2 of (OTP, SMS, EMAIL, FACE, PASSKEY, \"A\", \"B\", \"C\", \"D\", \"E\", \"F\", \"G\", \"H\", \"I%d\")', under: [/%d], when: {role: [a]}}\n", i, i/2, i/2)
			}),
			"is never met by",
		},
		"10,000 mistakes": {
			numbered(head+"rules:\n", 10_000, func(int) string { return "- {naem: a}\n" }),
			"more mistakes",
		},
	}
}

// hostileEnv names the file that a process of its own reads.
const hostileEnv = "RULES_TEST_HOSTILE"

// TestHostileFiles shows that what a file can cost is bounded: Parse does not panic, says
// what is wrong, and a process that reads the file, takes it and compares it with another
// one never has 50 MB more from the operating system than it had in use before. Each file
// has a process of its own, whose count of that never falls, so that no peak is passed over.
// The garbage collector leaves little garbage there: how much it leaves in an app, the app
// says, by GOGC.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	require.NoError(t, err)
	for name, row := range hostile() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if os.Getenv(hostileEnv) == name {
				read(t, row.given(), row.want)
				return
			}
			child := exec.CommandContext(t.Context(), self, "-test.run=^TestHostileFiles$/^"+regexp.QuoteMeta(t.Name()[len("TestHostileFiles/"):])+"$", "-test.v")
			child.Env = append(os.Environ(), hostileEnv+"="+name)
			out, err := child.CombinedOutput()
			taken := regexp.MustCompile(`\d+ MB taken.*`).Find(out)
			require.NotEmpty(t, taken, "%s", out)
			t.Logf("%s", taken)
			assert.NoError(t, err, "%s", out)
		})
	}
}

// read reads a file, and has a Set take it.
func read(t *testing.T, given, want string) {
	t.Helper()
	require.LessOrEqual(t, len(given), mebibyte+1)
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before := m.Sys - m.HeapIdle // in use
	debug.SetGCPercent(10)
	started := time.Now()
	_, err := rules.Parse([]byte(given), "mfa.yaml")
	parsed := time.Since(started)
	if want == "" {
		require.NoError(t, err)
		if len(given) <= mostReloaded {
			reload(t, given)
		}
	} else {
		require.ErrorContains(t, err, want)
		assert.Regexp(t, `^mfa\.yaml:\d+:\d+: `, err.Error())
		assert.Less(t, len(err.Error()), 64<<10)
	}
	runtime.ReadMemStats(&m)
	t.Logf("%d MB taken; parsed in %v, all in %v", (m.Sys-before)/1_000_000, parsed, time.Since(started))
	assert.Less(t, m.Sys-before, uint64(50_000_000))
}

// reload has a Set take a file in the place of one by which every route asks for something
// else, and say so in a log line.
func reload(t *testing.T, text string) {
	t.Helper()
	path, logged := filepath.Join(t.TempDir(), "mfa.yaml"), bytes.Buffer{}
	write(t, path, strings.ReplaceAll(text, "OTP", "SMS"))
	s, err := rules.Open(path, rules.Config{
		Enforcer: newEnforcer(t), Poll: time.Hour, Roles: []string{"admin"}, Logger: slog.New(slog.NewTextHandler(&logged, nil)),
	})
	require.NoError(t, err)
	write(t, path, text)
	require.NoError(t, s.Reload())
	require.NoError(t, s.Close())
	assert.Contains(t, logged.String(), "rules_changed")
	assert.Less(t, logged.Len(), 64<<10)
}

// FuzzParse shows that Parse neither panics nor takes a file apart in two ways: what it
// accepts has a default, and a rule for every request.
func FuzzParse(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(head))
	f.Add([]byte("{version: 1, default: {require: OTP}, rules: [{name: a, public: b, routes: [GET /a]}]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := rules.Parse(data, "mfa.yaml")
		if err != nil {
			var mistakes rules.Mistakes
			require.ErrorAs(t, err, &mistakes)
			require.NotEmpty(t, mistakes)
			for _, m := range mistakes {
				require.NotEmpty(t, m.Message)
				require.True(t, m.Line > 0 && m.Column > 0 || m.Code == "more", m)
			}
			return
		}
		again, err := rules.Parse(data, "mfa.yaml")
		require.NoError(t, err)
		require.Empty(t, rules.Diff(file, again, nil, exemptUntil()))
		for _, route := range []string{"", "/", "/a", "/a/b", "h/a"} {
			decided := file.Match("GET", route).Weakest(exemptUntil())
			require.NoError(t, decided.Policy().Err())
			require.NotEmpty(t, decided.Name())
		}
	})
}
