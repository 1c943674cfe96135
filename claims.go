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

// admit checks a token before GenAuth is asked: whether it is meant for this
// application and for a user. That GenAuth accepts a token is necessary and
// not sufficient.
func (a audienceRule) admit(c *claims.Claims) error {
	switch {
	case !c.JWT:
		return nil
	case c.IDToken:
		return errBadToken("an ID token is not an access token")
	case c.Subject == "":
		return errBadToken("the token names no user")
	case !a.any && !slices.ContainsFunc(c.Audience, func(s string) bool { return slices.Contains(a.accepted, s) }):
		return errBadToken("the token is meant for another application")
	}
	return nil
}
