// Package redact takes access tokens out of texts.
package redact

import (
	"cmp"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	redacted = "[redacted]"
	// leastSecret is the length from which a value is taken for a secret: a
	// cookie "id=1" must not shred every line.
	leastSecret = 16
	// mostSecrets bounds the work that a client can cause by many cookies. Of
	// more than that, the whole text is redacted.
	mostSecrets = 256
)

// Secrets are the values that a text must not show. The zero value hides
// nothing.
type Secrets struct {
	values []string // the longest first: a part must not break the whole
	known  []string // known tokens that are too short to be looked for in words
	all    bool
}

// Of returns the secrets that known tokens are.
func Of(tokens ...string) Secrets {
	var s Secrets
	s.addKnown(tokens)
	return s.sorted()
}

// OfRequest returns the secrets of a request: what stands in its Authorization
// header, in the named headers, in headers whose name tells that they hold a
// credential, and in its cookies, from 16 bytes on; and the known tokens.
func OfRequest(r *http.Request, headers []string, tokens ...string) Secrets {
	var s Secrets
	s.addKnown(tokens)
	for name, lines := range r.Header {
		for _, line := range lines {
			switch {
			case name == "Cookie":
				s.addCookies(line)
			case slices.Contains(headers, name), holdsCredential(name):
				s.addHeader(line)
			}
		}
	}
	if _, password, ok := r.BasicAuth(); ok {
		s.add(password)
	}
	return s.sorted()
}

// holdsCredential reports whether a header is likely to hold a token. Where a
// function of the application reads it is not declared.
func holdsCredential(name string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{"auth", "token", "jwt", "secret", "session", "api-key", "apikey", "assertion"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

func (s *Secrets) addKnown(tokens []string) {
	for _, token := range tokens {
		if len(token) >= leastSecret {
			s.add(token)
		} else if token != "" {
			s.known = append(s.known, token)
		}
	}
}

// addHeader adds a field's value, and what it is made of: a scheme and a
// credential, or several.
func (s *Secrets) addHeader(line string) {
	s.add(line)
	for word := range strings.FieldsFuncSeq(line, func(c rune) bool { return c == ' ' || c == '\t' || c == ',' }) {
		s.add(word)
	}
}

// addCookies adds the values of a Cookie line, which is read leniently: a cookie
// that net/http drops may be one that the application reads.
func (s *Secrets) addCookies(line string) {
	for pair := range strings.SplitSeq(line, ";") {
		_, value, _ := strings.Cut(pair, "=")
		value = strings.Trim(value, " \t")
		s.add(value)
		s.add(strings.Trim(value, `"`))
	}
}

// add adds a value, the parts of a JWT, which may stand alone, and the forms in
// which programs print them.
func (s *Secrets) add(value string) {
	if s.addForms(value); !strings.Contains(value, ".") {
		return
	}
	for part := range strings.SplitSeq(value, ".") {
		s.addForms(part)
	}
}

func (s *Secrets) addForms(value string) {
	if len(value) < leastSecret || s.all {
		return
	}
	forms := []string{value, url.QueryEscape(value), url.PathEscape(value), inner(strconv.Quote(value)), inner(strconv.QuoteToASCII(value))}
	if raw, err := json.Marshal(value); err == nil {
		forms = append(forms, inner(string(raw)))
	}
	if plain, err := url.PathUnescape(value); err == nil {
		forms = append(forms, plain)
	}
	if plain, err := url.QueryUnescape(value); err == nil {
		forms = append(forms, plain)
	}
	for _, form := range forms {
		if len(form) >= leastSecret && !slices.Contains(s.values, form) {
			s.values = append(s.values, form)
		}
	}
	s.all = len(s.values) > mostSecrets
}

// inner takes the quotes off.
func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

func (s Secrets) sorted() Secrets {
	slices.SortFunc(s.values, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return s
}

// Hide takes the secrets out of a text.
func (s Secrets) Hide(text string) string {
	if s.all && text != "" {
		return redacted
	}
	for _, value := range s.values {
		text = strings.ReplaceAll(text, value, redacted)
	}
	for _, token := range s.known {
		text = hideWord(text, token)
	}
	return text
}

// Shown reports whether a text shows one of the secrets.
func (s Secrets) Shown(text string) bool { return s.Hide(text) != text }

// hideWord takes a short token out where it stands alone. Inside other words it
// is a part of them.
func hideWord(text, token string) string {
	var b strings.Builder
	for from := 0; ; {
		at := strings.Index(text[from:], token)
		if at < 0 {
			b.WriteString(text[from:])
			return b.String()
		}
		start, end := from+at, from+at+len(token)
		if (start > 0 && inToken(text[start-1])) || (end < len(text) && inToken(text[end])) {
			b.WriteString(text[from : start+1])
			from = start + 1
			continue
		}
		b.WriteString(text[from:start])
		b.WriteString(redacted)
		from = end
	}
}

// inToken reports whether a byte is a letter, a digit, or joins them.
func inToken(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_' || c == '-' || c >= 0x80
}
