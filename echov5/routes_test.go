package echov5_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
	"github.com/labstack/echo/v5"
	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/echov5"
)

// hello is a handler that answers.
func hello(c *echo.Context) error { return c.String(http.StatusOK, "hello") }

// TestGroups has what is guarded below a group's prefix: every route of it, those of
// its own groups, and addresses without a route.
func TestGroups(t *testing.T) {
	t.Parallel()
	for _, without404 := range []bool{false, true} {
		app := newApp(echo.Config{NoGroupAutoRegister404Routes: without404})
		app.GET("/", hello)
		admin := app.Group("/admin", echov5.Require(table(t, nil), otp()))
		admin.GET("", hello)
		admin.GET("/page/:id", hello)
		admin.Group("/deep").GET("/page", hello)
		later := app.Group("/later")
		later.Use(echov5.Require(table(t, nil), otp()))
		later.GET("/page", hello)

		// What the group does not register is answered by Echo alone.
		unknown := http.StatusUnauthorized
		if without404 {
			unknown = http.StatusNotFound
		}
		for _, row := range []struct {
			method, target      string
			stranger, satisfied int
		}{
			{"GET", "/", 200, 200},
			{"GET", "/elsewhere", 404, 404},
			{"GET", "/admin", 401, 200},
			{"GET", "/admin/page/7", 401, 200},
			{"GET", "/admin/deep/page", 401, 200},
			{"GET", "/later/page", 401, 200},
			{"GET", "/admin/deep/none", unknown, 404},
			{"GET", "/admin/", unknown, 404},
			{"GET", "/later/none", unknown, 404},
			{"POST", "/admin", unknown, 404},
			{"DELETE", "/admin/deep/page", unknown, 404},
			{"QUERY", "/admin", unknown, 404},
		} {
			for _, token := range []string{"", answertest.Enrolled} {
				want := row.stranger
				if token != "" {
					want = row.satisfied
				}
				got := ask(t, app, row.method, row.target, token)
				// Echo's own answer to a method that a path does not have may be
				// a 405, also inside of the group.
				if got.Code == http.StatusMethodNotAllowed {
					got.Code = http.StatusNotFound
				}
				assert.Equal(t, want, got.Code, "%s %s, token %q, without 404 routes %v", row.method, row.target, token, without404)
			}
		}
	}
}

