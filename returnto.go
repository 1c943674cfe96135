package echomfa

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// ReturnToConfig says how the enrollment page and the login page learn where
// the browser came from. The zero value adds "return_to" with the path and
// query of the request.
type ReturnToConfig struct {
	// Param is the name of the query parameter. Optional. Default "return_to".
	Param string
	// BaseURL is this app's own origin, such as "https://admin.example.com".
	// Required if EnrollURL or LoginURL is on another origin, unless Disabled:
	// it is never taken from the request, where the client chooses it.
	BaseURL string
	// Disabled leaves the parameter out.
	Disabled bool
}

const (
	defaultReturnParam = "return_to"
	maxReturnBytes     = 2048
	maxDecodings       = 3
)

// returnTo makes return-to addresses and checks them.
type returnTo struct {
	origin *url.URL // of BaseURL, or nil
}

// destination is EnrollURL or LoginURL, taken apart. The zero destination is
// none.
type destination struct {
	text     string // as configured, or empty
	path     string
	foreign  bool   // it is known to be on another origin
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
	if cfg.BaseURL != "" {
		base, err := url.Parse(cfg.BaseURL)
		if err != nil || !isWebOrigin(base) || strings.Trim(base.Path, "/") != "" || base.RawQuery != "" || base.Fragment != "" {
			errs = append(errs, fmt.Errorf(`echomfa: ReturnTo.BaseURL: %q is not an origin such as "https://admin.example.com"`, cfg.BaseURL))
		} else {
			e.returnTo.origin = &url.URL{Scheme: base.Scheme, Host: base.Host}
		}
	}
	var err error
	e.enroll, err = newDestination("EnrollURL", e.cfg.EnrollURL, *cfg, e.returnTo)
	errs = append(errs, err)
	e.login, err = newDestination("LoginURL", e.cfg.LoginURL, *cfg, e.returnTo)
	if e.cfg.EnrollURL != "" && e.cfg.EnrollURL == e.cfg.LoginURL {
		errs = append(errs, fmt.Errorf("echomfa: EnrollURL and LoginURL: both are %q: a page cannot tell whether to sign in or to enroll", e.cfg.LoginURL))
	}
	return errors.Join(append(errs, err)...)
}

func isWebOrigin(u *url.URL) bool {
	return (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil && u.Opaque == ""
}

func newDestination(field, text string, cfg ReturnToConfig, own returnTo) (destination, error) {
	if text == "" {
		return destination{}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return destination{}, fmt.Errorf("echomfa: %s: %q cannot be parsed", field, text)
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		// It is the text of a Location header.
		return destination{}, fmt.Errorf("echomfa: %s: %q has a character that must be percent-encoded", field, text)
	}
	d := destination{text: text, path: u.Path}
	switch {
	case u.Scheme == "" && u.Host == "" && safePath(u.EscapedPath()):
	case isWebOrigin(u):
		d.foreign = own.origin != nil && !sameOrigin(own.origin, u)
		d.absolute = own.origin == nil || d.foreign
	default:
		return destination{}, fmt.Errorf(`echomfa: %s: %q is neither a path such as "/mfa" nor an http(s) URL`, field, text)
	}
	if cfg.Disabled {
		return d, nil
	}
	if d.absolute && own.origin == nil {
		return destination{}, fmt.Errorf("echomfa: ReturnTo.BaseURL: required because %s is on another origin, or set ReturnTo.Disabled", field)
	}
	if u.Query().Has(cfg.Param) {
		return destination{}, fmt.Errorf("echomfa: %s: has a parameter %q already", field, cfg.Param)
	}
	if u.Fragment != "" {
		d.after = "#" + u.EscapedFragment()
		u.Fragment, u.RawFragment = "", ""
	}
	switch {
	case u.RawQuery != "":
		d.before = u.String() + "&" + cfg.Param + "="
	default:
		u.ForceQuery = false
		d.before = u.String() + "?" + cfg.Param + "="
	}
	return d, nil
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
	return d.text != "" && !d.foreign &&
		strings.TrimSuffix(d.path, "/") == strings.TrimSuffix(r.URL.Path, "/")
}

// location returns the address of the destination with a return-to, which was
// checked. An empty one is left out.
func (d *destination) location(back string, own returnTo) string {
	if back == "" || d.before == "" {
		return d.text
	}
	if d.absolute {
		back = own.origin.String() + back
	}
	return d.before + url.QueryEscape(back) + d.after
}

// ReturnTo returns the path and query of this app in a value that came with a
// request, such as the return_to parameter on an enrollment page, or "" if
// there is none in it that is safe to send a browser to. A BaseURL before it is
// taken off. Whoever redirects to a return-to must check it again: anybody can
// make a link to the enrollment page.
func (e *Enforcer) ReturnTo(value string) string {
	if !e.ready() {
		return ""
	}
	if origin := e.returnTo.origin; origin != nil {
		if rest, ok := strings.CutPrefix(value, origin.String()); ok {
			value = rest
		}
	}
	return checkReturnTo(value)
}

// ReturnToParam returns the name of the parameter that carries a return-to, as
// [ReturnToConfig] says.
func (e *Enforcer) ReturnToParam() string {
	if !e.ready() {
		return defaultReturnParam
	}
	return e.cfg.ReturnTo.Param
}

// LoginLocation returns the LoginURL with a return-to, for a page that asks the
// user to sign in, or "" if there is no LoginURL. A return-to that [Enforcer.ReturnTo]
// would not pass is left out.
func (e *Enforcer) LoginLocation(returnTo string) string {
	if !e.ready() {
		return ""
	}
	return e.login.location(checkReturnTo(returnTo), e.returnTo)
}

// fromRequest returns the return-to of a request's own address. It is made of
// the escaped path and the raw query and nothing else: Host and forwarded
// headers are the client's to choose, and so is a return_to parameter.
func (returnTo) fromRequest(r *http.Request) string {
	back := escapedPath(r.URL)
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		back += "?" + r.URL.RawQuery
	}
	return checkReturnTo(back)
}

