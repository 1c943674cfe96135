package echomfa

import (
	"slices"

	"github.com/echomfa/echomfa/internal/claims"
)

// audienceRule is who a JWT-shaped token must be meant for. Any app of the
// same GenAuth would accept it otherwise (RFC 9068, section 4).
type audienceRule struct {
	accepted []string
	any      bool
}

// admission is what a token says of itself. Each value but the first is a cause
// for refusing it.
type admission uint8

const (
	admitted admission = iota
	notAccessToken
	notUser
	notOurs

	admissions = int(notOurs) + 1
)

// admit checks a token before GenAuth is asked: whether it is meant for this
// application and for a user. That GenAuth accepts a token is necessary and
// not sufficient.
func (a audienceRule) admit(c *claims.Claims) admission {
	switch {
	case !c.JWT:
		return admitted
	case c.IDToken:
		return notAccessToken
	case c.Subject == "":
		return notUser
	case !a.any && !slices.ContainsFunc(c.Audience, func(s string) bool { return slices.Contains(a.accepted, s) }):
		return notOurs
	}
	return admitted
}

// err is the error of the refusal, or nil.
func (a admission) err() error {
	switch a {
	case notAccessToken:
		return errBadToken("an ID token is not an access token")
	case notUser:
		return errBadToken("the token names no user")
	case notOurs:
		return errBadToken("the token is meant for another application")
	case admitted:
	}
	return nil
}
