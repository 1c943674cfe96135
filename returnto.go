package echomfa

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/echomfa/echomfa/internal/accept"
	"github.com/echomfa/echomfa/internal/page"
	"github.com/echomfa/echomfa/internal/returnto"
)

// ReturnToConfig says how the enrollment page and the sign-in page learn where
// the browser came from. The zero value adds "return_to" with the path and
// query of the request.
type ReturnToConfig struct {
	// Param is the name of the query parameter. Optional. Default "return_to".
	Param string
	// BaseURL is the address by which browsers reach the root of this app, such
	// as "https://admin.example.com". Required if EnrollURL or LoginURL is on
	// another origin, unless Disabled: it is never taken from the request, where
	// the client chooses it. It has a path if a proxy takes one off, as in
	// "https://ops.example.com/tools": browsers are then sent to addresses with
	// it, and EnrollURL is still a path as the app registers it. If the proxy
	// passes the path on to the app, leave it out of BaseURL.
	BaseURL string
	// Disabled leaves the parameter out.
	Disabled bool
}

const defaultReturnParam = "return_to"

// prepare sets the default and validates what can be without the destinations.
func (c *ReturnToConfig) prepare() error {
	if c.Param == "" {
		c.Param = defaultReturnParam
	}
	if url.QueryEscape(c.Param) != c.Param {
		return fmt.Errorf("echomfa: ReturnTo.Param: %q needs escaping in a query", c.Param)
	}
	return nil
}

