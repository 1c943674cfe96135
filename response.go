package echomfa

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/accept"
	"github.com/echomfa/echomfa/internal/fieldvalue"
	"github.com/echomfa/echomfa/internal/page"
	"github.com/echomfa/echomfa/internal/retryafter"
)

// refusal answers, in the words of RFC 9457. The types are pages of this
// project: an address that explains itself.
const problemBase = "https://github.com/echomfa/echomfa/blob/main/docs/problems.md#"

// problem is the body of a refusal to a program.
type problem struct {
	Type       string `json:"type"`
	Title      string `json:"title"`
	Status     int    `json:"status"`
	Detail     string `json:"detail"`
	DecisionID string `json:"decision_id,omitempty"`
}

// enrollmentProblem adds what a program needs to help its user.
type enrollmentProblem struct {
	problem
	Missing   [][]FactorType `json:"missing"`
	Enrolled  []FactorType   `json:"enrolled"`
	EnrollURL string         `json:"enroll_url,omitempty"`
}

// reply is how an error is answered.
type reply struct {
	problem
	body        any          // the problem, or more than it
	destination *destination // where a browser goes instead, or nil
	step        string       // what the user does there
	reason      string       // why the user has to
}

func (e *Enforcer) replyTo(err error) reply {
	switch situationOf(err) {
	case notEnrolled:
		missing := &NotEnrolledError{}
		errors.As(err, &missing)
		return e.replyNotEnrolled(&missing.Decision)
	case unauthenticated:
		token := &TokenError{}
		errors.As(err, &token)
		return e.replyUnauthenticated(token)
	case unavailable:
		var lookup *LookupError
		p := problem{
			Type: problemBase + "unavailable", Title: "Service Unavailable", Status: http.StatusServiceUnavailable,
			Detail: "It could not be found out which sign-in factors you have enrolled. Please try again in a moment.",
		}
		if errors.As(err, &lookup) {
			p.DecisionID = lookup.DecisionID
		}
		return reply{problem: p, body: p}
	case failed:
	}
	var internal *internalError
	p := problem{
		Type: problemBase + "internal", Title: "Internal Server Error", Status: http.StatusInternalServerError,
		Detail: "The request could not be checked.",
	}
	if errors.As(err, &internal) {
		p.DecisionID = internal.decisionID
	}
	return reply{problem: p, body: p}
}

func (e *Enforcer) replyNotEnrolled(d *Decision) reply {
	p := problem{
		Type: problemBase + "not-enrolled", Title: "Enrollment Required", Status: http.StatusForbidden,
		Detail:     "This page needs a sign-in factor that you have not enrolled: " + alternatives(d.Missing) + ".",
		DecisionID: d.ID,
	}
	if len(d.Missing) == 0 {
		p.Detail = "This page needs a sign-in factor that you have not enrolled."
	}
	// The slices are never nil, so that they are arrays in JSON.
	body := enrollmentProblem{
		problem: p, EnrollURL: e.enroll.text,
		Missing:  append([][]FactorType{}, d.Missing...),
		Enrolled: append([]FactorType{}, d.Enrolled.Types()...),
	}
	return reply{
		problem: p, body: body,
		destination: &e.enroll, step: "Set up a sign-in factor", reason: alternatives(d.Missing),
	}
}

func (e *Enforcer) replyUnauthenticated(t *TokenError) reply {
	p := problem{
		Type: problemBase + "unauthenticated", Title: "Unauthorized", Status: http.StatusUnauthorized,
		Detail: "Please sign in.", DecisionID: t.DecisionID,
	}
	return reply{problem: p, body: p, destination: &e.login, step: "Sign in", reason: t.Reason}
}

