package echov5_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/echov5"
)

// TestErrorsReachErrorHandler shows what an ErrorHandler is given, and that Echo is
// given nothing where the default answer is written.
func TestErrorsReachErrorHandler(t *testing.T) {
	t.Parallel()
	for token, row := range map[string]struct {
		want error
		code int
	}{
		answertest.NotEnrolled: {echomfa.ErrNotEnrolled, 403},
		"token-refused":        {echomfa.ErrUnauthenticated, 401},
		"token-unavailable":    {echomfa.ErrUnavailable, 503},
		"token-misconfigured":  {echomfa.ErrMisconfigured, 503},
		"token-panicking":      {nil, 500},
	} {
		t.Run(token, func(t *testing.T) {
			t.Parallel()
			var given error
			got := serve(t, echov5.MiddlewareConfig{
				Enforcer: table(t, nil), Policy: otp(),
				ErrorHandler: func(_ *echo.Context, err error) error { given = err; return nil },
			}, withToken(token))
			require.NoError(t, got.err)
			if row.want != nil {
				require.ErrorIs(t, given, row.want)
			}
			assert.Equal(t, row.code, echo.StatusCode(given))
			var httpErr *echo.HTTPError
			require.ErrorAs(t, given, &httpErr)
			assert.Equal(t, http.StatusText(row.code), httpErr.Message)
			assert.Equal(t, row.code, got.Code)
			if token == answertest.NotEnrolled {
				var missing *echomfa.NotEnrolledError
				require.ErrorAs(t, given, &missing)
				assert.Equal(t, [][]echomfa.FactorType{{echomfa.OTP}}, missing.Decision.Missing)
				assert.NotEmpty(t, missing.Decision.ID)
			}
		})
	}
}

// counting is a ResponseWriter that knows how many answers it was given.
type counting struct {
	*httptest.ResponseRecorder
	answers int
}

func (c *counting) WriteHeader(status int) {
	c.answers++
	c.ResponseRecorder.WriteHeader(status)
}

// opaque hides the writer below from Echo, as middleware of others may.
type opaque struct{ http.ResponseWriter }

// fronts are middleware in front of the guard that hold answers back, or answer
// errors themselves.
func fronts() map[string][]echo.MiddlewareFunc {
	short := middleware.GzipWithConfig(middleware.GzipConfig{MinLength: 1 << 20})
	return map[string][]echo.MiddlewareFunc{
		"nothing":                      nil,
		"RequestLogger":                {middleware.RequestLogger()},
		"Gzip, short":                  {short},
		"Gzip, then RequestLogger":     {short, middleware.RequestLogger()},
		"RequestLogger, then Gzip":     {middleware.RequestLogger(), short},
		"BodyDump, then RequestLogger": {middleware.BodyDump(func(*echo.Context, []byte, []byte, error) {}), middleware.RequestLogger()},
		"net/http": {echo.WrapMiddleware(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(opaque{w}, r) })
		}), middleware.RequestLogger()},
		"an opaque writer": {func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c *echo.Context) error {
				w := c.Response()
				c.SetResponse(opaque{w})
				defer c.SetResponse(w)
				return next(c)
			}
		}, middleware.RequestLogger()},
	}
}

