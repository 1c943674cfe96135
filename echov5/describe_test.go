package echov5_test

import (
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"
	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/echov5"
)

// TestDescribe tells our middleware from others without running those, and what each mount
// of it asks for.
func TestDescribe(t *testing.T) {
	t.Parallel()
	e := table(t, nil)
	with := func(cfg echov5.MiddlewareConfig) echo.MiddlewareFunc {
		cfg.Enforcer = e
		return echov5.WithConfig(cfg)
	}
	guard := echov5.Require(e, otp())
	for name, mw := range map[string]echo.MiddlewareFunc{
		"nil": nil, "another": func(echo.HandlerFunc) echo.HandlerFunc { panic("called") }, "Echo's": middleware.Gzip(),
		"around ours": func(next echo.HandlerFunc) echo.HandlerFunc { return guard(next) },
	} {
		_, ours := echov5.Describe(mw)
		assert.False(t, ours, name)
	}

	for name, row := range map[string]struct {
		mw         echo.MiddlewareFunc
		mode       echomfa.Mode
		perRequest bool
		skips      map[string][2]bool // by route: skips, known
	}{
		"Require":     {guard, echomfa.Enforce, false, nil},
		"report only": {with(echov5.MiddlewareConfig{Policy: otp(), Mode: echomfa.ReportOnly}), echomfa.ReportOnly, false, nil},
		"RequireFunc": {with(echov5.MiddlewareConfig{RequireFunc: func(*echo.Context) (echomfa.Requirement, error) { panic("called") }}), echomfa.Enforce, true, nil},
		"SkipRoutes": {
			with(echov5.MiddlewareConfig{Policy: otp(), Skipper: echov5.SkipRoutes("/mfa", "/login")}), echomfa.Enforce, false,
			map[string][2]bool{"/mfa": {true, true}, "/admin": {false, true}},
		},
		"a Skipper": {
			with(echov5.MiddlewareConfig{Policy: otp(), Skipper: func(*echo.Context) bool { panic("called") }}), echomfa.Enforce, false,
			map[string][2]bool{"/mfa": {false, false}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mount, ours := echov5.Describe(row.mw)
			assert.True(t, ours)
			assert.Equal(t, row.perRequest, mount.PerRequest)
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
