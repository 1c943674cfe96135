package echomfa

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/echomfa/echomfa/internal/urlpath"
)

// ReturnToConfig says how the enrollment page and the login page learn where
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

const (
	defaultReturnParam = "return_to"

	// maxReturnBytes is how long an address may be to come back to, its path and
	// query as they came.
	maxReturnBytes = 2560
	// maxNestedBytes is how long it may be with the return-to of a page on the way,
	// each of whose bytes may be escaped.
	maxNestedBytes = 4 * maxReturnBytes
	// maxLocationBytes is how long a Location with a return-to may be.
	maxLocationBytes = 3584
	// minLocationBytes is what a Location may take whatever other headers do, and
	// maxHeadBytes what all of them may take together otherwise: more than nginx
	// reads by default. reservedBytes of it are for the status line and for
	// headers that are set later.
	minLocationBytes = 2048
	maxHeadBytes     = 4096
	reservedBytes    = 256
)

// destination is EnrollURL or LoginURL, taken apart. The zero destination is
// none.
type destination struct {
	text     string // as a browser reaches it, or empty
	path     string // decoded, as the app registers it
	foreign  bool   // it is not of this app, as far as is known
	stripped bool   // BaseURL has a path, which http.StripPrefix may take off
	absolute bool   // the return-to needs BaseURL before it
	before   string // what stands before a return-to; empty if there is none
	after    string // the fragment
}

// setDestinations validates EnrollURL, LoginURL and ReturnTo.
func (e *Enforcer) setDestinations() error {
	cfg := &e.cfg.ReturnTo
	if cfg.Param == "" {
		cfg.Param = defaultReturnParam
	}
	var errs []error
	if url.QueryEscape(cfg.Param) != cfg.Param {
		errs = append(errs, fmt.Errorf("echomfa: ReturnTo.Param: %q needs escaping in a query", cfg.Param))
	}
	e.returnTo.param = cfg.Param
	if cfg.BaseURL != "" {
		errs = append(errs, e.returnTo.setBase(cfg.BaseURL))
	}
	var err error
	e.enroll, err = e.returnTo.newDestination("EnrollURL", e.cfg.EnrollURL, *cfg)
	errs = append(errs, err)
	e.login, err = e.returnTo.newDestination("LoginURL", e.cfg.LoginURL, *cfg)
	if e.cfg.EnrollURL != "" && e.cfg.EnrollURL == e.cfg.LoginURL {
		errs = append(errs, fmt.Errorf("echomfa: EnrollURL and LoginURL: both are %q: a page cannot tell whether to sign in or to enroll", e.cfg.LoginURL))
	}
	if err := errors.Join(append(errs, err)...); err != nil {
		return err
	}
	e.warnOfLoginURL()
	return nil
}

// warnOfLoginURL says that browsers may come back from LoginURL as they went. An
// EnrollURL alone is fine: programs find it in the 403.
func (e *Enforcer) warnOfLoginURL() {
	if e.login.text != "" && e.source.header == "Authorization" {
		e.cfg.Logger.Warn("mfa LoginURL is set, but browsers do not send the Authorization header: set TokenLookup to a cookie, unless a proxy sets the header")
	}
}

// browserHost returns the host and port of an address as browsers write them in
// Origin, with which this one is compared: in lower case, and without the port that
// goes unsaid.
func browserHost(u *url.URL) (host string, ok bool) {
	host = strings.ToLower(strings.TrimSuffix(u.Host, ":"))
	if strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`%,*"<>^{}|`, r) }) {
		return "", false
	}
	port := u.Port()
	if number, err := strconv.ParseUint(cmp.Or(port, portOf(u)), 10, 16); err != nil || number == 0 {
		return "", false
	}
	if port != "" && port == portOf(&url.URL{Scheme: u.Scheme}) {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return host, true
}

func (o *returnTo) setBase(text string) error {
	const field = "ReturnTo.BaseURL"
	base, err := url.Parse(text)
	if err != nil {
		return wrongAddress(field, text, "cannot be parsed")
	}
	if mustBeEscaped(text) {
		return wrongAddress(field, text, unescaped)
	}
	if why := whyNotBase(base); why != "" {
		return wrongAddress(field, text, why)
	}
	host, ok := browserHost(base)
	if !ok {
		return wrongAddress(field, text, "has a host or a port that browsers do not write so")
	}
	o.origin, o.prefix = &url.URL{Scheme: base.Scheme, Host: host}, strings.TrimRight(base.EscapedPath(), "/")
	return nil
}

