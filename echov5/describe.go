package echov5

import (
	"errors"
	"reflect"

	"github.com/echomfa/echomfa"
	"github.com/labstack/echo/v5"
)

// mounted is not inlined, so that all mounts have one code pointer, by which Describe
// tells them from other middleware.
//
//go:noinline
func (m *mount) mounted() echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		if next == nil {
			return func(*echo.Context) error { return &describedError{mount: m.describe()} }
		}
		return func(c *echo.Context) error { return m.serve(c, next) }
	}
}

// Describe returns what a middleware asks for that Require, WithConfig or ToMiddleware
// has returned. It reports false for every other middleware, also for one that calls
// ours, and runs none of it.
func Describe(mw echo.MiddlewareFunc) (echomfa.Mount, bool) {
	if !sameCode(mw, (*mount)(nil).mounted()) {
		return echomfa.Mount{}, false
	}
	var described *describedError
	ok := errors.As(mw(nil)(nil), &described)
	return described.mount, ok
}

// sameCode reports whether two functions are made by the same lines.
func sameCode(f, g any) bool { return reflect.ValueOf(f).Pointer() == reflect.ValueOf(g).Pointer() }

// describe tells in addition what a Skipper skips that SkipRoutes has made.
func (m *mount) describe() echomfa.Mount {
	about := m.guard.Mount()
	if m.skipper != nil && sameCode(m.skipper, skipRoutes(nil)) {
		about.Skips = func(route string) (skips, known bool) {
			c := echo.NewContext(nil, nil)
			c.SetPath(route)
			return m.skipper(c), true
		}
	}
	return about
}

// describedError is what a middleware without a next handler returns.
type describedError struct{ mount echomfa.Mount }

func (*describedError) Error() string { return "echov5: there is no handler behind the middleware" }
