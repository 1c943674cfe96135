package echomfa_test

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
)

// returnToOf is the return-to in an address, which must be that of a page.
func returnToOf(t *testing.T, location, page string) string {
	t.Helper()
	u, err := url.Parse(location)
	require.NoError(t, err)
	back := u.Query().Get("return_to")
	u.RawQuery = ""
	assert.Equal(t, page, u.String())
	return back
}

// behindPrefix is an app behind a proxy that takes /tools off.
func behindPrefix(t *testing.T, change func(*echomfa.Config)) *echomfa.Enforcer {
	t.Helper()
	return table(t, func(c *echomfa.Config) {
		c.EnrollURL, c.LoginURL, c.ReturnTo.BaseURL = "/mfa", "/login?x=1#top", "https://ops.example.com/tools/"
		if change != nil {
			change(c)
		}
	})
}

// TestFieldF06RedirectsHaveThePrefix has an app whose paths a proxy makes shorter:
// browsers are sent to addresses that they can reach.
func TestFieldF06RedirectsHaveThePrefix(t *testing.T) {
	t.Parallel()
	app := guarded(t, behindPrefix(t, nil))
	for _, row := range []struct{ target, header, value, want string }{
		{"/admin?page=2", navigation, "", "/tools/mfa?return_to=%2Ftools%2Fadmin%3Fpage%3D2"},
		{"/", navigation, "", "/tools/mfa?return_to=%2Ftools%2F"},
		{"/a%2Fb", navigation, "", "/tools/mfa?return_to=%2Ftools%2Fa%252Fb"},
		{"/tools/x", navigation, "", "/tools/mfa?return_to=%2Ftools%2Ftools%2Fx"},
		{"//evil.example", navigation, "", "/tools/mfa"},
		{"/api", "HX-Request: true", "https://ops.example.com/tools/admin?x=1#y", "/tools/mfa?return_to=%2Ftools%2Fadmin%3Fx%3D1"},
		{"/api", "HX-Request: true", "https://ops.example.com/tools", "/tools/mfa?return_to=%2Ftools%2F"},
		{"/api", "HX-Request: true", "https://ops.example.com/other/admin", "/tools/mfa"},
		{"/api", "HX-Request: true", "https://ops.example.com/toolsmith", "/tools/mfa"},
		{"/api", "HX-Request: true", "https://ops.example.com/tools//evil.example", "/tools/mfa"},
	} {
		w := send(t, app, http.MethodGet, row.target, lackingBearer, row.header, "HX-Current-URL: "+row.value)
		assert.Equal(t, row.want, w.Header().Get("Location")+w.Header().Get("HX-Redirect"), row)
	}
	w := send(t, app, http.MethodPost, "/admin", lackingBearer, navigation)
	assert.Equal(t, "/tools/mfa", w.Header().Get("Location"))
	w = send(t, app, http.MethodGet, "/admin", navigation)
	assert.Equal(t, "/tools/login?x=1&return_to=%2Ftools%2Fadmin#top", w.Header().Get("Location"))
	w = send(t, app, http.MethodGet, "/admin", lackingBearer)
	assert.Contains(t, w.Body.String(), `"enroll_url":"/tools/mfa"`)
	for _, target := range []string{"/mfa", "/mfa/", "/mfa?x"} { // the page itself
		assert.Equal(t, 403, send(t, app, http.MethodGet, target, lackingBearer, navigation).Code, target)
	}
	assert.Equal(t, 302, send(t, app, http.MethodGet, "/tools/mfa", lackingBearer, navigation).Code, "is not the page itself")
}

// TestFieldF06EnrollURLIsAbsolute has the app's own pages by their whole address, and
// another app on the same origin.
func TestFieldF06EnrollURLIsAbsolute(t *testing.T) {
	t.Parallel()
	for enroll, row := range map[string]struct {
		own  bool
		want string
	}{
		"https://ops.example.com/tools/mfa":     {true, "/tools/admin"},
		"https://OPS.example.com:443/tools/mfa": {true, "/tools/admin"},
		"https://ops.example.com/mfa":           {false, "/tools/admin"},
		"https://ops.example.com/toolsmith/mfa": {false, "/tools/admin"},
		"https://id.example.com/tools/mfa":      {false, "https://ops.example.com/tools/admin"},
	} {
		app := guarded(t, behindPrefix(t, func(c *echomfa.Config) { c.EnrollURL = enroll }))
		w := send(t, app, http.MethodGet, "/admin", lackingBearer, navigation)
		assert.Equal(t, row.want, returnToOf(t, w.Header().Get("Location"), enroll))
		want := map[bool]int{true: 403, false: 302}[row.own]
		assert.Equal(t, want, send(t, app, http.MethodGet, "/mfa", lackingBearer, navigation).Code, enroll)
	}
}

