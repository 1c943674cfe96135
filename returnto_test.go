package echomfa_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
)

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
	e.Middleware(echomfa.HandlerConfig{Policy: otp()})(http.NotFoundHandler()).ServeHTTP(w, r)
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
		e.Middleware(echomfa.HandlerConfig{Policy: otp()})(http.NotFoundHandler()).ServeHTTP(w, r)
		location, err := url.Parse(w.Header().Get("Location"))
		require.NoError(t, err)
		assert.Equal(t, "/mfa", location.Path)
		assert.Equal(t, test.want, location.Query().Get("return_to"), test.target)
	}
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
	e.Middleware(echomfa.HandlerConfig{Policy: echomfa.AnyOf(echomfa.Face)})
	e.Require(echomfa.Exempt("public"))
	e.Middleware(echomfa.HandlerConfig{RequireFunc: func(*http.Request) (echomfa.Requirement, error) {
		return echomfa.Requirement{Policy: otp()}, nil
	}})
	got := e.Policies()
	require.Len(t, got, 2)
	assert.True(t, got[0].Equal(otp()))
	assert.True(t, got[1].Equal(echomfa.AnyOf(echomfa.Face)))
	got[0] = echomfa.Policy{}
	assert.True(t, e.Policies()[0].Equal(otp()), "the list is the caller's own")
	assert.Nil(t, (&echomfa.Enforcer{}).Policies())
}
