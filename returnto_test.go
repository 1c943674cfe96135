package echomfa_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
)

// TestReturnTo has what is safe to send a browser back to. Good ones are kept
// byte for byte.
func TestReturnTo(t *testing.T) {
	t.Parallel()
	e := newEnforcer(t, echomfa.FactorListerFunc(answertest.Lister), func(c *echomfa.Config) {
		c.ReturnTo.BaseURL = "https://admin.example.com"
	})
	good := []string{
		"/", "/admin", "/admin/", "/a/b.html", "/a/b..c/.d/e.", "/a/...", "/~user/@me:1", "/caf%C3%A9", "/a%20b", "/a+b",
		"/a%2Fb", "/100%25", "/?", "/x?return_to=https://evil.example/", `/x?a=\\b//c/../d`, "/x?a=%00%0d%0a", "/x?a=é",
		"/zebra-Z", "/a%0g/%g0", "/a;b=c,d", "/(a)'!*", "/x?" + strings.Repeat("a", 2557), "/%E4%BD%A0?q=%E5%A5%BD",
		"/;x", "/;", "/a/;/b", "/a/", "/a//", "/a/...//b",
	}
	for _, path := range good {
		assert.Equal(t, path, e.ReturnTo(path), path)
		assert.Equal(t, path, e.ReturnTo("https://admin.example.com"+path), path)
	}
	bad := []string{
		"", "admin", "https://evil.example/", "HTTPS://evil.example", "//evil.example", "///evil.example", `/\evil.example`,
		`\/evil.example`, "/%2fevil.example", "/%2Fevil.example", "/%5cevil.example", "/%255cevil.example", "/%252fevil.example",
		"/%25252525252fevil.example", "/%2%66evil.example", "/%5C", "//", "/%2F",
		"/a/../b", "/a/..", "/..", "/.", "/./a", "/%2e%2e/a", "/a/%2E%2e", "/a/.%2e/b", "/a%/%2e%2e/b",
		// What is left of them without dot segments, for one reader or another.
		"/a/..//evil.example", "/.//evil.example", "/%2e%2e//evil.example", "/a/%2e%2e/%2fevil.example", "/a/..%2f/evil.example",
		"/a%2f..%2f/evil.example", "/a/..%2f%2fevil.example", "/a/..%5c%5cevil.example", "/.%2f/evil.example", "/%252e%252e//evil.example",
		"/a/%252e%252e/%252fevil.example", "/a%2fb/..%2f%2fevil.example", "/a//..%2f/b//..%2f..%2f/evil.example", "/x%2fy/..%2f..%2f/evil.example",
		"/;/evil.example", "/;//evil.example", "/;a=b%2fevil.example", "/a/..;%2f/evil.example", "/%3b/evil.example",
		"/\tevil", "/a\nb", "/a\x00b", "/%09/evil.example", "/a%0d%0aSet-Cookie:x", "/a%0a", "/a%0A", "/a%7f", "/a b", "/a\"b", "/a#b", "/x?a#b", "/x?a\x01",
		"javascript:alert(1)", "/" + strings.Repeat("a", 2560), " /a", "/é",
		"https://admin.example.com", "https://admin.example.com.evil.example/", "https://admin.example.com@evil.example/",
		"https://admin.example.com//evil.example", "http://admin.example.com/", "https://admin.example.com:444/",
	}
	for _, path := range bad {
		assert.Empty(t, e.ReturnTo(path), path)
	}
}

// TestT30ReturnToIsNotMadeFromHeaders shows that nothing a client can set beside
// the request line changes where it is sent.
func TestT30ReturnToIsNotMadeFromHeaders(t *testing.T) {
	t.Parallel()
	e := newEnforcer(t, echomfa.FactorListerFunc(answertest.Lister), func(c *echomfa.Config) {
		c.EnrollURL = "https://id.example/u"
		c.ReturnTo.BaseURL = "https://admin.example.com"
	})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://evil.example/admin?return_to=https://evil.example", nil)
	r.Host = "evil.example"
	for _, name := range []string{"Forwarded", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Original-Url", "X-Forwarded-Prefix", "Origin", "Referer"} {
		r.Header.Set(name, "https://evil.example")
	}
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	withToken(answertest.NotEnrolled)(r)
	w := httptest.NewRecorder()
	e.Handler(echomfa.HandlerConfig{Policy: otp()})(http.NotFoundHandler()).ServeHTTP(w, r)
	assert.Equal(t, "https://id.example/u?return_to=https%3A%2F%2Fadmin.example.com%2Fadmin%3Freturn_to%3Dhttps%3A%2F%2Fevil.example",
		w.Header().Get("Location"))
}