// TestFieldF06ReturnToComesBack has the values that pages are given, with the prefix or
// without it.
func TestFieldF06ReturnToComesBack(t *testing.T) {
	t.Parallel()
	e := behindPrefix(t, nil)
	for value, want := range map[string]string{
		"/tools/admin?x=1": "/tools/admin?x=1", "https://ops.example.com/tools/admin": "/tools/admin", "/tools": "/tools/", "/tools?x": "/tools/?x",
		"https://ops.example.com/tools": "/tools/", "/admin": "/tools/admin", "/toolsmith": "/tools/toolsmith", "/tools/tools/x": "/tools/tools/x",
		"/tools//evil.example": "", "//evil.example": "", "/tools/../x": "", "/tools/%2fevil.example": "", `/tools\evil.example`: "", "/tools#x": "",
		"https://ops.example.com/admin": "", "https://ops.example.com": "", "https://ops.example.com/toolsmith": "",
		"https://ops.example.com.evil.example/tools/": "", "https://ops.example.com@evil.example/tools/": "", "": "",
	} {
		assert.Equal(t, want, e.ReturnTo(value), value)
		assert.Equal(t, want, e.ReturnTo(want), "what is checked twice stays")
	}
	assert.Equal(t, "/tools/login?x=1&return_to=%2Ftools%2Fadmin#top", e.LoginLocation("/admin"))
	assert.Equal(t, "/tools/login?x=1&return_to=%2Ftools%2Fadmin#top", e.LoginLocation("/tools/admin"))
	assert.Equal(t, "/tools/x", e.Address("/x", ""))
	assert.Equal(t, "/tools/x?return_to=%2Ftools%2Fadmin", e.Address("/x", "/admin"))
	assert.Equal(t, "/tools/x", e.Address("/x", "//evil.example"))
	assert.Equal(t, "https://ops.example.com", e.Origin())

	root := table(t, nil)
	assert.Equal(t, "/x", root.Address("/x", ""))
	assert.Empty(t, root.Origin())
	zero := &echomfa.Enforcer{}
	assert.Equal(t, "/x", zero.Address("/x", "/y"))
	assert.Empty(t, zero.Origin())
}

// TestFieldF06BaseURLAsBrowsersWriteIt compares with what browsers send, whichever way
// the address is written, and refuses what they never send.
func TestFieldF06BaseURLAsBrowsersWriteIt(t *testing.T) {
	t.Parallel()
	for base, origin := range map[string]string{
		"https://ops.example.com":         "https://ops.example.com",
		"https://OPS.Example.com/tools":   "https://ops.example.com",
		"HTTPS://ops.example.com":         "https://ops.example.com",
		"https://ops.example.com:443":     "https://ops.example.com",
		"http://ops.example.com:80/tools": "http://ops.example.com",
		"http://ops.example.com:443":      "http://ops.example.com:443",
		"https://ops.example.com:/":       "https://ops.example.com",
		"https://ops.example.com:8443":    "https://ops.example.com:8443",
		"https://[::1]:443/tools":         "https://[::1]",
		"https://[::1]":                   "https://[::1]",
		"https://ops.example.com:0":       "",
		"https://ops.example.com:99999":   "",
		"https://b\u00fccher.example":     "",
		"https://*.example.com":           "",
		"https://a.example,b.example":     "",
	} {
		e, err := echomfa.New(echomfa.Config{
			Client: echomfa.FactorListerFunc(answertest.Lister), Namespace: "n", Audience: []string{"app"},
			ReturnTo: echomfa.ReturnToConfig{BaseURL: base},
		})
		if origin == "" {
			require.ErrorContains(t, err, "ReturnTo.BaseURL", base)
			continue
		}
		require.NoError(t, err, base)
		assert.Equal(t, origin, e.Origin(), base)
		want := e.Address("/x", "")
		assert.Equal(t, want, e.ReturnTo(origin+want), base)
		assert.NoError(t, e.Close())
	}
}

