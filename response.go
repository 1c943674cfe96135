package echomfa

import (
	"errors"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/accept"
	"github.com/echomfa/echomfa/internal/answer"
	"github.com/echomfa/echomfa/internal/fieldvalue"
	"github.com/echomfa/echomfa/internal/page"
	"github.com/echomfa/echomfa/internal/redirectloop"
	"github.com/echomfa/echomfa/internal/retryafter"
	"github.com/echomfa/echomfa/internal/returnto"
)

// refusals answers the requests that are refused. Whatever an answer is made of is
// here: who may be sent where, in which words, and with which headers.
type refusals struct {
	realm    string
	log      *slog.Logger
	source   *credential // whose secrets no answer may show
	returnTo *returnto.App
	enroll   returnto.Destination
	login    returnto.Destination
	pages    page.Pages
	ownPage  func(*http.Request, Refusal) (RefusalPage, error) // or nil

	leftOut [returnto.Omissions]atomic.Bool            // it has been said why
	circles struct{ enroll, login redirectloop.Alarm } // it has been said that browsers go round
	guarded struct{ enroll, login sync.Once }          // it has been said that the page is guarded
}

// problem is the body of a refusal to a program, in the words of RFC 9457.
type problem struct {
	Type       string `json:"type"`
	Title      string `json:"title"`
	Status     int    `json:"status"`
	Detail     string `json:"detail"`
	DecisionID string `json:"decision_id,omitempty"`
	UserRef    string `json:"user_ref,omitempty"`
}

// enrollmentProblem adds what a program needs to help its user.
type enrollmentProblem struct {
	problem
	Rule      string         `json:"rule,omitempty"`
	Missing   [][]FactorType `json:"missing"`
	Enrolled  []FactorType   `json:"enrolled"`
	EnrollURL string         `json:"enroll_url,omitempty"`
}

// reply is how an error is answered.
type reply struct {
	problem
	body        any                   // the problem, or more than it
	destination *returnto.Destination // where a browser goes instead, or nil
	step        string                // what the user does there
	reason      string                // why the user has to
	missing     [][]FactorType
	circle      bool // the user was sent there again and again
}

func (f *refusals) replyTo(err error) reply {
	switch situationOf(err) {
	case notEnrolled:
		missing := &NotEnrolledError{}
		errors.As(err, &missing)
		return f.replyNotEnrolled(&missing.Decision)
	case unauthenticated:
		token := &TokenError{}
		errors.As(err, &token)
		return f.replyUnauthenticated(token)
	case unavailable:
		var lookup *LookupError
		p := problem{
			Type: ProblemUnavailable, Title: "Service Unavailable", Status: http.StatusServiceUnavailable,
			Detail: "We couldn't check your verification methods. Try again in a moment.",
		}
		if errors.As(err, &lookup) {
			p.DecisionID, p.UserRef = lookup.DecisionID, lookup.UserRef
		}
		return reply{problem: p, body: p}
	case failed:
	}
	var internal *internalError
	p := problem{
		Type: ProblemInternalError, Title: "Internal Server Error", Status: http.StatusInternalServerError,
		Detail: "The request could not be checked.",
	}
	if errors.As(err, &internal) {
		p.DecisionID, p.UserRef = internal.decisionID, internal.userRef
	}
	return reply{problem: p, body: p}
}

func (f *refusals) replyNotEnrolled(d *Decision) reply {
	p := problem{
		Type: ProblemNotEnrolled, Title: "Enrollment Required", Status: http.StatusForbidden,
		Detail:     "This page requires a verification method that you have not set up: " + alternatives(d.Missing) + ".",
		DecisionID: d.ID, UserRef: d.UserRef,
	}
	if len(d.Missing) == 0 {
		p.Detail = "This page requires a verification method that you have not set up."
	}
	// The slices are never nil, so that they are arrays in JSON.
	body := enrollmentProblem{
		problem: p, Rule: d.Rule, EnrollURL: f.enroll.Text,
		Missing:  append([][]FactorType{}, d.Missing...),
		Enrolled: append([]FactorType{}, d.Enrolled.Types()...),
	}
	return reply{
		problem: p, body: body,
		destination: &f.enroll, step: "Set up a verification method", reason: alternatives(d.Missing),
		missing: d.Missing,
	}
}

func (f *refusals) replyUnauthenticated(t *TokenError) reply {
	p := problem{
		Type: ProblemUnauthenticated, Title: "Unauthorized", Status: http.StatusUnauthorized,
		Detail: "Please sign in.", DecisionID: t.DecisionID, UserRef: t.UserRef,
	}
	return reply{problem: p, body: p, destination: &f.login, step: "Sign in", reason: t.Reason}
}

