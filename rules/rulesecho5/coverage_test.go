package rulesecho5_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/echov5"
	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/rulesecho5"
	"github.com/echomfa/echomfa/rules/rulestest"
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
	guard := r.require(echomfa.AllOf(echomfa.OTP))
	wrapped := func(next echo.HandlerFunc) echo.HandlerFunc { return guard(next) }
	with := func(cfg echov5.MiddlewareConfig) echo.MiddlewareFunc {
		cfg.Enforcer = r.Enforcer
		if cfg.RequireFunc == nil {
			cfg.Policy = echomfa.AllOf(echomfa.OTP).Named("otp")
		}
		return echov5.WithConfig(cfg)
	}
	set := rulesecho5.WithoutRules(rulesecho5.Config{})
	e := newApp()
	set.Install(e)
	e.GET("/guarded", ok, guard)
	e.GET("/among-others", ok, middleware.Gzip(), with(echov5.MiddlewareConfig{Mode: echomfa.ReportOnly}), middleware.Secure())
	e.GET("/by-request", ok, with(echov5.MiddlewareConfig{RequireFunc: func(*echo.Context) (echomfa.Requirement, error) { panic("called") }}))
	e.GET("/exempt", ok, r.require(echomfa.Exempt("health")))
	e.GET("/open", ok)
	e.GET("/wrapped", ok, wrapped)
	e.GET("/other", ok, middleware.Gzip())
	skipped := e.Group("/skip", with(echov5.MiddlewareConfig{Skipper: echov5.SkipRoutes("/skip/this")}))
	skipped.GET("/this", ok)
	skipped.GET("/not-this", ok)
	e.GET("/skipper", ok, with(echov5.MiddlewareConfig{Skipper: func(*echo.Context) bool { panic("called") }}))
	e.GET("/skipper-and-guard", ok, with(echov5.MiddlewareConfig{Skipper: func(*echo.Context) bool { panic("called") }}), guard)
	nested := e.Group("/a", guard).Group("/b", middleware.Secure()).Group("/c")
	nested.POST("/d", ok)
	e.Group("/plain", middleware.Secure()).GET("/x", ok)
	e.RouteNotFound("/spa/*", ok)
	e.Any("/any", ok)
	e.GET("/twice", ok)
	e.GET("/twice", ok, guard)

	err := set.CheckCoverage(e)
	want := []string{"GET /open", "GET /wrapped", "GET /other", "GET /skip/this", "GET /skipper", "GET /plain/x", "ANY /spa/*", "ANY /any", "GET /twice"}
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
	handler := func(*echo.Context) error { ran++; return nil }
	e.Pre(mw)
	e.Use(mw)
	e.Group("/x", mw).GET("", handler, mw)
	e.GET("/enroll", handler, mw)
	ran = 0 // Echo has made its chains
	require.NoError(t, set.CheckCoverage(e))
	assert.Zero(t, ran)
}

// TestCoverageIsNotCompleteUnlessItIs has apps whose coverage would be a false proof.
func TestCoverageIsNotCompleteUnlessItIs(t *testing.T) {
	t.Parallel()
	const text = "version: 1\ndefault: {require: OTP}\n"
	for name, row := range map[string]struct {
		app  func(e *echo.Echo, set *rulesecho5.Set)
		want string // or "" for a complete one
	}{
		"complete": {func(e *echo.Echo, set *rulesecho5.Set) { set.Install(e); e.GET("/x", ok) }, ""},
		"not installed": {
			func(e *echo.Echo, _ *rulesecho5.Set) { e.GET("/x", ok) },
			"not installed: call Install before the first route",
		},
		"not installed, no routes": {func(*echo.Echo, *rulesecho5.Set) {}, "not installed"},
		"a route before": {
			func(e *echo.Echo, set *rulesecho5.Set) { e.GET("/x", ok); set.Install(e) },
			"routes older than Install: 1:",
		},
		"past Echo": {func(e *echo.Echo, set *rulesecho5.Set) {
			set.Install(e)
			_, _ = e.Router().Add(echo.Route{Method: "GET", Path: "past/:id", Handler: ok})
		}, "GET /past/:id: not seen"},
		"past Echo, a 404": {func(e *echo.Echo, set *rulesecho5.Set) {
			set.Install(e)
			_, _ = e.Router().Add(echo.Route{Method: echo.RouteNotFound, Path: "/*"})
		}, "/*: not seen"},
		"another hook": {func(e *echo.Echo, set *rulesecho5.Set) {
			set.Install(e)
			e.OnAddRoute = nil
			e.GET("/x", ok)
		}, "GET /x: not seen"},
		"twice": {func(e *echo.Echo, set *rulesecho5.Set) { set.Install(e); set.Install(e); e.GET("/x", ok) }, "called twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			set, err := rulesecho5.New(rulesecho5.Config{Rules: r.rules(t, text)})
			require.NoError(t, err)
			e := newApp()
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
		"a mount guards it": {
			public, func(e *echo.Echo, guard echo.MiddlewareFunc) { e.Any("/login", ok, guard) },
			"/login, which users without a factor must reach, is guarded: ANY /login -> a mount: FACE",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(c *echomfa.Config) {
				c.EnrollURL, c.LoginURL, c.TokenLookup = "/mfa/start", "/login", "cookie:session"
			})
			e, set := r.install(t, row.rules)
			row.app(e, r.require(echomfa.AllOf(echomfa.Face)))
			if row.want == "" {
				assert.NoError(t, set.CheckCoverage(e))
				return
			}
			assert.ErrorContains(t, set.CheckCoverage(e), row.want)
		})
	}
}

