package enroll_test

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/enroll"
)

// assertBelow checks that all addresses on a page are below a path.
func (a answer) assertBelow(prefix string) {
	a.t.Helper()
	found := addresses.FindAllStringSubmatch(a.html, -1)
	assert.NotEmpty(a.t, found)
	for _, one := range found {
		if address := html.UnescapeString(one[1]); strings.HasPrefix(address, "/") {
			assert.True(a.t, strings.HasPrefix(address, prefix+"/"), one[0])
		}
	}
}

// TestFieldF06PagesBehindAPrefix walks through the pages of an app of which a proxy
// takes /tools off: all that a browser is given has it.
func TestFieldF06PagesBehindAPrefix(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 100)
	s := newSite(t, func(set *setup) {
		set.MFA.ReturnTo.BaseURL = "https://ops.example.com/tools"
		set.Brand = enroll.Brand{Name: "x", LogoPath: "/logo.svg"}
		set.Policy = echomfa.Policy{}
		set.PolicyFunc = func(_ *http.Request, returnTo string) (echomfa.Policy, error) {
			asked <- returnTo
			return echomfa.AnyOf(echomfa.OTP), nil
		}
	})
	user := s.signIn()
	walkBehind(t, user, "/tools", "/tools")
	for len(asked) > 0 {
		assert.Contains(t, []string{"", "/admin?x=1", "/admin"}, <-asked, "as the app registers it")
	}
	for _, back := range []string{"/tools/mfa", "/tools/mfa/x", "/tools/%6dfa", "https://ops.example.com/tools/mfa", "/mfa", "https://ops.example.com/x"} {
		user.post("/mfa/check", "return_to", back).goes("/tools/home")
	}
	user.post("/mfa/check", "return_to", "https://ops.example.com/tools/x").goes("/tools/x")
	user.post("/mfa/check", "return_to", "/x").goes("/tools/x")
	gone := session{site: s}
	w := gone.get("/mfa?return_to=%2Ftools%2Fadmin")
	assert.Equal(t, "/tools/login?return_to=%2Ftools%2Fmfa%3Freturn_to%3D%252Ftools%252Fadmin", w.Header.Get("Location"))
}

// walkBehind enrolls an authenticator app, by what the pages say where to go. What
// is in front of the paths of all of the app may be less than is in front of the
// pages'.
func walkBehind(t *testing.T, user session, pages, app string) {
	t.Helper()
	strip := func(location string) string {
		t.Helper()
		require.True(t, strings.HasPrefix(location, pages+"/mfa"), location)
		return strings.TrimPrefix(location, pages)
	}
	a := user.do(http.MethodGet, "/admin?x=1", nil)
	location := a.Header.Get("Location")
	require.True(t, strings.HasSuffix(location, "?return_to="+url.QueryEscape(app+"/admin?x=1")), location)
	a = user.get(strip(location)).is(http.StatusOK)
	a.assertBelow(pages)
	for _, suffix := range []string{".css", ".js"} {
		user.get(strip(a.link(suffix))).is(http.StatusOK)
	}
	assert.Contains(t, a.html, `action="`+pages+`/mfa/begin"`)
	a = user.post("/mfa/begin", "type", "OTP", "return_to", app+"/admin?x=1").is(http.StatusOK)
	a.assertBelow(pages)
	assert.Contains(t, a.text, `href="`+pages+`/mfa?return_to=`)
	a = user.post("/mfa/confirm", "state", a.state(), "code", user.code(a.secret()), "return_to", app+"/admin?x=1").is(http.StatusOK)
	a.assertBelow(pages)
	user.post("/mfa/done", "state", a.state(), "saved", "yes", "return_to", app+"/admin?x=1").goes(app + "/admin?x=1")
	user.post("/mfa/begin", "return_to", app+"/admin").goes(pages + "/mfa?return_to=" + url.QueryEscape(app+"/admin"))
	user.get("/mfa/begin").goes(pages + "/mfa")
	user.get("/mfa").is(http.StatusOK).assertBelow(pages)
}

// link is an address on a page, by how it ends.
func (a answer) link(suffix string) string {
	a.t.Helper()
	for _, found := range addresses.FindAllStringSubmatch(a.html, -1) {
		if strings.HasSuffix(found[1], suffix) {
			return found[1]
		}
	}
	require.Fail(a.t, "no such link", "%s: %s", suffix, a.html)
	return ""
}

// TestN12PagesUnderStripPrefix has http.StripPrefix around the app, and around the
// pages alone. BasePath may be either path.
func TestN12PagesUnderStripPrefix(t *testing.T) {
	t.Parallel()
	for name, base := range map[string]string{"without it": "/mfa", "with it": "/tools/mfa"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(set *setup) {
				set.BasePath, set.Home = base, "/tools/home"
				set.MFA.EnrollURL, set.MFA.LoginURL = "/tools/mfa", "/tools/login"
			})
			mux := http.NewServeMux()
			mux.Handle("/mfa", s.pages)
			mux.Handle("/mfa/", s.pages)
			mux.Handle("/", s.app)
			s.app = under("/tools", http.StripPrefix("/tools", mux))
			user := s.signIn()
			walkBehind(t, user, "/tools", "/tools")
			for _, back := range []string{"/tools/mfa", "/tools/mfa/x", "/tools/%6dfa", "//evil.example", ""} {
				user.post("/mfa/check", "return_to", back).goes("/tools/home")
			}
			user.post("/mfa/check", "return_to", "/mfa").goes("/mfa") // is another's
		})
	}
}

// TestN12PagesElsewhere are not found where they are not.
func TestN12PagesElsewhere(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn(genauthtest.OTP)
	s.app = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/elsewhere"
		s.pages.ServeHTTP(w, r)
	})
	for _, path := range []string{"/mfa", "/x/elsewhere", "/mfax/elsewhere"} {
		assert.Equal(t, http.StatusNotFound, user.get(path).StatusCode, path)
	}
}

// under puts a path before that of each request, as a browser asks for it.
func under(prefix string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		whole := httptest.NewRequestWithContext(r.Context(), r.Method, prefix+r.RequestURI, r.Body)
		whole.Header = r.Header
		next.ServeHTTP(w, whole)
	})
}

// TestFieldF03FormsOfBaseURLAreTrusted has the form of a page on plain http,
// where browsers send Origin and no Fetch Metadata, behind a proxy that changes the
// Host.
func TestFieldF03FormsOfBaseURLAreTrusted(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.MFA.ReturnTo.BaseURL = "http://portal.test:8080/tools" })
	user := s.signIn()
	for origin, want := range map[string]int{
		"http://portal.test:8080": http.StatusOK, "http://app.internal": http.StatusOK, // its own Host
		"http://evil.example": http.StatusForbidden, "http://portal.test": http.StatusForbidden, "null": http.StatusForbidden,
	} {
		a := user.do(http.MethodPost, "http://app.internal/mfa/begin", formOf("type", "OTP"), func(r *http.Request) {
			r.Header.Del("Sec-Fetch-Site")
			r.Header.Del("Sec-Fetch-Mode")
			r.Header.Set("Origin", origin)
		})
		assert.Equal(t, want, a.StatusCode, origin)
	}
}
