package echomfa

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/echomfa/echomfa/internal/urlpath"
)

// returnTo makes return-to addresses and checks them. Those that it returns are
// as a browser reaches them: with the path of BaseURL.
type returnTo struct {
	origin *url.URL // of BaseURL, or nil
	prefix string   // the path of BaseURL, escaped, without a slash at its end
	param  string   // the name of the query parameter
	said   [omissions]atomic.Bool
}

// omission is why a return-to is left out. The zero omission is none.
type omission uint8

const (
	kept omission = iota
	tooLarge
	unsafePath
	otherApp
	omissions // their number
)

func (o omission) String() string {
	return [omissions]string{"", "too_long", "unsafe_path", "other_app"}[o]
}

// leftOut logs that a return-to is left out, once for each reason: clients can
// cause as many as they like.
func (e *Enforcer) leftOut(ctx context.Context, why omission) {
	if why == kept || e.returnTo.said[why].Swap(true) {
		return
	}
	slog.New(calmHandler{e.cfg.Logger.Handler()}).LogAttrs(ctx, slog.LevelWarn,
		"mfa return-to left out: the user does not come back to the page that was wanted", slog.String("reason", why.String()))
}

// ReturnTo returns the address to send a browser back to, from a value that came
// with a request, such as the return_to parameter on an enrollment page: path and
// query in this app, or "" if the value is not safe to send a browser to. BaseURL
// before it is taken off, but for its path, which a browser needs and which is put
// on if it is missing. An address of more than 2,560 bytes is left out, not counting
// the return-to of a page on the way: where that makes it too long for a redirect, and
// the page is the enrollment page, its return-to is returned in its place. Whoever redirects to a return-to must check it again:
// anybody can make a link to the enrollment page.
func (e *Enforcer) ReturnTo(value string) string {
	if !e.ready() || value == "" {
		return ""
	}
	back, why := e.returnTo.check(value)
	if len(back) > maxLocationBytes {
		if back = e.beyondEnrollment(back); back == "" {
			why = tooLarge
		}
	}
	e.leftOut(context.Background(), why)
	return back
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
	return e.location(context.Background(), &e.login, e.ReturnTo(returnTo), maxLocationBytes)
}

// EnrollLocation returns the EnrollURL as [Enforcer.LoginLocation] returns the
// LoginURL, or "" if there is none.
func (e *Enforcer) EnrollLocation(returnTo string) string {
	if !e.ready() {
		return ""
	}
	return e.location(context.Background(), &e.enroll, e.ReturnTo(returnTo), maxLocationBytes)
}

// Address returns a path of this app as a browser reaches it, for links, forms and
// redirects: with the path of [ReturnToConfig].BaseURL before it. Behind a proxy that
// takes a path off, set BaseURL: without it nothing is put on, and what
// http.StripPrefix takes off is not known here. The return-to is added if it is not
// "", as in [Enforcer.LoginLocation].
func (e *Enforcer) Address(path, returnTo string) string {
	if !e.ready() {
		return path
	}
	text := e.returnTo.prefix + path
	d := destination{text: text, before: text + "?" + e.cfg.ReturnTo.Param + "="}
	return e.location(context.Background(), &d, e.ReturnTo(returnTo), maxLocationBytes)
}

// Origin returns the origin by which browsers reach this app, as
// [ReturnToConfig].BaseURL says, or "" if that is not set. The enrollment pages trust
// its forms.
func (e *Enforcer) Origin() string {
	if !e.ready() || e.returnTo.origin == nil {
		return ""
	}
	return e.returnTo.origin.String()
}

// fromRequest returns the return-to of a request's own address. It is made of
// the escaped path and the raw query and nothing else: Host and forwarded
// headers are the client's to choose, and so is a return_to parameter.
//
// Where http.StripPrefix took a part off the path, the address is the one that
// net/http keeps, unless BaseURL says what browsers have to ask for.
func (o *returnTo) fromRequest(r *http.Request) (back string, why omission) {
	asked := r.URL
	if o.prefix == "" {
		if u, _ := urlpath.Original(r); u != nil {
			asked = u
		}
	}
	return o.checkPath(pathAndQuery(asked))
}

func pathAndQuery(u *url.URL) string {
	if u.RawQuery == "" && !u.ForceQuery {
		return urlpath.Escaped(u)
	}
	return urlpath.Escaped(u) + "?" + u.RawQuery
}

// fromHTMX returns the return-to of the page that made an HTMX request, if it
// is a page of this app. A boosted link and the back button ask for a page: then
// it is that one.
func (o *returnTo) fromHTMX(r *http.Request) (back string, why omission) {
	if r.Method == http.MethodGet &&
		(r.Header.Get("Hx-Boosted") == "true" || r.Header.Get("Hx-History-Restore-Request") == "true") {
		return o.fromRequest(r)
	}
	current := r.Header.Get("HX-Current-URL")
	if current == "" {
		return "", kept
	}
	u, err := url.Parse(current)
	if err != nil || !isWebOrigin(u) {
		return "", unsafePath
	}
	if o.origin != nil && !sameOrigin(o.origin, u) || o.origin == nil && !strings.EqualFold(u.Host, r.Host) {
		return "", otherApp
	}
	back, own := o.withoutPrefix(pathAndQuery(u))
	if !own && o.prefix != "" {
		return "", otherApp
	}
	return o.checkPath(back)
}

// withoutPrefix takes the path of BaseURL off an address, if there is one and it
// is there.
func (o *returnTo) withoutPrefix(address string) (inApp string, found bool) {
	rest, found := strings.CutPrefix(address, o.prefix)
	switch {
	case o.prefix == "" || !found:
		return address, false
	case rest == "" || rest[0] == '?':
		return "/" + rest, true
	case rest[0] == '/':
		return rest, true
	}
	return address, false
}

// check returns a value that came with a request as a browser reaches it.
func (o *returnTo) check(value string) (back string, why omission) {
	absolute := false
	if o.origin != nil {
		value, absolute = strings.CutPrefix(value, o.origin.String())
	}
	inApp, found := o.withoutPrefix(value)
	if absolute && !found && o.prefix != "" {
		return "", otherApp
	}
	return o.checkPath(inApp)
}

// checkPath checks path and query in this app, and puts the path of BaseURL
// before them.
func (o *returnTo) checkPath(inApp string) (back string, why omission) {
	path, query, _ := strings.Cut(inApp, "?")
	switch {
	case len(inApp) > maxNestedBytes, o.lengthItself(inApp) > maxReturnBytes:
		return "", tooLarge
	case !urlpath.Safe(path), urlpath.HasControl(query), strings.Contains(query, "#"):
		return "", unsafePath
	}
	return o.prefix + inApp, kept
}

// lengthItself returns how long an address is without the return-to in its query,
// or how long that is: a page that is passed on the way does not make it longer.
func (o *returnTo) lengthItself(address string) int {
	length, inner := len(address), 0
	_, query, _ := strings.Cut(address, "?")
	for parameter := range strings.SplitSeq(query, "&") {
		if value, found := strings.CutPrefix(parameter, o.param+"="); found {
			length -= len(value)
			inner = max(inner, len(urlpath.Decode(value)))
		}
	}
	return max(length, inner)
}
