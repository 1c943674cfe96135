package returnto

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/echomfa/echomfa/internal/urlpath"
)

// wrongAddress says what is wrong with an address in the configuration. The
// address is quoted, unless it may hold a password.
func wrongAddress(field, text, why string) error {
	if strings.Contains(text, "@") {
		return fmt.Errorf("echomfa: %s: %s", field, why)
	}
	return fmt.Errorf("echomfa: %s: %q %s", field, text, why)
}

// mustBeEscaped reports whether an address has a character that cannot be part
// of a Location header as it is.
func mustBeEscaped(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

const unescaped = "has a character that must be percent-encoded"

// whyNotOrigin says why an address is not the origin of a web app, or "".
func whyNotOrigin(u *url.URL) string {
	switch {
	case u.User != nil:
		return "has user info, which an address that browsers are sent to must not have"
	case u.Scheme == "" && u.Host == "":
		return `is not an address: put "https://" before it`
	case u.Scheme != "https" && u.Scheme != "http":
		return `does not begin with "https://" or "http://"`
	case u.Opaque != "" || u.Hostname() == "":
		return "has no host"
	}
	return ""
}

// whyUnsafe says why [urlpath.Safe] refuses a path.
func whyUnsafe(path string) string {
	if !strings.HasPrefix(path, "/") {
		return `does not begin with a slash: write a path such as "/mfa"`
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment = urlpath.Decode(segment); segment == "." || segment == ".." {
			return `has dots ("." or "..") for a segment, which browsers resolve: write the path that they lead to`
		}
	}
	return "may lead to another origin: it begins with two slashes or backslashes, or has control characters"
}

// whyNotBase says why an address is not a ReturnTo.BaseURL, or "".
func whyNotBase(u *url.URL) string {
	if why := whyNotOrigin(u); why != "" {
		return why
	}
	prefix := strings.TrimRight(u.EscapedPath(), "/")
	switch {
	case u.RawQuery != "" || u.ForceQuery:
		return "has a query"
	case u.Fragment != "":
		return "has a fragment"
	case prefix != "" && !urlpath.Safe(prefix):
		return whyUnsafe(prefix)
	case strings.Contains(urlpath.Decode(prefix), "//"):
		return "has two slashes in its path"
	}
	return ""
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

func isWebOrigin(u *url.URL) bool {
	return (u.Scheme == "https" || u.Scheme == "http") && u.Hostname() != "" && u.User == nil && u.Opaque == ""
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
