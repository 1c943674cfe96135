package echomfa_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
)

const circleMessage = "mfa sends browsers in a circle"

// TestFieldF07CirclesEnd follows redirects as a browser does, with its cookies, to
// pages that send it back at once and change nothing. After a few rounds there is
// a page that says what is wrong, and one line in the log.
func TestFieldF07CirclesEnd(t *testing.T) {
	t.Parallel()
	const signIn = "You were sent to sign in several times, but this page still cannot use your sign-in: "
	tests := map[string]struct {
		cookies []string // what a sign-in that signs in at once sets
		path    string
		status  int
		says    string
		field   string
	}{
		"two cookies": {
			[]string{"session=" + answertest.Enrolled + "; Path=/", "session=stale; Path=/admin"},
			"/admin/users?page=2", 401,
			signIn + "more than one token cookie.", "LoginURL",
		},
		"another app's token": {
			[]string{"session=" + answertest.JWT(map[string]any{"sub": "u", "aud": "other"}) + "; Path=/"},
			"/admin/", 401,
			signIn + "the token is meant for another application.", "LoginURL",
		},
		"refused":   {[]string{"session=token-refused; Path=/"}, "/admin/a;b/c", 401, signIn + "the token was rejected.", "LoginURL"},
		"no cookie": {nil, "/admin/caf%C3%A9", 401, signIn + "no access token.", "LoginURL"},
		"enrollment that does not help": {
			[]string{"session=" + answertest.NotEnrolled + "; Path=/"},
			"/admin", 403,
			"You were sent to set up verification methods several times, but this page still requires one that you have not set up: OTP.", "EnrollURL",
		},
	}
	for name, test := range tests {
		for _, adapter := range []string{"net/http", "Echo"} {
			t.Run(name+", "+adapter, func(t *testing.T) {
				t.Parallel()
				var log bytes.Buffer
				e := table(t, func(c *echomfa.Config) {
					c.EnrollURL, c.LoginURL, c.TokenLookup = "/mfa", "/login", "cookie:session"
					c.Logger = slog.New(slog.NewTextHandler(&log, nil))
				})
				var asked atomic.Int64
				app := httptest.NewServer(circling(e, adapter, test.cookies, &asked))
				defer app.Close()
				jar, err := cookiejar.New(nil)
				require.NoError(t, err)
				browser := &http.Client{Jar: jar, Transport: app.Client().Transport, CheckRedirect: func(_ *http.Request, via []*http.Request) error {
					if len(via) > 20 {
						return errors.New("browsers give up here")
					}
					return nil
				}}
				for round := range 2 {
					r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, app.URL+test.path, nil)
					require.NoError(t, err)
					r.Header.Set("Sec-Fetch-Mode", "navigate")
					answer, err := browser.Do(r)
					require.NoError(t, err, "it ends")
					page, err := io.ReadAll(answer.Body)
					require.NoError(t, err)
					require.NoError(t, answer.Body.Close())
					assert.Equal(t, test.status, answer.StatusCode)
					assert.Contains(t, string(page), "<p>"+strings.ReplaceAll(test.says, "'", "&#39;")+"</p>")
					assert.Contains(t, string(page), `<a href="/`, "the user can go on by hand")
					assert.Contains(t, string(page), "Reference: <code>")
					assert.Contains(t, strings.Join(answer.Header.Values("Vary"), ","), "Cookie")
					if round == 0 {
						assert.LessOrEqual(t, asked.Load(), int64(6))
					}
				}
				assert.Equal(t, 1, strings.Count(log.String(), circleMessage), "once a minute")
				assert.Contains(t, log.String(), `level=ERROR msg="`+circleMessage)
				assert.Contains(t, log.String(), "field="+test.field)
				assert.EqualValues(t, asked.Load(), strings.Count(log.String(), `msg="mfa refused"`), "one line for each refusal")
			})
		}
	}
}

// TestFieldF07CirclesByBothPagesEnd has a circle that leads by the enrollment page and
// the sign-in page in turn: one that signs out, one that signs in.
func TestFieldF07CirclesByBothPagesEnd(t *testing.T) {
	t.Parallel()
	e := table(t, func(c *echomfa.Config) { c.EnrollURL, c.LoginURL, c.TokenLookup = "/mfa", "/login", "cookie:session" })
	session := map[string]string{"/login": "session=" + answertest.NotEnrolled + "; Path=/", "/mfa": "session=; Path=/; Max-Age=0"}
	admin := guarded(t, e)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cookie := session[r.URL.Path]; cookie != "" {
			w.Header().Set("Set-Cookie", cookie)
			http.Redirect(w, r, e.ReturnTo(r.FormValue("return_to")), http.StatusFound) //nolint:contextcheck // it has no context to pass
			return
		}
		admin.ServeHTTP(w, r)
	}))
	defer app.Close()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar, Transport: app.Client().Transport} // it gives up after ten
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, app.URL+"/admin/x", nil)
	require.NoError(t, err)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	answer, err := browser.Do(r)
	require.NoError(t, err, "it ends")
	page, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	assert.Equal(t, http.StatusUnauthorized, answer.StatusCode)
	assert.Contains(t, string(page), "several times")
}