// WriteRefusal writes the default answer to an error of this package: the
// status, headers and body, or the redirect, that the table in
// docs/answers.md names. It is what a custom ErrorHandler calls for the errors that it does not
// answer itself. Any other error, and nil, is answered by a 500 that tells
// nothing of it.
func (e *Enforcer) WriteRefusal(w http.ResponseWriter, r *http.Request, err error) {
	if !e.ready() {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	e.refusals.write(w, r, err)
}

// write writes the default answer.
func (f *refusals) write(w http.ResponseWriter, r *http.Request, err error) {
	f.setHeaders(w.Header(), r, err)
	said, kind := f.replyTo(err), accept.KindOf(r)
	v := f.view(w, r, kind, &said)
	about := Refusal{
		Status: said.Status, DecisionID: said.DecisionID, UserRef: said.UserRef, Err: err, Missing: said.missing,
		Link: v.Link, Circle: said.circle, Retry: v.Retry, RetryAfter: waitAfter(err), PathPrefix: f.returnTo.Prefix,
	}
	switch {
	case kind == accept.Browser && v.Moves:
		answer.Redirect(w, r, v.Link)
	case kind == accept.Inertia && v.Moves:
		answer.LeaveInertia(w, v.Link)
	case kind == accept.HTMX:
		if v.Moves {
			// The script would follow a redirect without the browser leaving
			// the page.
			w.Header().Set("Hx-Redirect", v.Link)
		}
		answer.Problem(w, r, said.Status, said.body)
	case kind == accept.Program, kind == accept.Turbo && accept.IsPrefetch(r): // a stream would be put into the page
		answer.Problem(w, r, said.Status, said.body)
	case kind == accept.Turbo && (v.Moves || !accept.IsGet(r)):
		about.Fragment = true
		if own := f.own(r, &about, &v); own != nil {
			v.Own, v.Lang = own.HTML, own.Language
		}
		answer.HTML(w, r, said.Status, &answer.Page{
			MediaType: accept.TurboStream, Language: v.Lang, Policy: page.Policy(false), Body: f.pages.Stream(&v),
		})
	default:
		f.writePage(w, r, kind, &about, &v)
	}
}

// view returns what a page says, and where its user is to go. It sets the headers that
// go with that.
func (f *refusals) view(w http.ResponseWriter, r *http.Request, kind accept.Kind, said *reply) page.View {
	v := page.View{Lang: "en"}
	v.Retry = said.Status == http.StatusServiceUnavailable && accept.IsGet(r) && (kind == accept.Browser || kind == accept.Framed)
	if to := said.destination; to != nil && to.Text != "" && !to.Is(r) {
		v.Moves, v.Step = f.moves(w, r, kind, said), said.step
		back, why := f.backTo(r, kind)
		f.logOmission(r.Context(), why)
		h := w.Header()
		if v.Moves && (kind == accept.Browser || kind == accept.Inertia) {
			h.Del("Www-Authenticate") // belongs to a 401
		}
		if len(back) > longReturnBytes {
			h.Set("Vary", "*") // says no less, and leaves room
		}
		v.Link = f.location(r.Context(), to, back, returnto.RoomFor(h))
	}
	v.Title, v.Detail, v.DecisionID, v.UserRef = said.Title, said.Detail, said.DecisionID, said.UserRef
	return v
}

// writePage writes a page, as a client puts it where it belongs.
func (f *refusals) writePage(w http.ResponseWriter, r *http.Request, kind accept.Kind, about *Refusal, v *page.View) {
	switch {
	case kind == accept.Unpoly && v.Moves:
		// Another layer is there wherever the request comes from, and however
		// the page shows failures.
		w.Header().Set("X-Up-Open-Layer", `{"target": "main"}`)
	case kind == accept.TurboFrame && v.Moves:
		v.Whole = true
	case kind == accept.TurboFrame:
		v.Frame = accept.FrameName(r)
	}
	inside := kind == accept.Framed && r.Header.Get("Sec-Fetch-Site") == "same-origin"
	about.Fragment = v.Frame != ""
	own := f.own(r, about, v)
	if own != nil && about.Fragment {
		v.Own, v.Lang = own.HTML, own.Language
	}
	p := answer.Page{MediaType: "text/html", Language: v.Lang, Policy: page.Policy(inside)}
	if own != nil && !about.Fragment {
		p.Language, p.Policy, p.Forms, p.Body = own.Language, page.OwnPolicy(own.Style, own.Sources, inside), true, []byte(own.HTML)
	} else {
		p.Body = f.pages.Whole(v)
	}
	answer.HTML(w, r, about.Status, &p)
}

// own has the app make the page. It returns nil if the app makes none, if that
// fails, and if nobody would read it.
func (f *refusals) own(r *http.Request, about *Refusal, v *page.View) (own *RefusalPage) {
	if f.ownPage == nil || v.Moves {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			if aborted, ok := p.(error); ok && errors.Is(aborted, http.ErrAbortHandler) {
				panic(http.ErrAbortHandler) // without what it may be wrapped in: net/http logs that
			}
			f.ownFailed(r, about, p, debug.Stack())
		}
	}()
	made, err := f.ownPage(r, *about)
	if err == nil {
		err = made.check()
	}
	if err != nil {
		f.ownFailed(r, about, err, nil)
		return nil
	}
	return &made
}