// stripped is what takes a part off the path of a request before it is guarded.
func stripped(t *testing.T, e *echomfa.Enforcer) map[string]http.Handler {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/", guarded(t, e))
	nested := http.NewServeMux()
	nested.Handle("/b/", http.StripPrefix("/b", mux))
	inside := echo.New()
	inside.Group("", e.Require(otp())).GET("/*", func(echo.Context) error { return nil })
	outside := echo.New()
	outside.Any("/tools/*", echo.WrapHandler(http.StripPrefix("/tools", mux)))
	rewriting := echo.New()
	rewriting.Pre(middleware.Rewrite(map[string]string{"/old/*": "/new/$1", "/id/*/x": "/admin?id=$1"}))
	rewriting.Any("/*", echo.WrapHandler(mux))
	return map[string]http.Handler{
		"StripPrefix": http.StripPrefix("/tools", mux), "a slash less": http.StripPrefix("/tools/", guarded(t, e)),
		"nested": http.StripPrefix("/a", nested), "Echo inside": http.StripPrefix("/tools", inside), "Echo outside": outside,
		"rewriting": rewriting, "nothing": mux,
		"a path of its own": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path, r.URL.RawPath = "/n", ""
			mux.ServeHTTP(w, r)
		}),
		"a query of its own": http.StripPrefix("/tools", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.RawQuery = "a=b"
			mux.ServeHTTP(w, r)
		})),
	}
}

// TestN12StripPrefix comes back to the address that the browser asked for where
// net/http keeps it, and otherwise to what the handler was given.
func TestN12StripPrefix(t *testing.T) {
	t.Parallel()
	handlers := stripped(t, table(t, func(c *echomfa.Config) { c.EnrollURL = "/mfa" }))
	for _, row := range []struct{ handler, target, want string }{
		{"StripPrefix", "/tools/admin?x=1", "/tools/admin?x=1"},
		{"StripPrefix", "/tools/admin?", "/tools/admin?"},
		{"StripPrefix", "/tools/", "/tools/"},
		{"StripPrefix", "/tools/a%2Fb", "/tools/a%2Fb"},
		{"StripPrefix", "/tools/a|b/caf%C3%A9", "/tools/a%7Cb/caf%C3%A9"},
		{"StripPrefix", "/tools/a%2F|b", "/tools/a%2F%7Cb"},
		{"StripPrefix", "http://proxy.example/tools/admin?x=1", "/tools/admin?x=1"},
		{"a slash less", "/tools/admin?x=1", "/tools/admin?x=1"},
		{"nested", "/a/b/admin?x=1", "/a/b/admin?x=1"},
		{"Echo inside", "/tools/admin?x=1", "/tools/admin?x=1"},
		{"Echo outside", "/tools/admin?x=1", "/tools/admin?x=1"},
		{"nothing", "/admin?x=1", "/admin?x=1"},
		{"nothing", "http://evil.example/admin?x=1", "/admin?x=1"},
		// These are not prefixes.
		{"rewriting", "/old/admin?x=1", "/new/admin?x=1"},
		{"rewriting", "/id/7/x", "/admin?id=7"},
		{"a path of its own", "/admin", "/n"},
		{"a path of its own", "/admin/n", "/admin/n"}, // it might as well be one
		{"a query of its own", "/tools/admin?x=1", "/admin?a=b"},
	} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + row.target + " HTTP/1.1\r\nHost: x\r\n" + lackingBearer + "\r\n" + navigation + "\r\n\r\n")))
		require.NoError(t, err)
		w := httptest.NewRecorder()
		handlers[row.handler].ServeHTTP(w, r)
		assert.Equal(t, row.want, returnToOf(t, w.Header().Get("Location"), "/mfa"), row)
	}
}

