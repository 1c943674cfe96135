package echov5_test

import (
	"net/http"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
	"github.com/labstack/echo/v5"

	"github.com/echomfa/echomfa/echov5"
)

// app returns an app that has the row's middleware at a place, or nowhere.
func (row *echoRow) app(t *testing.T, e *echomfa.Enforcer, p echomfa.Policy, place string, handler http.Handler) http.Handler {
	t.Helper()
	app := newApp(echo.Config{})
	guards := []echo.MiddlewareFunc{echov5.Require(e, p)}
	switch place {
	case "pre":
		app.Pre(row.mw(t))
	case "front":
		app.Use(row.mw(t))
	case "behind":
		guards = append(guards, row.mw(t))
	}
	for _, path := range []string{"/admin", "/admin/"} {
		app.Any(path, echo.WrapHandler(handler), guards...)
	}
	return app
}

// TestEchoMiddleware has every middleware that ships with Echo v5, before routing,
// in front of the guard and behind it: the answer is that of docs/answers.md, or the row
// says why not.
func TestEchoMiddleware(t *testing.T) {
	t.Parallel()
	for name, row := range echoRows() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := answertest.Middleware{Cookie: row.cookie, Setup: row.setup, Places: row.places, Differs: row.differs, App: row.app}
			m.Run(t)
		})
	}
}

// TestEchoMiddlewareIsComplete compares the table with the package: a new version of
// Echo may bring another middleware.
func TestEchoMiddlewareIsComplete(t *testing.T) {
	t.Parallel()
	var covers []string
	for _, row := range echoRows() {
		covers = append(covers, row.covers)
	}
	answertest.Complete(t, "github.com/labstack/echo/v5/middleware", covers)
}
