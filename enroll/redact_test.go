package enroll_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/enroll"
)

// TestH2X9CallbacksOfThePagesCannotSpreadSecrets has the app's functions quote the
// request that they were given, in errors and panics: before the token is read and
// after it.
func TestH2X9CallbacksOfThePagesCannotSpreadSecrets(t *testing.T) {
	t.Parallel()
	const canary = "canary-0123456789-canary"
	quote := func(r *http.Request) error {
		return fmt.Errorf("cannot use %v, %q", r.Header, r.Header.Get("Cookie"))
	}
	for name, row := range map[string]struct {
		change func(*setup)
		logged string
	}{
		"Language panics": {func(s *setup) {
			s.Language = func(r *http.Request) string { panic(quote(r)) }
		}, "enrollment page panicked"},
		"PolicyFunc fails": {func(s *setup) {
			s.Policy, s.PolicyFunc = echomfa.Policy{}, func(r *http.Request, _ string) (echomfa.Policy, error) {
				return echomfa.Policy{}, quote(r)
			}
		}, "enrollment policy failed"},
		"PolicyFunc panics": {func(s *setup) {
			s.Policy, s.PolicyFunc = echomfa.Policy{}, func(r *http.Request, _ string) (echomfa.Policy, error) { panic(quote(r)) }
		}, "enrollment page panicked"},
		"RecentSignIn fails": {func(s *setup) {
			s.RecentSignIn = func(r *http.Request) (enroll.SignIn, error) { return enroll.SignIn{}, quote(r) }
		}, "RecentSignIn failed"},
		"an abort is wrapped": {func(s *setup) {
			s.Language = func(r *http.Request) string { panic(errors.Join(http.ErrAbortHandler, quote(r))) }
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, row.change)
			user := s.signIn()
			visit := func() {
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					target := map[string]string{http.MethodGet: "/mfa", http.MethodPost: "/mfa/begin"}[method]
					a := user.do(method, target, formOf("type", "OTP"), func(r *http.Request) {
						r.AddCookie(&http.Cookie{Name: "session", Value: canary})
					})
					assert.NotContains(t, a.html, "0123456789")
				}
			}
			if row.logged == "" {
				assert.PanicsWithValue(t, http.ErrAbortHandler, visit)
				return
			}
			visit()
			assert.Contains(t, s.logged.String(), row.logged)
			assert.Contains(t, s.logged.String(), "[redacted]")
			assert.NotContains(t, s.logged.String(), "0123456789")
			assert.NotContains(t, s.logged.String(), user.token)
		})
	}
}