// TestMethods has requests whose method is answered by a route of another one: HEAD
// by GET, and all by Any. None of them is let through unchecked, and what the
// Observer and the log are told is the request's method.
func TestMethods(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		method string
		router echo.Config
		add    func(app *echo.Echo, h echo.HandlerFunc, guard echo.MiddlewareFunc)
		label  string
	}{
		{"HEAD", headRouter(), func(app *echo.Echo, h echo.HandlerFunc, guard echo.MiddlewareFunc) { app.GET("/a/:id", h, guard) }, "HEAD"},
		{"HEAD", headRouter(), func(app *echo.Echo, h echo.HandlerFunc, guard echo.MiddlewareFunc) {
			app.Group("/a", guard).GET("/:id", h)
		}, "HEAD"},
		{"HEAD", headRouter(), func(app *echo.Echo, h echo.HandlerFunc, guard echo.MiddlewareFunc) {
			app.Use(guard)
			app.GET("/a/:id", h)
		}, "HEAD"},
		{"HEAD", echo.Config{}, func(app *echo.Echo, h echo.HandlerFunc, guard echo.MiddlewareFunc) { app.Any("/a/:id", h, guard) }, "HEAD"},
		{"QUERY", echo.Config{}, func(app *echo.Echo, h echo.HandlerFunc, guard echo.MiddlewareFunc) { app.QUERY("/a/:id", h, guard) }, "QUERY"},
		{"QUERY", echo.Config{}, func(app *echo.Echo, h echo.HandlerFunc, guard echo.MiddlewareFunc) { app.Any("/a/:id", h, guard) }, "QUERY"},
		{"BREW", echo.Config{}, func(app *echo.Echo, h echo.HandlerFunc, guard echo.MiddlewareFunc) { app.Any("/a/:id", h, guard) }, "_OTHER"},
		{"PROPFIND", echo.Config{}, func(app *echo.Echo, h echo.HandlerFunc, guard echo.MiddlewareFunc) { app.Any("/a/:id", h, guard) }, "_OTHER"},
	} {
		var log bytes.Buffer
		e := table(t, func(c *echomfa.Config) {
			c.Logger, c.EnrollURL = slog.New(slog.NewTextHandler(&log, nil)), "/mfa"
		})
		ran, app := false, newApp(row.router)
		row.add(app, func(c *echo.Context) error { ran = true; return c.NoContent(http.StatusOK) }, echov5.Require(e, otp()))

		got := ask(t, app, row.method, "/a/7", answertest.NotEnrolled)
		assert.Equal(t, http.StatusForbidden, got.Code, row.method)
		assert.False(t, ran, row.method)
		assert.Contains(t, log.String(), "route=/a/:id method="+row.label+" ", row.method)
		if row.method == http.MethodHead {
			assert.Empty(t, got.Body.String())
		}
		// A body is not sent again: the address that the browser comes back to is
		// only that of a GET.
		status, location := http.StatusSeeOther, "/mfa"
		if row.method == http.MethodHead {
			status, location = http.StatusFound, "/mfa?return_to=%2Fa%2F7"
		}
		got = ask(t, app, row.method, "/a/7", answertest.NotEnrolled, "Sec-Fetch-Mode", "navigate")
		assert.Equal(t, status, got.Code, row.method)
		assert.Equal(t, location, got.Header().Get("Location"), row.method)
		assert.False(t, ran, row.method)

		assert.Equal(t, http.StatusOK, ask(t, app, row.method, "/a/7", answertest.Enrolled).Code, row.method)
		assert.True(t, ran, row.method)
	}
}

// TestSkipRoutes shows that what is skipped is a registered route, and nothing
// that shares its prefix or only looks like it.
func TestSkipRoutes(t *testing.T) {
	t.Parallel()
	app := newApp(echo.Config{})
	app.Use(echov5.WithConfig(echov5.MiddlewareConfig{
		Enforcer: table(t, nil), Policy: otp(), Skipper: echov5.SkipRoutes("/mfa", "/mfa/*", "/login"),
	}))
	for _, path := range []string{"/mfa", "/mfa/*", "/login", "/mfa-admin", "/admin/*"} {
		app.Any(path, hello)
	}
	for target, want := range map[string]int{
		"/mfa": 200, "/mfa/": 200, "/mfa/setup": 200, "/login": 200, "/mfa/..%2fadmin": 200,
		"/mfa-admin": 401, "/admin/mfa": 401, "/admin/..%2fmfa": 401, "/LOGIN": 401, "/%6cogin": 401, "/login/": 401, "/nowhere": 401,
	} {
		assert.Equal(t, want, ask(t, app, http.MethodGet, target, "").Code, target)
	}
}

// TestVirtualHosts shows that the guard of one host's app is not another's.
func TestVirtualHosts(t *testing.T) {
	t.Parallel()
	guarded, open := newApp(echo.Config{}), newApp(echo.Config{})
	guarded.GET("/", hello, echov5.Require(table(t, nil), otp()))
	open.GET("/", hello)
	app := echo.NewVirtualHostHandler(map[string]*echo.Echo{"admin.example.com": guarded, "www.example.com": open})
	assert.Equal(t, http.StatusUnauthorized, ask(t, app, http.MethodGet, "http://admin.example.com/", "").Code)
	assert.Equal(t, http.StatusOK, ask(t, app, http.MethodGet, "http://www.example.com/", "").Code)
	assert.Equal(t, http.StatusNotFound, ask(t, app, http.MethodGet, "http://elsewhere.example.com/", "").Code)
}
