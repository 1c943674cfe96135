package echomfa

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/fieldvalue"
	"github.com/echomfa/echomfa/internal/redact"
	"github.com/echomfa/echomfa/internal/redirectloop"
	"github.com/echomfa/echomfa/internal/spelling"
	"github.com/echomfa/echomfa/internal/urlpath"
)

// credential reads the token of a request from the one declared source, and
// looks nowhere else: a token that is checked must be the token that
// the handler uses, and RFC 6750, section 2, allows one method per request.
type credential struct {
	header string // canonical name, or empty
	scheme string // what stands before the token, without the space
	spaced bool   // scheme and token are separated by spaces
	cookie string // name, or empty
	custom func(*http.Request) (string, error)
	most   int // MaxTokenBytes
}

// newCredential settles where the token of a request is.
func newCredential(lookup string, custom func(*http.Request) (string, error)) (credential, error) {
	switch {
	case custom != nil && lookup != "":
		return credential{}, errors.New("echomfa: TokenLookup and Token: set one of them")
	case custom != nil:
		return credential{custom: custom}, nil
	}
	return parseLookup(cmp.Or(lookup, defaultTokenLookup))
}

// token returns the request's token, which satisfies [client.ValidToken]. The
// error is that of read.
func (c *credential) token(r *http.Request) (string, error) {
	token, err := c.read(r)
	if err == nil {
		err = checkToken(token)
	}
	if err != nil {
		return "", err
	}
	return token, nil
}

// read returns the request's token, not yet held against the grammar of tokens: the
// cache knows none that is not one, so only a miss needs to be. The error is a
// *TokenError or, if a custom function failed, that function's.
func (c *credential) read(r *http.Request) (string, error) {
	switch {
	case c.custom != nil:
		token, err := c.custom(r)
		return c.readCustom(token, c.withoutSecrets(r, err, token))
	case c.cookie != "":
		return c.fromCookie(r)
	default:
		return c.fromHeader(r.Header[c.header])
	}
}

// secrets returns what a callback that was given a request may have quoted, and
// nobody else may see. They are known by where they stand, whatever function reads
// them, and by the tokens that are known.
func (c *credential) secrets(r *http.Request, tokens ...string) redact.Secrets {
	var declared []string
	if c.header != "" {
		declared = []string{c.header}
	}
	if c.custom == nil {
		token, _ := c.read(r) // without its scheme
		tokens = append(tokens, token)
	}
	return redact.OfRequest(r, declared, tokens...)
}

// withoutSecrets returns a callback's error without the secrets of the request.
func (c *credential) withoutSecrets(r *http.Request, err error, tokens ...string) error {
	if err == nil || err == ErrUnauthenticated { //nolint:errorlint // the value alone quotes nothing
		return err
	}
	return withoutSecrets(err, c.secrets(r, tokens...))
}

func (c *credential) fromHeader(lines []string) (string, error) {
	switch len(lines) {
	case 0:
		return "", errNoToken()
	case 1:
	default:
		return "", errBadRequest("more than one " + c.header + " header")
	}
	value := lines[0]
	if c.scheme == "" {
		if value == "" {
			return "", errNoToken()
		}
		return c.notTooLong(value)
	}
	if !hasPrefixFold(value, c.scheme) {
		// Another scheme, such as Basic: no token of ours, so the challenge
		// carries no error code (RFC 6750, section 3.1).
		return "", errNoToken()
	}
	token := value[len(c.scheme):]
	if c.spaced {
		trimmed := strings.TrimLeft(token, " ")
		switch {
		case token == "":
			return "", errBadRequest("the token is empty")
		case len(trimmed) == len(token):
			return "", errNoToken() // such as "BearerX": another scheme
		}
		token = trimmed
	}
	if token == "" {
		return "", errBadRequest("the token is empty")
	}
	return c.notTooLong(token)
}