// circling is an app whose sign-in and enrollment send browsers back at once.
func circling(e *echomfa.Enforcer, adapter string, cookies []string, asked *atomic.Int64) http.Handler {
	admin := e.Middleware(echomfa.HandlerConfig{Policy: otp()})(http.NotFoundHandler())
	if adapter == "Echo" {
		router := echo.New()
		router.Any("/*", func(echo.Context) error { return nil }, e.Require(otp()))
		admin = router
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/admin") {
			asked.Add(1)
			admin.ServeHTTP(w, r)
			return
		}
		for _, cookie := range cookies {
			w.Header().Add("Set-Cookie", cookie)
		}
		http.Redirect(w, r, e.ReturnTo(r.URL.Query().Get("return_to")), http.StatusFound) //nolint:contextcheck // it has no context to pass
	})
}

// sentAway sends a browser as often as it is sent away, with the cookies that it
// is given, and returns how often that was.
func sentAway(t *testing.T, h http.Handler, target string, headers ...string) int {
	t.Helper()
	var cookie []string
	for rounds := range 30 {
		w := send(t, h, http.MethodGet, target, append(append([]string{navigation}, headers...), cookie...)...)
		if w.Code != http.StatusFound {
			return rounds
		}
		cookies := w.Result().Cookies()
		if len(cookies) == 1 {
			cookie = []string{"Cookie: " + cookies[0].Name + "=" + cookies[0].Value}
		}
	}
	return 30
}

// TestFieldF07CirclesAreCountedApart has what is not a circle, and how long one is
// remembered in the log.
func TestFieldF07CirclesAreCountedApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		app := guarded(t, table(t, func(c *echomfa.Config) {
			c.EnrollURL, c.LoginURL = "/mfa", "/login"
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		}))
		for i, pause := range []time.Duration{0, time.Second, 58 * time.Second, time.Second} {
			pass(pause)
			assert.Equal(t, 4, sentAway(t, app, "/admin"))
			assert.Equal(t, 4, sentAway(t, app, "/admin", lackingBearer), "sign-in and enrollment are two things")
			assert.Equal(t, 2*[]int{1, 1, 1, 2}[i], strings.Count(log.String(), circleMessage))
		}
	})
	app := browsing(t)
	var cookies []string // of an evening with many tabs
	for tab := range 20 {
		w := send(t, app, http.MethodGet, fmt.Sprintf("/admin/%d", tab), append(cookies, navigation)...)
		assert.Equal(t, http.StatusFound, w.Code)
		cookies = append(cookies, "Cookie: "+w.Result().Cookies()[0].String())
	}
	assert.Equal(t, 30, sentAway(t, app, "/admin", "Sec-Purpose: prefetch;prerender"), "nobody has asked for it yet")
	for range 10 {
		w := send(t, app, http.MethodPost, "/admin", navigation)
		assert.Equal(t, http.StatusSeeOther, w.Code)
		assert.Empty(t, w.Result().Cookies(), "nobody posts a form by itself")
	}
}

// TestFieldF07CirclesBehindAPrefixEnd goes round below a prefix that a proxy takes off
// and that the app does not know of.
func TestFieldF07CirclesBehindAPrefixEnd(t *testing.T) {
	t.Parallel()
	e := table(t, func(c *echomfa.Config) {
		c.EnrollURL, c.LoginURL, c.TokenLookup = "/tools/mfa", "/tools/login", "cookie:session"
	})
	mux := http.NewServeMux()
	mux.Handle("/admin/", e.Middleware(echomfa.HandlerConfig{Policy: echomfa.AnyOf(echomfa.OTP)})(http.NotFoundHandler()))
	mux.Handle("/login", http.RedirectHandler("/tools/admin/users", http.StatusSeeOther))
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.URL.Path = strings.TrimPrefix(r.URL.Path, "/tools")
		r.RequestURI = strings.TrimPrefix(r.RequestURI, "/tools")
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(app.Close)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar, Transport: app.Client().Transport} // it gives up after ten
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, app.URL+"/tools/admin/users", nil)
	require.NoError(t, err)
	r.Header.Set("Accept", "text/html")
	answer, err := browser.Do(r)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	assert.Equal(t, http.StatusUnauthorized, answer.StatusCode)
}