// bigApp is an app of more than 200 routes in nested groups. change may leave a guard out
// or name a route otherwise.
func bigApp(r *rig, set *rulesecho5.Set, change map[string]string) *echo.Echo {
	named := func(path string) string {
		if other, ok := change[path]; ok {
			return other
		}
		return path
	}
	guards := func(path string, policies ...echomfa.Policy) (list []echo.MiddlewareFunc) {
		for _, p := range policies {
			if change["guard of "+path] == "" {
				list = append(list, middleware.Secure(), r.require(p))
			}
		}
		return list
	}
	e := newApp()
	if change["Install"] == "" {
		set.Install(e)
	}
	e.GET("/healthz", ok)
	e.Any("/login", ok)
	e.GET("/mfa", ok)
	e.POST("/mfa/:step", ok)
	e.RouteNotFound("/app/*", ok)
	for _, area := range []string{"orders", "customers", "invoices", "reports", "payouts"} {
		group := e.Group("/api").Group("/v1", middleware.Secure()).Group("/"+area, guards(area, echomfa.AllOf(echomfa.OTP))...)
		for _, part := range []string{"", "/items", "/notes", "/files", "/history", "/shares"} {
			nested := group.Group(part)
			nested.GET(named("/list"), ok)
			nested.POST("/list", ok)
			nested.GET("/:id", ok)
			nested.PUT("/:id", ok)
			nested.DELETE("/:id", ok)
			nested.POST("/:id/approve", ok, guards(area+part+"/approve", echomfa.AllOf(echomfa.Face).Named("face"))...)
		}
	}
	return e
}

const bigFile = `
version: 1
policies:
  authenticator: OTP or FACE
  two-methods: OTP and FACE
default: {require: authenticator}
rules:
  - {name: public, public: sign-in and enrollment, routes: ["GET /healthz", /login], under: [/mfa]}
  - name: export
    exempt: {reason: the batch client moves, owner: billing, expires: 2031-03-31}
    routes: ["GET /api/v1/reports/list"]
  - {name: admins, require: two-methods, under: [/api/v1/customers], when: {role: [admin]}}
  - {name: payouts, require: two-methods, under: [/api/v1/payouts], mode: report-only}
  - {name: orders, require: OTP, under: [/api/v1/orders]}
`

// TestCoverageOfABigApp holds an app of more than 200 routes against a golden file.
func TestCoverageOfABigApp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	set, err := rulesecho5.New(rulesecho5.Config{Rules: r.rules(t, bigFile)})
	require.NoError(t, err)
	e := bigApp(r, set, nil)
	require.Greater(t, len(e.Router().Routes()), 200)
	rulestest.AssertCoverage(t, e, set, "testdata/mfa-coverage.golden")

	mounts := rulesecho5.WithoutRules(rulesecho5.Config{})
	coverage, err := mounts.Coverage(bigApp(r, mounts, nil))
	require.NoError(t, err)
	var open *rules.UnguardedError
	require.ErrorAs(t, coverage.Err(), &open)
	assert.Len(t, open.Routes, 5) // those at the top
}

