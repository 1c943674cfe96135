package echomfa_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
)

// toldError has cfg's ErrorHandler keep the error that it is given, and leave the
// answer to the default.
func toldError(cfg *echomfa.MiddlewareConfig) *error {
	var err error
	cfg.ErrorHandler = func(_ echo.Context, given error) error {
		err = given
		return nil
	}
	return &err
}

// TestErrorsReachErrorHandler shows what an ErrorHandler is given, and that Echo is
// given nothing where the default answer is written.
func TestErrorsReachErrorHandler(t *testing.T) {
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
			cfg := echomfa.MiddlewareConfig{Enforcer: table(t, nil), Policy: otp()}
			given := toldError(&cfg)
			got := serve(t, cfg, withToken(row.token))
			require.NoError(t, got.err)
			require.ErrorIs(t, *given, row.want)
			var httpErr *echo.HTTPError
			require.ErrorAs(t, *given, &httpErr)
			assert.Equal(t, row.code, httpErr.Code)
			assert.Equal(t, row.code, got.Code)
		})
	}
	cfg := echomfa.MiddlewareConfig{Enforcer: table(t, nil), Policy: otp()}
	given := toldError(&cfg)
	serve(t, cfg, withToken(answertest.NotEnrolled))
	var missing *echomfa.NotEnrolledError
	require.ErrorAs(t, *given, &missing)
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
		"returns nil and writes nothing": {func(echo.Context, error) error { return nil }, 403, "#ProblemNotEnrolled", true},
		"returns the error": {
			func(_ echo.Context, err error) error { return err }, 403, http.StatusText(http.StatusForbidden), false,
		},
		"panics": {func(echo.Context, error) error { panic("hook") }, 500, "#ProblemInternalError", true},
		"writes, then panics": {func(c echo.Context, _ error) error {
			_ = c.String(http.StatusTeapot, "mine")
			panic("hook")
		}, 418, "mine", true},
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
		"writes nothing": {func(http.ResponseWriter, *http.Request, error) {}, 403, "#ProblemNotEnrolled"},
		"panics":         {func(http.ResponseWriter, *http.Request, error) { panic("hook") }, 500, "#ProblemInternalError"},
		"reaches the writer below": {func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.WriteHeader(http.StatusTeapot)
			_ = http.NewResponseController(w).Flush()
		}, 418, ""},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler := table(t, nil).Middleware(echomfa.HandlerConfig{Policy: otp(), ErrorHandler: row.handle})(
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
	var returned error
	app.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			_ = c.String(http.StatusAccepted, "begun")
			returned = next(c)
			return returned
		}
	})
	app.GET("/", func(echo.Context) error { t.Error("the handler ran"); return nil }, table(t, nil).Require(otp()))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	withToken(answertest.NotEnrolled)(r)
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	assert.Equal(t, http.StatusAccepted, w.Code)
	assert.Equal(t, "begun", w.Body.String())
	require.ErrorIs(t, returned, echomfa.ErrNotEnrolled, "nothing else tells that the request was refused")
}

// TestFieldF01AppsOwnErrorHandler shows how the app's HTTPErrorHandler is called for
// refusals: the ErrorHandler returns the error. By default it is not.
func TestFieldF01AppsOwnErrorHandler(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		handle func(echo.Context, error) error
		body   string
	}{
		"by default":     {nil, `"decision_id"`},
		"asked to do so": {func(_ echo.Context, err error) error { return err }, "app: 403"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := echo.New()
			var given error
			app.HTTPErrorHandler = func(err error, c echo.Context) {
				given = err
				_ = c.String(http.StatusForbidden, "app: 403")
			}
			app.GET("/", func(echo.Context) error { t.Error("the handler ran"); return nil }, echomfa.WithConfig(
				echomfa.MiddlewareConfig{Enforcer: table(t, nil), Policy: otp(), ErrorHandler: row.handle}))
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			withToken(answertest.NotEnrolled)(r)
			w := httptest.NewRecorder()
			app.ServeHTTP(w, r)
			assert.Equal(t, http.StatusForbidden, w.Code)
			assert.Contains(t, w.Body.String(), row.body)
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			assert.Equal(t, row.handle != nil, errors.Is(given, echomfa.ErrNotEnrolled))
		})
	}
}

