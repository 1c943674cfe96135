package echomfa

import (
	"errors"
	"fmt"
	"net/textproto"
	"strings"

	"github.com/echomfa/echomfa/internal/fieldvalue"
	"github.com/echomfa/echomfa/internal/spelling"
)

const defaultTokenLookup = "header:Authorization:Bearer "

// parseLookup reads a TokenLookup: "header:Name:Prefix" or "cookie:name".
func parseLookup(lookup string) (credential, error) {
	source, rest, _ := strings.Cut(lookup, ":")
	switch source {
	case "header":
		name, prefix, _ := strings.Cut(rest, ":")
		scheme := strings.TrimRight(prefix, " ")
		if !fieldvalue.IsToken(name) || (scheme != "" && !fieldvalue.IsToken(scheme)) {
			return credential{}, lookupSyntaxError(lookup, "")
		}
		c := credential{header: textproto.CanonicalMIMEHeaderKey(name), scheme: scheme, spaced: scheme != prefix}
		if err := c.neverFinds(); err != nil {
			return credential{}, fmt.Errorf("echomfa: TokenLookup: %q: %w", lookup, err)
		}
		return c, nil
	case "cookie":
		if !fieldvalue.IsToken(rest) {
			return credential{}, lookupSyntaxError(lookup, "")
		}
		if rest == circleCookie {
			return credential{}, lookupSyntaxError(lookup, "the cookie is one that this middleware sets itself")
		}
		return credential{cookie: rest}, nil
	case "query", "form", "param":
		return credential{}, lookupSyntaxError(lookup, "a token in an address or a form ends up in logs and histories; if it must be, set Token")
	}
	return credential{}, lookupSyntaxError(lookup, "")
}

// lookupSyntaxError says what is wrong with a lookup; why is "" if that is to be
// found out.
func lookupSyntaxError(lookup, why string) error {
	source, rest, _ := strings.Cut(lookup, ":")
	word := strings.ToLower(strings.TrimSpace(source))
	switch {
	case why != "":
	case strings.Contains(lookup, ","):
		why = "it is one source: to combine sources, set Token"
	case source != word && (word == "header" || word == "cookie"):
		why = fmt.Sprintf("write %q, in lower case and without blanks", word+":")
	case (word == "header" || word == "cookie") && strings.TrimLeft(rest, " ") != rest:
		why = fmt.Sprintf("no blank may follow %q", word+":")
	default:
		why = `it is not of the form "header:Name:Prefix" or "cookie:name"`
	}
	return fmt.Errorf("echomfa: TokenLookup: %q: %s", lookup, why)
}

// neverFinds reports why no usual client has its access token there. Such a
// lookup would refuse every request.
func (c *credential) neverFinds() error {
	scheme := strings.ToLower(c.scheme)
	switch {
	case c.header == "Cookie":
		return errors.New(`write "cookie:name" with the name of the cookie`)
	case carriesNoToken(c.header):
		return fmt.Errorf("no client sends an access token in %s", c.header)
	case isOtherScheme(scheme):
		return fmt.Errorf("%s carries no bearer token", c.scheme)
	case c.header == "Authorization" && scheme == "":
		return fmt.Errorf("a scheme stands before the token: write %q", defaultTokenLookup)
	case scheme == "" && c.spaced:
		return fmt.Errorf("the prefix is a blank: write %q", "header:"+c.header)
	case spelling.OneOff(scheme, "bearer"):
		return fmt.Errorf("unknown scheme %s: did you mean Bearer?", c.scheme)
	case spelling.OneOff(c.header, "Authorization"):
		return fmt.Errorf("unknown header %s: did you mean Authorization?", c.header)
	case !c.spaced && (c.header == "Authorization" || isBearerScheme(scheme)):
		return fmt.Errorf("a blank stands between scheme and token: write %q", "header:"+c.header+":"+c.scheme+" ")
	}
	return nil
}

// isBearerScheme reports whether a prefix in lower case is a word that clients
// write before an access token, with a blank in between.
func isBearerScheme(prefix string) bool {
	switch prefix {
	case "bearer", "token", "jwt", "oauth":
		return true
	}
	return false
}

// isOtherScheme reports whether an authentication scheme in lower case carries
// no token that GenAuth would take as a bearer token. They are the others of
// IANA's registry, and two that are in use.
func isOtherScheme(scheme string) bool {
	switch scheme {
	case "basic", "concealed", "digest", "dpop", "gnap", "hoba", "mutual", "negotiate", "privatetoken", "vapid",
		"ntlm", "aws4-hmac-sha256":
		return true
	}
	return strings.HasPrefix(scheme, "scram-")
}

// carriesNoToken reports whether a header, by its canonical name, has a meaning
// of its own or is set by browsers, proxies and net/http. X-Forwarded-Access-Token
// is not one of them, and nor is Sec-WebSocket-Protocol: it is all that a
// browser lets a script set on a WebSocket.
func carriesNoToken(name string) bool {
	for _, prefix := range []string{"Accept-", "Access-Control-", "Content-", "If-", "Proxy-", "Sec-"} {
		if strings.HasPrefix(name, prefix) {
			return name != textproto.CanonicalMIMEHeaderKey("Sec-WebSocket-Protocol")
		}
	}
	switch name {
	case "Accept", "Cache-Control", "Connection", "Date", "Expect", "Forwarded", "Host", "Keep-Alive", "Origin", "Pragma",
		"Range", "Referer", "Set-Cookie", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent", "Via", "Www-Authenticate",
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Real-Ip", "X-Requested-With":
		return true
	}
	return false
}
