package enroll_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/enroll"
)

// TestBugTokenQuotedByACallback has functions of the app that put the request's
// token in an error or a panic, which are logged.
func TestBugTokenQuotedByACallback(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]func(token string) error{
		"error": func(token string) error { return errors.New("no session for " + token) },
		"panic": func(token string) error { panic("no session for " + token) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(set *setup) {
				set.RecentSignIn = func(r *http.Request) (enroll.SignIn, error) {
					return enroll.SignIn{}, fails(r.Header.Get("Authorization"))
				}
			})
			user := s.signIn()
			user.post("/mfa/begin", "type", "OTP").is(http.StatusInternalServerError, "error.internal")
			assert.Contains(t, s.logged.String(), "no session for")
			assert.NotContains(t, s.logged.String(), user.token)
		})
	}
}
