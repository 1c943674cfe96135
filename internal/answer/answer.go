// Package answer writes answers that are complete: nothing follows them.
package answer

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/echomfa/echomfa/internal/accept"
)

// Redirect sends a browser away. 302 becomes a GET; 303 says so for a form, and
// neither replays its body, as 307 and 308 would.
func Redirect(w http.ResponseWriter, r *http.Request, location string) {
	status := http.StatusSeeOther
	if accept.IsGet(r) {
		status = http.StatusFound
	}
	h := w.Header()
	h.Set("Location", location)
	w.WriteHeader(status)
}

// LeaveInertia sends a browser away by Inertia's answer for another app's page,
// which makes it leave the page whatever the address is:
// https://inertiajs.com/redirects#external-redirects
func LeaveInertia(w http.ResponseWriter, location string) {
	h := w.Header()
	h.Set("X-Inertia-Location", location)
	w.WriteHeader(http.StatusConflict)
}

// Problem writes a problem document (RFC 9457).
func Problem(w http.ResponseWriter, r *http.Request, status int, body any) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(body); err != nil {
		b.Reset() // cannot happen: the body holds strings and numbers
	}
	w.Header().Set("Content-Type", "application/problem+json")
	writeBody(w, r, status, b.Bytes())
}

// Page is a page, or what a script puts into one.
type Page struct {
	MediaType string // without its charset
	Language  string // or empty if it is not known
	Policy    string // Content-Security-Policy
	Forms     bool   // it may have forms, which say where they come from
	Body      []byte
}

// HTML writes a page.
func HTML(w http.ResponseWriter, r *http.Request, status int, p *Page) {
	h := w.Header()
	h.Set("Content-Type", p.MediaType+"; charset=utf-8")
	h.Set("Content-Security-Policy", p.Policy)
	h.Set("Referrer-Policy", "no-referrer")
	if p.Forms {
		// With no-referrer, browsers send "Origin: null" with a form.
		h.Set("Referrer-Policy", "same-origin")
	}
	h.Del("Content-Language")
	if p.Language != "" {
		h.Set("Content-Language", p.Language)
	}
	writeBody(w, r, status, p.Body)
}

// writeBody writes the whole answer. A client that has gone does not matter.
func writeBody(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// Challenge is the WWW-Authenticate of RFC 6750, section 3, with an error and its
// description, if there are any.
func Challenge(realm, code, reason string) string {
	s := `Bearer realm="` + realm + `"`
	if code == "" {
		return s
	}
	s += `, error="` + quotable(code) + `"`
	if reason != "" {
		s += `, error_description="` + quotable(reason) + `"`
	}
	return s
}

// quotable drops what RFC 6750 does not allow in error and error_description:
// a Token function may have put anything there.
func quotable(s string) string {
	return string(slices.DeleteFunc([]byte(s), func(c byte) bool {
		return c < ' ' || c > '~' || c == '"' || c == '\\'
	}))
}
