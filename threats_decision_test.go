package echomfa_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
)

// send sends one request to a handler, its headers given as "Name: value".
func send(t *testing.T, h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	for _, line := range headers {
		key, value, _ := strings.Cut(line, ": ")
		r.Header.Add(key, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// guarded is an Echo app in which every address needs OTP. Its handler must only
// run for the token answertest.Enrolled.
func guarded(t *testing.T, e *echomfa.Enforcer) http.Handler {
	t.Helper()
	app := echo.New()
	app.Use(e.Require(otp()))
	app.RouteNotFound("/*", func(c echo.Context) error { return c.String(http.StatusOK, "secret page") })
	return app
}

const (
	enrolledBearer = "Authorization: Bearer " + answertest.Enrolled
	lackingBearer  = "Authorization: Bearer " + answertest.NotEnrolled
)

// TestT01OnlyTheDeclaredSourceIsRead shows that a second credential, wherever it
// is, neither lets anybody through nor takes part.
func TestT01OnlyTheDeclaredSourceIsRead(t *testing.T) {
	t.Parallel()
	header := guarded(t, table(t, nil))
	cookie := guarded(t, table(t, func(c *echomfa.Config) { c.TokenLookup = "cookie:session" }))
	rows := map[string]struct {
		app     http.Handler
		target  string
		headers []string
		want    int
	}{
		"a cookie beside the header":       {header, "/", []string{lackingBearer, "Cookie: session=" + answertest.Enrolled}, 403},
		"a header beside the cookie":       {cookie, "/", []string{enrolledBearer, "Cookie: session=" + answertest.NotEnrolled}, 403},
		"a token in the query":             {header, "/?access_token=" + answertest.Enrolled, nil, 401},
		"a token in the query beside":      {header, "/?access_token=" + answertest.Enrolled, []string{lackingBearer}, 403},
		"two headers, the good one first":  {header, "/", []string{enrolledBearer, lackingBearer}, 401},
		"two headers, the good one last":   {header, "/", []string{lackingBearer, enrolledBearer}, 401},
		"the same header twice":            {header, "/", []string{enrolledBearer, enrolledBearer}, 401},
		"two cookies of the name":          {cookie, "/", []string{"Cookie: session=" + answertest.Enrolled + "; session=" + answertest.NotEnrolled}, 401},
		"a comma list":                     {header, "/", []string{enrolledBearer + ", Bearer " + answertest.NotEnrolled}, 401},
		"the proxy's header":               {header, "/", []string{"Proxy-Authorization: Bearer " + answertest.Enrolled}, 401},
		"the declared source, to be sure":  {header, "/", []string{enrolledBearer}, 200},
		"the declared cookie, to be sure":  {cookie, "/", []string{"Cookie: session=" + answertest.Enrolled}, 200},
		"hop-by-hop header named (F48)":    {header, "/", []string{lackingBearer, "Connection: Authorization, Cookie"}, 403},
		"hop-by-hop header, enrolled user": {header, "/", []string{enrolledBearer, "Connection: Authorization"}, 200},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, row.want, send(t, row.app, http.MethodGet, row.target, row.headers...).Code)
		})
	}
}

// TestT01IdentityCheckedIsTheIdentityServed shows that with Subject set, a token
// of somebody else, or of nobody, is refused without a call.
func TestT01IdentityCheckedIsTheIdentityServed(t *testing.T) {
	t.Parallel()
	mine := answertest.JWT(map[string]any{"sub": "me", "aud": "app"})
	others := answertest.JWT(map[string]any{"sub": "you", "aud": "app"})
	d := newDirectory()
	for _, token := range []string{mine, others, "opaque"} {
		d.enroll(token, echomfa.OTP)
	}
	cfg := echomfa.MiddlewareConfig{
		Enforcer: newEnforcer(t, d, nil),
		Policy:   otp(),
		Subject:  func(echo.Context) (string, error) { return "me", nil },
	}
	assert.Equal(t, 401, serve(t, cfg, withToken(others)).Code)
	assert.Equal(t, 401, serve(t, cfg, withToken("opaque")).Code)
	assert.Zero(t, d.total())
	assert.Equal(t, 200, serve(t, cfg, withToken(mine)).Code)
}

// TestT04EveryRouteAsksForATokenOrIsListedAsOpen is how an application finds the
// door that nobody guards: it asks each of its own routes without a token.
func TestT04EveryRouteAsksForATokenOrIsListedAsOpen(t *testing.T) {
	t.Parallel()
	e := table(t, nil)
	app := echo.New()
	ok := func(c echo.Context) error { return c.NoContent(http.StatusOK) }
	app.GET("/healthz", ok)
	admin := app.Group("/admin", e.Require(otp()))
	admin.GET("/users/:id", ok)
	admin.DELETE("/users/:id", ok)
	app.Match([]string{http.MethodGet, http.MethodPost}, "/api/admin", ok, e.Require(otp()))
	app.GET("/forgotten", ok)

	var open []string
	for _, route := range app.Routes() {
		target := strings.NewReplacer(":id", "1", "*", "x").Replace(route.Path)
		if send(t, app, route.Method, target).Code != http.StatusUnauthorized {
			open = append(open, route.Method+" "+route.Path)
		}
	}
	assert.ElementsMatch(t, []string{"GET /healthz", "GET /forgotten"}, open)
}