// newRefusals returns what answers, or all that is wrong with EnrollURL, LoginURL and
// ReturnTo.
func newRefusals(cfg *Config, source *credential) (*refusals, error) {
	f := &refusals{realm: cfg.Realm, log: cfg.Logger, source: source, pages: page.New(), ownPage: cfg.RefusalPage}
	var base, enroll, login error
	f.returnTo, base = returnto.NewApp(cfg.ReturnTo.BaseURL, cfg.ReturnTo.Param)
	f.enroll, enroll = f.returnTo.NewDestination("EnrollURL", cfg.EnrollURL, cfg.ReturnTo.Disabled)
	f.login, login = f.returnTo.NewDestination("LoginURL", cfg.LoginURL, cfg.ReturnTo.Disabled)
	errs := []error{base, enroll, login}
	if cfg.EnrollURL != "" && cfg.EnrollURL == cfg.LoginURL {
		errs = append(errs, fmt.Errorf("echomfa: EnrollURL and LoginURL: both are %q: a page cannot tell whether to sign in or to enroll", cfg.LoginURL))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	f.warnOfLoginURL()
	return f, nil
}

// warnOfLoginURL says that browsers may come back from LoginURL as they went. An
// EnrollURL alone is fine: programs find it in the 403.
func (f *refusals) warnOfLoginURL() {
	if f.login.Text != "" && f.source.header == "Authorization" {
		f.log.Warn("mfa LoginURL is set, but browsers do not send the Authorization header: set TokenLookup to a cookie, unless a proxy sets the header",
			slog.String("event", "login_url_without_cookie"))
	}
}

// warnOfGuardedPages says once, and by the field, that the page by which a user
// could get past the refusals is refused too. It cannot be known before: neither
// Echo nor net/http tells a middleware on which routes it is put.
func (f *refusals) warnOfGuardedPages(r *http.Request, d *Decision) {
	if d.Outcome == InternalError {
		return // an error of the app tells nothing about the policy
	}
	if f.enroll.Is(r) {
		f.guarded.enroll.Do(func() {
			f.log.LogAttrs(r.Context(), slog.LevelError, "mfa EnrollURL is itself guarded: users without a factor cannot reach it",
				slog.String("event", "enroll_url_guarded"), slog.String("decision_id", d.ID), slog.Bool("enforced", d.Enforced))
		})
	}
	if f.login.Is(r) {
		f.guarded.login.Do(func() {
			f.log.LogAttrs(r.Context(), slog.LevelError, "mfa LoginURL is itself guarded: users without a token cannot reach it",
				slog.String("event", "login_url_guarded"), slog.String("decision_id", d.ID), slog.Bool("enforced", d.Enforced))
		})
	}
}

// ReturnTo returns the address to send a browser back to, from a value that came
// with a request, such as the return_to parameter on an enrollment page: path and
// query in this app, or "" if the value is not safe to send a browser to. BaseURL
// in front is removed, except for its path, which browsers need and which is added if it
// is missing. An address of more than 2,560 bytes is left out, not counting the return-to
// of a page on the way: if that makes it too long for a redirect, and the page is the
// enrollment page, its return-to is returned instead. Check a return-to again before
// redirecting to it: anybody can make a link to the enrollment page.
func (e *Enforcer) ReturnTo(value string) string {
	if !e.ready() {
		return ""
	}
	return e.refusals.back(value)
}

// ReturnToParam returns the name of the parameter that carries a return-to, as
// [ReturnToConfig] says.
func (e *Enforcer) ReturnToParam() string {
	if !e.ready() {
		return defaultReturnParam
	}
	return e.cfg.ReturnTo.Param
}

// LoginLocation returns the LoginURL as a browser reaches it, with a return-to, for
// a page that asks the user to sign in, or "" if there is no LoginURL. A return-to
// that [Enforcer.ReturnTo] would not pass is left out, and so is one that makes the
// address longer than 3,584 bytes. If it is the enrollment page with a return-to of
// its own, that one is passed on instead of leaving both out.
func (e *Enforcer) LoginLocation(returnTo string) string {
	if !e.ready() {
		return ""
	}
	return e.refusals.address(&e.refusals.login, returnTo)
}

// EnrollLocation returns the EnrollURL as [Enforcer.LoginLocation] returns the
// LoginURL, or "" if there is none.
func (e *Enforcer) EnrollLocation(returnTo string) string {
	if !e.ready() {
		return ""
	}
	return e.refusals.address(&e.refusals.enroll, returnTo)
}

// Address returns a path of this app as a browser reaches it, for links, forms and
// redirects: with the path of [ReturnToConfig].BaseURL before it. Behind a proxy that
// takes a path off, set BaseURL: without it nothing is added, and what
// http.StripPrefix takes off is not known here. The return-to is added if it is not
// "", as in [Enforcer.LoginLocation].
func (e *Enforcer) Address(path, returnTo string) string {
	if !e.ready() {
		return path
	}
	page := e.refusals.returnTo.Page(path)
	return e.refusals.address(&page, returnTo)
}

// Origin returns the origin by which browsers reach this app, as
// [ReturnToConfig].BaseURL says, or "" if that is not set. The enrollment pages trust
// its forms.
func (e *Enforcer) Origin() string {
	if !e.ready() || e.refusals.returnTo.Origin == nil {
		return ""
	}
	return e.refusals.returnTo.Origin.String()
}

// back returns the address to send a browser back to, from a value that came with a
// request.
func (f *refusals) back(value string) string {
	if value == "" {
		return ""
	}
	back, why := f.returnTo.Back(value, &f.enroll)
	f.logOmission(context.Background(), why)
	return back
}

// address returns the address of a destination with a return-to that came with a
// request.
func (f *refusals) address(to *returnto.Destination, value string) string {
	return f.location(context.Background(), to, f.back(value), returnto.MaxLocationBytes)
}

// location returns the address of a destination with a return-to that was checked,
// of at most room bytes.
func (f *refusals) location(ctx context.Context, to *returnto.Destination, back string, room int) string {
	address, why := f.returnTo.Location(to, back, &f.enroll, room)
	f.logOmission(ctx, why)
	return address
}

// secure reports whether browsers reach this app by https.
func (f *refusals) secure(r *http.Request) bool {
	return r.TLS != nil || f.returnTo.Origin != nil && f.returnTo.Origin.Scheme == "https"
}

// longReturnBytes is from where on a return-to needs the room of other headers.
const longReturnBytes = 1024

// backTo returns the return-to of a request. A browser cannot come back to the
// address of a posted form.
func (f *refusals) backTo(r *http.Request, kind accept.Kind) (back string, why returnto.Omission) {
	switch {
	case kind == accept.HTMX:
		return f.returnTo.FromHTMX(r)
	case accept.IsGet(r):
		return f.returnTo.FromRequest(r)
	}
	return "", returnto.Kept
}

// logOmission logs that a return-to is left out, once for each reason: clients can
// cause as many as they like.
func (f *refusals) logOmission(ctx context.Context, why returnto.Omission) {
	if why == returnto.Kept || f.leftOut[why].Swap(true) {
		return
	}
	panicProof(f.log).LogAttrs(ctx, slog.LevelWarn,
		"mfa return-to left out: the user does not come back to the page that was wanted",
		slog.String("event", "return_to_omitted"), slog.String("reason", why.String()))
}