// TestT29ReturnToNamesTheSameAddress has requests whose path net/url would
// write in another way, or that another middleware has changed.
func TestT29ReturnToNamesTheSameAddress(t *testing.T) {
	t.Parallel()
	e := newEnforcer(t, echomfa.FactorListerFunc(answertest.Lister), func(c *echomfa.Config) { c.EnrollURL = "/mfa" })
	for _, test := range []struct{ target, path, want string }{
		{"/a%2Fb|c", "", "/a%2Fb%7Cc"},
		{"/a%2Cb%3B^", "", "/a%2Cb%3B%5E"},
		{"/caf\u00e9%2F", "", "/caf%C3%A9%2F"},
		{"/a|b", "", "/a%7Cb"},
		{"/a%2Fb", "/c/d e", "/c/d%20e"},
		{"/a%2Fb|", "/c", "/c"},
		{"/a?", "", "/a?"},
		{"/a", "", "/a"},
		{`/a%2Fb\c`, "", ""},
		{"/a%2F|/..", "", ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		address, err := url.ParseRequestURI(test.target)
		require.NoError(t, err)
		if r.URL = address; test.path != "" {
			r.URL.Path = test.path
		}
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		withToken(answertest.NotEnrolled)(r)
		w := httptest.NewRecorder()
		e.Handler(echomfa.HandlerConfig{Policy: otp()})(http.NotFoundHandler()).ServeHTTP(w, r)
		location, err := url.Parse(w.Header().Get("Location"))
		require.NoError(t, err)
		assert.Equal(t, "/mfa", location.Path)
		assert.Equal(t, test.want, location.Query().Get("return_to"), test.target)
	}
}

// FuzzReturnTo shows that what passes is a path of the same origin for the
// readers that matter, also when it is resolved or decoded once more, and that
// it is passed on unchanged.
func FuzzReturnTo(f *testing.F) {
	for _, seed := range []string{
		"/", "/admin?page=2", "//evil.example", `/\evil.example`, "/%2f%2fevil", "/a/../b", "/%252e%252e/", "/a%", "/a?b#c", "/\t/x", "/a%2fb",
		"/a/..%2f/evil", "/a/%2F/b", "/a//b", "/a/%5Cb", "/;/evil", "/x%2fy/..%2f%2fevil",
	} {
		f.Add(seed)
	}
	e, err := echomfa.New(echomfa.Config{
		Client: echomfa.FactorListerFunc(answertest.Lister), Namespace: "n", Audience: []string{"a"},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = e.Close() })
	base := &url.URL{Scheme: "https", Host: "admin.example.com", Path: "/mfa"}
	f.Fuzz(func(t *testing.T, value string) {
		got := e.ReturnTo(value)
		if got == "" {
			return
		}
		if got != value {
			t.Fatalf("%q became %q", value, got)
		}
		path, _, _ := strings.Cut(got, "?")
		for range 4 {
			u, err := base.Parse(path)
			if err == nil && (u.Host != base.Host || u.Scheme != base.Scheme || u.User != nil) {
				t.Fatalf("%q leaves the origin as %q", value, u)
			}
			if strings.HasPrefix(path, "//") || strings.HasPrefix(path, `/\`) || strings.ContainsAny(path, "\r\n\t\x00") {
				t.Fatalf("%q becomes %q", value, path)
			}
			if err == nil {
				// Another reader merges slashes, or resolves once more.
				for _, again := range []string{u.EscapedPath(), u.Path, mergeSlashes(path)} {
					if v, err := base.Parse(again); err == nil && v.Host != base.Host {
						t.Fatalf("%q leaves the origin as %q", value, again)
					}
				}
			}
			decoded, err := url.PathUnescape(path)
			if err != nil {
				return
			}
			path = decoded
		}
	})
}

func mergeSlashes(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return path
}

// TestLoginLocation has what a page that asks to sign in needs to know.
func TestLoginLocation(t *testing.T) {
	t.Parallel()
	e := newEnforcer(t, newDirectory(), func(c *echomfa.Config) {
		c.LoginURL, c.ReturnTo.Param = "/login?x=1", "back"
	})
	assert.Equal(t, "back", e.ReturnToParam())
	assert.Equal(t, "/login?x=1&back=%2Fmfa%3Fa%3Db", e.LoginLocation("/mfa?a=b"))
	assert.Equal(t, "/login?x=1", e.LoginLocation("//evil.example"))
	assert.Empty(t, newEnforcer(t, newDirectory(), nil).LoginLocation("/mfa"))
	zero := &echomfa.Enforcer{}
	assert.Equal(t, "return_to", zero.ReturnToParam())
	assert.Empty(t, zero.LoginLocation("/mfa"))
}

// TestPolicies lists what is mounted, each policy once, by whichever adapter.
func TestPolicies(t *testing.T) {
	t.Parallel()
	e := newEnforcer(t, newDirectory(), nil)
	assert.Empty(t, e.Policies())
	e.Require(otp())
	e.Require(otp().Named("again"))
	e.Handler(echomfa.HandlerConfig{Policy: echomfa.AnyOf(echomfa.Face)})
	e.Require(echomfa.Exempt("public"))
	e.Handler(echomfa.HandlerConfig{PolicyFunc: func(*http.Request) (echomfa.Policy, error) { return otp(), nil }})
	got := e.Policies()
	require.Len(t, got, 2)
	assert.True(t, got[0].Equal(otp()))
	assert.True(t, got[1].Equal(echomfa.AnyOf(echomfa.Face)))
	got[0] = echomfa.Policy{}
	assert.True(t, e.Policies()[0].Equal(otp()), "the list is the caller's own")
	assert.Nil(t, (&echomfa.Enforcer{}).Policies())
}