// TestT05NoHeaderSwitchesTheCheckOff tries the headers that opened other doors.
func TestT05NoHeaderSwitchesTheCheckOff(t *testing.T) {
	t.Parallel()
	app := guarded(t, table(t, nil))
	for _, header := range []string{
		"X-Middleware-Subrequest: middleware:middleware:middleware", "User-Agent: GoogleHC/1.0", "User-Agent: kube-probe/1.30",
		"User-Agent: ELB-HealthChecker/2.0", "X-Original-URL: /healthz", "X-Rewrite-URL: /healthz", "X-Original-URI: /healthz",
		"X-Forwarded-Uri: /healthz", "X-Forwarded-Path: /healthz", "X-Forwarded-Host: localhost", "X-Forwarded-For: 127.0.0.1",
		"X-Real-Ip: 127.0.0.1", "X-Forwarded-Proto: https", "X-Forwarded-Method: OPTIONS", "X-HTTP-Method-Override: OPTIONS",
		"X-Forwarded-User: admin", "X-Auth-Request-User: admin", "X-Enrolled: OTP", "Purpose: prefetch", "Upgrade: websocket",
		"Access-Control-Request-Method: GET", "Cache-Control: no-cache", "Forwarded: for=127.0.0.1;host=localhost",
	} {
		assert.Equal(t, 401, send(t, app, http.MethodGet, "/admin", header).Code, header)
		assert.Equal(t, 403, send(t, app, http.MethodGet, "/admin", header, lackingBearer).Code, header)
		assert.Equal(t, 401, send(t, app, http.MethodOptions, "/admin", header).Code, header)
	}
}

// TestT06AndT07SkipRoutesComparesRoutes shows that no spelling of an address reaches a
// guarded handler, or makes a guarded route one of the skipped.
func TestT06AndT07SkipRoutesComparesRoutes(t *testing.T) {
	t.Parallel()
	e := table(t, nil)
	app := echo.New()
	app.Use(echomfa.WithConfig(echomfa.MiddlewareConfig{
		Enforcer: e, Policy: otp(), Skipper: echomfa.SkipRoutes("/public/*", "/mfa"),
	}))
	page := func(text string) echo.HandlerFunc {
		return func(c echo.Context) error { return c.String(http.StatusOK, text) }
	}
	app.GET("/public/*", page("public"))
	app.GET("/mfa", page("public"))
	app.GET("/admin", page("secret"))
	app.GET("/admin/*", page("secret"))
	app.GET("/public/admin", page("secret")) // a prefix of an address is not its route
	app.GET("/mfa/admin", page("secret"))
	app.GET("/:any/mfa", page("secret"))
	assert.Equal(t, 200, send(t, app, http.MethodGet, "/public/a").Code)
	assert.Equal(t, 200, send(t, app, http.MethodGet, "/mfa").Code)

	spellings := 0
	for _, lead := range []string{"", "/", "/public", "/mfa", "/public/..", "/public/.", "/./", "/%2e", "/public%2f..", "/mfa/..", "/mfa;", "/;/public"} {
		for _, name := range []string{"/admin", "/Admin", "/%61dmin", "/admin/", "//admin", "/admin;x", "/admin%2f", "/admin%00", "/admin/../public/x", "/admin/public/"} {
			for _, tail := range []string{"", "/", "?/public/x", "?return_to=/mfa", "/mfa", "/..", "/%2e%2e/public", "#/public", "/public/"} {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
				if err := setTarget(r, lead+name+tail); err != nil {
					continue // net/http's server would not take it either
				}
				spellings++
				w := httptest.NewRecorder()
				app.ServeHTTP(w, r)
				assert.NotContains(t, w.Body.String(), "secret", r.RequestURI)
			}
		}
	}
	assert.Greater(t, spellings, 500)
}

// setTarget gives a request the target as it stands on the request line.
func setTarget(r *http.Request, target string) error {
	parsed, err := url.ParseRequestURI(target)
	if err != nil {
		return err
	}
	r.URL, r.RequestURI = parsed, target
	return nil
}

// TestT08EveryMethodGetsTheVerdict has no exception for preflights, HEAD or
// methods that nobody has heard of.
func TestT08EveryMethodGetsTheVerdict(t *testing.T) {
	t.Parallel()
	app := guarded(t, table(t, nil))
	for _, method := range []string{
		"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "FOO", "GETX",
	} {
		denied := send(t, app, method, "/admin", lackingBearer)
		assert.Equal(t, 403, denied.Code, method)
		assert.Equal(t, method == "HEAD", denied.Body.Len() == 0, method)
		assert.Equal(t, 401, send(t, app, method, "/admin").Code, method)
		assert.Equal(t, 200, send(t, app, method, "/admin", enrolledBearer).Code, method)
	}
}

