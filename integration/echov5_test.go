// Package integration_test runs this project together with others: Echo v5,
// and independent implementations of what the emulator speaks.
package integration_test

import (
	"net/http"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
	"github.com/labstack/echo/v5"
)

// TestAnswersEchoV5 runs the table of answers over Echo v5, by its
// WrapMiddleware.
func TestAnswersEchoV5(t *testing.T) {
	t.Parallel()
	answertest.Run(t, func(e *echomfa.Enforcer, p echomfa.Policy, handler http.Handler) http.Handler {
		app := echo.New()
		app.Any("/*", echo.WrapHandler(handler), echo.WrapMiddleware(e.Middleware(echomfa.HandlerConfig{Policy: p})))
		return app
	}, "../testdata/answers")
}
