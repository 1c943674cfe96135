// Package accept tells who is asking: a program, a browser, or a script that
// navigates for one. That decides what a refusal looks like, and nothing else.
package accept

import (
	"net/http"
	"strings"

	"github.com/echomfa/echomfa/internal/fieldvalue"
)

// Kind is who is asking, which decides what a refusal looks like. A program gets a
// problem document, never a redirect or a page. What a client claims
// chooses among these answers, and has no other effect.
type Kind uint8

// The kinds of clients. The zero value is a program.
const (
	Program    Kind = iota
	Browser         // a navigation: somebody sees the answer
	Framed          // a navigation inside a frame of another page
	HTMX            // a script that follows HX-Redirect
	Inertia         // one that follows X-Inertia-Location
	Unpoly          // one that puts the answer into the page
	TurboFrame      // the same, for a <turbo-frame>
	Turbo           // the same, for the whole page
)

// TurboStream is the media type of what Turbo puts into the page.
const TurboStream = "text/vnd.turbo-stream.html"

const maxFrameName = 256

// KindOf tells a browser's navigation, and a script that navigates for it, from
// a program's call. Where the browser says it itself (Fetch Metadata), nothing
// else counts; otherwise the Accept header must name text/html.
func KindOf(r *http.Request) Kind {
	h := r.Header
	switch {
	case h.Get("Hx-Request") == "true":
		return HTMX
	case h.Get("X-Inertia") == "true":
		return Inertia
	case (len(h["X-Up-Version"]) > 0 || len(h["X-Up-Target"]) > 0) && !accepts(h["Accept"], "application/json"):
		return Unpoly // and not the app's own call by up.request
	case accepts(h["Accept"], TurboStream):
		return Turbo
	case h.Get("Turbo-Frame") != "":
		return TurboFrame
	case h.Get("X-Turbo-Request-Id") != "" && h.Get("X-Requested-With") == "" && prefersHTML(h["Accept"]):
		return Turbo // and not the app's own call by Turbo's fetch
	}
	if modes := h["Sec-Fetch-Mode"]; len(modes) == 1 && modes[0] == "navigate" {
		return kindOfNavigation(h["Sec-Fetch-Dest"])
	} else if len(modes) > 0 || len(h["Sec-Fetch-Dest"]) > 0 || len(h["Sec-Fetch-Site"]) > 0 {
		return Program
	}
	if strings.EqualFold(h.Get("X-Requested-With"), "XMLHttpRequest") {
		return Program
	}
	if prefersHTML(h["Accept"]) {
		return Browser
	}
	return Program
}

// kindOfNavigation looks at where the answer goes. A link with the download
// attribute is a navigation too, with the destination "empty": what it gets is
// saved as the file.
func kindOfNavigation(destinations []string) Kind {
	if len(destinations) == 0 {
		return Browser // of before there was Sec-Fetch-Dest
	}
	if len(destinations) > 1 {
		return Program
	}
	switch destinations[0] {
	case "document":
		return Browser
	case "iframe", "frame", "embed", "object", "fencedframe":
		return Framed
	}
	return Program
}

// IsPrefetch reports whether a request was made before the user has asked for
// the page, as browsers, Turbo and htmx say it.
func IsPrefetch(r *http.Request) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Sec-Purpose"} {
		if strings.HasPrefix(r.Header.Get(name), "prefetch") {
			return true
		}
	}
	return r.Header.Get("Hx-Preloaded") == "true"
}

// FrameName returns the Turbo frame that a request is for, unless it is too long
// to be one that somebody has written.
func FrameName(r *http.Request) string {
	if name := r.Header.Get("Turbo-Frame"); len(name) <= maxFrameName {
		return name
	}
	return ""
}

// accepts reports whether an Accept header names a media type.
func accepts(lines []string, name string) bool {
	for _, line := range lines {
		for element := range fieldvalue.Elements(line, ',') {
			if named, q, ok := mediaRange(element); named == name && q > 0 && ok {
				return true
			}
		}
	}
	return false
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
			ok = ok && fieldvalue.IsToken(key) && (fieldvalue.IsToken(value) || isQuotedString(value))
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

// IsGet reports whether a request only asks for what it gets.
func IsGet(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }
