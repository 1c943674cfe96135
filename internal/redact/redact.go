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
	// mostSecrets and mostBytes bound the work that a client can cause by many or
	// long headers. Of more than that, the whole text is redacted.
	mostSecrets = 256
	mostBytes   = 64 << 10
	// mostShrunk is how many times shorter than a value a form of it can be: what
	// is percent-encoded takes three bytes for one.
	mostShrunk = 3
)

// Secrets are the values that a text must not show. The zero value hides
// nothing.
type Secrets struct {
	values []string // as they came
	bytes  int      // how long they are together
	known  []string // known tokens that are too short to be looked for in words
	all    bool
}

// Of returns the secrets that known tokens are.
func Of(tokens ...string) Secrets {
	var s Secrets
	s.addKnown(tokens)
	return s
}

// OfRequest returns the secrets of a request: what stands in its Authorization
// header, in the named headers, in headers and parameters of the address that hold a
// credential by their name or their look, and in its cookies, from 16 bytes on; and
// the known tokens.
func OfRequest(r *http.Request, headers []string, tokens ...string) Secrets {
	var s Secrets
	s.addKnown(tokens)
	for name, lines := range r.Header {
		for _, line := range lines {
			switch {
			case name == "Cookie":
				s.addCookies(line)
			case slices.Contains(headers, name), holdsCredential(name, line):
				s.addHeader(line)
			}
		}
	}
	if r.URL != nil {
		s.addQuery(r.URL.RawQuery)
	}
	if _, password, ok := r.BasicAuth(); ok {
		s.add(password)
	}
	return s
}

// jwtBegins is how base64 begins for a JSON object, and so how each JWT begins.
const jwtBegins = "eyJ"

// holdsCredential reports whether a header or a parameter is likely to hold a token.
// Where a function of the application reads it is not declared. A script of a browser
// has no other header for a WebSocket than that of the protocol.
func holdsCredential(name, value string) bool {
	name = strings.ToLower(name)
	for _, word := range []string{
		"auth", "token", "jwt", "secret", "session", "bearer", "credential", "passw", "api-key", "apikey", "assertion", "websocket-protocol",
	} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return strings.Contains(value, jwtBegins)
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
		if s.all {
			return
		}
		s.add(word)
	}
}

// addCookies adds the values of a Cookie line, which is read leniently: a cookie
// that net/http drops may be one that the application reads.
func (s *Secrets) addCookies(line string) {
	for pair := range strings.SplitSeq(line, ";") {
		if s.all {
			return
		}
		_, value, _ := strings.Cut(pair, "=")
		value = strings.Trim(value, " \t")
		s.add(value)
		s.add(strings.Trim(value, `"`))
	}
}

// addQuery adds the values of a query, as they came: how they are decoded is a form
// of them.
func (s *Secrets) addQuery(query string) {
	for pair := range strings.SplitSeq(query, "&") {
		if s.all {
			return
		}
		if name, value, _ := strings.Cut(pair, "="); holdsCredential(name, value) {
			s.add(value)
		}
	}
}

// add adds a value, and the parts of a JWT, which may stand alone.
func (s *Secrets) add(value string) {
	s.addValue(value)
	for part := range strings.SplitSeq(value, ".") {
		if s.all {
			return
		}
		s.addValue(part)
	}
}

func (s *Secrets) addValue(value string) {
	if len(value) < leastSecret || s.all || slices.Contains(s.values, value) {
		return
	}
	s.values, s.bytes = append(s.values, value), s.bytes+len(value)
	s.all = len(s.values) > mostSecrets || s.bytes > mostBytes
}

// forms returns the forms of the values that a text of a length may hold, the
// longest first: a part must not break the whole. Most texts are short, and writing
// a value in each form takes time that the sender of the request can choose.
func (s *Secrets) forms(length int) []string {
	var all []string
	for _, value := range s.values {
		if len(value)/mostShrunk > length {
			continue
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
		for i, form := range forms {
			if len(form) >= leastSecret && len(form) <= length && !slices.Contains(forms[:i], form) {
				all = append(all, form)
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return all
}

// inner takes the quotes off.
func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

// Hide takes the secrets out of a text.
func (s Secrets) Hide(text string) string {
	if s.all && text != "" {
		return redacted
	}
	for _, value := range s.forms(len(text)) {
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
