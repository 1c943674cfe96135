package enroll

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/claims"
	"github.com/echomfa/echomfa/internal/redact"
	"github.com/echomfa/echomfa/internal/retryafter"
)

// maxFormBytes is more than any form has: its state, and what a user types.
const maxFormBytes = 32 << 10

// visit is one request to the pages.
type visit struct {
	h    *Handler
	w    http.ResponseWriter
	r    *http.Request
	base string // the path of the pages, as the app registers it
	path string // below it
	lang string

	form     url.Values // of a form, else the query
	back     string     // the return-to, checked, or empty
	fromList bool       // the step was begun on the first page
	token    string
	wanted   echomfa.Policy
	decision echomfa.Decision // about wanted
	current  string           // the page that a form was on, if it is known
	again    time.Time        // when more codes may be tried or sent
	ref      string           // what the log has about this visit, if it has a line
}

// reference returns what the log and the page about a failure have in common, for the user
// to quote.
func (v *visit) reference() slog.Attr {
	if v.ref == "" {
		v.ref = rand.Text()
	}
	return slog.String("reference", v.ref)
}

// destination is where the user goes in the end.
func (v *visit) destination() string {
	if v.back != "" {
		return v.back
	}
	return v.h.cfg.Enforcer.ReturnTo(v.h.cfg.Home)
}

// redirect sends the browser on by a GET. The address is a path of this app,
// checked when the form came in.
func (v *visit) redirect(to string) {
	v.w.Header().Set("Location", to)
	v.w.WriteHeader(http.StatusSeeOther)
}

// continuePath is the page that leads back into the app.
const continuePath = "/continue"

// leave leads the browser back into the app, through a page. Chromium holds every
// redirect that follows a form against form-action of the Content-Security-Policy, and
// the app may redirect to any other origin at once, such as one where users sign in: the
// browser would stay where it is without a word. What a page refreshes to follows no form.
func (v *visit) leave() {
	to := v.h.cfg.Enforcer.Address(v.base+continuePath, v.back)
	if !v.keepsWay(to) {
		v.continueNow()
		return
	}
	v.redirect(to)
}

// continueNow goes back into the app, at once or by a link.
func (v *visit) continueNow() {
	v.refresh()
	v.show(&Page{Name: "changed", Notice: v.text("notice.continue")})
}

// refresh makes the page that follows lead back into the app by itself. Browsers do not
// keep it in their history then. What it asks for is this site's own for browsers: a link
// of another site must not come by cookies that are SameSite=Strict in this way, and has
// the user lead on.
func (v *visit) refresh() {
	if site := v.r.Header.Get("Sec-Fetch-Site"); site != "cross-site" && site != "same-site" {
		v.w.Header().Set("Refresh", "0;url="+ascii(v.destination()))
	}
}

