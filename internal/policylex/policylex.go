// Package policylex takes the text of a policy apart into tokens.
package policylex

import (
	"fmt"
	"strconv"
	"strings"
)

// Scanner reads a text token by token.
type Scanner struct {
	Text string
	At   int    // where the token begins
	End  int    // where it ends
	Word string // the token: a word, a quoted text with its quotes, a sign, or "" at the end
}

// Next reads a token. It returns what is wrong at its beginning, or "".
func (s *Scanner) Next() (why string) {
	s.At = s.End
	for s.At < len(s.Text) && strings.IndexByte(" \t\r\n", s.Text[s.At]) >= 0 {
		s.At++
	}
	rest := s.Text[s.At:]
	s.End = s.At
	switch {
	case rest == "":
		s.Word = ""
		return ""
	case strings.IndexByte("(),", rest[0]) >= 0:
		s.Word = rest[:1]
	case rest[0] == '"':
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return "a quoted text that does not end, or has an unknown escape"
		}
		s.Word = quoted
	default:
		n := strings.IndexFunc(rest, func(r rune) bool { return !isWordRune(r) })
		if n < 0 {
			n = len(rest)
		}
		if n == 0 {
			return unexpected([]rune(rest)[0])
		}
		s.Word = rest[:n]
	}
	s.End += len(s.Word)
	return ""
}

// unexpected refuses a character, and says what to write for those that other
// languages have.
func unexpected(r rune) string {
	switch r {
	case '|':
		return fmt.Sprintf("unexpected %q: write or", r)
	case '&', '+':
		return fmt.Sprintf("unexpected %q: write and", r)
	case '\'', '`', '\u2018', '\u2019', '\u201c', '\u201d', '\u201e', '\u00ab', '\u00bb', '\uff02':
		return fmt.Sprintf(`unexpected %q: write double quotes, as in "VOICE"`, r)
	}
	return fmt.Sprintf("unexpected %q", r)
}

func isWordRune(r rune) bool {
	return r == '_' || r == '-' || 'a' <= r|0x20 && r|0x20 <= 'z' || '0' <= r && r <= '9'
}

// Is reports whether the token is a word, in any case.
func (s *Scanner) Is(word string) bool { return strings.EqualFold(s.Word, word) }

// Found names the token for an error.
func (s *Scanner) Found() string {
	if s.Word == "" {
		return "the end"
	}
	return strconv.Quote(s.Word)
}
