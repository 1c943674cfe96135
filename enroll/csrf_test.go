package enroll_test

import (
	"net/http"
	"testing"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
)

// TestCrossOriginForms sends each step as other sites can make a browser do.
// Nothing is asked of GenAuth, and nothing changes.
func TestCrossOriginForms(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn(otp)
	user.guarded()
	fresh := s.signIn()
	page := fresh.begin(otp)
	address := fresh.begin(sms)
	code := fresh.code(page.secret())
	forms := map[string][]string{
		"/mfa/begin":    {"type", "EMAIL", "code", s.genauth.OTPCode(user.id)},
		"/mfa/send":     {"state", address.state(), "region", "CN", "phone", "13800000000"},
		"/mfa/confirm":  {"state", page.state(), "code", code},
		"/mfa/recovery": {"state", page.state()},
		"/mfa/done":     {"state", page.state(), "saved", "yes"},
		"/mfa/check":    {"return_to", "/admin"},
		"/mfa/remove":   {"type", "OTP", "confirm", "yes", "understood", "yes", "code", s.genauth.OTPCode(user.id)},
	}
	assert.Len(t, forms, len(steps()))
	origins := map[string]func(*http.Request){
		"cross-site": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
		"same-site":  func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		"unknown":    func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "x") },
		"another origin, an old browser": func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "https://evil.example")
		},
		"no origin to name": func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Set("Origin", "null")
		},
	}
	asked := func() (n int) {
		for _, path := range []string{listPath, offerPath, sendPath, enrollPath, resetPath, verifyPath} {
			n += s.genauth.Calls(path)
		}
		return n
	}
	before := asked()
	for name, origin := range origins {
		for step, form := range forms {
			for _, u := range []session{user, fresh} {
				a := u.do(http.MethodPost, step, formOf(form...), origin).is(http.StatusForbidden, "error.cross_site")
				assert.Empty(t, a.Header.Get("Location"), name)
				assert.NotContains(t, a.html, `name="state"`, name)
			}
		}
	}
	assert.Equal(t, before, asked())
	assert.Equal(t, []genauthtest.FactorType{otp}, s.genauth.Enrolled(user.id))
	assert.Empty(t, s.genauth.Enrolled(fresh.id))
	assert.Empty(t, s.changes())
	own := func(r *http.Request) {
		r.Header.Del("Sec-Fetch-Site")
		r.Header.Set("Origin", "https://"+r.Host)
	}
	fresh.do(http.MethodPost, "/mfa/confirm", formOf(forms["/mfa/confirm"]...), own).is(http.StatusOK, "title.recovery")
	// A link from elsewhere is not a form, and shows what is missing only.
	fresh.do(http.MethodGet, "/mfa?return_to=/admin", nil, origins["cross-site"]).is(http.StatusOK, "title.start")
}