// moves reports whether a client is sent on without its user's doing. If it has
// been sent there again and again, the page that it gets says so.
func (f *refusals) moves(w http.ResponseWriter, r *http.Request, kind accept.Kind, said *reply) bool {
	switch {
	case kind == accept.Program, kind == accept.Framed:
		return false // a frame has not the room for what comes next
	case kind == accept.Browser && !accept.IsGet(r), accept.IsPrefetch(r):
		return true // nobody posts a form again by itself
	}
	field, alarm := "EnrollURL", &f.circles.enroll
	sent := "You were sent to set up verification methods several times, but this page still requires one that you have not set up"
	if said.destination == &f.login {
		field, alarm = "LoginURL", &f.circles.login
		sent = "You were sent to sign in several times, but this page still cannot use your sign-in"
	}
	if cookie, ok := redirectloop.Next(r, f.secure(r)); ok {
		http.SetCookie(w, cookie)
		return true
	}
	said.circle = true
	reason := f.source.secrets(r).Hide(said.reason) // it may be the application's own words
	if said.Detail = sent + "."; reason != "" {
		said.Detail = sent + ": " + reason + "."
	}
	if alarm.Due() {
		f.log.LogAttrs(r.Context(), slog.LevelError,
			"mfa sends browsers in a circle: they come back and are refused again",
			slog.String("event", "redirect_circle"), slog.String("decision_id", said.DecisionID), slog.String("field", field), slog.String("error", reason))
	}
	return false
}

// setHeaders sets the headers of every refusal, the default ones and the app's own.
func (f *refusals) setHeaders(h http.Header, r *http.Request, err error) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	fieldvalue.AddVary(h, "Accept", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-Site", "X-Requested-With", "Cookie",
		"HX-Request", "HX-Boosted", "HX-History-Restore-Request", "HX-Current-URL", "X-Inertia", "X-Up-Version", "X-Up-Target",
		"Turbo-Frame", "X-Turbo-Request-Id", "Sec-Purpose", "X-Sec-Purpose", "Purpose", "HX-Preloaded")
	if f.ownPage != nil {
		fieldvalue.AddVary(h, "Accept-Language")
	}
	var (
		token *TokenError
		api   *client.APIError
	)
	h.Del("Www-Authenticate") // of a refusal whose ErrorHandler failed
	h.Del("Retry-After")
	switch situationOf(err) {
	case unauthenticated:
		if !errors.As(err, &token) && errors.As(err, &api) {
			// GenAuth's own refusal, from a call that the application made.
			token = &TokenError{Code: codeInvalidToken}
		}
		h.Set("Www-Authenticate", f.challenge(r, token))
	case unavailable:
		h.Set("Retry-After", strconv.Itoa(wholeSeconds(waitAfter(err))))
	case failed, notEnrolled:
	}
}

// waitAfter is how long to wait before another try is worthwhile, or zero if none is.
func waitAfter(err error) time.Duration {
	var lookup *LookupError
	switch {
	case situationOf(err) != unavailable:
		return 0
	case errors.As(err, &lookup):
		return max(retryafter.Least, lookup.RetryAfter)
	}
	return retryafter.Least
}

// wholeSeconds rounds up, so that clients do not retry too early.
func wholeSeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }

// challenge is the WWW-Authenticate of RFC 6750, section 3. A request without
// any token gets no error code. The error may be the application's own: it has not
// been looked through for secrets where [Enforcer.WriteRefusal] is given it.
func (f *refusals) challenge(r *http.Request, t *TokenError) string {
	if t == nil || t.Code == "" {
		return answer.Challenge(f.realm, "", "")
	}
	secrets := f.source.secrets(r)
	return answer.Challenge(f.realm, secrets.Hide(t.Code), secrets.Hide(t.Reason))
}
