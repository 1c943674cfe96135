// Package returnto knows where browsers are sent, EnrollURL and LoginURL, and to
// which page they come back from there.
package returnto

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/echomfa/echomfa/internal/urlpath"
)

const (
	// maxReturnBytes is how long an address may be to come back to, its path and
	// query as they came.
	maxReturnBytes = 2560
	// maxNestedBytes is how long it may be with the return-to of a page on the way,
	// each of whose bytes may be escaped.
	maxNestedBytes = 4 * maxReturnBytes
)

// App is an app as browsers reach it. It makes return-to addresses and checks them.
// Those that it returns are as a browser reaches them: with the path of BaseURL.
type App struct {
	Origin *url.URL // of BaseURL, or nil
	Prefix string   // the path of BaseURL, escaped, without a slash at its end
	Param  string   // the name of the query parameter
}

// NewApp returns the app at an address, or "", with the name of the query parameter
// that carries a return-to. The error is what is wrong with the address; the app
// then has none.
func NewApp(base, param string) (*App, error) {
	o := &App{Param: param}
	if base == "" {
		return o, nil
	}
	err := o.setBase(base)
	return o, err
}

// setBase takes BaseURL apart.
func (o *App) setBase(text string) error {
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
	o.Origin, o.Prefix = &url.URL{Scheme: base.Scheme, Host: host}, strings.TrimRight(base.EscapedPath(), "/")
	return nil
}

// Omission is why a return-to is left out. The zero Omission means that it is not.
type Omission uint8

// The reasons, and their number.
const (
	Kept Omission = iota
	TooLarge
	UnsafePath
	OtherApp
	Omissions
)

// String returns the reason as the log writes it.
func (o Omission) String() string {
	return [Omissions]string{"", "too_long", "unsafe_path", "other_app"}[o]
}

// FromRequest returns the return-to of a request's own address. It is made of
// the escaped path and the raw query and nothing else: Host and forwarded
// headers are the client's to choose, and so is a return_to parameter.
//
// Where http.StripPrefix took a part off the path, the address is the one that
// net/http keeps, unless BaseURL says what browsers have to ask for.
func (o *App) FromRequest(r *http.Request) (back string, why Omission) {
	asked := r.URL
	if o.Prefix == "" {
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

// FromHTMX returns the return-to of the page that made an HTMX request, if it
// is a page of this app. A boosted link and the back button ask for a page: then
// it is that one.
func (o *App) FromHTMX(r *http.Request) (back string, why Omission) {
	if r.Method == http.MethodGet &&
		(r.Header.Get("Hx-Boosted") == "true" || r.Header.Get("Hx-History-Restore-Request") == "true") {
		return o.FromRequest(r)
	}
	current := r.Header.Get("HX-Current-URL")
	if current == "" {
		return "", Kept
	}
	u, err := url.Parse(current)
	if err != nil || !isWebOrigin(u) {
		return "", UnsafePath
	}
	if o.Origin != nil && !sameOrigin(o.Origin, u) || o.Origin == nil && !strings.EqualFold(u.Host, r.Host) {
		return "", OtherApp
	}
	back, own := o.withoutPrefix(pathAndQuery(u))
	if !own && o.Prefix != "" {
		return "", OtherApp
	}
	return o.checkPath(back)
}

// withoutPrefix takes the path of BaseURL off an address, if there is one and it
// is there.
func (o *App) withoutPrefix(address string) (inApp string, found bool) {
	rest, found := strings.CutPrefix(address, o.Prefix)
	switch {
	case o.Prefix == "" || !found:
		return address, false
	case rest == "" || rest[0] == '?':
		return "/" + rest, true
	case rest[0] == '/':
		return rest, true
	}
	return address, false
}

// Back returns the address to send a browser back to, from a value that came with a
// request. If it is too long for a redirect and that of the enrollment page, the
// return-to of that page is returned in its place.
func (o *App) Back(value string, enroll *Destination) (back string, why Omission) {
	back, why = o.check(value)
	if len(back) > MaxLocationBytes {
		if back = o.beyond(enroll, back); back == "" {
			why = TooLarge
		}
	}
	return back, why
}

// check returns a value that came with a request as a browser reaches it.
func (o *App) check(value string) (back string, why Omission) {
	absolute := false
	if o.Origin != nil {
		value, absolute = strings.CutPrefix(value, o.Origin.String())
	}
	inApp, found := o.withoutPrefix(value)
	if absolute && !found && o.Prefix != "" {
		return "", OtherApp
	}
	return o.checkPath(inApp)
}

// checkPath checks path and query in this app, and puts the path of BaseURL
// before them.
func (o *App) checkPath(inApp string) (back string, why Omission) {
	path, query, _ := strings.Cut(inApp, "?")
	switch {
	case len(inApp) > maxNestedBytes, o.lengthItself(inApp) > maxReturnBytes:
		return "", TooLarge
	case !urlpath.Safe(path), urlpath.HasControl(query), strings.Contains(query, "#"):
		return "", UnsafePath
	}
	return o.Prefix + inApp, Kept
}

// lengthItself returns how long an address is without the return-to in its query,
// or how long that is: a page that is passed on the way does not make it longer.
func (o *App) lengthItself(address string) int {
	length, inner := len(address), 0
	_, query, _ := strings.Cut(address, "?")
	for parameter := range strings.SplitSeq(query, "&") {
		if value, found := strings.CutPrefix(parameter, o.Param+"="); found {
			length -= len(value)
			inner = max(inner, len(urlpath.Decode(value)))
		}
	}
	return max(length, inner)
}
