package echomfa_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
)

// TestErrorsReachEcho shows what Echo and an ErrorHandler are given.
func TestErrorsReachEcho(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		token string
		want  error
		code  int
	}{
		"not enrolled":    {answertest.NotEnrolled, echomfa.ErrNotEnrolled, 403},
		"unauthenticated": {"token-refused", echomfa.ErrUnauthenticated, 401},
		"unavailable":     {"token-unavailable", echomfa.ErrUnavailable, 503},
		"misconfigured":   {"token-misconfigured", echomfa.ErrMisconfigured, 503},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := serve(t, echomfa.MiddlewareConfig{Enforcer: table(t, nil), Policy: otp()}, withToken(row.token))
			require.ErrorIs(t, got.err, row.want)
			var httpErr *echo.HTTPError
			require.ErrorAs(t, got.err, &httpErr)
			assert.Equal(t, row.code, httpErr.Code)
			assert.Equal(t, row.code, got.Code)
		})
	}
	got := serve(t, echomfa.MiddlewareConfig{Enforcer: table(t, nil), Policy: otp()}, withToken(answertest.NotEnrolled))
	var missing *echomfa.NotEnrolledError
	require.ErrorAs(t, got.err, &missing)
	assert.Equal(t, [][]echomfa.FactorType{{echomfa.OTP}}, missing.Decision.Missing)
	assert.NotEmpty(t, missing.Decision.ID)
	assert.NotEmpty(t, missing.Decision.TokenRef)
}

// TestErrorHandler shows whose answer is given, and that the handler runs in no
// case.
func TestErrorHandler(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		handle func(echo.Context, error) error
		code   int
		body   string
		ok     bool // Echo is given no error
	}{
		"writes and returns nil": {
			func(c echo.Context, _ error) error { return c.String(http.StatusTeapot, "mine") }, 418, "mine", true,
		},
		"returns nil and writes nothing": {func(echo.Context, error) error { return nil }, 403, "not-enrolled", false},
		"returns the error": {
			func(_ echo.Context, err error) error { return err }, 403, http.StatusText(http.StatusForbidden), false,
		},
		"panics": {func(echo.Context, error) error { panic("hook") }, 500, "internal", false},
		"writes, then panics": {func(c echo.Context, _ error) error {
			_ = c.String(http.StatusTeapot, "mine")
			panic("hook")
		}, 418, "mine", false},
	}
	for name, row := range rows {
		t.Run("Echo: "+name, func(t *testing.T) {
			t.Parallel()
			cfg := echomfa.MiddlewareConfig{Enforcer: table(t, nil), Policy: otp(), ErrorHandler: row.handle}
			got := serve(t, cfg, withToken(answertest.NotEnrolled))
			assert.False(t, got.ran)
			assert.Equal(t, row.code, got.Code)
			assert.Contains(t, got.Body.String(), row.body)
			assert.Equal(t, row.ok, got.err == nil)
			assert.Equal(t, "no-store", got.Header().Get("Cache-Control"), "headers are set before")
		})
	}
}

// TestErrorHandlerHTTP is the same over net/http.
func TestErrorHandlerHTTP(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		handle func(http.ResponseWriter, *http.Request, error)
		code   int
		body   string
	}{
		"writes a body": {
			func(w http.ResponseWriter, _ *http.Request, _ error) { _, _ = w.Write([]byte("mine")) }, 200, "mine",
		},
		"writes a status": {
			func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusTeapot) }, 418, "",
		},
		"writes nothing": {func(http.ResponseWriter, *http.Request, error) {}, 403, "not-enrolled"},
		"panics":         {func(http.ResponseWriter, *http.Request, error) { panic("hook") }, 500, "internal"},
		"reaches the writer below": {func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusTeapot)
			_ = http.NewResponseController(w).Flush()
		}, 418, ""},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler := table(t, nil).Handler(echomfa.HandlerConfig{Policy: otp(), ErrorHandler: row.handle})(
				http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }))
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin", nil)
			withToken(answertest.NotEnrolled)(r)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			assert.Equal(t, row.code, w.Code)
			assert.Contains(t, w.Body.String(), row.body)
		})
	}
}

// TestCommittedResponse shows that an answer which an earlier middleware has
// begun is not added to, and that the handler does not run.
func TestCommittedResponse(t *testing.T) {
	t.Parallel()
	app := echo.New()
	app.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			_ = c.String(http.StatusAccepted, "begun")
			return next(c)
		}
	})
	app.GET("/", func(echo.Context) error { t.Error("the handler ran"); return nil }, table(t, nil).Require(otp()))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	withToken(answertest.NotEnrolled)(r)
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	assert.Equal(t, http.StatusAccepted, w.Code)
	assert.Equal(t, "begun", w.Body.String())
}

// TestRequestLogger shows that Echo's request logger sees the status that was
// sent, a redirect's too.
func TestRequestLogger(t *testing.T) {
	t.Parallel()
	e := table(t, func(c *echomfa.Config) { c.EnrollURL = "/mfa" })
	logged := 0
	app := echo.New()
	app.Use(middleware.RequestLoggerWithConfig(middleware.RequestLoggerConfig{
		LogStatus: true,
		LogValuesFunc: func(_ echo.Context, v middleware.RequestLoggerValues) error {
			logged = v.Status
			return nil
		},
	}))
	app.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) }, e.Require(otp()))
	for header, want := range map[string]int{"navigate": 302, "cors": 403} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		withToken(answertest.NotEnrolled)(r)
		r.Header.Set("Sec-Fetch-Mode", header)
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		assert.Equal(t, want, w.Code)
		assert.Equal(t, want, logged)
	}
}