func isWebOrigin(u *url.URL) bool {
	return (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil && u.Opaque == ""
}

func (o *returnTo) newDestination(field, text string, cfg ReturnToConfig) (destination, error) {
	if text == "" {
		return destination{}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return destination{}, wrongAddress(field, text, "cannot be parsed")
	}
	if mustBeEscaped(text) {
		return destination{}, wrongAddress(field, text, unescaped)
	}
	d := destination{text: text, stripped: o.prefix != ""}
	path := u.EscapedPath()
	switch {
	case u.Scheme == "" && u.Host == "" && urlpath.Safe(path):
		if _, twice := o.withoutPrefix(path); twice {
			return destination{}, fmt.Errorf("echomfa: %s: %q has the path of ReturnTo.BaseURL: give the path as the app registers it", field, text)
		}
		d.text = o.prefix + text
	case isWebOrigin(u):
		var own bool
		path, own = o.ownPath(u)
		d.foreign = o.origin != nil && !own
		d.absolute = o.origin == nil || !sameOrigin(o.origin, u)
	default:
		return destination{}, wrongAddress(field, text, whyNoDestination(u))
	}
	d.path = urlpath.Decode(path)
	if cfg.Disabled {
		return d, nil
	}
	if d.absolute && o.origin == nil {
		return destination{}, fmt.Errorf("echomfa: ReturnTo.BaseURL: required because %s is on another origin, or set ReturnTo.Disabled", field)
	}
	if u.Query().Has(cfg.Param) {
		return destination{}, fmt.Errorf("echomfa: %s: has a parameter %q already", field, cfg.Param)
	}
	d.before, _, _ = strings.Cut(d.text, "#")
	if u.Fragment != "" {
		d.after = "#" + u.EscapedFragment()
	}
	switch {
	case u.RawQuery != "":
		d.before += "&" + cfg.Param + "="
	default:
		d.before = strings.TrimSuffix(d.before, "?") + "?" + cfg.Param + "="
	}
	return d, nil
}

// whyNoDestination says why an address is neither a path of this app nor the
// address of another one.
func whyNoDestination(u *url.URL) string {
	switch {
	case u.Scheme == "" && u.Host == "":
		return whyUnsafe(u.EscapedPath())
	case u.Scheme == "":
		return `begins with two slashes: write a path such as "/mfa", or an address with "https://"`
	}
	return whyNotOrigin(u)
}

// ownPath returns the path of an absolute address as this app registers it, and
// whether it is one of this app.
func (o *returnTo) ownPath(u *url.URL) (path string, own bool) {
	path = urlpath.Escaped(u)
	if o.origin == nil || !sameOrigin(o.origin, u) {
		return path, false
	}
	if o.prefix == "" {
		return path, true
	}
	return o.withoutPrefix(path)
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && portOf(a) == portOf(b)
}

// portOf returns the port of an http or https URL, which may go unsaid.
func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}

// is reports whether the request is for the destination itself, to which it
// must not be sent again. It looks at the path only: the Host is the client's to
// choose and a proxy's to change, and a redirect that is left out does less harm
// than one that does not end.
func (d *destination) is(r *http.Request) bool {
	if d.text == "" || d.foreign {
		return false
	}
	want := strings.TrimSuffix(d.path, "/")
	u, _ := urlpath.Original(r)
	if u != nil && strings.TrimSuffix(u.Path, "/") == want {
		return true
	}
	// Below http.StripPrefix, another page may have the path of this one.
	return (u == nil || d.stripped) && strings.TrimSuffix(r.URL.Path, "/") == want
}

// roomFor returns how long a Location may be beside the headers that are set.
func roomFor(h http.Header) int {
	room := maxHeadBytes - reservedBytes - len("Location: \r\n")
	for name, values := range h {
		for _, value := range values {
			room -= len(name) + len(": \r\n") + len(value)
		}
	}
	return min(max(room, minLocationBytes), maxLocationBytes)
}

// location returns the address of a destination with a return-to that was
// checked, of at most room bytes: without the return-to if it is longer.
func (e *Enforcer) location(ctx context.Context, d *destination, back string, room int) string {
	if back == "" || d.before == "" {
		return d.text
	}
	for _, back := range []string{back, e.beyondEnrollment(back)} {
		if back == "" {
			continue
		}
		if d.absolute {
			back = e.returnTo.origin.String() + back
		}
		for _, escape := range []func(string) string{url.QueryEscape, escapeLittle} {
			if at := d.before + escape(back) + d.after; len(at) <= room {
				return at
			}
		}
	}
	e.leftOut(ctx, tooLarge)
	return d.text
}

// beyondEnrollment returns the return-to of the enrollment page in its address,
// or "". It is what to go back to where an address is too long to be escaped once
// more: the user comes to the enrollment page again, from the page that needs it.
func (e *Enforcer) beyondEnrollment(back string) string {
	address, query, found := strings.Cut(back, "?")
	if !found || e.enroll.foreign || e.enroll.before == "" {
		return ""
	}
	path, _ := e.returnTo.withoutPrefix(address)
	if strings.TrimSuffix(urlpath.Decode(path), "/") != strings.TrimSuffix(e.enroll.path, "/") {
		return ""
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return ""
	}
	inner, _ := e.returnTo.check(values.Get(e.cfg.ReturnTo.Param))
	return inner
}

// escapeLittle escapes for a query what has to be, where [url.QueryEscape] takes
// too much room: slashes and the like may stand there (RFC 3986, section 3.4).
func escapeLittle(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~!$()*,:@/?=", c) >= 0:
			b.WriteByte(c)
		default:
			_, _ = fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
