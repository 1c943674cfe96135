package echomfa_test

import (
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
)

// TestDescribeMiddleware tells our middleware from others without running those, and what
// each mount of it asks for.
func TestDescribeMiddleware(t *testing.T) {
	t.Parallel()
	e := table(t, nil)
	with := func(cfg echomfa.MiddlewareConfig) echo.MiddlewareFunc {
		cfg.Enforcer = e
		return echomfa.WithConfig(cfg)
	}
	foreign := func(echo.HandlerFunc) echo.HandlerFunc { panic("called") }
	guard := e.Require(otp())
	for name, mw := range map[string]echo.MiddlewareFunc{
		"nil": nil, "another": foreign, "Echo's": middleware.Gzip(),
		"around ours": func(next echo.HandlerFunc) echo.HandlerFunc { return guard(next) },
	} {
		_, ours := echomfa.DescribeMiddleware(mw)
		assert.False(t, ours, name)
	}

	skipper := func(echo.Context) bool { panic("called") }
	for name, row := range map[string]struct {
		mw         echo.MiddlewareFunc
		mode       echomfa.Mode
		perRequest bool
		skips      map[string][2]bool // by route: skips, known
	}{
		"Require":     {guard, echomfa.Enforce, false, nil},
		"report only": {with(echomfa.MiddlewareConfig{Policy: otp(), Mode: echomfa.ReportOnly}), echomfa.ReportOnly, false, nil},
		"RequireFunc": {with(echomfa.MiddlewareConfig{RequireFunc: func(echo.Context) (echomfa.Requirement, error) { panic("called") }}), echomfa.Enforce, true, nil},
		"SkipRoutes": {
			with(echomfa.MiddlewareConfig{Policy: otp(), Skipper: echomfa.SkipRoutes("/mfa", "/login")}), echomfa.Enforce, false,
			map[string][2]bool{"/mfa": {true, true}, "/admin": {false, true}},
		},
		"a Skipper": {
			with(echomfa.MiddlewareConfig{Policy: otp(), Skipper: skipper}), echomfa.Enforce, false,
			map[string][2]bool{"/mfa": {false, false}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mount, ours := echomfa.DescribeMiddleware(row.mw)
			assert.True(t, ours)
			assert.Equal(t, row.perRequest, mount.PerRequest)
			assert.Equal(t, row.perRequest, mount.Policy.Err() != nil)
			assert.Equal(t, !row.perRequest, mount.Policy.Equal(otp()))
			assert.Equal(t, row.mode, mount.Mode)
			assert.Equal(t, row.skips == nil, mount.Skips == nil)
			for route, want := range row.skips {
				skips, known := mount.Skips(route)
				assert.Equal(t, want, [2]bool{skips, known}, route)
			}
		})
	}
}

// TestMiddlewareWithoutHandlerRefuses calls the middleware as
// DescribeMiddleware does, with a request.
func TestMiddlewareWithoutHandlerRefuses(t *testing.T) {
	t.Parallel()
	app := echo.New()
	app.GET("/", nil, table(t, nil).Require(otp()))
	w := send(t, app, http.MethodGet, "/", "Authorization: Bearer "+answertest.Enrolled)
	assert.Equal(t, http.StatusInternalServerError, w.Code)
}

// TestDescribeHandler tells our handlers from others.
func TestDescribeHandler(t *testing.T) {
	t.Parallel()
	e := table(t, nil)
	guarded := e.Middleware(echomfa.HandlerConfig{Policy: otp(), Mode: echomfa.ReportOnly, Skipper: func(*http.Request) bool { panic("called") }})(http.NotFoundHandler())
	mount, ours := echomfa.DescribeHandler(guarded)
	assert.True(t, ours)
	assert.True(t, mount.Policy.Equal(otp()))
	assert.Equal(t, echomfa.ReportOnly, mount.Mode)
	_, known := mount.Skips("/")
	assert.False(t, known)

	for _, other := range []http.Handler{nil, http.NotFoundHandler(), http.StripPrefix("/x", guarded)} {
		_, ours := echomfa.DescribeHandler(other)
		assert.False(t, ours)
	}
}
