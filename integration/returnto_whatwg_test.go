package integration_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
	"github.com/labstack/echo/v4"
	whatwg "github.com/nlnwa/whatwg-url/url"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	ownOrigin = "https://admin.example.com"
	evil      = "evil.example"
)

// site is this app behind one adapter, with one kind of EnrollURL, and a user
// who has to enroll.
type site struct {
	name     string
	enroll   string // EnrollURL as a browser resolves it
	absolute bool   // it is on another origin
	enforcer *echomfa.Enforcer
	handler  http.Handler
}

func newSites(tb testing.TB) []*site {
	tb.Helper()
	policy := echomfa.AllOf(echomfa.OTP)
	var sites []*site
	for _, cfg := range []echomfa.Config{
		{EnrollURL: "/mfa/enroll?lang=en#top"},
		{EnrollURL: "https://id.example.net:8443/u/mfa?x=1#top", ReturnTo: echomfa.ReturnToConfig{BaseURL: ownOrigin}},
	} {
		cfg.Client, cfg.Namespace, cfg.Audience = echomfa.FactorListerFunc(answertest.Lister), "whatwg", []string{"app"}
		enforcer, err := echomfa.New(cfg)
		require.NoError(tb, err)
		tb.Cleanup(func() { assert.NoError(tb, enforcer.Close()) })
		page := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { tb.Error("the handler ran") })
		app := echo.New()
		app.Use(enforcer.Require(policy))
		app.Any("/*", echo.WrapHandler(page))
		enroll, err := whatwg.ParseRef(ownOrigin, cfg.EnrollURL)
		require.NoError(tb, err)
		s := site{enroll: enroll.Href(false), absolute: cfg.ReturnTo.BaseURL != "", enforcer: enforcer}
		overEcho, overHTTP := s, s
		overEcho.name, overEcho.handler = "Echo, "+cfg.EnrollURL, app
		overHTTP.name, overHTTP.handler = "net/http, "+cfg.EnrollURL, enforcer.Middleware(echomfa.HandlerConfig{Policy: policy})(page)
		sites = append(sites, &overEcho, &overHTTP)
	}
	return sites
}

// request reads a request as net/http's server reads it, or returns nil if that
// answers 400.
func request(target string) *http.Request {
	text := "GET " + target + " HTTP/1.1\r\nHost: admin.example.com\r\n" +
		"Authorization: Bearer " + answertest.NotEnrolled + "\r\n\r\n"
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err != nil || r.Header.Get("Authorization") == "" {
		return nil
	}
	return r
}

// navigate sends a browser to target and follows the redirect. It returns the
// return-to, and whether there was a request and a return-to at all.
func (s *site) navigate(tb testing.TB, target string) (back string, ok bool) {
	tb.Helper()
	r := request(target)
	if r == nil {
		return "", false
	}
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	if w.Code == http.StatusForbidden && strings.TrimSuffix(r.URL.Path, "/") == "/mfa/enroll" {
		return "", false
	}
	require.Equal(tb, http.StatusFound, w.Code, target)
	return s.follow(tb, target, w.Header()["Location"])
}

// htmx has a page at current send a script's request.
func (s *site) htmx(tb testing.TB, current string) (back string, ok bool) {
	tb.Helper()
	r := request("/fragment")
	r.Header.Set("HX-Request", "true")
	r.Header["Hx-Current-Url"] = []string{current}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	require.Equal(tb, http.StatusForbidden, w.Code, current)
	return s.follow(tb, current, w.Header()["Hx-Redirect"])
}

