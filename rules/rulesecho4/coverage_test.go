package rulesecho4_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/rulesecho4"
)

// unguarded returns the routes that an error of CheckCoverage lists.
func unguarded(t *testing.T, err error) []string {
	t.Helper()
	var list *rules.UnguardedError
	if err == nil || !assert.ErrorAs(t, err, &list) {
		return nil
	}
	var names []string
	for _, r := range list.Routes {
		names = append(names, r.Method+" "+r.Host+r.Path)
	}
	return names
}

// TestCoverageTellsOurGuardFromOthers has routes that are guarded, not guarded, or guarded
// in a way that cannot be seen: what is not known does not count as a guard.
func TestCoverageTellsOurGuardFromOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	guard := r.Require(echomfa.AllOf(echomfa.OTP))
	wrapped := func(next echo.HandlerFunc) echo.HandlerFunc { return guard(next) }
	with := func(cfg echomfa.MiddlewareConfig) echo.MiddlewareFunc {
		cfg.Enforcer = r.Enforcer
		if cfg.RequireFunc == nil {
			cfg.Policy = echomfa.AllOf(echomfa.OTP).Named("otp")
		}
		return echomfa.WithConfig(cfg)
	}
	set := rulesecho4.WithoutRules(rulesecho4.Config{})
	e := echo.New()
	set.Install(e)
	e.GET("/guarded", ok, guard)
	e.GET("/among-others", ok, middleware.Gzip(), with(echomfa.MiddlewareConfig{Mode: echomfa.ReportOnly}), middleware.Secure())
	e.GET("/by-request", ok, with(echomfa.MiddlewareConfig{RequireFunc: func(echo.Context) (echomfa.Requirement, error) { panic("called") }}))
	e.GET("/exempt", ok, r.Require(echomfa.Exempt("health")))
	e.GET("/open", ok)
	e.GET("/wrapped", ok, wrapped)
	e.GET("/other", ok, middleware.Gzip())
	skipped := e.Group("/skip", with(echomfa.MiddlewareConfig{Skipper: echomfa.SkipRoutes("/skip/this")}))
	skipped.GET("/this", ok)
	skipped.GET("/not-this", ok)
	e.GET("/skipper", ok, with(echomfa.MiddlewareConfig{Skipper: func(echo.Context) bool { panic("called") }}))
	e.GET("/skipper-and-guard", ok, with(echomfa.MiddlewareConfig{Skipper: func(echo.Context) bool { panic("called") }}), guard)
	nested := e.Group("/a", guard).Group("/b", middleware.Secure()).Group("/c")
	nested.POST("/d", ok)
	e.Group("/plain", middleware.Secure()).GET("/x", ok)
	e.RouteNotFound("/spa/*", ok)
	e.Any("/any", ok)
	e.Host("api.example.com", middleware.Secure()).GET("/x", ok)

	err := set.CheckCoverage(e)
	want := []string{"GET /open", "GET /wrapped", "GET /other", "GET /skip/this", "GET /skipper", "GET /plain/x", "ANY /spa/*", "GET api.example.com/x"}
	for _, method := range []string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PROPFIND", "PUT", "TRACE", "REPORT"} {
		want = append(want, method+" /any")
	}
	assert.ElementsMatch(t, want, unguarded(t, err))

	coverage, err := set.Coverage(e)
	require.NoError(t, err)
	text := coverage.Text()
	for _, line := range []string{
		"GET /guarded -> a mount: OTP\n",
		"GET /among-others -> a mount: otp (OTP), report only\n",
		"GET /by-request -> a mount: what RequireFunc returns\n",
		"GET /exempt -> a mount: open (health)\n",
		"GET /wrapped -> UNGUARDED: no guard\n",
		"GET /skip/this -> UNGUARDED: its guard skips it\n",
		"GET /skip/not-this -> a mount: otp (OTP)\n",
		"GET /skipper -> UNGUARDED: its guard has a Skipper of the app, which is not asked\n",
		"GET /skipper-and-guard -> a mount: OTP\n",
		"POST /a/b/c/d -> a mount: OTP\n",
		"/plain/* (generated 404) -> nothing is behind it\n",
		"/spa/* (the app's 404) -> UNGUARDED: no guard\n",
		"not seen: what middleware of Pre and Use answers itself, such as Static and Proxy\n",
	} {
		assert.Contains(t, text, line)
	}
}

