package doctor

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// claims are those of a token. Nothing of them is verified.
type claims struct {
	jwt             bool
	header, payload map[string]any
}

func readClaims(token string) claims {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims{}
	}
	var c claims
	for i, into := range []*map[string]any{&c.header, &c.payload} {
		raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[i], "="))
		if err != nil || json.Unmarshal(raw, into) != nil || *into == nil {
			return claims{}
		}
	}
	c.jwt = true
	return c
}

// seconds returns a claim that is a time.
func (c claims) seconds(name string) (int64, bool) {
	n, ok := c.payload[name].(float64)
	return int64(n), ok && n > 0 && n < 1<<40
}

// expired reports whether the token says that it is over.
func (c claims) expired(now time.Time) bool {
	exp, ok := c.seconds("exp")
	return ok && !now.Before(time.Unix(exp, 0))
}

// isID reports whether the token is an ID token by what it holds.
func (c claims) isID() bool { return c.payload["nonce"] != nil || c.payload["at_hash"] != nil }

// isFor reports whether the token names an application, and whether it is this
// one.
func (c claims) isFor(appID string) (named, this bool) {
	switch aud := c.payload["aud"].(type) {
	case string:
		return aud != "", aud == appID
	case []any:
		return len(aud) > 0, slices.Contains(aud, any(appID))
	}
	return false, false
}

// plainName is what the name of a claim looks like. Another one may hold an
// address.
var plainName = regexp.MustCompile(`\A[A-Za-z][A-Za-z0-9_]{0,31}\z`)

// names lists the names of members, with the values that tell nothing of anybody:
// true and false.
func names(members map[string]any) string {
	var told []string
	odd := 0
	for name, value := range members {
		switch yes, isBool := value.(bool); {
		case !plainName.MatchString(name):
			odd++
		case isBool:
			told = append(told, fmt.Sprintf("%s=%t", name, yes))
		default:
			told = append(told, name)
		}
	}
	slices.Sort(told)
	text := strings.Join(told, " ")
	if odd > 0 {
		text += fmt.Sprintf(" and %d with names of another form", odd)
	}
	return text
}

// known returns value if it is one of the names of a standard, else "other".
func known(value any, standard ...string) string {
	text, ok := value.(string)
	switch {
	case !ok:
		return "none"
	case slices.Contains(standard, text):
		return text
	}
	return "other"
}

// tell says what kind of token it is, what it holds, and how long it is good.
func (c claims) tell(now time.Time) (kind, holds, life string) {
	if !c.jwt {
		return "opaque, or not a JWT of three parts", "", undetermined("the token does not say")
	}
	alg := known(c.header["alg"], "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512", "none")
	kind = fmt.Sprintf("JWT, alg=%s, typ=%s, header has: %s", alg, known(c.header["typ"], "JWT", "at+jwt", "application/at+jwt"), names(c.header))
	issued, hasIssued := c.seconds("iat")
	expires, hasExpires := c.seconds("exp")
	left := expires - now.Unix()
	switch {
	case !hasExpires:
		life = undetermined("there is no exp")
	case !hasIssued:
		life = undetermined("there is no iat; %d s are left", left)
	default:
		life = fmt.Sprintf("%d s (exp - iat), %d s are left", expires-issued, left)
	}
	return kind, names(c.payload), life
}
