package echomfa

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"time"
)

// claims are what is read of a JWT-shaped token. No signature is verified
// here, so they may only narrow what GenAuth says: refuse a token, shorten the
// life of cached facts, name the user whose facts are to be dropped.
type claims struct {
	jwt      bool // the rest is only set if the token is a JWT
	subject  string
	audience []string
	expires  time.Time // zero if there is no exp
	badExp   bool      // exp is there and cannot be read
	idToken  bool      // nonce or at_hash: OpenID Connect Core, sections 2 and 3.1.3.6
}

var errNotJWT = errors.New("the token looks like a JWT and cannot be read as one")

// parseClaims reads the claims of a token. A token whose first part decodes to
// a JSON object claims to be a JWT; it must then be one whole: an audience
// that cannot be read must not pass as an opaque token.
func parseClaims(token string) (claims, error) {
	first, rest, dotted := strings.Cut(token, ".")
	if !dotted || !isJSONObject(decodeSegment(first)) {
		return claims{}, nil
	}
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(signature, ".") {
		return claims{}, errNotJWT
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(payload)
	if err != nil {
		return claims{}, errNotJWT
	}
	members, err := readMembers(raw)
	if err != nil {
		return claims{}, errNotJWT
	}
	return members.claims()
}

// decodeSegment decodes base64 of either alphabet, padded or not: the first
// part only says what the token claims to be, and a lenient reader at GenAuth
// must not see a JWT where a strict one here sees an opaque token.
func decodeSegment(s string) []byte {
	s = strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(s)
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return raw
}

func isJSONObject(raw []byte) bool {
	trimmed := bytes.TrimLeft(raw, " \t\r\n")
	return len(trimmed) > 0 && trimmed[0] == '{' && json.Valid(raw)
}

// members are the raw values of the claims that are read.
type members map[string]json.RawMessage

// readMembers walks a JSON object. Names are compared exactly and a claim that
// is read may occur once: encoding/json alone would take "AUD" for "aud" and
// the last of two (RFC 7519, section 4, leaves it to the parser).
func readMembers(raw []byte) (members, error) {
	if !isJSONObject(raw) {
		return nil, errNotJWT
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	found := make(members, 5)
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, _ := tok.(string) // a member's name is a string
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		switch name {
		case "sub", "aud", "exp", "nonce", "at_hash":
			if _, twice := found[name]; twice {
				return nil, errNotJWT
			}
			found[name] = value
		}
	}
	return found, nil
}

func (m members) claims() (claims, error) {
	c := claims{jwt: true, idToken: m.present("nonce") || m.present("at_hash")}
	if m.present("sub") {
		if err := json.Unmarshal(m["sub"], &c.subject); err != nil {
			return claims{}, errNotJWT
		}
	}
	if m.present("aud") {
		// RFC 7519, section 4.1.3: a string or an array of strings.
		var one string
		if err := json.Unmarshal(m["aud"], &one); err == nil {
			c.audience = []string{one}
		} else if err := json.Unmarshal(m["aud"], &c.audience); err != nil {
			return claims{}, errNotJWT
		}
	}
	if m.present("exp") {
		var seconds float64
		err := json.Unmarshal(m["exp"], &seconds)
		switch {
		case err != nil || seconds < 0 || seconds > math.MaxInt32*64:
			c.badExp = true
		default:
			c.expires = time.Unix(int64(seconds), 0)
		}
	}
	return c, nil
}

// present reports whether a claim is there. A null claim says nothing.
func (m members) present(name string) bool {
	raw, ok := m[name]
	return ok && string(raw) != "null"
}

// storable reports whether facts about the token may be kept. A token that is
// past its own exp, or whose exp cannot be read, is asked about every time.
func (c *claims) storable(now time.Time) bool {
	return !c.badExp && (c.expires.IsZero() || now.Before(c.expires))
}

// audienceRule is who a JWT-shaped token must be meant for. Any app of the
// same GenAuth would accept it otherwise (RFC 9068, section 4).
type audienceRule struct {
	accepted []string
	any      bool
}

// admit checks a token before GenAuth is asked: whether it is meant for this
// application and for a user. That GenAuth accepts a token is necessary and
// not sufficient.
func (a audienceRule) admit(c *claims) error {
	switch {
	case !c.jwt:
		return nil
	case c.idToken:
		return errBadToken("an ID token is not an access token")
	case c.subject == "":
		return errBadToken("the token names no user")
	case !a.any && !slices.ContainsFunc(c.audience, func(s string) bool { return slices.Contains(a.accepted, s) }):
		return errBadToken("the token is meant for another application")
	}
	return nil
}
