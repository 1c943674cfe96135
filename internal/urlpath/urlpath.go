// Package urlpath knows which paths of an address stay on their origin for every
// reader, and which path a request had before http.StripPrefix.
package urlpath

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Safe reports whether an escaped path stays on its origin in the eyes of every
// reader: a browser, net/url, a server that merges slashes, a proxy that decodes
// once more than it should. Open redirects come from what one reader decodes and
// the next resolves: /\host, //host, /%2fhost, /a/..%2f/host. So the beginning
// matters, after decoding as often as it can be decoded and without what dot
// segments remove. Slashes and backslashes further on lead nowhere else.
//
// Dot segments that a browser resolves itself are refused too: no browser asks
// for them, and what it goes to is another path. Control characters are refused
// in every spelling: some readers drop them.
func Safe(path string) bool {
	if !strings.HasPrefix(path, "/") {
		return false
	}
	for i := range len(path) {
		if !isPathByte(path[i]) {
			return false
		}
	}
	for segment := range strings.SplitSeq(path, "/") {
		if decoded := Decode(segment); decoded == "." || decoded == ".." {
			return false
		}
	}
	return safeDecoded(decodeAll(path))
}

// safeDecoded reports whether nothing that a reader removes from a decoded path
// leaves a second slash at its beginning. Which segments a ".." removes depends
// on how often a reader decodes and whether it merges slashes, so no empty
// segment may follow one. Some servers cut off what stands after a semicolon
// before they look.
func safeDecoded(path string) bool {
	if HasControl(path) {
		return false
	}
	segments := strings.Split(strings.ReplaceAll(path, `\`, "/")[1:], "/")
	first, up := true, false
	for i, segment := range segments {
		switch name, _, _ := strings.Cut(segment, ";"); name {
		case "":
			if (first || up) && i < len(segments)-1 {
				return false
			}
		case ".":
		case "..":
			up = true
		default:
			first = false
		}
	}
	return true
}

// isPathByte reports whether a byte may stand in an escaped path: RFC 3986,
// section 3.3, and the brackets that net/url leaves as they come.
func isPathByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.IndexByte("-._~!$&'()*+,;=:@/%[]", c) >= 0
}

// HasControl reports whether s has an ASCII control character. Browsers drop
// some of them and then see another address.
func HasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// Decode decodes what is percent-encoded, once, and leaves what is malformed, as
// browsers do.
func Decode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, ok := unhex(s[i+1], s[i+2]); ok {
				b.WriteByte(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// decodeAll decodes until nothing is left to decode. It takes one pass, however
// often something is encoded: escapes do not overlap, so their order does not
// matter.
func decodeAll(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		b = append(b, s[i])
		for n := len(b); n >= 3 && b[n-3] == '%'; n = len(b) {
			c, ok := unhex(b[n-2], b[n-1])
			if !ok {
				break
			}
			b = append(b[:n-3], c)
		}
	}
	return string(b)
}

func unhex(high, low byte) (c byte, ok bool) {
	h, ok1 := digit(high)
	l, ok2 := digit(low)
	return h<<4 | l, ok1 && ok2
}

func digit(c byte) (value byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return (c | 0x20) - 'a' + 10, true
	}
	return 0, false
}

// Escaped returns the path as it came, with what must not stand in one escaped.
// If there is any of that, [url.URL.EscapedPath] escapes the decoded path instead,
// and the %2F of a segment becomes a slash: another address. A backslash stays: a
// browser reads it as a slash, and [Safe] refuses it.
func Escaped(u *url.URL) string {
	if path, err := url.PathUnescape(u.RawPath); err != nil || path != u.Path {
		return u.EscapedPath() // a middleware has changed the path
	}
	var b strings.Builder
	for i := range len(u.RawPath) {
		if c := u.RawPath[i]; isPathByte(c) || c == '\\' {
			b.WriteByte(c)
		} else {
			_, _ = fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// maxPath is how long a path may be to be looked at: a client chooses it, and may ask
// again and again.
const maxPath = 16 << 10

// Original returns the address that a request had before [http.StripPrefix] took
// something off the front of its path, and what that was. net/http keeps the
// address in RequestURI. It returns nil for a request whose path was changed in
// another way: where that leads is not known. So it does for a path of over 16 KiB.
func Original(r *http.Request) (u *url.URL, stripped string) {
	if len(r.URL.Path) > maxPath {
		return nil, ""
	}
	u, err := url.ParseRequestURI(r.RequestURI)
	if err != nil || u.RawQuery != r.URL.RawQuery || u.ForceQuery != r.URL.ForceQuery {
		return nil, ""
	}
	rest := Escaped(r.URL)
	path := Escaped(u)
	stripped, found := strings.CutSuffix(path, rest)
	between := rest == "" || rest[0] == '/' || strings.HasSuffix(stripped, "/") // and not within a segment
	if !found || !between || !Safe(stripped) || !Safe(path) {
		return nil, ""
	}
	return u, stripped
}