// TestOneAnswer has what an ErrorHandler may do, with Echo's own error handlers and
// with middleware in front that holds answers back: each request gets one answer.
func TestOneAnswer(t *testing.T) {
	t.Parallel()
	const (
		byDefault = `"decision_id"`
		mine      = "mine"
		byEcho    = "\x00" // by Echo's error handler
		nothing   = ""
	)
	handlers := map[string]struct {
		handle func(c *echo.Context, err error) error
		code   int
		body   string
	}{
		"none":    {nil, 403, byDefault},
		"nothing": {func(*echo.Context, error) error { return nil }, 403, byDefault},
		"writes":  {func(c *echo.Context, _ error) error { return c.String(http.StatusTeapot, mine) }, 418, mine},
		"writes no body": {
			func(c *echo.Context, _ error) error { return c.NoContent(http.StatusTeapot) }, 418, nothing,
		},
		"writes JSON": {func(c *echo.Context, _ error) error { return c.JSON(http.StatusTeapot, mine) }, 418, mine},
		"writes JSON that cannot be": {
			func(c *echo.Context, _ error) error { _ = c.JSON(http.StatusTeapot, func() {}); return nil }, 403, byDefault,
		},
		"writes below": {func(c *echo.Context, _ error) error {
			if response, err := echo.UnwrapResponse(c.Response()); err == nil {
				response.WriteHeader(http.StatusTeapot)
				_, _ = response.Write([]byte(mine))
				return nil
			}
			return c.String(http.StatusTeapot, mine)
		}, 418, mine},
		"returns the error": {func(_ *echo.Context, err error) error { return err }, 403, byEcho},
		"returns another": {
			func(_ *echo.Context, err error) error { return echo.ErrNotFound.Wrap(err) }, 404, byEcho,
		},
		"returns a problem": {func(*echo.Context, error) error {
			return &echo.ProblemError{Status: http.StatusTeapot}
		}, 418, byEcho},
		"writes and returns the error": {func(c *echo.Context, err error) error {
			_ = c.String(http.StatusTeapot, mine)
			return err
		}, 418, mine},
		"panics": {func(*echo.Context, error) error { panic("hook") }, 500, byDefault},
		"writes and panics": {func(c *echo.Context, _ error) error {
			_ = c.String(http.StatusTeapot, mine)
			panic("hook")
		}, 418, mine},
		"flushes": {func(c *echo.Context, _ error) error {
			return http.NewResponseController(c.Response()).Flush()
		}, 403, nothing},
		"flushes as of old": {func(c *echo.Context, _ error) error {
			flusher, ok := c.Response().(http.Flusher)
			assert.True(t, ok)
			flusher.Flush()
			return nil
		}, 403, nothing},
	}
	appHandlers := map[string]echo.HTTPErrorHandler{
		"plain": echo.DefaultHTTPErrorHandler(false), "plain, exposing": echo.DefaultHTTPErrorHandler(true),
		"problem": echo.ProblemDetailsHTTPErrorHandler(false), "problem, exposing": echo.ProblemDetailsHTTPErrorHandler(true),
	}
	for name, row := range handlers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			guard := echov5.WithConfig(echov5.MiddlewareConfig{Enforcer: table(t, nil), Policy: otp(), ErrorHandler: row.handle})
			for front, before := range fronts() {
				for kind, appHandler := range appHandlers {
					for _, router := range []echo.Config{{}, headRouter()} {
						router.HTTPErrorHandler = appHandler
						app := newApp(router)
						app.Use(before...)
						app.GET("/", func(*echo.Context) error { t.Error("the handler ran"); return nil }, guard)
						r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
						r.Header.Set("Accept-Encoding", "gzip")
						withToken(answertest.NotEnrolled)(r)
						w := &counting{ResponseRecorder: httptest.NewRecorder()}
						app.ServeHTTP(w, r)
						at := fmt.Sprintf("%s, %s: %s", front, kind, w.Body)
						assert.Equal(t, 1, w.answers, at)
						assert.Equal(t, row.code, w.Code, at)
						assert.Equal(t, "no-store", w.Header().Get("Cache-Control"), at)
						switch body := strings.TrimSpace(w.Body.String()); row.body {
						case nothing:
							if strings.Contains(front, "Gzip") {
								body = strings.TrimPrefix(body, "\x1f\x8b") // the beginning of its stream
								assert.NotContains(t, body, "{", at)
							} else {
								assert.Empty(t, body, at)
							}
						case mine:
							assert.Equal(t, mine, strings.Trim(body, `"`), at)
						case byEcho:
							assert.True(t, json.Valid([]byte(body)), at)
							assert.NotContains(t, body, byDefault, at)
						default:
							assert.True(t, json.Valid([]byte(body)), at)
							assert.Contains(t, body, byDefault, at)
						}
					}
				}
			}
		})
	}
}