// follow is what a browser makes of the address of a redirect: the enrollment
// page as configured, with no more than a return-to that stays on this origin.
func (s *site) follow(tb testing.TB, target string, locations []string) (back string, ok bool) {
	tb.Helper()
	require.Len(tb, locations, 1, target)
	bases := []string{ownOrigin, ownOrigin + "/a/b/c?d#e"}
	if asked, err := whatwg.ParseRef(ownOrigin, target); err == nil && origin(asked) == ownOrigin {
		bases = append(bases, ownOrigin+asked.Pathname()+asked.Search())
	}
	var page *whatwg.Url
	for _, base := range bases {
		var err error
		page, err = whatwg.ParseRef(base, locations[0])
		require.NoError(tb, err, target)
		var address string
		address, back, ok = takeReturnTo(tb, page)
		require.Equal(tb, s.enroll, address, "%q is sent to another page: %q", target, locations[0])
	}
	if ok {
		s.comeBack(tb, target, page, back)
	}
	return back, ok
}

// takeReturnTo parts an address from its return-to, which is decoded as the
// URL standard decodes forms.
func takeReturnTo(tb testing.TB, u *whatwg.Url) (address, back string, ok bool) {
	tb.Helper()
	var others []string
	for parameter := range strings.SplitSeq(u.Query(), "&") {
		value, is := strings.CutPrefix(parameter, "return_to=")
		if !is {
			others = append(others, parameter)
			continue
		}
		require.False(tb, ok, "two return-tos: %q", u.Query())
		back, ok = formDecode(value), true
	}
	address = u.Protocol() + "//" + u.Username() + u.Password() + u.Host() + u.Pathname() + "?" + strings.Join(others, "&") + u.Hash()
	return address, back, ok
}

// comeBack is what becomes of a return-to, by anybody who uses it: it is resolved
// against the enrollment page and against this app, decoded once more than it
// should be, and the result is resolved again.
func (s *site) comeBack(tb testing.TB, target string, page *whatwg.Url, back string) {
	tb.Helper()
	own, err := whatwg.Parse(ownOrigin + "/mfa/enroll")
	require.NoError(tb, err)
	local := back
	if s.absolute {
		var found bool
		local, found = strings.CutPrefix(back, ownOrigin)
		require.True(tb, found, "%q is not an address of this origin, but of %q", target, back)
		stays(tb, target, page, back)
	}
	require.Equal(tb, local, s.enforcer.ReturnTo(back), "the enrollment page does not take %q", back)
	for reading, last := local, ""; reading != last; last, reading = reading, unescape(reading) {
		u := stays(tb, target, own, reading)
		again := stays(tb, target, own, u.Pathname()+u.Search())
		stays(tb, target, own, unescape(again.Pathname()+again.Search()))
		stays(tb, target, own, u.Href(false))
		stays(tb, target, own, formDecode(reading))
	}
	path, _, _ := strings.Cut(local, "?")
	u, err := own.Parse(local)
	require.NoError(tb, err, target)
	require.Equal(tb, path, u.Pathname(), "a browser reads the path of %q as another", target)
}

// stays resolves a reference, which must lead to this origin. One that cannot
// be resolved leads nowhere: the browser stays where it is.
func stays(tb testing.TB, target string, base *whatwg.Url, reference string) *whatwg.Url {
	tb.Helper()
	u, err := base.Parse(reference)
	if err != nil {
		return base
	}
	if origin(u) != ownOrigin {
		require.Failf(tb, "left this origin", "%q leads to %q by %q", target, u, reference)
	}
	return u
}

func origin(u *whatwg.Url) string { return u.Protocol() + "//" + u.Host() }

// unescape percent-decodes as the URL standard does: what is malformed stays.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b.WriteByte(c[0])
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func formDecode(s string) string { return unescape(strings.ReplaceAll(s, "+", " ")) }

// escape escapes what RFC 3986, section 3.3, does not allow in a path, and
// brackets as little as net/url does. What is escaped already stays as it is.
func escape(path string) string {
	var b strings.Builder
	for _, c := range []byte(path) {
		if c >= 0x80 || c <= ' ' || strings.IndexByte("\"#<>?\\^`{|}\x7f", c) >= 0 {
			_, _ = fmt.Fprintf(&b, "%%%02X", c)
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
