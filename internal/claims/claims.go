// Package claims reads what a JWT-shaped access token says of itself, without
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
	// AuthTime is when the user signed in (OpenID Connect Core, section 2), or
	// zero if the token does not say it.
	AuthTime time.Time
	// IDToken reports a nonce or at_hash: OpenID Connect Core, sections 2 and
	// 3.1.3.6.
	IDToken bool
}

var errNotJWT = errors.New("the token looks like a JWT and cannot be read as one")

// Parse reads the claims of a token. A token whose first part decodes to
// a JSON object claims to be a JWT; it must then be one whole: an audience
// that cannot be read must not pass as an opaque token.
func Parse(token string) (Claims, error) {
	first, rest, dotted := strings.Cut(token, ".")
	if !dotted || !isJSONObject(decodeSegment(first)) {
		return Claims{}, nil
	}
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(signature, ".") {
		return Claims{}, errNotJWT
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(payload)
	if err != nil {
		return Claims{}, errNotJWT
	}
	members, err := readMembers(raw)
	if err != nil {
		return Claims{}, errNotJWT
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
		switch name {
		case "sub", "aud", "exp", "auth_time", "nonce", "at_hash":
			if _, twice := found[name]; twice {
				return nil, errNotJWT
			}
			found[name] = value
		}
	}
	return found, nil
}

func (m members) claims() (Claims, error) {
	c := Claims{JWT: true, IDToken: m.present("nonce") || m.present("at_hash")}
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
