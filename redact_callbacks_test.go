package echomfa_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

const (
	canary     = "canary-0123456789-canary"
	canaryPart = "0123456789"
)

// fieldError is an error that holds a token in a field and not in its text.
type fieldError struct{ Token string }

func (*fieldError) Error() string { return "custom failure" }

// valueError is the same, not a pointer.
type valueError struct{ token string }

func (valueError) Error() string { return "custom failure" }

// deepError wraps one whose field only its own %#v shows.
type deepError struct{ inner *fieldError }

func (*deepError) Error() string   { return "deep failure" }
func (e *deepError) Unwrap() error { return e.inner }

// quotes are the ways in which a callback's error quotes what it was given.
func quotes() map[string]error {
	return map[string]error{
		"text":           errors.New("cannot read " + canary),
		"quoted":         fmt.Errorf("cannot read %q", canary),
		"the header":     fmt.Errorf("cannot read %v", http.Header{"Authorization": {"Bearer " + canary}}),
		"url.Error":      &url.Error{Op: "Get", URL: "https://session.test/?token=" + canary, Err: context.DeadlineExceeded},
		"field":          &fieldError{canary},
		"value":          valueError{canary},
		"deep":           fmt.Errorf("outer: %w", &deepError{&fieldError{canary}}),
		"joined":         errors.Join(errors.New("plain"), &fieldError{canary}),
		"refusal":        &echomfa.TokenError{Code: "invalid_token", Reason: "no session " + canary},
		"refusal's code": &echomfa.TokenError{Code: "x" + canary, Reason: "no session"},
		"a cause":        &echomfa.TokenError{Code: "invalid_token", Reason: "no session", Err: &fieldError{canary}},
		"our own words":  fmt.Errorf("%w: %s", echomfa.ErrUnauthenticated, canary),
		"Echo's error":   echo.NewHTTPError(http.StatusTeapot, "no session "+canary).WithInternal(&fieldError{canary}),
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

// TestH2X9CallbacksCannotSpreadSecrets has every callback quote the token, as an
// error and as a panic, wherever in the request the token is.
func TestH2X9CallbacksCannotSpreadSecrets(t *testing.T) {
	t.Parallel()
	type callback struct {
		config func(*echomfa.Config, func() error)
		mount  func(*echomfa.MiddlewareConfig, func() error)
		panics bool // it has no error to return
	}
	callbacks := map[string]callback{
		"Config.Token": {config: func(c *echomfa.Config, fail func() error) {
			c.TokenLookup, c.Token = "", func(*http.Request) (string, error) { return "", fail() }
		}},
		"MiddlewareConfig.Token": {mount: func(c *echomfa.MiddlewareConfig, fail func() error) {
			c.Token = func(echo.Context) (string, error) { return "", fail() }
		}},
		"RequireFunc": {mount: func(c *echomfa.MiddlewareConfig, fail func() error) {
			c.Policy, c.RequireFunc = echomfa.Policy{}, func(echo.Context) (echomfa.Requirement, error) {
				return echomfa.Requirement{Policy: otp()}, fail()
			}
		}},
		"Subject": {mount: func(c *echomfa.MiddlewareConfig, fail func() error) {
			c.Token = func(echo.Context) (string, error) { return canary, nil }
			c.Subject = func(echo.Context) (string, error) { return "", fail() }
		}},
		"CheckToken": {config: func(c *echomfa.Config, fail func() error) {
			c.TokenLookup, c.Token = "", func(*http.Request) (string, error) { return canary, nil }
			c.CheckToken = func(context.Context, string) error { return fail() }
		}},
		"lister": {config: func(c *echomfa.Config, fail func() error) {
			c.TokenLookup, c.Token = "", func(*http.Request) (string, error) { return canary, nil }
			c.Client = echomfa.FactorListerFunc(func(context.Context, string) ([]client.Factor, error) { return nil, fail() })
		}},
		"ErrorHandler": {mount: func(c *echomfa.MiddlewareConfig, fail func() error) {
			c.Token = func(echo.Context) (string, error) { return canary, nil }
			c.ErrorHandler = func(echo.Context, error) error { return fail() }
		}},
		"Skipper": {panics: true, mount: func(c *echomfa.MiddlewareConfig, fail func() error) {
			c.Skipper = func(echo.Context) bool { panic(fail()) }
		}},
		"Observer": {panics: true, config: func(c *echomfa.Config, fail func() error) {
			c.Observer = observing(func() { panic(fail()) })
		}},
	}
	places := map[string]struct {
		lookup string
		put    func(*http.Request)
	}{
		"Authorization":     {"", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+canary) }},
		"Authorization raw": {"cookie:x", func(r *http.Request) { r.Header.Set("Authorization", canary) }},
		"a declared header": {"header:X-Declared:T", func(r *http.Request) { r.Header.Set("X-Declared", "T"+canary) }},
		"a token header":    {"cookie:x", func(r *http.Request) { r.Header.Set("X-Forwarded-Access-Token", canary) }},
		"a WebSocket":       {"cookie:x", func(r *http.Request) { r.Header.Set("Sec-WebSocket-Protocol", "bearer, "+canary) }},
		"a parameter":       {"cookie:x", func(r *http.Request) { r.URL.RawQuery = "access_token=" + canary }},
		"a cookie":          {"cookie:x", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "sid", Value: canary}) }},
	}
	for name, cb := range callbacks {
		for how, quote := range quotes() {
			for place, at := range places {
				for _, panics := range []bool{false, true} {
					if cb.panics && !panics || place == "a declared header" && (name == "Config.Token" || name == "CheckToken" || name == "lister") {
						continue // with Config.Token no header is declared
					}
					t.Run(fmt.Sprintf("%s: %s in %s, panics %v", name, how, place, panics), func(t *testing.T) {
						t.Parallel()
						fail := func() error {
							if panics {
								panic(quote)
							}
							return quote
						}
						var log bytes.Buffer
						var given error
						mount := echomfa.MiddlewareConfig{Policy: otp()}
						if name != "Observer" {
							mount.ErrorHandler = func(_ echo.Context, err error) error {
								given = err
								return nil
							}
						}
						mount.Enforcer = newEnforcer(t, newDirectory(), func(c *echomfa.Config) {
							c.TokenLookup, c.Cache.Size = at.lookup, 64
							c.Logger = slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
							if cb.config != nil {
								cb.config(c, fail)
							}
						})
						if cb.mount != nil {
							cb.mount(&mount, fail)
						}
						for range 2 { // what is remembered, too
							got := serve(t, mount, at.put)
							assert.False(t, got.ran)
							require.GreaterOrEqual(t, got.Code, 400)
							said := shown(given) + shown(got.err) + log.String() + fmt.Sprint(got.Header()) + got.Body.String()
							assert.NotContains(t, said, canaryPart)
						}
					})
				}
			}
		}
	}
}