// TestFieldF07TheCookie has what its attributes are, and that whatever a client makes
// of it, the answer is the redirect or the page.
func TestFieldF07TheCookie(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/admin/users?page=2", "/a%2Fb", "https://app.example/x"} {
		w := send(t, browsing(t), http.MethodGet, target, navigation)
		require.Len(t, w.Result().Cookies(), 1, target)
		cookie := w.Result().Cookies()[0]
		assert.Equal(t, "/", cookie.Path, target)
		assert.Equal(t, strings.HasPrefix(target, "https:"), strings.HasPrefix(cookie.Name, "__Host-"), target)
		assert.Equal(t, 30, cookie.MaxAge)
		assert.True(t, cookie.HttpOnly)
		assert.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
		assert.Equal(t, strings.HasPrefix(target, "https:"), cookie.Secure, target)
	}
	behindProxy := guarded(t, table(t, func(c *echomfa.Config) {
		c.LoginURL, c.ReturnTo.BaseURL = "/login", "https://app.example"
	}))
	cookie := send(t, behindProxy, http.MethodGet, "/", navigation).Result().Cookies()[0]
	assert.True(t, cookie.Secure)
	assert.Equal(t, http.StatusUnauthorized, send(t, behindProxy, http.MethodGet, "/", navigation, "Cookie: "+cookie.Name+"=4").Code)
	planted := strings.TrimPrefix(cookie.Name, "__Host-") + "=4" // as another host of the domain can
	assert.Equal(t, http.StatusFound, send(t, behindProxy, http.MethodGet, "/", navigation, "Cookie: "+planted).Code)

	name := send(t, browsing(t), http.MethodGet, "/", navigation).Result().Cookies()[0].Name + "="
	for forged, code := range map[string]int{
		name: 302, name + "x": 302, name + "0": 302, name + "-1": 302, name + "10": 302, name + "4x": 302, "echomfa_round_=9": 302,
		name + "3": 302, name + "4": 401, name + "9": 401, name + `"4"`: 401, name + "1; " + name + "4": 401,
		name + strings.Repeat("9", 64<<10): 302,
	} {
		assert.Equal(t, code, send(t, browsing(t), http.MethodGet, "/", navigation, "Cookie: "+forged).Code, forged)
	}
}

// TestNoLoopWhateverTheHost shows that the enrollment page is not sent to itself
// behind a proxy that changes the Host, nor for a port that goes without saying.
func TestNoLoopWhateverTheHost(t *testing.T) {
	t.Parallel()
	for _, enrollURL := range []string{"https://app.example.com/mfa", "https://app.example.com:443/mfa", "https://APP.example.com/mfa"} {
		e := table(t, func(c *echomfa.Config) {
			c.EnrollURL, c.ReturnTo.BaseURL = enrollURL, "https://app.example.com"
		})
		for _, host := range []string{"app.example.com", "app.example.com:443", "internal:8080"} {
			w := send(t, guarded(t, e), http.MethodGet, "https://"+host+"/mfa?x=1", lackingBearer, navigation)
			assert.Equal(t, http.StatusForbidden, w.Code, "%s %s", enrollURL, host)
		}
		w := send(t, guarded(t, e), http.MethodGet, "https://internal:8080/admin", lackingBearer, navigation)
		assert.Equal(t, enrollURL+"?return_to=%2Fadmin", w.Header().Get("Location"), "its own origin needs no more than a path")
	}
	for _, base := range []string{"http://app.example.com", "http://app.example.com:80"} {
		e := table(t, func(c *echomfa.Config) { c.EnrollURL, c.ReturnTo.BaseURL = "http://app.example.com/mfa", base })
		w := send(t, guarded(t, e), http.MethodGet, "/mfa", lackingBearer, navigation)
		assert.Equal(t, http.StatusForbidden, w.Code, base)
	}
	elsewhere := table(t, func(c *echomfa.Config) {
		c.EnrollURL, c.ReturnTo.BaseURL = "https://enroll.example.com/mfa", "https://app.example.com"
	})
	w := send(t, guarded(t, elsewhere), http.MethodGet, "https://app.example.com/mfa", lackingBearer, navigation)
	assert.Equal(t, http.StatusFound, w.Code, "another origin's /mfa is another page")
}
