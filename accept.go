package echomfa

import (
	"net/http"
	"strings"

	"github.com/echomfa/echomfa/internal/fieldvalue"
)

// client kinds: who is asking decides what a refusal looks like. A program
// gets a problem document, never a redirect or a page.
type clientKind uint8

const (
	program clientKind = iota
	browser            // a navigation: somebody sees the answer
	htmx               // a script that follows HX-Redirect
)

// kindOf tells a browser's navigation from a program's call. Where the browser
// says it itself (Fetch Metadata, Sec-Fetch-Mode), nothing else counts;
// otherwise the Accept header must name text/html.
func kindOf(r *http.Request) clientKind {
	if r.Header.Get("Hx-Request") == "true" {
		return htmx
	}
	if modes := r.Header["Sec-Fetch-Mode"]; len(modes) == 1 && modes[0] == "navigate" {
		return browser
	} else if len(modes) > 0 || len(r.Header["Sec-Fetch-Dest"]) > 0 || len(r.Header["Sec-Fetch-Site"]) > 0 {
		return program
	}
	if strings.EqualFold(r.Header.Get("X-Requested-With"), "XMLHttpRequest") {
		return program
	}
	if prefersHTML(r.Header["Accept"]) {
		return browser
	}
	return program
}

// prefersHTML reports whether an Accept header names text/html with a quality
// that is not below that of JSON (RFC 9110, section 12.5.1). "*/*" does not
// name it. Nothing malformed speaks for HTML: such an element is left out if it
// names text/html, and counts in full if it names JSON.
func prefersHTML(lines []string) bool {
	html := -1
	ranges := make(map[string]int, 4)
	for _, line := range lines {
		for element := range fieldvalue.Elements(line, ',') {
			switch name, q, ok := mediaRange(element); name {
			case "text/html":
				if ok {
					html = max(html, q)
				}
			case "application/json", "application/problem+json", "application/*", "*/*":
				if !ok {
					q = fieldvalue.MaxQuality
				}
				ranges[name] = max(ranges[name], q+1)
			}
		}
	}
	if html <= 0 {
		return false
	}
	// The most specific range speaks for a type.
	for _, name := range []string{"application/json", "application/problem+json"} {
		for _, candidate := range []string{name, "application/*", "*/*"} {
			if q, named := ranges[candidate]; named {
				if q-1 > html {
					return false
				}
				break
			}
		}
	}
	return true
}

// mediaRange reads one element of an Accept header: its name in lower case, its
// quality in thousandths, and whether its parameters are well-formed. Those
// other than q narrow a range in ways that do not matter here.
func mediaRange(element string) (name string, q int, ok bool) {
	q, ok = fieldvalue.MaxQuality, true
	first, weighted := true, false
	for part := range fieldvalue.Elements(element, ';') {
		part = strings.Trim(part, " \t")
		key, value, _ := strings.Cut(part, "=")
		switch {
		case first:
			name, first = strings.ToLower(part), false
		case part == "":
		case strings.EqualFold(key, "q"):
			weight, valid := fieldvalue.Quality(value)
			q, ok, weighted = weight, ok && valid && !weighted, true
		default:
			ok = ok && isHTTPToken(key) && (isHTTPToken(value) || isQuotedString(value))
		}
	}
	return name, q, ok
}

// isQuotedString reports whether s is one quoted string (RFC 9110, section
// 5.6.4).
func isQuotedString(s string) bool {
	if len(s) < 2 || s[0] != '"' {
		return false
	}
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] < ' ' && s[i] != '\t', s[i] == 0x7f:
			return false
		case s[i] == '\\':
			i++
		case s[i] == '"':
			return i == len(s)-1
		}
	}
	return false
}