type observing func()

func (o observing) ObserveDecision(context.Context, echomfa.Decision, string, string) { o() }

// TestX9ShortValuesDoNotShredLines shows that a cookie "id=1" is not looked for, and
// that errors which quote nothing are kept as they are.
func TestX9ShortValuesDoNotShredLines(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	want := errors.New("role service: id 1 of 1,111")
	cfg := echomfa.MiddlewareConfig{
		Enforcer:    table(t, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) }),
		RequireFunc: func(echo.Context) (echomfa.Requirement, error) { return echomfa.Requirement{}, want },
	}
	given := toldError(&cfg)
	serve(t, cfg, func(r *http.Request) { r.Header.Set("Cookie", "id=1; ids=1,111") })
	require.ErrorIs(t, *given, want)
	assert.Contains(t, log.String(), want.Error())

	log.Reset()
	serve(t, cfg, withToken("id"))
	require.ErrorIs(t, *given, want, "a client cannot make an error another one")
	assert.Contains(t, log.String(), "role service: [redacted] 1 of 1,111", "the known token, where it stands alone")
}

// TestX9PublicCallsCannotSpreadSecrets has the calls of the Enforcer that an
// application makes itself.
func TestX9PublicCallsCannotSpreadSecrets(t *testing.T) {
	t.Parallel()
	e := newEnforcer(t, newDirectory(), func(c *echomfa.Config) {
		c.Token = func(*http.Request) (string, error) { return canary, &fieldError{canary} }
	})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	_, err := e.Token(r)
	require.Error(t, err)
	assert.NotContains(t, shown(err), canaryPart)
	err = e.InvalidateRequest(r)
	require.Error(t, err)
	assert.NotContains(t, shown(err), canaryPart)

	r.AddCookie(&http.Cookie{Name: "sid", Value: canary})
	w := httptest.NewRecorder()
	e.WriteRefusal(w, r, &echomfa.TokenError{Code: "bad " + canary, Reason: "no session " + canary})
	assert.Contains(t, w.Header().Get("WWW-Authenticate"), `error="bad [redacted]", error_description="no session [redacted]"`)
}

