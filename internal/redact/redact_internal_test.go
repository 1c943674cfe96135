package redact

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestX9WorkIsBounded has headers by which a client without a token could make each
// refusal cost time: long ones, and many.
func TestX9WorkIsBounded(t *testing.T) {
	t.Parallel()
	for name, cookies := range map[string]string{
		"long":              "a=" + strings.Repeat("x", mostBytes+1),
		"long together":     "a=" + strings.Repeat("x", mostBytes/2) + "y; b=" + strings.Repeat("z", mostBytes/2),
		"many parts":        "a=" + strings.Join(distinct(mostSecrets+1), "."),
		"many":              "a=" + strings.Join(distinct(mostSecrets+1), ";a="),
		"long and encoded":  "a=" + strings.Repeat("%41", mostBytes/3+1),
		"long, not encoded": "a=" + strings.Repeat("\xff", mostBytes+1),
	} {
		s := OfRequest(&http.Request{Header: http.Header{"Cookie": {cookies}}}, nil)
		assert.Equal(t, redacted, s.Hide("text"), name)
		assert.LessOrEqual(t, len(s.values), mostSecrets+1, name)
	}
	many := OfRequest(&http.Request{URL: &url.URL{RawQuery: "token=" + strings.Join(distinct(mostSecrets+1), "&token=")}}, nil)
	assert.Equal(t, redacted, many.Hide("text"), "parameters")
	assert.LessOrEqual(t, len(many.values), mostSecrets+1, "parameters")
	same := OfRequest(&http.Request{Header: http.Header{"Cookie": {strings.Repeat("a=0123456789abcdef;", 1<<12)}}}, nil)
	assert.Len(t, same.values, 1)
	assert.Equal(t, "a text", same.Hide("a text"))

	s := Of(strings.Repeat("%41", 1000))
	assert.Empty(t, s.forms(999), "no form is as short as that")
	assert.Equal(t, []string{strings.Repeat("A", 1000)}, s.forms(1000))
	assert.Equal(t, "a "+redacted, s.Hide("a "+strings.Repeat("A", 1000)))
}

// distinct returns n values that are taken for secrets.
func distinct(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = strings.Repeat("x", leastSecret-1) + string(rune('0'+i%10)) + strings.Repeat("y", i/10)
	}
	return all
}