// WriteRefusal writes the default answer to an error of this package: the
// status, headers and body, or the redirect, that the table in the README
// names. It is what a custom ErrorHandler calls for the errors that it does not
// answer itself. Any other error, and nil, is answered by a 500 that tells
// nothing of it.
func (e *Enforcer) WriteRefusal(w http.ResponseWriter, r *http.Request, err error) {
	if !e.ready() {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	e.writeRefusal(w, r, err)
}

// writeRefusal writes the default answer.
func (e *Enforcer) writeRefusal(w http.ResponseWriter, r *http.Request, err error) {
	e.setRefusalHeaders(w.Header(), r, err)
	answer, kind := e.replyTo(err), accept.KindOf(r)
	v := page.View{}
	if to := answer.destination; to != nil && to.text != "" && !to.is(r) {
		v.Moves, v.Step = e.moves(w, r, kind, &answer), answer.step
		back, why := e.backTo(r, kind)
		e.leftOut(r.Context(), why)
		h := w.Header()
		if v.Moves && (kind == accept.Browser || kind == accept.Inertia) {
			h.Del("Www-Authenticate") // belongs to a 401
		}
		if len(back) > longReturnBytes {
			h.Set("Vary", "*") // says no less, and leaves room
		}
		v.Link = e.location(r.Context(), to, back, roomFor(h))
	}
	v.Title, v.Detail, v.DecisionID = answer.Title, answer.Detail, answer.DecisionID
	switch kind {
	case accept.Browser:
		if v.Moves {
			redirect(w, r, v.Link)
			return
		}
	case accept.Inertia:
		if v.Moves {
			leaveInertia(w, v.Link)
			return
		}
	case accept.HTMX:
		if v.Moves {
			// The script would follow a redirect without the browser leaving
			// the page.
			w.Header().Set("Hx-Redirect", v.Link)
		}
		writeProblem(w, r, answer.Status, answer.body)
		return
	case accept.Unpoly:
		if v.Moves {
			// Another layer is there wherever the request comes from, and however
			// the page shows failures.
			w.Header().Set("X-Up-Open-Layer", `{"target": "main"}`)
		}
	case accept.Turbo:
		switch {
		case accept.IsPrefetch(r):
			writeProblem(w, r, answer.Status, answer.body) // a stream would be put into the page
			return
		case v.Moves, !isGet(r):
			writeHTML(w, r, accept.TurboStream, answer.Status, e.pages.Stream(&v))
			return
		}
	case accept.TurboFrame:
		if v.Whole = v.Moves; !v.Moves {
			v.Frame = accept.FrameName(r)
		}
	case accept.Program:
		writeProblem(w, r, answer.Status, answer.body)
		return
	case accept.Framed:
	}
	writeHTML(w, r, "text/html", answer.Status, e.pages.Whole(&v))
}

// longReturnBytes is from where on a return-to needs the room of other headers.
const longReturnBytes = 1024

// backTo returns the return-to of a request. A posted address is no page to come
// back to.
func (e *Enforcer) backTo(r *http.Request, kind accept.Kind) (back string, why omission) {
	switch {
	case kind == accept.HTMX:
		return e.returnTo.fromHTMX(r)
	case isGet(r):
		return e.returnTo.fromRequest(r)
	}
	return "", kept
}

func isGet(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// setRefusalHeaders sets what every refusal carries, whoever writes it.
func (e *Enforcer) setRefusalHeaders(h http.Header, r *http.Request, err error) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	addVary(h, "Accept", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-Site", "X-Requested-With", "Cookie",
		"HX-Request", "HX-Boosted", "HX-History-Restore-Request", "HX-Current-URL", "X-Inertia", "X-Up-Version", "X-Up-Target",
		"Turbo-Frame", "X-Turbo-Request-Id", "Sec-Purpose", "X-Sec-Purpose", "Purpose", "HX-Preloaded")
	var (
		token  *TokenError
		lookup *LookupError
		api    *client.APIError
	)
	h.Del("Www-Authenticate") // of a refusal whose ErrorHandler failed
	h.Del("Retry-After")
	switch situationOf(err) {
	case unauthenticated:
		if !errors.As(err, &token) && errors.As(err, &api) {
			// GenAuth's own refusal, from a call that the application made.
			token = &TokenError{Code: codeInvalidToken}
		}
		h.Set("Www-Authenticate", e.challenge(r, token))
	case unavailable:
		wait := retryafter.Least
		if errors.As(err, &lookup) {
			wait = max(wait, lookup.RetryAfter)
		}
		h.Set("Retry-After", strconv.Itoa(wholeSeconds(wait)))
	case failed, notEnrolled:
	}
}

// wholeSeconds rounds up: a client that comes back early finds the door shut.
func wholeSeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// challenge is the WWW-Authenticate of RFC 6750, section 3. A request without
// any token gets no error code. The error may be the application's own: it has not
// been looked through for secrets where [Enforcer.WriteRefusal] is given it.
func (e *Enforcer) challenge(r *http.Request, t *TokenError) string {
	s := `Bearer realm="` + e.cfg.Realm + `"`
	if t == nil || t.Code == "" {
		return s
	}
	secrets := e.source.secrets(r)
	s += `, error="` + quotable(secrets.Hide(t.Code)) + `"`
	if t.Reason != "" {
		s += `, error_description="` + quotable(secrets.Hide(t.Reason)) + `"`
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

// addVary adds names that are not there yet. Other middleware has its own.
func addVary(h http.Header, names ...string) {
	have := h["Vary"]
	if len(have) > 0 {
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return headerHasToken(have, name) })
	}
	if len(names) > 0 {
		h.Add("Vary", strings.Join(names, ", "))
	}
}

func headerHasToken(lines []string, name string) bool {
	for _, line := range lines {
		for element := range fieldvalue.Elements(line, ',') {
			if element = strings.Trim(element, " \t"); element == "*" || strings.EqualFold(element, name) {
				return true
			}
		}
	}
	return false
}

// redirect sends a browser away. 302 becomes a GET; 303 says so for a form, and
// neither replays its body, as 307 and 308 would.
func redirect(w http.ResponseWriter, r *http.Request, location string) {
	status := http.StatusSeeOther
	if isGet(r) {
		status = http.StatusFound
	}
	h := w.Header()
	h.Set("Location", location)
	w.WriteHeader(status)
}

// leaveInertia sends a browser away by Inertia's answer for another app's page,
// which makes it leave the page whatever the address is:
// https://inertiajs.com/redirects#external-redirects
func leaveInertia(w http.ResponseWriter, location string) {
	h := w.Header()
	h.Set("X-Inertia-Location", location)
	w.WriteHeader(http.StatusConflict)
}

func writeProblem(w http.ResponseWriter, r *http.Request, status int, body any) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(body); err != nil {
		b.Reset() // cannot happen: the body holds strings and numbers
	}
	w.Header().Set("Content-Type", "application/problem+json")
	writeBody(w, r, status, b.Bytes())
}

// writeHTML writes a page, or what a script puts into one.
func writeHTML(w http.ResponseWriter, r *http.Request, mediaType string, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", mediaType+"; charset=utf-8")
	h.Set("Content-Security-Policy", page.Policy(accept.KindOf(r) == accept.Framed && r.Header.Get("Sec-Fetch-Site") == "same-origin"))
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