// failing is a test that is expected to fail.
type failing struct {
	testing.TB

	said strings.Builder
}

func (f *failing) Helper()                           {}
func (f *failing) Errorf(format string, args ...any) { fmt.Fprintf(&f.said, format+"\n", args...) }

// TestCoverageNoticesChanges shows what the golden file and the check say after one line
// of the app has changed.
func TestCoverageNoticesChanges(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		change map[string]string
		want   []string
	}{
		"a guard is removed": {
			map[string]string{"guard of invoices/files/approve": "removed"},
			[]string{
				"- POST /api/v1/invoices/files/:id/approve -> rule default: authenticator (OTP or FACE); and a mount: OTP; and a mount: face (FACE)\n",
				"+ POST /api/v1/invoices/files/:id/approve -> rule default: authenticator (OTP or FACE); and a mount: OTP\n",
			},
		},
		"a group's guard is removed": {
			map[string]string{"guard of payouts": "removed"},
			[]string{"+ GET /api/v1/payouts/list -> rule payouts: two-methods (OTP and FACE), report only\n"},
		},
		"a route is renamed": {
			map[string]string{"/list": "/all"},
			[]string{
				"- GET /api/v1/reports/list -> rule export: exempt until 2031-04-01T00:00:00Z (billing, the batch client moves), then rule default: authenticator (OTP or FACE); and a mount: OTP\n",
				"+ GET /api/v1/reports/all -> rule default: authenticator (OTP or FACE); and a mount: OTP\n",
			},
		},
		"Install is deleted": {map[string]string{"Install": "removed"}, []string{"not installed: call Install before the first route"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			set, err := rulesecho5.New(rulesecho5.Config{Rules: r.rules(t, bigFile)})
			require.NoError(t, err)
			failed := &failing{TB: t}
			rulestest.AssertCoverage[*echo.Echo](failed, bigApp(r, set, row.change), set, "testdata/mfa-coverage.golden")
			for _, want := range row.want {
				assert.Contains(t, failed.said.String(), want)
			}
		})
	}
}

// TestRenamedRouteLeavesARuleWithoutRoutes has the check of a file name the rule that meets
// nothing any more, by the coverage that the app has written.
func TestRenamedRouteLeavesARuleWithoutRoutes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		change map[string]string
		want   string
	}{{nil, ""}, {map[string]string{"/list": "/all"}, "export"}} {
		r := newRig(t)
		file := r.rules(t, bigFile)
		set, err := rulesecho5.New(rulesecho5.Config{Rules: file, Service: "shop", Version: "1.2.3", Revision: "abc"})
		require.NoError(t, err)
		written, err := set.Coverage(bigApp(r, set, row.change))
		require.NoError(t, err)
		data, err := written.JSON()
		require.NoError(t, err)
		read, err := rules.ReadCoverage(data)
		require.NoError(t, err)
		assert.Equal(t, written, read)
		again, err := read.JSON()
		require.NoError(t, err)
		assert.Equal(t, string(data), string(again))
		var found []string
		for _, m := range file.File().Check(rules.CheckOptions{At: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Routes: read.Registered()}) {
			if !m.Note {
				found = append(found, m.Message)
			}
		}
		if row.want == "" {
			assert.Empty(t, found)
		} else {
			assert.Contains(t, strings.Join(found, "\n"), row.want)
		}
	}
}

// TestAppWithAnUnguardedRouteDoesNotStart has the check where a server starts.
func TestAppWithAnUnguardedRouteDoesNotStart(t *testing.T) {
	t.Parallel()
	set := rulesecho5.WithoutRules(rulesecho5.Config{})
	e := newApp()
	set.Install(e)
	e.GET("/open", ok)
	start := echo.StartConfig{Address: "127.0.0.1:0", HideBanner: true, HidePort: true, BeforeServeFunc: set.BeforeServe}
	assert.Equal(t, []string{"GET /open"}, unguarded(t, start.Start(t.Context(), e)))
	assert.ErrorContains(t, start.Start(t.Context(), http.NotFoundHandler()), "is a http.HandlerFunc and not an Echo")
}