// escapedPath returns the path as it came, with what must not stand in one
// escaped. If there is any of that, [url.URL.EscapedPath] escapes the decoded
// path anew, and the %2F of a segment becomes a slash: another address.
func escapedPath(u *url.URL) string {
	if path, err := url.PathUnescape(u.RawPath); err != nil || path != u.Path {
		return u.EscapedPath() // a middleware has changed the path
	}
	var b strings.Builder
	for i := range len(u.RawPath) {
		if c := u.RawPath[i]; isPathByte(c) {
			b.WriteByte(c)
		} else {
			_, _ = fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// fromHTMX returns the return-to of the page that made an HTMX request, if it
// is a page of this app. A boosted link and the back button ask for a page: then
// it is that one.
func (o returnTo) fromHTMX(r *http.Request) string {
	if r.Method == http.MethodGet &&
		(r.Header.Get("Hx-Boosted") == "true" || r.Header.Get("Hx-History-Restore-Request") == "true") {
		return o.fromRequest(r)
	}
	u, err := url.Parse(r.Header.Get("HX-Current-URL"))
	if err != nil || !isWebOrigin(u) {
		return ""
	}
	if o.origin != nil && !sameOrigin(o.origin, u) || o.origin == nil && !strings.EqualFold(u.Host, r.Host) {
		return ""
	}
	u.Fragment, u.RawFragment = "", ""
	return o.fromRequest(&http.Request{URL: u})
}

// checkReturnTo returns back unchanged if it is a path of this origin, whatever
// a browser or a server makes of it, and "" otherwise.
func checkReturnTo(back string) string {
	path, query, _ := strings.Cut(back, "?")
	if len(back) > maxReturnBytes || !safePath(path) || hasControl(query) || strings.Contains(query, "#") {
		return ""
	}
	return back
}

// safePath reports whether an escaped path starts with exactly one slash, and
// has no backslash, control character, empty or dot segment, before and after
// percent-decoding, as often as it can be decoded. Open redirects come from
// what one reader decodes and the next resolves: /\host, //host, /%2fhost,
// /a/..//host.
func safePath(path string) bool {
	for i := range len(path) {
		if !isPathByte(path[i]) {
			return false
		}
	}
	for range maxDecodings {
		if !safeDecoded(path) {
			return false
		}
		decoded := decodeOnce(path)
		if decoded == path {
			return true
		}
		path = decoded
	}
	return false // still not plain: nobody writes such a path in good faith
}

// isPathByte reports whether a byte may stand in an escaped path: RFC 3986,
// section 3.3, and the brackets that net/url leaves as they come.
func isPathByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("-._~!$&'()*+,;=:@/%[]", c) >= 0
}

func safeDecoded(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") ||
		strings.Contains(path, `\`) || hasControl(path) {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return true
}

// hasControl reports whether s has an ASCII control character. Browsers drop
// some of them and then see another address.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// decodeOnce decodes what is percent-encoded and leaves what is malformed, as
// browsers do.
func decodeOnce(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, ok1 := unhex(s[i+1])
			lo, ok2 := unhex(s[i+2])
			if ok1 && ok2 {
				b.WriteByte(hi<<4 | lo)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func unhex(c byte) (value byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return (c | 0x20) - 'a' + 10, true
	}
	return 0, false
}