// ascii returns an address with what is not ASCII escaped: of which encoding it would be in
// a header, browsers do not agree.
func ascii(address string) string {
	var b strings.Builder
	for _, c := range []byte(address) {
		if c <= ' ' || c >= 0x7f {
			_, _ = fmt.Fprintf(&b, "%%%02X", c) // a Builder takes all
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// startPath is the first page, with the return-to.
func (v *visit) startPath() string { return v.h.cfg.Enforcer.Address(v.base, v.back) }

// message shows a page that says one thing.
func (v *visit) message(status int, key string, values ...any) {
	v.show(&Page{Name: "message", Status: status, Error: v.text(key, values...)})
}

// texts is a page with nothing but the texts of the visit's language.
func (v *visit) texts() *Page {
	p := &Page{Brand: v.h.cfg.Brand}
	p.speak(v.h.languages, v.lang, v.h.cfg.Support)
	return p
}

func (v *visit) provider() string { return v.texts().Provider() }

func (v *visit) whom() string { return v.texts().Whom() }

func (v *visit) text(key string, values ...any) string { return v.texts().T(key, values...) }

// fail answers a call to GenAuth that could not be made or told nothing.
func (v *visit) fail(err error) {
	if errors.Is(err, client.ErrUnauthenticated) {
		// The token was good a moment ago: what is known of it is not.
		_ = v.h.cfg.Enforcer.Invalidate(v.r.Context(), v.token)
		v.refuse(err)
		return
	}
	v.log("enroll_call_failed", "enrollment call failed", err)
	wait := retryafter.Of(err)
	if lookup := (*echomfa.LookupError)(nil); errors.As(err, &lookup) {
		wait = max(wait, lookup.RetryAfter)
	}
	v.w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	p := &Page{Name: "message", Status: http.StatusServiceUnavailable, Error: v.text("error.unavailable"), Retry: v.current}
	switch {
	case p.Retry != "":
	case v.r.Method == http.MethodPost:
		p.Retry = v.stepNow()
	default:
		p.Retry = v.startPath()
	}
	v.show(p)
}

// restart answers a state that is not good: the user has to begin again.
func (v *visit) restart() {
	v.message(http.StatusBadRequest, "error.state")
}

// log writes a line for a failure that is not the user's. Errors of the client
// hold no token, code, address or number; those of the app's functions may quote
// the request that they were given.
func (v *visit) log(event, message string, err error) {
	level := slog.LevelWarn
	passes := errors.Is(err, client.ErrUnavailable) || errors.Is(err, client.ErrRateLimited) || errors.Is(err, echomfa.ErrUnavailable)
	if !passes || errors.Is(err, echomfa.ErrMisconfigured) {
		level = slog.LevelError
	}
	v.h.cfg.Logger.LogAttrs(v.r.Context(), level, message,
		slog.String("event", event), slog.String("path", v.loggedPath()), v.reference(), slog.String("error", v.secrets().Hide(err.Error())))
}

// loggedPath is the path of the request without the id of an enrollment: who counts
// paths has one for each page.
func (v *visit) loggedPath() string {
	if at := stepPath.FindStringSubmatch(v.path); at != nil {
		return v.base + "/step/" + at[2]
	}
	return v.r.URL.Path
}

// secrets returns what no log line may show of the request: the app's functions
// are given it, and may quote it.
func (v *visit) secrets() redact.Secrets { return redact.OfRequest(v.r, nil, v.token) }

// subject returns the sub of the access token, or "" if it is opaque. GenAuth
// has accepted the token.
func (v *visit) subject() string {
	c, err := claims.Parse(v.token)
	if err != nil {
		return ""
	}
	return c.Subject
}

// changed makes a change count at once, in this session and the user's others,
// and tells the app, once of each: what tells it from others.
func (v *visit) changed(change Change, t client.FactorType, what string) {
	ctx := v.lasting()
	v.forget(ctx)
	if v.h.cfg.OnChange == nil || !v.h.told.isNew(v.name(), change.String()+" "+what) {
		return
	}
	subject, _ := v.user()
	defer func() {
		if p := recover(); p != nil { // the user's way does not end here
			v.h.cfg.Logger.LogAttrs(ctx, slog.LevelError, "OnChange panicked",
				slog.String("event", "enroll_on_change_panicked"), slog.String("panic", v.secrets().Hide(fmt.Sprint(p))))
		}
	}()
	v.h.cfg.OnChange(ctx, Event{Change: change, Type: t, Subject: subject, Time: time.Now()})
}

// forget drops what is known of the user.
func (v *visit) forget(ctx context.Context) {
	v.h.offers.forget(v.token)
	err := v.h.cfg.Enforcer.Invalidate(ctx, v.token) // which has been decided about, so it can be a token
	if user := v.subject(); user != "" {
		ofUser := v.h.cfg.Enforcer.InvalidateUser(ctx, user)
		if !errors.Is(ofUser, echomfa.ErrUserNotIndexed) { // there may be no other session
			err = errors.Join(err, ofUser)
		}
	}
	if err != nil {
		v.log("enroll_invalidation_failed", "enrollment change is not known to all instances", err) //nolint:contextcheck // it takes that of the visit
	}
}

// lasting is the context of a change: who hangs up while GenAuth makes it must
// not keep the app from being told of it.
func (v *visit) lasting() context.Context { return context.WithoutCancel(v.r.Context()) }

// fresh returns the user's factors as GenAuth has them now.
func (v *visit) fresh(ctx context.Context) (list []client.Factor, partial bool, err error) {
	list, err = v.h.cfg.Client.ListEnrolledFactors(ctx, v.token)
	if skipped := (*client.PartialError)(nil); errors.As(err, &skipped) {
		return list, true, nil
	}
	return list, false, err
}

// factorsOf returns the types in a list of GenAuth's.
func factorsOf(list []client.Factor) echomfa.FactorSet {
	types := make([]client.FactorType, len(list))
	for i, f := range list {
		types[i] = f.Type.Normalize()
	}
	return echomfa.Factors(types...)
}

func hasApp(list []client.Factor) bool { return count(list, client.OTP) > 0 }

func count(list []client.Factor, t client.FactorType) int {
	n := 0
	for _, f := range list {
		if f.Type.Normalize() == t {
			n++
		}
	}
	return n
}
