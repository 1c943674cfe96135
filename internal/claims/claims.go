// Package claims reads the claims of a JWT-shaped access token, without
// verifying it.
package claims

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"time"
)

// Claims are what is read of a JWT-shaped token. No signature is verified
// here, so they may only narrow what GenAuth says: refuse a token, shorten the
// life of cached facts, name the user whose facts are to be dropped.
type Claims struct {
	// JWT reports that the token is one. The rest is only set if it is.
	JWT bool
	// Subject is the sub, or empty.
	Subject string
	// Audience is the aud.
	Audience []string
	// Expires is the exp, or zero if there is none.
	Expires time.Time
	// BadExp reports an exp that is there and cannot be read.
	BadExp bool
	// NotBefore is the nbf, or zero if there is none, and BadNotBefore reports one that
	// cannot be read.
	NotBefore    time.Time
	BadNotBefore bool
	// AuthTime is when the user signed in (OpenID Connect Core, section 2), or
	// zero if the token does not say it.
	AuthTime time.Time
	// IDToken reports a nonce or at_hash: OpenID Connect Core, sections 2 and
	// 3.1.3.6.
	IDToken bool
	// Delegated reports an act: somebody else acts with the token for its user (RFC
	// 8693, section 4.1).
	Delegated bool
}

var (
	errNotJWT  = errors.New("the token looks like a JWT and cannot be read as one")
	errPadding = errors.New("the token ends in more padding than base64 has")
)

// How many parts a JWT and an encrypted one have (RFC 7515 and RFC 7516, section
// 3.1), and the most "=" that base64 ends in.
const (
	signedParts    = 3
	encryptedParts = 5
	maxPadding     = 2
)

// Parse reads the claims of a token.
//
// A token of three parts is a JWT and must be one whole: if it passed for an
// opaque token, its audience would not be checked, while GenAuth may read it
// more leniently. Each part must be spelled in the one way that base64url has. A
// lenient decoder takes other spellings for the same token, each is another key
// of the cache, and so one good token could be spent as thousands.
//
// An encrypted JWT (JWE) is opaque: only GenAuth can read it.
func Parse(token string) (Claims, error) {
	parts := strings.SplitN(token, ".", encryptedParts+2)
	switch {
	case len(parts) == signedParts:
		return parseSigned(parts)
	case len(parts) > 1 && isJSONObject(decodeLeniently(parts[0])) && !isEncrypted(parts):
		return Claims{}, errNotJWT
	case len(token)-len(strings.TrimRight(token, "=")) > maxPadding:
		// How GenAuth spells opaque tokens is not documented, so that padding
		// cannot be refused altogether.
		return Claims{}, errPadding
	}
	return Claims{}, nil
}

func parseSigned(parts []string) (Claims, error) {
	decoded, err := decode(parts)
	if err != nil {
		return Claims{}, errNotJWT
	}
	if _, err := readMembers(decoded[0], isAny); err != nil {
		return Claims{}, errNotJWT
	}
	found, err := readMembers(decoded[1], isClaim)
	if err != nil {
		return Claims{}, errNotJWT
	}
	return found.claims()
}

// isEncrypted reports whether the parts are those of a JWE: its header names how
// the content is encrypted (RFC 7516, section 4.1.2).
func isEncrypted(parts []string) bool {
	if len(parts) != encryptedParts {
		return false
	}
	decoded, err := decode(parts)
	if err != nil {
		return false
	}
	header, err := readMembers(decoded[0], isAny)
	return err == nil && header.present("enc")
}

// isAny is for headers, whose names must all be unique (RFC 7515, section 4).
func isAny(string) bool { return true }

func isClaim(name string) bool {
	switch name {
	case "sub", "aud", "exp", "nbf", "auth_time", "nonce", "at_hash", "act":
		return true
	}
	return false
}

// decode decodes parts of base64url without padding, in its one spelling.
func decode(parts []string) ([][]byte, error) {
	decoded := make([][]byte, len(parts))
	for i, part := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return nil, err
		}
	}
	return decoded, nil
}

// decodeLeniently decodes base64 as the most careless reader does: of either
// alphabet, without regard to padding, foreign characters and a remainder.
func decodeLeniently(s string) []byte {
	s = strings.NewReplacer("+", "-", "/", "_", "=", "", "~", "").Replace(s)
	if len(s)%4 == 1 {
		s = s[:len(s)-1]
	}
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

// members are the raw values of a JSON object's members.
type members map[string]json.RawMessage

// readMembers reads those members of a JSON object that are asked for. Names are
// compared exactly and each may occur once: encoding/json alone would take "AUD"
// for "aud" and the last of two (RFC 7519, section 4, leaves it to the parser).
func readMembers(raw []byte, wanted func(name string) bool) (members, error) {
	if !isJSONObject(raw) {
		return nil, errNotJWT
	}
	return walk(raw, wanted)
}

// walk is readMembers for what is a JSON object.
func walk(raw []byte, wanted func(name string) bool) (members, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	found := make(members, 6)
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
		if _, twice := found[name]; twice {
			return nil, errNotJWT
		}
		if wanted(name) {
			found[name] = value
		}
	}
	return found, nil
}

func (m members) claims() (Claims, error) {
	c := Claims{JWT: true, IDToken: m.present("nonce") || m.present("at_hash"), Delegated: m.present("act")}
	if m.present("sub") {
		if err := json.Unmarshal(m["sub"], &c.Subject); err != nil {
			return Claims{}, errNotJWT
		}
	}
	if m.present("aud") {
		// RFC 7519, section 4.1.3: a string or an array of strings.
		var one string
		if err := json.Unmarshal(m["aud"], &one); err == nil {
			c.Audience = []string{one}
		} else if err := json.Unmarshal(m["aud"], &c.Audience); err != nil {
			return Claims{}, errNotJWT
		}
	}
	c.Expires, c.BadExp = m.time("exp")
	c.NotBefore, c.BadNotBefore = m.time("nbf")
	c.AuthTime, _ = m.time("auth_time") // one that cannot be read says nothing
	return c, nil
}

// time reads a NumericDate (RFC 7519, section 2). It is zero where there is
// none; bad reports one that cannot be read.
func (m members) time(name string) (t time.Time, bad bool) {
	if !m.present(name) {
		return time.Time{}, false
	}
	var seconds float64
	if err := json.Unmarshal(m[name], &seconds); err != nil || seconds < 0 || seconds > math.MaxInt32*64 {
		return time.Time{}, true
	}
	return time.Unix(int64(seconds), 0), false
}

// present reports whether a claim is there. A null claim says nothing.
func (m members) present(name string) bool {
	raw, ok := m[name]
	return ok && string(raw) != "null"
}

// Storable reports whether facts about the token may be kept. A token that is
// past its own exp, or whose exp cannot be read, is asked about every time.
func (c *Claims) Storable(now time.Time) bool {
	return !c.BadExp && (c.Expires.IsZero() || now.Before(c.Expires))
}

// Begun reports whether the time has come from which the token counts, by a clock that
// may be behind by that much.
func (c *Claims) Begun(now time.Time, behind time.Duration) bool {
	return !c.BadNotBefore && !now.Add(behind).Before(c.NotBefore)
}
