package echomfa_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"testing"
	"weak"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

// TestT24CallbacksCannotSpreadTheToken has listers and CheckToken functions that
// quote the token in their errors and panics. Neither the error nor the log has
// it, and what the error is called by is kept.
func TestT24CallbacksCannotSpreadTheToken(t *testing.T) {
	t.Parallel()
	const secret = "canary-0123456789-canary"
	quote := func(sentinel error) func(token string) error {
		return func(token string) error { return fmt.Errorf("cannot use %q: %w", token, sentinel) }
	}
	custom := errors.New("custom")
	for name, test := range map[string]struct {
		fail func(token string) error
		want error
	}{
		"refused":       {quote(client.ErrUnauthenticated), echomfa.ErrUnauthenticated},
		"unavailable":   {quote(client.ErrUnavailable), client.ErrUnavailable},
		"rate limited":  {quote(client.ErrRateLimited), client.ErrRateLimited},
		"misconfigured": {quote(client.ErrMisconfigured), echomfa.ErrMisconfigured},
		"malformed":     {quote(client.ErrMalformed), client.ErrMalformed},
		"custom":        {quote(custom), custom},
		"token error": {func(token string) error {
			return &echomfa.TokenError{Code: "invalid_token", Reason: "no " + token, Err: quote(custom)(token)}
		}, echomfa.ErrUnauthenticated},
		"token error of no verdict": {func(token string) error {
			return errors.Join(&echomfa.TokenError{Reason: "no " + token}, client.ErrUnavailable)
		}, echomfa.ErrUnavailable},
		"panic":               {func(token string) error { panic("no " + token) }, nil},
		"panic with an error": {func(token string) error { panic(quote(custom)(token)) }, nil},
	} {
		for _, verifies := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, verifies %v", name, verifies), func(t *testing.T) {
				t.Parallel()
				var log bytes.Buffer
				lister := echomfa.FactorListerFunc(func(_ context.Context, token string) ([]client.Factor, error) {
					return nil, test.fail(token)
				})
				e := newEnforcer(t, lister, func(c *echomfa.Config) {
					c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
					if verifies {
						c.CheckToken = func(_ context.Context, token string) error { return test.fail(token) }
					}
				})
				d, err := e.Decide(t.Context(), secret, otp())
				require.Error(t, err)
				require.NoError(t, e.Close())
				if test.want != nil {
					require.ErrorIs(t, err, test.want)
				}
				said := fmt.Appendf(nil, "%v %+v %#v %v %s", err, err, err, d, log.String())
				for cause := err; cause != nil; cause = errors.Unwrap(cause) {
					said = fmt.Appendf(said, " %v %+v", cause, cause)
				}
				assert.NotContains(t, string(said), secret)
				assert.NotContains(t, string(said), "0123456789")
				if refusal := (*echomfa.TokenError)(nil); errors.As(err, &refusal) {
					assert.NotContains(t, refusal.Reason, secret)
					assert.Equal(t, "invalid_token", refusal.Code)
				}
			})
		}
	}
}

