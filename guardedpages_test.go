package echomfa_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
)

// TestPages shows which pages of the configuration package rules must leave open.
func TestPages(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"/mfa", "/login"}, table(t, func(c *echomfa.Config) { c.EnrollURL, c.LoginURL = "/mfa", "/login" }).Pages())
	assert.Equal(t, []string{"/login"}, table(t, func(c *echomfa.Config) { c.EnrollURL, c.LoginURL = "", "/login" }).Pages())
	assert.Empty(t, (&echomfa.Enforcer{}).Pages())
}

// TestN5GuardedPages shows that a guarded EnrollURL or LoginURL is said at Error,
// once for each, by whichever adapter and kind of client, and that others are not.
func TestN5GuardedPages(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		target, token, want string
	}{
		"EnrollURL, factors missing": {"/mfa?return_to=/x", answertest.NotEnrolled, "mfa EnrollURL is itself guarded"},
		"EnrollURL with a slash":     {"/mfa/", answertest.NotEnrolled, "mfa EnrollURL is itself guarded"},
		"EnrollURL, no token":        {"/mfa", "", "mfa EnrollURL is itself guarded"},
		"LoginURL, no token":         {"/login", "", "mfa LoginURL is itself guarded"},
		"LoginURL, factors missing":  {"/login", answertest.NotEnrolled, "mfa LoginURL is itself guarded"},
		"allowed":                    {"/mfa", answertest.Enrolled, ""},
		"another page":               {"/admin", answertest.NotEnrolled, ""},
		"below":                      {"/mfa/x", answertest.NotEnrolled, ""},
		"an error of the app":        {"/mfa", "token-panicking", ""},
	} {
		for _, mode := range []echomfa.Mode{echomfa.Enforce, echomfa.ReportOnly} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var log bytes.Buffer
				e := table(t, func(c *echomfa.Config) {
					c.EnrollURL, c.LoginURL = "/mfa", "/login"
					c.Logger = slog.New(slog.NewTextHandler(&log, nil))
				})
				app := echo.New()
				app.Use(echomfa.WithConfig(echomfa.MiddlewareConfig{Enforcer: e, Policy: otp(), Mode: mode}))
				app.Any("/*", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
				handler := e.Middleware(echomfa.HandlerConfig{Policy: otp(), Mode: mode})(http.NotFoundHandler())
				for _, over := range []http.Handler{app, handler, app} {
					for _, kind := range []string{"navigate", "cors"} {
						r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, row.target, nil)
						r.Header.Set("Sec-Fetch-Mode", kind)
						if row.token != "" {
							withToken(row.token)(r)
						}
						over.ServeHTTP(httptest.NewRecorder(), r)
					}
				}
				want := 0
				if row.want != "" {
					want = 1
					assert.Contains(t, log.String(), `level=ERROR msg="`+row.want)
				}
				assert.Equal(t, want, strings.Count(log.String(), "is itself guarded"), log.String())
			})
		}
	}
}
