package client

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func testNow() time.Time { return time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC) }

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := testNow()
	tests := map[string]struct {
		header string
		want   time.Duration
	}{
		"absent":              {"", 0},
		"blank":               {"  ", 0},
		"zero":                {"0", time.Second},
		"seconds":             {"7", 7 * time.Second},
		"spaces around":       {" 7 ", 7 * time.Second},
		"leading zeros":       {"007", 7 * time.Second},
		"the most":            {"3600", time.Hour},
		"over the most":       {"3601", time.Hour},
		"overflows Duration":  {strconv.FormatInt(math.MaxInt64/1_000_000_000+1, 10), time.Hour},
		"overflows int64":     {"9223372036854775808", time.Hour},
		"overflows uint64":    {strings.Repeat("9", 400), time.Hour},
		"negative":            {"-7", 0},
		"negative, huge":      {"-9223372036854775809", 0},
		"plus sign":           {"+7", 0},
		"fraction":            {"1.5", 0},
		"exponent":            {"1e3", 0},
		"hexadecimal":         {"0x10", 0},
		"other digits":        {"٧", 0},
		"list":                {"7, 8", 0},
		"text":                {"soon", 0},
		"date":                {"Fri, 01 May 2026 12:00:30 GMT", 30 * time.Second},
		"date, RFC 850":       {"Friday, 01-May-26 12:00:30 GMT", 30 * time.Second},
		"past, RFC 850":       {"Thursday, 30-Apr-26 12:00:00 GMT", time.Second},
		"past, asctime":       {"Thu Apr 30 12:00:00 2026", time.Second},
		"date, asctime":       {"Fri May  1 12:00:30 2026", 30 * time.Second},
		"date now":            {"Fri, 01 May 2026 12:00:00 GMT", time.Second},
		"date in the past":    {"Thu, 30 Apr 2026 12:00:00 GMT", time.Second},
		"date far ahead":      {"Fri, 01 May 2426 12:00:00 GMT", time.Hour},
		"date farthest ahead": {"Fri, 31 Dec 9999 23:59:59 GMT", time.Hour},
		"date long ago":       {"Mon, 01 Jan 0001 00:00:00 GMT", time.Second},
	}
	for name, tt := range tests {
		assert.Equal(t, tt.want, retryAfter([]string{tt.header}, now), name)
	}
}

// TestH1SeveralRetryAfterLines shows what counts when a gateway adds its own
// line: the longest that can be read.
func TestH1SeveralRetryAfterLines(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		lines []string
		want  time.Duration
	}{
		"none":           {nil, 0},
		"longest last":   {[]string{"7", "60"}, time.Minute},
		"longest first":  {[]string{"60", "7"}, time.Minute},
		"one unreadable": {[]string{"soon", "7"}, 7 * time.Second},
		"all unreadable": {[]string{"soon", "-7"}, 0},
		"with a date":    {[]string{"7", "Fri, 01 May 2026 12:00:30 GMT"}, 30 * time.Second},
		"with a zero":    {[]string{"0", ""}, time.Second},
	}
	for name, tt := range tests {
		assert.Equal(t, tt.want, retryAfter(tt.lines, testNow()), name)
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, header := range []string{"", "0", "7", "-1", "99999999999999999999", "Fri, 01 May 2026 12:00:30 GMT", "soon"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		got := retryAfter([]string{header}, testNow())
		assert.GreaterOrEqual(t, got, time.Duration(0))
		assert.LessOrEqual(t, got, time.Hour)
		trimmed := strings.TrimSpace(header)
		if n, err := strconv.ParseInt(trimmed, 10, 64); err == nil && trimmed[0] != '+' && trimmed[0] != '-' {
			assert.Equal(t, time.Duration(min(max(n, 1), 3600))*time.Second, got)
		} else if _, err := http.ParseTime(trimmed); err != nil && strings.Trim(trimmed, "0123456789") != "" {
			assert.Zero(t, got)
		}
	})
}

func TestTell(t *testing.T) {
	t.Parallel()
	secrets := []string{"", "hunter2", "abc+def/ghi0123456789=="}
	tests := map[string]struct {
		in    string
		limit int
		want  string
	}{
		"plain":                      {"plain", 10, "plain"},
		"cut":                        {"plain text", 5, "plain"},
		"cut in a character":         {"aé", 2, "a"},
		"cut to nothing":             {"é", 1, ""},
		"line ends":                  {"a\r\nb\tc\u2028d", 10, "abcd"},
		"escape and bidirectional":   {"a\x1bb\u202ec\u200b\ufeff\x7f\u0085", 10, "abc"},
		"invalid UTF-8":              {"a\xffb", 10, "a\ufffdb"},
		"secret":                     {"x hunter2 hunter2", 100, "x [redacted] [redacted]"},
		"secret in pieces":           {"hun\u200bter\x002", 100, "[redacted]"},
		"secret that would be cut":   {"x hunter2", 5, "x [re"},
		"secret in pieces, then cut": {"hun\nter2", 3, "[re"},
		"long secret":                {"x abc+def/ghi0123456789==", 100, "x [redacted]"},
		"long secret, shortened":     {"bad abc+def/ghi0123...", 100, "[redacted]"},
		"long secret, its end":       {"bad ...ghi0123456789==", 100, "[redacted]"},
		"long secret, escaped":       {"bad abc%2Bdef%2fghi0123456789%3D%3D", 100, "[redacted]"},
		"long secret, all escaped":   {"%61%62%63%2b%64%65%66%2f%67%68%69%30%31 100%", 100, "[redacted]"},
		"less than a run of it":      {"bad abc+def...", 100, "bad abc+def..."},
	}
	for name, tt := range tests {
		got := tell(tt.in, secrets, tt.limit)
		assert.Equal(t, tt.want, got, name)
		assert.True(t, utf8.ValidString(got), name)
	}
}

// A secret that is a part of another one must not leave pieces of it.
func TestT24SecretsMayOverlap(t *testing.T) {
	t.Parallel()
	c := &Client{appID: "x"}
	secrets := c.secrets(call{token: "xx", secrets: []string{"yxxxz", "z"}})
	assert.Equal(t, "[redacted]", redact("yxxxz", secrets))
}