// TestFieldF01RequestLoggers shows that Echo's request loggers see the status that was
// sent, a redirect's too, and no error: whether or not they hand errors on to
// Echo's error handler.
func TestFieldF01RequestLoggers(t *testing.T) {
	t.Parallel()
	for _, handleError := range []bool{false, true} {
		for header, want := range map[string]int{"navigate": 302, "cors": 403} {
			t.Run(fmt.Sprintf("%s, HandleError %v", header, handleError), func(t *testing.T) {
				t.Parallel()
				e := table(t, func(c *echomfa.Config) { c.EnrollURL = "/mfa" })
				var logged middleware.RequestLoggerValues
				var text bytes.Buffer
				app := echo.New()
				app.Use(middleware.LoggerWithConfig(middleware.LoggerConfig{Format: "${status} ${error}.", Output: &text})) //nolint:staticcheck // users have it
				app.Use(middleware.RequestLoggerWithConfig(middleware.RequestLoggerConfig{
					LogStatus: true, LogError: true, HandleError: handleError,
					LogValuesFunc: func(_ echo.Context, v middleware.RequestLoggerValues) error {
						logged = v
						return nil
					},
				}))
				app.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusOK) }, e.Require(otp()))
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
				withToken(answertest.NotEnrolled)(r)
				r.Header.Set("Sec-Fetch-Mode", header)
				w := httptest.NewRecorder()
				app.ServeHTTP(w, r)
				assert.Equal(t, want, w.Code)
				assert.Equal(t, want, logged.Status)
				require.NoError(t, logged.Error)
				assert.Equal(t, fmt.Sprintf("%d .", want), text.String())
			})
		}
	}
}

// TestOnesOwnFailureIsNotGenAuths shows that a Token function whose own work
// failed is a 500, whatever its error is made of.
func TestOnesOwnFailureIsNotGenAuths(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{
		client.ErrMisconfigured, echomfa.ErrUnavailable, echomfa.ErrNotEnrolled,
		&echomfa.LookupError{Err: &echomfa.TokenError{Code: "invalid_token"}}, errors.New("other"),
	} {
		cfg := echomfa.MiddlewareConfig{
			Enforcer: table(t, func(c *echomfa.Config) { c.EnrollURL, c.LoginURL = "/mfa", "/login" }),
			Policy:   otp(),
			Token:    func(echo.Context) (string, error) { return "", fmt.Errorf("session store: %w", cause) },
		}
		got := serve(t, cfg, func(r *http.Request) { r.Header.Set("Sec-Fetch-Mode", "navigate") })
		assert.Equal(t, http.StatusInternalServerError, got.Code, cause)
		assert.False(t, got.ran)
	}
}

// TestStatusAndHeadersAgree shows that an error which says two things is answered
// by one of them, in status and headers alike.
func TestStatusAndHeadersAgree(t *testing.T) {
	t.Parallel()
	e := table(t, nil)
	both := &echomfa.LookupError{Err: &echomfa.TokenError{Code: "invalid_token"}}
	w := httptest.NewRecorder()
	e.WriteRefusal(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), both)
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.NotEmpty(t, w.Header().Get("Retry-After"))
	assert.Empty(t, w.Header().Get("WWW-Authenticate"))

	w = httptest.NewRecorder()
	e.WriteRefusal(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), &client.APIError{HTTPStatus: http.StatusUnauthorized})
	assert.Equal(t, http.StatusUnauthorized, w.Code)
	assert.Equal(t, `Bearer realm="mfa", error="invalid_token"`, w.Header().Get("WWW-Authenticate"))
}

// TestFailedErrorHandlerLeavesNoHeaders shows that the 500 after a panic does not
// carry what belonged to the refusal.
func TestFailedErrorHandlerLeavesNoHeaders(t *testing.T) {
	t.Parallel()
	for _, bearer := range []string{"token-refused", "token-unavailable"} {
		handler := table(t, nil).Middleware(echomfa.HandlerConfig{
			Policy:       otp(),
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic("handler") },
		})(http.NotFoundHandler())
		w := send(t, handler, http.MethodGet, "/", "Authorization: Bearer "+bearer)
		assert.Equal(t, http.StatusInternalServerError, w.Code)
		assert.Empty(t, w.Header().Get("WWW-Authenticate"))
		assert.Empty(t, w.Header().Get("Retry-After"))
	}
}

// TestFlushIsAnAnswer shows that an ErrorHandler which only flushes has given the
// refusal's status, and not a 200.
func TestFlushIsAnAnswer(t *testing.T) {
	t.Parallel()
	handler := table(t, nil).Middleware(echomfa.HandlerConfig{
		Policy: otp(),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			assert.NoError(t, http.NewResponseController(w).Flush())
		},
	})(http.NotFoundHandler())
	w := send(t, handler, http.MethodGet, "/", lackingBearer)
	require.Equal(t, http.StatusForbidden, w.Code)
	assert.Empty(t, w.Body.String())
}
