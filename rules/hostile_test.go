package rules_test

import (
	"fmt"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
)

const mebibyte = 1 << 20

// filled repeats a part up to the size of the largest file.
func filled(begin, part, end string) string {
	return begin + strings.Repeat(part, (mebibyte-len(begin)-len(end))/len(part)) + end
}

// numbered repeats a part with numbers, as often as said and as fits.
func numbered(begin string, count int, part func(i int) string) string {
	var b strings.Builder
	b.WriteString(begin)
	for i := range count {
		if next := part(i); b.Len()+len(next) < mebibyte {
			b.WriteString(next)
		}
	}
	return b.String()
}

// hostile are files that try to take time and memory, and what is said of each; "" if it
// is a good file.
func hostile() map[string]struct{ given, want string } {
	someRule := func(i int) string { return fmt.Sprintf("- {name: r%d, require: OTP, routes: [/%d]}\n", i, i) }
	return map[string]struct{ given, want string }{
		"too large":         {strings.Repeat(" ", mebibyte+1), "mfa.yaml:1:1: the file has 1048577 bytes, which is more than 1048576"},
		"10,000 rules":      {numbered(head+"rules:\n", 10_000, someRule), ""},
		"10,001 rules":      {numbered(head+"rules:\n", 10_001, someRule), "mfa.yaml:10004:3: the file has 10001 rules, which is more than 10000"},
		"brackets":          {filled("", "[", ""), "the file has more than 150000 values"},
		"braces":            {filled("", "{a: ", ""), "the file has more than 150000 values"},
		"dashes":            {filled("", "- ", "a"), "the file has more than 150000 values"},
		"questions":         {filled("", "? ", "a"), "the file has more than 150000 values"},
		"17 brackets":       {strings.Repeat("[", 17), "exceeded max depth of 16"},
		"17 braces":         {strings.Repeat("{a: ", 17), "exceeded max depth of 16"},
		"17 dashes":         {strings.Repeat("- ", 17), "exceeded max depth of 16"},
		"17 questions":      {strings.Repeat("? ", 17), "exceeded max depth of 16"},
		"aliases":           {filled("", "*a ", "a"), "the file has more than 150000 values"},
		"tags":              {filled("", "!a ", "a"), "the file has more than 150000 values"},
		"15,000 anchors":    {strings.Repeat("&a ", 14_999), "did not find expected"},
		"15,000 aliases":    {"[" + strings.Repeat("*a, ", 12_000) + "]", "unknown anchor"},
		"15,000 tags":       {strings.Repeat("!a ", 14_999), "did not find expected"},
		"quotes":            {filled(head, `"" `, ""), "the file has more than 150000 values"},
		"a long list":       {filled("[", "a,", "a]"), "the file has more than 150000 values"},
		"a long mapping":    {filled("{", "a,", "a: a}"), "the file has more than 150000 values"},
		"lines":             {filled("", "a:\n", ""), "the file has more than 150000 values"},
		"empty lines":       {filled("", "\n", ""), "the file has more than 150000 values"},
		"comments":          {filled(head, "#\n", ""), "the file has more than 150000 values"},
		"a long comment":    {filled(head+"#", "x", ""), ""},
		"a long text":       {filled(head[:len(head)-1]+"\n\"", "x", "\": a"), "a key has more than 1024 bytes"},
		"a long plain text": {filled(head+"rules: ", "x", ""), "rules must be a list"},
		"escapes":           {filled(head+"rules: \"", `\u0041`, `"`), "rules must be a list"},
		"anchors":           {filled("", "&a ", "a"), "the file has more than 150000 values"},
		"aliases that blow up": {
			"a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\n" +
				"e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]\ng: &g [*f, *f, *f, *f, *f, *f, *f, *f, *f]\nversion: *g\ndefault: *g\n",
			`mfa.yaml:1:1: unknown key "a" in the file`,
		},
		"an alias of itself": {"version: 1\ndefault: &a {require: *a}\n", "mfa.yaml:2:10: anchors are not read"},
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

// TestHostileFiles shows that what a file can cost is bounded: Parse does not panic, says
// what is wrong, and never has more than 50 MB.
func TestHostileFiles(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	for name, row := range hostile() {
		t.Run(name, func(t *testing.T) {
			require.LessOrEqual(t, len(row.given), mebibyte+1)
			most := mostMemory(func() {
				f, err := rules.Parse([]byte(row.given), "mfa.yaml")
				if row.want == "" {
					require.NoError(t, err)
					assert.NotNil(t, f)
					return
				}
				require.ErrorContains(t, err, row.want)
				assert.Regexp(t, `^mfa\.yaml:\d+:\d+: `, err.Error())
				assert.Less(t, len(err.Error()), 64<<10)
			})
			t.Logf("%d MB", most>>20)
			assert.Less(t, most, uint64(50_000_000))
		})
	}
}

// mostMemory returns the most bytes on the heap while f runs, beyond those before. It
// looks as often as it can; what it misses it does not count.
func mostMemory(f func()) uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	before, most := sample[0].Value.Uint64(), uint64(0)
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for ticks := time.Tick(time.Millisecond); ; {
			select {
			case <-done:
				return
			case <-ticks:
				metrics.Read(sample)
				most = max(most, sample[0].Value.Uint64())
			}
		}
	})
	f()
	close(done)
	watching.Wait()
	return most - min(most, before)
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