// TestCoverageRunsNothing shows that neither a handler nor anybody's middleware runs for it.
func TestCoverageRunsNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *echomfa.Config) { c.EnrollURL = "/enroll" })
	e, set := r.install(t, "version: 1\ndefault: {require: OTP}\nrules: [{name: enroll, public: enrollment, routes: [/enroll]}]\n")
	ran := 0
	mw := func(next echo.HandlerFunc) echo.HandlerFunc { ran++; return next }
	handler := func(echo.Context) error { ran++; return nil }
	e.Pre(mw)
	e.Use(mw)
	e.Group("/x", mw).GET("", handler, mw)
	e.GET("/enroll", handler, mw)
	require.NoError(t, set.CheckCoverage(e))
	assert.Zero(t, ran)
}

// TestCoverageIsNotCompleteUnlessItIs has apps whose coverage would be a false proof.
func TestCoverageIsNotCompleteUnlessItIs(t *testing.T) {
	t.Parallel()
	const text = "version: 1\ndefault: {require: OTP}\n"
	for name, row := range map[string]struct {
		app  func(e *echo.Echo, set *rulesecho4.Set)
		want string // or "" for a complete one
	}{
		"complete": {func(e *echo.Echo, set *rulesecho4.Set) { set.Install(e); e.GET("/x", ok) }, ""},
		"not installed": {
			func(e *echo.Echo, _ *rulesecho4.Set) { e.GET("/x", ok) },
			"not installed: call Install before the first route",
		},
		"not installed, no routes": {func(*echo.Echo, *rulesecho4.Set) {}, "not installed"},
		"a route before": {
			func(e *echo.Echo, set *rulesecho4.Set) { e.GET("/x", ok); set.Install(e) },
			"routes older than Install: 1:",
		},
		"a route of a host before": {
			func(e *echo.Echo, set *rulesecho4.Set) { e.Host("h").GET("/x", ok); set.Install(e) },
			"routes older than Install: 1:",
		},
		"past Echo": {
			func(e *echo.Echo, set *rulesecho4.Set) { set.Install(e); e.Router().Add("GET", "/past/:id", ok) },
			"GET /past/:id: not seen",
		},
		"past Echo, in the place of a route": {func(e *echo.Echo, set *rulesecho4.Set) {
			set.Install(e)
			e.GET("/x", ok)
			e.Router().Add("GET", "/x", ok)
		}, "GET /x: not seen"},
		"past Echo, a 404": {
			func(e *echo.Echo, set *rulesecho4.Set) { set.Install(e); e.Router().Add(echo.RouteNotFound, "/*", ok) },
			"/*: not seen",
		},
		"past Echo, another method": {
			func(e *echo.Echo, set *rulesecho4.Set) { set.Install(e); e.Router().Add("PURGE", "/x", ok) },
			"PURGE /x: not seen",
		},
		"past Echo, on a host": {func(e *echo.Echo, set *rulesecho4.Set) {
			set.Install(e)
			e.Host("h")
			e.Routers()["h"].Add("GET", "/x", ok)
		}, "GET h/x: not seen"},
		"past Echo, deep": {func(e *echo.Echo, set *rulesecho4.Set) {
			set.Install(e)
			for i := range 50 {
				e.GET(fmt.Sprintf("/a%d/:b/c%d/*", i%7, i), ok)
			}
			e.Router().Add("PUT", "/a3/:b/c3/d", ok)
		}, "PUT /a3/:b/c3/d: not seen"},
		"another hook": {func(e *echo.Echo, set *rulesecho4.Set) {
			set.Install(e)
			e.OnAddRouteHandler = nil
			e.GET("/x", ok)
		}, "GET /x: not seen"},
		"a host without a name": {
			func(e *echo.Echo, set *rulesecho4.Set) { set.Install(e); e.Host("").GET("/x", ok) },
			`Host(""): its routes are not seen`,
		},
		"twice": {func(e *echo.Echo, set *rulesecho4.Set) { set.Install(e); set.Install(e); e.GET("/x", ok) }, "called twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			set, err := rulesecho4.New(rulesecho4.Config{Rules: r.Rules(t, text)})
			require.NoError(t, err)
			e := echo.New()
			row.app(e, set)
			if row.want == "" {
				assert.NoError(t, set.CheckCoverage(e))
				return
			}
			err = set.CheckCoverage(e)
			require.ErrorContains(t, err, row.want)
			if strings.HasPrefix(row.want, "not installed") {
				assert.NotContains(t, err.Error(), "not seen", "one error says it")
			}
		})
	}
}

