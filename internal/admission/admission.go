// Package admission judges tokens by what they say of themselves: whom a JWT is
// for, whose it is, and whether it is an access token. It also notices when tokens
// are refused in a way that speaks of a wrong configuration and not of the users.
package admission

import (
	"slices"

	"github.com/echomfa/echomfa/internal/claims"
)

// Rule is who a JWT-shaped token must be meant for. Any app of the
// same GenAuth would accept it otherwise (RFC 9068, section 4).
type Rule struct {
	Accepted []string // one of them must be in aud
	Any      bool     // or none need be
	// Delegated lets a token by with which somebody else acts for the user.
	Delegated bool
}

// Verdict is what the claims of a token say. Each value but the first is a cause for
// refusing it.
type Verdict uint8

// The verdicts.
const (
	Admitted Verdict = iota
	NotAccessToken
	NotUser
	NotOurs
	NotServed // it is not of the user whom the application serves
	Delegated // somebody else acts with it

	verdicts = int(Delegated) + 1
)

// Admit checks a token before GenAuth is asked: whether it is meant for this
// application and for a user. That GenAuth accepts a token is necessary and
// not sufficient.
func (a Rule) Admit(c *claims.Claims) Verdict {
	switch {
	case !c.JWT:
		return Admitted
	case c.IDToken:
		return NotAccessToken
	case c.Subject == "":
		return NotUser
	case !a.Any && !slices.ContainsFunc(c.Audience, func(s string) bool { return slices.Contains(a.Accepted, s) }):
		return NotOurs
	case c.Delegated && !a.Delegated:
		return Delegated
	}
	return Admitted
}

// Reason says in a few words why the token is refused.
func (v Verdict) Reason() string {
	return [verdicts]string{ //nolint:gosec // G101 takes the word token for one
		NotAccessToken: "an ID token is not an access token",
		NotUser:        "the token names no user",
		NotOurs:        "the token is meant for another application",
		NotServed:      "the token belongs to another user than the session",
		Delegated:      "the token is delegated: somebody else acts with it",
	}[v]
}
