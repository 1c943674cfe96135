package policylex_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/internal/policylex"
)

// TestTokens takes texts apart, up to what is no token.
func TestTokens(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                    {},
		" \t\r\n":             {},
		"OTP or(face)":        {"OTP", "or", "(", "face", ")"},
		"2 of (A-b, c_9Z)":    {"2", "of", "(", "A-b", ",", "c_9Z", ")"},
		`"VO ICE" AND "a\"b"`: {`"VO ICE"`, "AND", `"a\"b"`},
		`OTP "x`:              {"OTP", "!a quoted text that does not end, or has an unknown escape"},
		"a|b":                 {"a", "!unexpected '|': write or"},
		"a+b":                 {"a", "!unexpected '+': write and"},
		"a & b":               {"a", "!unexpected '&': write and"},
		"'a'":                 {`!unexpected '\'': write double quotes, as in "VOICE"`},
		"a\u00a0b":            {"a", "!unexpected '\\u00a0'"},
		"@[`{/:":              {"!unexpected '@'"},
		"[":                   {"!unexpected '['"},
		"{":                   {"!unexpected '{'"},
		"/":                   {"!unexpected '/'"},
		":":                   {"!unexpected ':'"},
		"azAZ09":              {"azAZ09"},
		"\u201cVOICE\u201d":   {"!unexpected '\u201c': write double quotes, as in \"VOICE\""},
	} {
		s := policylex.Scanner{Text: text}
		got := []string{}
		for {
			if why := s.Next(); why != "" {
				got = append(got, "!"+why)
				break
			}
			if s.Word == "" {
				assert.Equal(t, len(text), s.At, text)
				assert.Equal(t, "the end", s.Found())
				break
			}
			assert.Equal(t, s.Word, text[s.At:s.End])
			assert.NotEqual(t, "the end", s.Found())
			got = append(got, s.Word)
		}
		assert.Equal(t, want, got, text)
	}
	s := policylex.Scanner{Word: "And"}
	assert.True(t, s.Is("and"))
	assert.False(t, s.Is("an"))
	assert.Equal(t, `"And"`, s.Found())
}
