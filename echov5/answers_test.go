package echov5_test

import (
	"net/http"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
	"github.com/labstack/echo/v5"

	"github.com/echomfa/echomfa/echov5"
)

// TestAnswers runs the table of answers, with the golden files of Echo v4 and
// net/http, mounted in every place, and where HEAD is answered by a GET route.
func TestAnswers(t *testing.T) {
	t.Parallel()
	mounts := map[string]answertest.Mount{
		"group": func(e *echomfa.Enforcer, p echomfa.Policy, handler http.Handler) http.Handler {
			app := newApp(echo.Config{})
			app.Group("", echov5.Require(e, p)).Any("/*", echo.WrapHandler(handler))
			return app
		},
		"route": func(e *echomfa.Enforcer, p echomfa.Policy, handler http.Handler) http.Handler {
			app := newApp(echo.Config{})
			app.Any("/*", echo.WrapHandler(handler), echov5.Require(e, p))
			return app
		},
		"server": func(e *echomfa.Enforcer, p echomfa.Policy, handler http.Handler) http.Handler {
			app := newApp(echo.Config{})
			app.Use(echov5.Require(e, p))
			app.Any("/*", echo.WrapHandler(handler))
			return app
		},
		"before routing": func(e *echomfa.Enforcer, p echomfa.Policy, handler http.Handler) http.Handler {
			app := newApp(echo.Config{})
			app.Pre(echov5.Require(e, p))
			app.Any("/*", echo.WrapHandler(handler))
			return app
		},
		"HEAD by GET": func(e *echomfa.Enforcer, p echomfa.Policy, handler http.Handler) http.Handler {
			app := newApp(headRouter())
			for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
				app.Add(method, "/*", echo.WrapHandler(handler), echov5.Require(e, p))
			}
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { app.ServeHTTP(withoutZero{w}, r) })
		},
		"net/http's, wrapped": func(e *echomfa.Enforcer, p echomfa.Policy, handler http.Handler) http.Handler {
			app := newApp(echo.Config{})
			app.Any("/*", echo.WrapHandler(handler), echo.WrapMiddleware(e.Middleware(echomfa.HandlerConfig{Policy: p})))
			return app
		},
		"an ErrorHandler that leaves it": func(e *echomfa.Enforcer, p echomfa.Policy, handler http.Handler) http.Handler {
			app := newApp(echo.Config{})
			app.Any("/*", echo.WrapHandler(handler), echov5.WithConfig(echov5.MiddlewareConfig{
				Enforcer: e, Policy: p, ErrorHandler: func(*echo.Context, error) error { return nil },
			}))
			return app
		},
	}
	for name, mount := range mounts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answertest.Run(t, mount, "../testdata/answers")
		})
	}
}

// withoutZero leaves out the length of an empty answer to a HEAD request, which Echo
// adds where net/http adds it to that of a GET request.
type withoutZero struct{ http.ResponseWriter }

func (w withoutZero) WriteHeader(status int) {
	if w.Header().Get("Content-Length") == "0" {
		w.Header().Del("Content-Length")
	}
	w.ResponseWriter.WriteHeader(status)
}