// TestEchoErrorHandlers shows what Echo's own error handlers make of a refusal that
// is returned to them: its status, in their own words.
func TestEchoErrorHandlers(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		handler echo.HTTPErrorHandler
		body    string
		media   string
	}{
		"plain":   {echo.DefaultHTTPErrorHandler(false), `{"message":"Forbidden"}`, "application/json"},
		"problem": {echo.ProblemDetailsHTTPErrorHandler(false), `{"type":"about:blank","title":"Forbidden","status":403,"detail":"Forbidden"}`, "application/problem+json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := newApp(echo.Config{HTTPErrorHandler: row.handler})
			app.Any("/", hello, echov5.WithConfig(echov5.MiddlewareConfig{
				Enforcer: table(t, nil), Policy: otp(), ErrorHandler: func(_ *echo.Context, err error) error { return err },
			}))
			got := ask(t, app, http.MethodGet, "/", answertest.NotEnrolled)
			assert.Equal(t, http.StatusForbidden, got.Code)
			assert.JSONEq(t, row.body, got.Body.String())
			assert.Equal(t, row.media, got.Header().Get("Content-Type"))
			head := ask(t, app, http.MethodHead, "/", answertest.NotEnrolled)
			assert.Equal(t, http.StatusForbidden, head.Code)
			assert.Empty(t, head.Body.String())
			down := ask(t, app, http.MethodGet, "/", "token-limited")
			assert.Equal(t, http.StatusServiceUnavailable, down.Code)
			assert.Equal(t, "7", down.Header().Get("Retry-After"))
		})
	}
}

// TestHijackedConnectionIsLeftAlone shows that nothing is written once an
// ErrorHandler has taken the connection.
func TestHijackedConnectionIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, returns := range []bool{false, true} {
		app := newApp(echo.Config{})
		app.GET("/", hello, echov5.WithConfig(echov5.MiddlewareConfig{
			Enforcer: table(t, nil), Policy: otp(), ErrorHandler: func(c *echo.Context, err error) error {
				_, _, hijackErr := http.NewResponseController(c.Response()).Hijack()
				require.NoError(t, hijackErr)
				if returns {
					return err
				}
				return nil
			},
		}))
		w := &hijackable{counting{ResponseRecorder: httptest.NewRecorder()}}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		withToken(answertest.NotEnrolled)(r)
		app.ServeHTTP(w, r)
		assert.Zero(t, w.answers)
		assert.Empty(t, w.Body.String())
	}
}

type hijackable struct{ counting }

func (*hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, nil }

// TestCommittedResponse shows that an answer which an earlier middleware has begun
// is not added to, and that the handler does not run.
func TestCommittedResponse(t *testing.T) {
	t.Parallel()
	for _, handle := range []func(*echo.Context, error) error{nil, func(c *echo.Context, _ error) error {
		t.Error("the ErrorHandler ran")
		return c.String(http.StatusTeapot, "mine")
	}} {
		app := newApp(echo.Config{})
		var returned error
		app.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c *echo.Context) error {
				_ = c.String(http.StatusAccepted, "begun")
				returned = next(c)
				return returned
			}
		})
		app.GET("/", func(*echo.Context) error { t.Error("the handler ran"); return nil }, echov5.WithConfig(
			echov5.MiddlewareConfig{Enforcer: table(t, nil), Policy: otp(), ErrorHandler: handle}))
		got := ask(t, app, http.MethodGet, "/", answertest.NotEnrolled)
		assert.Equal(t, http.StatusAccepted, got.Code)
		assert.Equal(t, "begun", got.Body.String())
		require.ErrorIs(t, returned, echomfa.ErrNotEnrolled, "nothing else tells that the request was refused")
	}
}