// TestX9WrappedAbortSpreadsNothing shows that net/http, which logs every panic but
// its own, is given its own.
func TestX9WrappedAbortSpreadsNothing(t *testing.T) {
	t.Parallel()
	cfg := echomfa.MiddlewareConfig{Enforcer: table(t, nil), Policy: otp(), Token: func(echo.Context) (string, error) {
		panic(fmt.Errorf("%w: %s", http.ErrAbortHandler, canary))
	}}
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { serve(t, cfg, nil) })
}

// TestX21RefusalsKeepNothingForeign shows that what is remembered of a refused token
// is a small value of ours, whatever the lister's error is.
func TestX21RefusalsKeepNothingForeign(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]error{
		"field": errors.Join(client.ErrUnauthenticated, &fieldError{canary}),
		"value": errors.Join(client.ErrUnauthenticated, valueError{canary}),
		"deep":  fmt.Errorf("%w: %w", client.ErrUnauthenticated, &deepError{&fieldError{canary}}),
		"other": errors.Join(client.ErrUnauthenticated, &fieldError{"harmless"}),
		"large": errors.Join(client.ErrUnauthenticated, errors.New(strings.Repeat("é", 1<<16))),
		"api":   &client.APIError{Op: "list", HTTPStatus: 401, StatusCode: 401, RequestID: "r1"},
	} {
		for _, verifies := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, verifies %v", name, verifies), func(t *testing.T) {
				t.Parallel()
				lister := echomfa.FactorListerFunc(func(context.Context, string) ([]client.Factor, error) { return nil, fail })
				e := newEnforcer(t, lister, func(c *echomfa.Config) {
					c.Cache.RefusedFor = time.Minute
					if verifies {
						c.CheckToken = func(context.Context, string) error { return fail }
					}
				})
				_, first := e.Decide(t.Context(), canary, otp())
				require.ErrorIs(t, first, echomfa.ErrUnauthenticated)
				assert.NotContains(t, shown(first), canaryPart)

				_, err := e.Decide(t.Context(), canary, otp())
				require.ErrorIs(t, err, echomfa.ErrUnauthenticated)
				require.Equal(t, uint64(1), e.Stats().Hits, "it is the remembered one")
				assert.NotContains(t, shown(err), canaryPart)
				var (
					foreign *fieldError
					value   valueError
					api     *client.APIError
				)
				assert.NotErrorAs(t, err, &foreign)
				assert.NotErrorAs(t, err, &value)
				assert.Equal(t, name == "api", errors.As(err, &api))
				assert.Less(t, len(err.Error()), 400)
			})
		}
	}
}

// sliceError cannot be compared.
type sliceError struct{ words []string }

func (e sliceError) Error() string { return strings.Join(e.words, " ") }

// TestErrorOfErrorHandlerKeepsItsStatus has an ErrorHandler return an error of Echo's
// that quotes a token which a callback has read from elsewhere than the request, and
// one that cannot be compared: Echo answers as the error says.
func TestErrorOfErrorHandlerKeepsItsStatus(t *testing.T) {
	t.Parallel()
	for want, given := range map[string]*echo.HTTPError{
		"no session [redacted]": echo.NewHTTPError(http.StatusTeapot, "no session "+canary),
		"no cause":              echo.NewHTTPError(http.StatusTeapot, "no cause").WithInternal(sliceError{[]string{"a", "b"}}),
	} {
		got := serve(t, echomfa.MiddlewareConfig{
			Enforcer: table(t, nil), Policy: otp(),
			Token:        func(echo.Context) (string, error) { return canary, nil },
			ErrorHandler: func(echo.Context, error) error { return given },
		}, nil)
		assert.Equal(t, http.StatusTeapot, got.Code, want)
		assert.Contains(t, got.Body.String(), want)
		returned, ok := got.err.(*echo.HTTPError)
		require.True(t, ok)
		assert.Equal(t, given.Internal, returned.Internal)
	}
}
