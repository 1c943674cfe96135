// Package answer writes answers that are complete: nothing follows them.
package answer

import (
	"bytes"
	"encoding/json"
	"net/http"
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

// HTML writes a page, or what a script puts into one, with its
// Content-Security-Policy.
func HTML(w http.ResponseWriter, r *http.Request, status int, mediaType, policy string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", mediaType+"; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	writeBody(w, r, status, body)
}

// writeBody writes the whole answer. A client that has gone does not matter.
func writeBody(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}
