package echov5_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
	"github.com/labstack/echo/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/echov5"
)

const (
	canary     = "canary-0123456789-canary"
	canaryPart = "0123456789"
)

// fieldError is an error that holds a token in a field and not in its text, and
// has a status.
type fieldError struct{ Token string }

func (*fieldError) Error() string   { return "custom failure" }
func (*fieldError) StatusCode() int { return http.StatusTeapot }

// sliceError cannot be compared.
type sliceError struct{ tokens []string }

func (e sliceError) Error() string { return "cannot read " + strings.Join(e.tokens, " ") }

// quotes are the ways in which a callback's error quotes what it was given, and the
// status that Echo answers each by.
func quotes() map[string]struct {
	err    error
	status int
} {
	type quote = struct {
		err    error
		status int
	}
	return map[string]quote{
		"text":                     {errors.New("cannot read " + canary), 500},
		"header":                   {fmt.Errorf("cannot read %v", http.Header{"Authorization": {"Bearer " + canary}}), 500},
		"slice":                    {sliceError{[]string{canary}}, 500},
		"field":                    {&fieldError{canary}, 418},
		"wrapped":                  {fmt.Errorf("outer: %w", &fieldError{canary}), 418},
		"joined":                   {errors.Join(errors.New("plain"), &fieldError{canary}), 418},
		"refusal":                  {&echomfa.TokenError{Code: "invalid_token", Reason: "no session " + canary}, 500},
		"Echo's":                   {echo.NewHTTPError(http.StatusTeapot, "no session "+canary).Wrap(errors.New("cause")), 418},
		"Echo's, around a field":   {echo.NewHTTPError(http.StatusTeapot, "no session").Wrap(&fieldError{canary}), 418},
		"Echo's, around a refusal": {echo.NewHTTPError(http.StatusTeapot, "no "+canary).Wrap(&echomfa.TokenError{Reason: "none"}), 418},
		"a problem":                {&echo.ProblemError{Status: http.StatusTeapot, Title: "no", Detail: "session " + canary}, 418},
	}
}

// shown prints an error, and those inside it, in every way.
func shown(err error) string {
	if err == nil {
		return ""
	}
	var text strings.Builder
	_, _ = fmt.Fprintf(&text, "%v %+v %#v %q\n", err, err, err, err)
	switch wraps := err.(type) {
	case interface{ Unwrap() error }:
		text.WriteString(shown(wraps.Unwrap()))
	case interface{ Unwrap() []error }:
		for _, inner := range wraps.Unwrap() {
			text.WriteString(shown(inner))
		}
	}
	return text.String()
}

// TestErrorHandlerCannotSpreadSecrets has an ErrorHandler quote the token in each
// way, returned and as a panic: what Echo is given keeps its status, and neither
// Echo's error handlers nor loggers show the token.
func TestErrorHandlerCannotSpreadSecrets(t *testing.T) {
	t.Parallel()
	for name, quote := range quotes() {
		for kind, appHandler := range map[string]echo.HTTPErrorHandler{
			"plain": echo.DefaultHTTPErrorHandler(true), "problem": echo.ProblemDetailsHTTPErrorHandler(true),
		} {
			for _, panics := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, panics %v", name, kind, panics), func(t *testing.T) {
					t.Parallel()
					var log bytes.Buffer
					var returned error
					app := newApp(echo.Config{HTTPErrorHandler: appHandler})
					app.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
						return func(c *echo.Context) error {
							returned = next(c)
							return returned
						}
					})
					app.GET("/", hello, echov5.WithConfig(echov5.MiddlewareConfig{
						Enforcer: table(t, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewJSONHandler(&log, nil)) }),
						Policy:   otp(),
						Token:    func(*echo.Context) (string, error) { return canary, nil },
						ErrorHandler: func(*echo.Context, error) error {
							if panics {
								panic(quote.err)
							}
							return quote.err
						},
					}))
					got := ask(t, app, http.MethodGet, "/", "")
					want := quote.status
					if panics {
						want = http.StatusInternalServerError
					}
					assert.Equal(t, want, got.Code)
					assert.Equal(t, panics, returned == nil)
					assert.NotContains(t, shown(returned)+got.Body.String()+log.String()+fmt.Sprint(got.Header()), canaryPart)
				})
			}
		}
	}
}

// TestErrorHandlerKeepsErrorsThatQuoteNothing shows that what an ErrorHandler returns
// reaches Echo as it is, also where a client has chosen a token that stands in it by
// chance: such a client cannot make an error another one.
func TestErrorHandlerKeepsErrorsThatQuoteNothing(t *testing.T) {
	t.Parallel()
	returns := func(given error) echov5.MiddlewareConfig {
		return echov5.MiddlewareConfig{Enforcer: table(t, nil), Policy: otp(), ErrorHandler: func(_ *echo.Context, err error) error {
			if given != nil {
				return given
			}
			return err
		}}
	}
	want := echo.ErrNotFound.Wrap(errTest)
	got := serve(t, returns(want), withToken(answertest.NotEnrolled))
	assert.Same(t, want, got.err)
	assert.Equal(t, http.StatusNotFound, got.Code)

	got = serve(t, returns(want), withToken("Found"))
	require.ErrorIs(t, got.err, errTest)
	assert.Equal(t, http.StatusNotFound, got.Code)
	assert.NotContains(t, got.Body.String(), "Found")

	got = serve(t, returns(nil), withToken("Unavailable"))
	require.ErrorIs(t, got.err, echomfa.ErrUnavailable)
	assert.Equal(t, http.StatusServiceUnavailable, got.Code)
	assert.Contains(t, got.Body.String(), "Service [redacted]")
}

// TestCallbacksCannotSpreadSecrets has the callbacks on Echo's context quote the
// token.
func TestCallbacksCannotSpreadSecrets(t *testing.T) {
	t.Parallel()
	type config = echov5.MiddlewareConfig
	for name, set := range map[string]func(*config, error){
		"Token": func(c *config, err error) { c.Token = func(*echo.Context) (string, error) { return "", err } },
		"Subject": func(c *config, err error) {
			c.Token = func(*echo.Context) (string, error) { return canary, nil }
			c.Subject = func(*echo.Context) (string, error) { return "", err }
		},
		"RequireFunc": func(c *config, err error) {
			c.Policy = echomfa.Policy{}
			c.RequireFunc = func(*echo.Context) (echomfa.Requirement, error) { return echomfa.Requirement{}, err }
		},
		"Skipper": func(c *config, err error) { c.Skipper = func(*echo.Context) bool { panic(err) } },
	} {
		for how, quote := range quotes() {
			t.Run(name+": "+how, func(t *testing.T) {
				t.Parallel()
				var log bytes.Buffer
				var given error
				cfg := config{
					Enforcer: table(t, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewJSONHandler(&log, nil)) }), Policy: otp(),
					ErrorHandler: func(_ *echo.Context, err error) error { given = err; return err },
				}
				set(&cfg, quote.err)
				got := serve(t, cfg, withToken(canary))
				assert.False(t, got.ran)
				require.GreaterOrEqual(t, got.Code, 400)
				assert.NotContains(t, shown(given)+shown(got.err)+log.String()+got.Body.String()+fmt.Sprint(got.Header()), canaryPart)
			})
		}
	}
}