// TestAppsOwnErrorHandler shows how the app's HTTPErrorHandler is called for
// refusals: the ErrorHandler returns the error. By default it is not.
func TestAppsOwnErrorHandler(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		handle func(*echo.Context, error) error
		body   string
	}{
		"by default":     {nil, `"decision_id"`},
		"asked to do so": {func(_ *echo.Context, err error) error { return err }, "app: 403"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var given error
			app := newApp(echo.Config{HTTPErrorHandler: func(c *echo.Context, err error) {
				given = err
				_ = c.String(echo.StatusCode(err), fmt.Sprint("app: ", echo.StatusCode(err)))
			}})
			app.GET("/", hello, echov5.WithConfig(echov5.MiddlewareConfig{Enforcer: table(t, nil), Policy: otp(), ErrorHandler: row.handle}))
			got := ask(t, app, http.MethodGet, "/", answertest.NotEnrolled)
			assert.Equal(t, http.StatusForbidden, got.Code)
			assert.Contains(t, got.Body.String(), row.body)
			assert.Equal(t, "no-store", got.Header().Get("Cache-Control"))
			assert.Equal(t, row.handle != nil, errors.Is(given, echomfa.ErrNotEnrolled))
		})
	}
}

// TestRequestLoggers shows that Echo's request logger sees the status that was sent,
// a redirect's too, and no error.
func TestRequestLoggers(t *testing.T) {
	t.Parallel()
	for _, handleError := range []bool{false, true} {
		for mode, want := range map[string]int{"navigate": 302, "cors": 403} {
			var logged middleware.RequestLoggerValues
			app := newApp(echo.Config{})
			app.Use(middleware.RequestLoggerWithConfig(middleware.RequestLoggerConfig{
				LogStatus: true, HandleError: handleError,
				LogValuesFunc: func(_ *echo.Context, v middleware.RequestLoggerValues) error {
					logged = v
					return nil
				},
			}))
			app.GET("/", hello, echov5.Require(table(t, func(c *echomfa.Config) { c.EnrollURL = "/mfa" }), otp()))
			got := ask(t, app, http.MethodGet, "/", answertest.NotEnrolled, "Sec-Fetch-Mode", mode)
			assert.Equal(t, want, got.Code)
			assert.Equal(t, want, logged.Status)
			require.NoError(t, logged.Error)
		}
	}
}

// TestOnesOwnFailureIsNotGenAuths shows that a Token function whose own work failed
// is a 500, whatever its error is made of.
func TestOnesOwnFailureIsNotGenAuths(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{
		client.ErrMisconfigured, echomfa.ErrUnavailable, echomfa.ErrNotEnrolled,
		&echomfa.LookupError{Err: &echomfa.TokenError{Code: "invalid_token"}}, errors.New("other"),
	} {
		got := serve(t, echov5.MiddlewareConfig{
			Enforcer: table(t, func(c *echomfa.Config) { c.EnrollURL, c.LoginURL = "/mfa", "/login" }),
			Policy:   otp(),
			Token:    func(*echo.Context) (string, error) { return "", fmt.Errorf("session store: %w", cause) },
		}, func(r *http.Request) { r.Header.Set("Sec-Fetch-Mode", "navigate") })
		assert.Equal(t, http.StatusInternalServerError, got.Code, cause)
		assert.False(t, got.ran)
	}
}

// TestOneRefusalIsOneLine shows that a refused request is one log line and one
// observation, no matter who answers it.
func TestOneRefusalIsOneLine(t *testing.T) {
	t.Parallel()
	for _, handle := range []func(*echo.Context, error) error{
		nil, func(_ *echo.Context, err error) error { return err },
		func(c *echo.Context, _ error) error { return c.NoContent(http.StatusForbidden) },
	} {
		var log bytes.Buffer
		e := table(t, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		serve(t, echov5.MiddlewareConfig{Enforcer: e, Policy: otp(), ErrorHandler: handle}, withToken(answertest.NotEnrolled))
		assert.Equal(t, 1, strings.Count(log.String(), "\n"), log.String())
		assert.Contains(t, log.String(), "route=/admin/:id method=GET")
	}
}