func (c *credential) fromCookie(r *http.Request) (string, error) {
	cookies := r.CookiesNamed(c.cookie)
	switch {
	case len(cookies) > 1:
		// Which of them the handler would read is anybody's guess: a
		// subdomain may have planted one of them.
		return "", errBadRequest("more than one token cookie")
	case len(cookies) == 0 || cookies[0].Value == "":
		return "", errNoToken()
	}
	return c.notTooLong(cookies[0].Value)
}

// readCustom judges what an application's own Token function returned.
func (c *credential) readCustom(token string, err error) (string, error) {
	switch {
	case err != nil:
		return "", customFailed(err)
	case token == "":
		return "", errNoToken()
	}
	return c.notTooLong(token)
}

// customFailed is a Token function's error.
func customFailed(err error) error {
	var tokenErr *TokenError
	switch {
	case situationOf(err) != unauthenticated:
		return fmt.Errorf("echomfa: Token: %w", concealed{err})
	case errors.As(err, &tokenErr):
		return err
	}
	return &TokenError{Reason: "no access token", Err: err}
}

// notTooLong applies the length limit before anything else is done with a token.
// What does not pass is not returned.
func (c *credential) notTooLong(token string) (string, error) {
	if len(token) > c.most {
		return "", errBadToken("the token is too long")
	}
	return token, nil
}

// checkToken applies the b64token grammar (RFC 6750, section 2.1).
func checkToken(token string) error {
	if !client.ValidToken(token) {
		return errBadToken(whyMalformed(token))
	}
	return nil
}

// whyMalformed tells the app's developers of two usual mistakes. It quotes
// nothing of the token.
func whyMalformed(token string) string {
	if word, _, found := strings.Cut(token, " "); found && isBearerScheme(strings.ToLower(word)) {
		return "the token has a scheme before it"
	}
	if urlpath.Decode(token) != token {
		return "the token is percent-encoded"
	}
	return "the token is malformed"
}

// hasPrefixFold is strings.HasPrefix without regard to ASCII case.
func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

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
		if redirectloop.Owns(rest) {
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
		why = fmt.Sprintf("write %q, in lower case and without spaces", word+":")
	case (word == "header" || word == "cookie") && strings.TrimLeft(rest, " ") != rest:
		why = fmt.Sprintf("no space may follow %q", word+":")
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
		return fmt.Errorf("the token is preceded by a scheme: write %q", defaultTokenLookup)
	case scheme == "" && c.spaced:
		return fmt.Errorf("the prefix is a space: write %q", "header:"+c.header)
	case isNearlyBearer(scheme):
		return fmt.Errorf("unknown scheme %s: did you mean Bearer?", c.scheme)
	case c.header == "Bearer":
		return fmt.Errorf("bearer is a scheme, not a header: write %q", defaultTokenLookup)
	case spelling.OneOff(c.header, "Authorization"):
		return fmt.Errorf("unknown header %s: did you mean Authorization?", c.header)
	case !c.spaced && (c.header == "Authorization" || isBearerScheme(scheme)):
		return fmt.Errorf("a space is missing between scheme and token: write %q", "header:"+c.header+":"+c.scheme+" ")
	}
	return nil
}

// isNearlyBearer reports whether a scheme may be a misspelling of Bearer. No scheme
// that is in use differs from it in two letters.
func isNearlyBearer(scheme string) bool {
	const meant, mistakes = "bearer", 2
	if n := len(scheme); scheme == meant || n < len(meant)-mistakes || n > len(meant)+mistakes {
		return false
	}
	return spelling.Distance(scheme, meant) <= mistakes
}

// isBearerScheme reports whether a prefix in lower case is a word that clients
// write before an access token, with a space in between.
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
		"X-Forwarded-Email", "X-Forwarded-For", "X-Forwarded-Groups", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Preferred-Username",
		"X-Forwarded-Proto", "X-Forwarded-User", "X-Real-Ip", "X-Requested-With":
		return true
	}
	return false
}