// TestT09RefusalEndsTheChain shows that whatever an ErrorHandler does, the
// handler does not run.
func TestT09RefusalEndsTheChain(t *testing.T) {
	t.Parallel()
	for name, handle := range map[string]func(echo.Context, error) error{
		"writes nothing":    func(echo.Context, error) error { return nil },
		"writes 200":        func(c echo.Context, _ error) error { return c.String(http.StatusOK, "fine") },
		"returns the error": func(_ echo.Context, err error) error { return err },
		"panics":            func(echo.Context, error) error { panic("handler") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, token := range []string{answertest.NotEnrolled, "token-unavailable", "token-panicking", "token-refused"} {
				cfg := echomfa.MiddlewareConfig{Enforcer: table(t, nil), Policy: otp(), ErrorHandler: handle}
				assert.False(t, serve(t, cfg, withToken(token)).ran, token)
			}
		})
	}
	assert.NotEqual(t, echomfa.Allowed, echomfa.Decision{}.Outcome, "the zero value refuses")
}

// TestT11TroubleDoesNotOpenTheDoor has every kind of failure, for a user of whom
// nothing is known and for one whose facts have grown old, with StaleIfError on
// and off.
func TestT11TroubleDoesNotOpenTheDoor(t *testing.T) {
	t.Parallel()
	failures := map[string]struct {
		err   error
		stale bool // older facts may stand in
		want  echomfa.Outcome
	}{
		"unavailable":     {client.ErrUnavailable, true, echomfa.Unavailable},
		"rate limited":    {client.ErrRateLimited, true, echomfa.Unavailable},
		"malformed":       {client.ErrMalformed, true, echomfa.Unavailable},
		"unknown":         {errors.New("new"), true, echomfa.Unavailable},
		"misconfigured":   {client.ErrMisconfigured, false, echomfa.Unavailable},
		"unauthenticated": {client.ErrUnauthenticated, false, echomfa.Unauthenticated},
	}
	for name, row := range failures {
		for _, staleIfError := range []time.Duration{0, 2 * time.Minute} {
			t.Run(fmt.Sprint(name, staleIfError), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					d := newDirectory()
					d.enroll("warm", echomfa.OTP)
					d.enroll("lacking")
					d.enroll("cold", echomfa.OTP)
					e := newEnforcer(t, d, func(c *echomfa.Config) { c.Cache.StaleIfError = staleIfError })
					decide(t, e, "warm", otp())
					decide(t, e, "lacking", otp())
					pass(61 * time.Second)
					d.fail(row.err)
					want := row.want
					if row.stale && staleIfError > 0 {
						want = echomfa.Allowed
					}
					assert.Equal(t, want, decide(t, e, "warm", otp()).Outcome)
					assert.Equal(t, row.want, decide(t, e, "lacking", otp()).Outcome)
					assert.Equal(t, row.want, decide(t, e, "cold", otp()).Outcome)
					pass(2 * time.Minute)
					assert.Equal(t, row.want, decide(t, e, "warm", otp()).Outcome, "not for ever")
				})
			})
		}
	}
}

// TestT13FreshAnswerWithoutTheFactorCountsAtOnce shows that what one route has
// learned locks all of them, however fresh the older facts were.
func TestT13FreshAnswerWithoutTheFactorCountsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll(token, echomfa.OTP)
		e := newEnforcer(t, d, nil)
		assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome)
		d.enroll(token)
		pass(3 * time.Second)
		assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome, "within FreshFor")
		decide(t, e, token, echomfa.AnyOf(echomfa.Face)) // not satisfied: asks
		assert.Equal(t, echomfa.NotEnrolled, decide(t, e, token, otp()).Outcome)
	})
}

// TestT14NobodyIsLockedInALoop shows that a user who comes back from enrolling
// is let in on the first request, at any time after DenyFreshFor.
func TestT14NobodyIsLockedInALoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for after := 2001 * time.Millisecond; after < 2*time.Minute; after *= 2 {
			d := newDirectory()
			d.enroll(token)
			e := newEnforcer(t, d, nil)
			assert.Equal(t, echomfa.NotEnrolled, decide(t, e, token, otp()).Outcome)
			d.enroll(token, echomfa.OTP)
			pass(after)
			assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome, after)
		}
	})
}

// TestT15EveryTokenIsAskedAbout shows that claims are not the key: a second token of
// one user, and one that only says so, is asked about.
func TestT15EveryTokenIsAskedAbout(t *testing.T) {
	t.Parallel()
	first := answertest.JWT(map[string]any{"sub": "u", "aud": "app", "jti": "1"})
	forged := answertest.JWT(map[string]any{"sub": "u", "aud": "app", "jti": "2"})
	d := newDirectory()
	d.enroll(first, echomfa.OTP)
	e := newEnforcer(t, d, nil)
	assert.Equal(t, echomfa.Allowed, decide(t, e, first, otp()).Outcome)
	assert.Equal(t, echomfa.Unauthenticated, decide(t, e, forged, otp()).Outcome)
	assert.Equal(t, map[string]int{first: 1, forged: 1}, d.asked())
}