// TestN12RequestURI has what else may be there, and what does not fit the path.
func TestN12RequestURI(t *testing.T) {
	t.Parallel()
	const base = "https://app.example.com"
	for _, row := range []struct{ uri, path, base, want string }{
		{"", "/admin", "", "/admin"},
		{"*", "/admin", "", "/admin"},
		{"*", "*", "", ""},
		{"app.example.com:443", "/admin", "", "/admin"},
		{"/tools/admin", "/admin", "", "/tools/admin"},
		{"/tools/admin", "/admin", base, "/tools/admin"},
		{"/tools/admin", "/admin", base + "/t", "/t/admin"},
		{"/tools/admin", "", "", "/tools/admin"},
		{"/tools", "", "", "/tools"},
		{"/toolsadmin", "admin", "", ""},
		{"/tools/admin", "/other", "", "/other"},
		{"//evil.example/admin", "/admin", "", "/admin"},
		{"/%2fevil.example/admin", "/admin", "", "/admin"},
		{"/../admin", "/admin", "", "/admin"},
		{"/tools/..%2f/admin", "/admin", "", "/admin"},
		{`/\evil.example/admin`, "/admin", "", "/admin"},
		{"https://evil.example/tools/admin", "/admin", "", "/tools/admin"},
		{"https://evil.example//tools/admin", "/admin", "", "/admin"},
		{"/tools/%61dmin", "/admin", "", "/admin"},
	} {
		e := table(t, func(c *echomfa.Config) {
			c.EnrollURL = "/mfa"
			if row.base != "" {
				c.EnrollURL, c.ReturnTo.BaseURL = "https://id.example.com/mfa", row.base
			}
		})
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RequestURI, r.URL = row.uri, &url.URL{Path: row.path}
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		withToken(answertest.NotEnrolled)(r)
		w := httptest.NewRecorder()
		guarded(t, e).ServeHTTP(w, r)
		location, err := url.Parse(w.Header().Get("Location"))
		require.NoError(t, err)
		want := row.want
		if row.base != "" {
			want = base + want
		}
		assert.Equal(t, want, location.Query().Get("return_to"), row)
	}
}

// TestN12NoLoop has the enrollment page guarded by mistake, below a prefix.
func TestN12NoLoop(t *testing.T) {
	t.Parallel()
	app := http.StripPrefix("/tools", guarded(t, table(t, func(c *echomfa.Config) { c.EnrollURL = "/tools/mfa" })))
	assert.Equal(t, 403, send(t, app, http.MethodGet, "/tools/mfa?x", lackingBearer, navigation).Code)
	assert.Equal(t, 302, send(t, app, http.MethodGet, "/tools/admin", lackingBearer, navigation).Code)
}

// TestN12AnotherPageOfThatName has pages below a prefix that are named as the sign-in
// and the enrollment page are: they are guarded as all others, and nothing is wrong.
func TestN12AnotherPageOfThatName(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	e := table(t, func(c *echomfa.Config) {
		c.EnrollURL, c.LoginURL, c.Logger = "/mfa", "/login", slog.New(slog.NewTextHandler(&log, nil))
	})
	app := http.StripPrefix("/admin", guarded(t, e))
	for _, path := range []string{"/admin/login", "/admin/mfa", "/admin/mfa/"} {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + path + " HTTP/1.1\r\nHost: x\r\n" + navigation + "\r\n\r\n")))
		require.NoError(t, err)
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		assert.Equal(t, path, returnToOf(t, w.Header().Get("Location"), "/login"))
	}
	assert.NotContains(t, log.String(), "is itself guarded")
}

// TestN12OverHTTP2 asks over the protocol whose requests have no request line.
func TestN12OverHTTP2(t *testing.T) {
	t.Parallel()
	e := table(t, func(c *echomfa.Config) { c.EnrollURL = "/mfa" })
	server := httptest.NewUnstartedServer(http.StripPrefix("/tools", guarded(t, e)))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/tools/admin?x=1", nil)
	require.NoError(t, err)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	withToken(answertest.NotEnrolled)(r)
	res, err := server.Client().Transport.RoundTrip(r)
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, 2, res.ProtoMajor)
	assert.Equal(t, "/tools/admin?x=1", returnToOf(t, res.Header.Get("Location"), "/mfa"))
}