// TestT24MountCallbacksCannotSpreadTheToken has the callbacks of a mount quote
// the token of the request, in errors and in panics.
func TestT24MountCallbacksCannotSpreadTheToken(t *testing.T) {
	t.Parallel()
	const secret = "canary-0123456789-canary"
	custom := errors.New("custom")
	quote := func() error { return fmt.Errorf("cannot use %q: %w", secret, custom) }
	type config = echomfa.MiddlewareConfig
	policy := func(answer func() error) func(*config) {
		return func(c *config) {
			c.Policy = echomfa.Policy{}
			c.RequireFunc = func(echo.Context) (echomfa.Requirement, error) { return echomfa.Requirement{Policy: otp()}, answer() }
		}
	}
	subject := func(answer func() error) func(*config) {
		return func(c *config) { c.Subject = func(echo.Context) (string, error) { return "", answer() } }
	}
	for name, test := range map[string]struct {
		change func(*config)
		code   int
		want   error
	}{
		"RequireFunc fails":          {policy(quote), 500, custom},
		"RequireFunc panics":         {policy(func() error { panic(quote()) }), 500, nil},
		"Subject fails":              {subject(quote), 500, custom},
		"Subject panics":             {subject(func() error { panic("no " + secret) }), 500, nil},
		"Subject says there is none": {subject(func() error { return errors.Join(quote(), echomfa.ErrUnauthenticated) }), 401, custom},
		"ErrorHandler panics": {func(c *config) {
			c.ErrorHandler = func(echo.Context, error) error { panic(quote()) }
		}, 500, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			d := newDirectory()
			d.enroll(secret)
			cfg := config{Policy: otp(), Enforcer: newEnforcer(t, d, func(c *echomfa.Config) {
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			})}
			err := toldError(&cfg)
			test.change(&cfg)
			got := serve(t, cfg, withToken(secret))
			assert.False(t, got.ran)
			assert.Equal(t, test.code, got.Code)
			if test.want != nil {
				require.ErrorIs(t, *err, test.want)
			}
			said := fmt.Sprintf("%v %+v %#v %s %s", *err, *err, *err, got.Body, log.String())
			assert.Contains(t, said, "[redacted]")
			assert.NotContains(t, said, "0123456789")
		})
	}
}

// TestSubjectAndObserverCannotSpreadTheToken has callbacks that run when the
// token has been read, and quote it in their errors and panics.
func TestSubjectAndObserverCannotSpreadTheToken(t *testing.T) {
	t.Parallel()
	const secret = "canary-0123456789-canary"
	for name, subject := range map[string]func(token string) (string, error){
		"error":   func(token string) (string, error) { return "", fmt.Errorf("cannot parse %q", token) },
		"refusal": func(token string) (string, error) { return "", fmt.Errorf("%w: %q", echomfa.ErrUnauthenticated, token) },
		"panic":   func(token string) (string, error) { panic("cannot parse " + token) },
		"request": nil, // the Observer panics with it
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			cfg := echomfa.MiddlewareConfig{Policy: otp(), Enforcer: newEnforcer(t, newDirectory(), func(c *echomfa.Config) {
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
				if subject == nil {
					c.Observer = panickingWith{http.Header{"Authorization": {"Bearer " + secret}}}
				}
			})}
			if subject != nil {
				cfg.Subject = func(echo.Context) (string, error) { return subject(secret) }
			}
			err := toldError(&cfg)
			got := serve(t, cfg, withToken(secret))
			assert.False(t, got.ran)
			assert.NotContains(t, log.String(), "0123456789")
			assert.Contains(t, log.String(), "[redacted]")
			assert.NotContains(t, fmt.Sprintf("%v %+v %#v", *err, *err, *err), "0123456789")
			assert.NotContains(t, got.Body.String(), "0123456789")
		})
	}
}

// panickingWith is an Observer that panics with a value.
type panickingWith struct{ value any }

func (p panickingWith) ObserveDecision(context.Context, echomfa.Decision, string, string) {
	panic(p.value)
}

// quotingError is an error that holds a token.
type quotingError struct{ token string }

func (e *quotingError) Error() string { return "bad token " + e.token }

// TestT28RefusalsDoNotKeepTheToken shows that the memory of a refused token does
// not hold the error in which CheckToken quoted it, nor can it be had from there.
func TestT28RefusalsDoNotKeepTheToken(t *testing.T) {
	t.Parallel()
	const secret = "canary-0123456789-canary"
	var quoted weak.Pointer[quotingError]
	e := newEnforcer(t, newDirectory(), func(c *echomfa.Config) {
		c.CheckToken = func(_ context.Context, token string) error {
			err := &quotingError{token}
			quoted = weak.Make(err)
			return err
		}
	})
	_, err := e.Decide(t.Context(), secret, otp())
	require.ErrorIs(t, err, echomfa.ErrUnauthenticated)
	var quoting *quotingError
	assert.NotErrorAs(t, err, &quoting)
	assert.Equal(t, 1, e.Stats().Refusals)
	runtime.GC()
	assert.Nil(t, quoted.Value())
	runtime.KeepAlive(e)
}
