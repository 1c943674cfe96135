package echomfa_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

// TestBreaker shows that failures of known users stop the lookups, that one a second
// is tried, and that the first success ends it. What users send cannot open it.
func TestBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := newDirectory()
		enrollMany(d, 20)
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		together(t, e, 20, manyTokens)
		pass(61 * time.Second)
		before := d.total()
		d.fail(client.ErrUnavailable)
		for i := range 100 { // ten seconds
			decide(t, e, manyTokens(i%20), echomfa.AnyOf(echomfa.OTP))
			pass(100 * time.Millisecond)
		}
		assert.LessOrEqual(t, d.total()-before, 5+10)
		assert.GreaterOrEqual(t, d.total()-before, 5+8)
		s := e.Stats()
		assert.True(t, s.BreakerOpen)
		assert.Equal(t, "known users", s.BreakerCause)
		assert.GreaterOrEqual(t, s.FailingUsers, 5)
		assert.Contains(t, log.String(), `class="known users" users=5`)
		d.fail(nil)
		pass(1500 * time.Millisecond) // all users have failed already
		assert.Equal(t, echomfa.Allowed, decide(t, e, manyTokens(1), echomfa.AnyOf(echomfa.OTP)).Outcome)
		assert.Equal(t, echomfa.Allowed, decide(t, e, manyTokens(2), echomfa.AnyOf(echomfa.OTP)).Outcome)
		s = e.Stats()
		assert.False(t, s.BreakerOpen)
		assert.Empty(t, s.BreakerCause)
		assert.Zero(t, s.FailingUsers)
		assert.Equal(t, 1, strings.Count(log.String(), "mfa lookups keep failing"))
		assert.Equal(t, 1, strings.Count(log.String(), "mfa lookups work again"))
	})
	for _, err := range []error{client.ErrUnauthenticated, client.ErrMisconfigured, client.ErrRateLimited} {
		synctest.Test(t, func(t *testing.T) {
			d := newDirectory()
			d.fail(err)
			e := newEnforcer(t, d, nil)
			for i := range 20 {
				decide(t, e, manyTokens(i), echomfa.AnyOf(echomfa.OTP))
				pass(2 * time.Second)
			}
			assert.Equal(t, 20, d.total(), err)
			assert.False(t, e.Stats().BreakerOpen)
		})
	}
}

// broken is a connection that broke before there was an answer.
type broken struct{ error }

func (broken) Retryable() bool { return true }

// dead is that nobody listens.
func dead() error {
	return &client.TransportError{Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}
}

// TestRetry shows what is tried once more, for a known token and for an unknown one, and
// that nothing is tried twice.
func TestRetry(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		err            error
		known, unknown int
	}{
		"no connection":        {dead(), 2, 2},
		"broken connection":    {broken{client.ErrUnavailable}, 2, 1},
		"502":                  {&client.APIError{HTTPStatus: http.StatusBadGateway}, 2, 1},
		"503":                  {&client.APIError{HTTPStatus: http.StatusServiceUnavailable}, 2, 1},
		"504":                  {&client.APIError{HTTPStatus: http.StatusGatewayTimeout}, 2, 1},
		"503 with Retry-After": {&client.APIError{HTTPStatus: http.StatusServiceUnavailable, RetryAfter: time.Second}, 1, 1},
		"500":                  {&client.APIError{HTTPStatus: http.StatusInternalServerError}, 1, 1},
		"429":                  {&client.APIError{HTTPStatus: http.StatusTooManyRequests}, 1, 1},
		"401":                  {client.ErrUnauthenticated, 1, 1},
		"malformed":            {client.ErrMalformed, 1, 1},
		"anything else":        {errors.New("odd"), 1, 1},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for tok, calls := range map[string]int{token: row.known, manyTokens(0): row.unknown} {
				synctest.Test(t, func(t *testing.T) {
					d := newDirectory()
					d.enroll(token, echomfa.OTP)
					e := newEnforcer(t, d, nil)
					decide(t, e, token, echomfa.AnyOf(echomfa.OTP))
					require.NoError(t, e.Invalidate(t.Context(), token)) // it stays known
					d.fail(row.err)
					begin := time.Now()
					decide(t, e, tok, echomfa.AnyOf(echomfa.OTP))
					assert.Equal(t, calls, d.total()-1)
					if calls == 1 {
						assert.Zero(t, time.Since(begin))
						return
					}
					assert.GreaterOrEqual(t, time.Since(begin), 25*time.Millisecond, "a moment between")
					assert.Less(t, time.Since(begin), 75*time.Millisecond)
				})
			}
		})
	}
}