// TestPagesForEverybodyMustBeOpen asks the router which route leads to the pages that users
// without a factor must reach.
func TestPagesForEverybodyMustBeOpen(t *testing.T) {
	t.Parallel()
	const public = "version: 1\ndefault: {require: OTP}\nrules:\n  - {name: public, public: pages, routes: ['GET /mfa/*', /login]}\n"
	for name, row := range map[string]struct {
		rules string
		app   func(e *echo.Echo, guard echo.MiddlewareFunc)
		want  string
	}{
		"open": {public, func(e *echo.Echo, _ echo.MiddlewareFunc) {
			e.GET("/mfa/*", ok)
			e.GET("/login", ok)
		}, ""},
		"on another server": {public, func(*echo.Echo, echo.MiddlewareFunc) {}, ""},
		"another route leads to it": {public, func(e *echo.Echo, _ echo.MiddlewareFunc) {
			e.GET("/mfa/*", ok)
			e.GET("/mfa/:step", ok)
		}, "/mfa/start, which users without a factor must reach, is guarded: GET /mfa/:step -> rule default: OTP"},
		"some users are guarded": {
			`version: 1
default: {require: OTP}
rules:
  - {name: public, public: pages, routes: [/mfa/start, /login]}
  - {name: admins, require: OTP and FACE, routes: ["/mfa/:step"], when: {role: [admin]}}
  - {name: steps, public: pages, routes: ["/mfa/:step"]}
`, func(e *echo.Echo, _ echo.MiddlewareFunc) { e.GET("/mfa/:step", ok) },
			"/mfa/start, which users without a factor must reach, is guarded: GET /mfa/:step -> rule steps: open (pages), for role admin rule admins: OTP and FACE",
		},
		"the app's 404, of which one method is open": {
			"version: 1\ndefault: {require: OTP}\nrules:\n  - {name: public, public: pages, routes: ['GET /mfa/start', 'POST /mfa/*', /login]}\n",
			func(e *echo.Echo, _ echo.MiddlewareFunc) { e.RouteNotFound("/mfa/*", ok) },
			"/mfa/start, which users without a factor must reach, is guarded: /mfa/* (the app's 404) -> rule default: OTP",
		},
		"on a host": {
			"version: 1\ndefault: {require: OTP}\nrules:\n  - {name: partners, require: FACE, under: [partners.example/]}\n  - {name: public, public: pages, routes: [/login], under: [/mfa]}\n",
			func(e *echo.Echo, _ echo.MiddlewareFunc) {
				e.GET("/mfa/start", ok)
				e.Host("Partners.example").GET("/mfa/start", ok)
			},
			"/mfa/start, which users without a factor must reach, is guarded: GET Partners.example/mfa/start -> rule partners: FACE",
		},
		"another route of a host": {public, func(e *echo.Echo, _ echo.MiddlewareFunc) {
			e.GET("/mfa/*", ok)
			e.Host("api.example").Any("/*", ok)
		}, ""},
		"a mount guards it": {
			public, func(e *echo.Echo, guard echo.MiddlewareFunc) { e.Any("/login", ok, guard) },
			"/login, which users without a factor must reach, is guarded: GET /login -> a mount: FACE",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *echomfa.Config) {
				c.EnrollURL, c.LoginURL, c.TokenLookup = "/mfa/start", "/login", "cookie:session"
			})
			e, set := r.install(t, row.rules)
			row.app(e, r.Require(echomfa.AllOf(echomfa.Face)))
			if row.want == "" {
				assert.NoError(t, set.CheckCoverage(e))
				return
			}
			assert.ErrorContains(t, set.CheckCoverage(e), row.want)
		})
	}
}
