package returnto

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/echomfa/echomfa/internal/urlpath"
)

const (
	// MaxLocationBytes is how long a Location with a return-to may be.
	MaxLocationBytes = 3584
	// minLocationBytes is what a Location may take whatever other headers do, and
	// maxHeadBytes what all of them may take together otherwise: more than nginx
	// reads by default. reservedBytes of it are for the status line and for
	// headers that are set later.
	minLocationBytes = 2048
	maxHeadBytes     = 4096
	reservedBytes    = 256
)

// Destination is EnrollURL or LoginURL, taken apart. The zero Destination means that there is none.
type Destination struct {
	Text     string // as a browser reaches it, or empty
	path     string // decoded, as the app registers it
	foreign  bool   // it is not of this app, as far as is known
	stripped bool   // BaseURL has a path, which http.StripPrefix may take off
	absolute bool   // the return-to needs BaseURL before it
	before   string // what stands before a return-to; empty if there is none
	after    string // the fragment
}

// NewDestination takes the address in a field of the configuration apart. Bare is
// one that gets no return-to.
func (o *App) NewDestination(field, text string, bare bool) (Destination, error) {
	if text == "" {
		return Destination{}, nil
	}
	u, err := url.Parse(text)
	if err != nil {
		return Destination{}, wrongAddress(field, text, "cannot be parsed")
	}
	if mustBeEscaped(text) {
		return Destination{}, wrongAddress(field, text, unescaped)
	}
	d := Destination{Text: text, stripped: o.Prefix != ""}
	path := u.EscapedPath()
	switch {
	case u.Scheme == "" && u.Host == "" && urlpath.Safe(path):
		if _, twice := o.withoutPrefix(path); twice {
			return Destination{}, fmt.Errorf("echomfa: %s: %q has the path of ReturnTo.BaseURL: give the path as the app registers it", field, text)
		}
		d.Text = o.Prefix + text
	case isWebOrigin(u):
		var own bool
		path, own = o.ownPath(u)
		d.foreign = o.Origin != nil && !own
		d.absolute = o.Origin == nil || !sameOrigin(o.Origin, u)
	default:
		return Destination{}, wrongAddress(field, text, whyNoDestination(u))
	}
	d.path = urlpath.Decode(path)
	if bare {
		return d, nil
	}
	if d.absolute && o.Origin == nil {
		return Destination{}, fmt.Errorf("echomfa: ReturnTo.BaseURL: required because %s is on another origin, or set ReturnTo.Disabled", field)
	}
	if u.Query().Has(o.Param) {
		return Destination{}, fmt.Errorf("echomfa: %s: has a parameter %q already", field, o.Param)
	}
	d.before, _, _ = strings.Cut(d.Text, "#")
	if u.Fragment != "" {
		d.after = "#" + u.EscapedFragment()
	}
	switch {
	case u.RawQuery != "":
		d.before += "&" + o.Param + "="
	default:
		d.before = strings.TrimSuffix(d.before, "?") + "?" + o.Param + "="
	}
	return d, nil
}

// Page returns a page of the app, by its path as the app registers it.
func (o *App) Page(path string) Destination {
	text := o.Prefix + path
	return Destination{Text: text, before: text + "?" + o.Param + "="}
}

// ownPath returns the path of an absolute address as this app registers it, and
// whether it is one of this app.
func (o *App) ownPath(u *url.URL) (path string, own bool) {
	path = urlpath.Escaped(u)
	if o.Origin == nil || !sameOrigin(o.Origin, u) {
		return path, false
	}
	if o.Prefix == "" {
		return path, true
	}
	return o.withoutPrefix(path)
}

// Is reports whether the request is for the destination itself, to which it
// must not be sent again. It looks at the path only: the Host is the client's to
// choose and a proxy's to change, and a redirect that is left out does less harm
// than one that does not end.
func (d *Destination) Is(r *http.Request) bool {
	if d.Text == "" || d.foreign {
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

// RoomFor returns how long a Location may be beside the headers that are set.
func RoomFor(h http.Header) int {
	room := maxHeadBytes - reservedBytes - len("Location: \r\n")
	for name, values := range h {
		for _, value := range values {
			room -= len(name) + len(": \r\n") + len(value)
		}
	}
	return min(max(room, minLocationBytes), MaxLocationBytes)
}

// Location returns the address of a destination with a return-to that was checked, of
// at most room bytes: without the return-to, and why, if it is longer.
func (o *App) Location(d *Destination, back string, enroll *Destination, room int) (address string, why Omission) {
	if back == "" || d.before == "" {
		return d.Text, Kept
	}
	for _, back := range []string{back, o.beyond(enroll, back)} {
		if back == "" {
			continue
		}
		if d.absolute {
			back = o.Origin.String() + back
		}
		for _, escape := range []func(string) string{url.QueryEscape, escapeLittle} {
			if at := d.before + escape(back) + d.after; len(at) <= room {
				return at, Kept
			}
		}
	}
	return d.Text, TooLarge
}

// beyond returns the return-to of the enrollment page in its address,
// or "". It is what to go back to where an address is too long to be escaped once
// more: the user comes to the enrollment page again, from the page that needs it.
func (o *App) beyond(enroll *Destination, back string) string {
	address, query, found := strings.Cut(back, "?")
	if !found || enroll.foreign || enroll.before == "" {
		return ""
	}
	path, _ := o.withoutPrefix(address)
	if strings.TrimSuffix(urlpath.Decode(path), "/") != strings.TrimSuffix(enroll.path, "/") {
		return ""
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return ""
	}
	inner, _ := o.check(values.Get(o.Param))
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