// TestCloseEndsAWaitForASecondTry shows that nothing is asked after Close.
func TestCloseEndsAWaitForASecondTry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.fail(dead())
		e := newEnforcer(t, d, nil)
		over := make(chan struct{})
		go func() {
			defer close(over)
			_, _ = e.Decide(t.Context(), token, echomfa.AnyOf(echomfa.OTP))
		}()
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, e.Close())
		<-over
		assert.Zero(t, time.Since(begin))
		assert.Equal(t, 1, d.total())
	})
}

// TestRefusalsThatAreNoNews has refusals that speak of no change: of tokens that
// were never accepted, and of half of the others.
func TestRefusalsThatAreNoNews(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func(t *testing.T, e *echomfa.Enforcer, d *directory){
		"unknown tokens": func(t *testing.T, e *echomfa.Enforcer, _ *directory) {
			t.Helper()
			together(t, e, 40, func(i int) string { return "unknown-" + manyTokens(i) })
		},
		"one in two": func(t *testing.T, e *echomfa.Enforcer, d *directory) {
			t.Helper()
			for i := range 20 {
				if i%2 == 1 {
					d.revoke(manyTokens(i))
				}
				decide(t, e, manyTokens(i), echomfa.AnyOf(echomfa.OTP))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				d := newDirectory()
				enrollMany(d, 20)
				e := newEnforcer(t, d, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
				together(t, e, 20, manyTokens)
				pass(61 * time.Second)
				refuse(t, e, d)
				assert.NotContains(t, log.String(), "had been accepted are now rejected")
				assert.Contains(t, log.String(), "the token was rejected")
			})
		})
	}
}

// TestSuddenlyRefused shows that a change which looks to each user like an
// expired session is told to the operator, once.
func TestSuddenlyRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := newDirectory()
		enrollMany(d, 40)
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		together(t, e, 40, manyTokens)
		pass(61 * time.Second)
		d.fail(client.ErrUnauthenticated)
		together(t, e, 40, manyTokens)
		assert.Equal(t, 1, strings.Count(log.String(), "had been accepted are now rejected"))
	})
}

// TestCheckTokenLeavesNoTime has a CheckToken that takes all of a lookup's time: that says
// nothing of GenAuth, which is not asked.
func TestCheckTokenLeavesNoTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var slow atomic.Bool
		d := newDirectory()
		enrollMany(d, 10)
		e := newEnforcer(t, d, func(c *echomfa.Config) {
			c.CheckToken = func(ctx context.Context, _ string) error {
				if slow.Load() {
					<-ctx.Done()
				}
				return nil
			}
		})
		together(t, e, 10, manyTokens)
		for i := range 10 {
			require.NoError(t, e.Invalidate(t.Context(), manyTokens(i)))
		}
		pass(2 * time.Second)
		slow.Store(true)
		before := d.total()
		for i := range 10 {
			assert.Equal(t, echomfa.Unavailable, decide(t, e, manyTokens(i), otp()).Outcome)
		}
		s := e.Stats()
		assert.False(t, s.BreakerOpen, "%+v", s)
		assert.Zero(t, s.FailingUsers)
		assert.Equal(t, before, d.total())
	})
}
