package echomfa_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

// panicky is a log handler that panics.
type panicky struct{ slog.Handler }

// Handle panics.
func (panicky) Handle(context.Context, slog.Record) error { panic("logger") }

// TestLoggerPanicDoesNotEndTheProcess shows that a log handler that panics, where nobody
// but the lookup could recover, ends neither the lookup nor the process.
func TestLoggerPanicDoesNotEndTheProcess(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	d.fail(client.ErrUnavailable)
	e := newEnforcer(t, d, func(c *echomfa.Config) {
		c.Logger = slog.New(panicky{slog.NewTextHandler(&strings.Builder{}, nil)})
	})
	for i := range 6 {
		func() {
			defer func() { _ = recover() }()
			_, _ = e.Decide(t.Context(), manyTokens(i), echomfa.AnyOf(echomfa.OTP))
		}()
	}
}

// TestTokensThatVerifyRefusesDoNotCloseTheBreaker shows that GenAuth is
// not thought to be well because made-up tokens were refused without asking it.
func TestTokensThatVerifyRefusesDoNotCloseTheBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.fail(dead())
		e := newEnforcer(t, d, func(c *echomfa.Config) {
			c.Verify = func(_ context.Context, tok string) error {
				if strings.HasPrefix(tok, "forged") {
					return errors.New("bad signature")
				}
				return nil
			}
		})
		for i := range 100 { // ten seconds
			_, _ = e.Decide(t.Context(), fmt.Sprintf("forged-%d", i), echomfa.AnyOf(echomfa.OTP))
			_, _ = e.Decide(t.Context(), manyTokens(i), echomfa.AnyOf(echomfa.OTP))
			pass(100 * time.Millisecond)
		}
		assert.LessOrEqual(t, d.total(), 2*5+10, "calls in ten seconds of outage")
	})
}

// TestOutageOfVerifyDoesNotStopRenewals shows that facts are renewed while
// the host of Verify is away: these tokens were verified long ago.
func TestOutageOfVerifyDoesNotStopRenewals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		enrollMany(d, 100)
		var down atomic.Bool
		e := newEnforcer(t, d, func(c *echomfa.Config) {
			c.Verify = func(context.Context, string) error {
				if down.Load() {
					return context.DeadlineExceeded // the JWKS host, which is not GenAuth
				}
				return nil
			}
		})
		decide(t, e, manyTokens(0), otp())
		pass(61 * time.Second)
		down.Store(true)
		for i := range 5 {
			decide(t, e, manyTokens(i+1), otp())
		}
		assert.Equal(t, echomfa.Allowed, decide(t, e, manyTokens(0), otp()).Outcome, "verified long ago, and GenAuth is well")
	})
}

// TestWaitingInTheQueueIsNotAnOutage shows that lookups which came late from the
// queue do not make GenAuth look slow.
func TestWaitingInTheQueueIsNotAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll(token, echomfa.OTP)
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Lookup.Timeout = 500 * time.Millisecond })
		decide(t, e, token, otp())
		pass(61 * time.Second)
		d.slow(300 * time.Millisecond) // well, and within Timeout
		go together(t, e, 64, func(i int) string { return fmt.Sprintf("flood-%d", i) })
		pass(510 * time.Millisecond)
		assert.False(t, e.Stats().BreakerOpen)
		assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome)
		pass(3 * time.Second)
	})
}

// TestLongPolicyParsesBack shows that the largest policies have a text that can be
// read.
func TestLongPolicyParsesBack(t *testing.T) {
	t.Parallel()
	var p echomfa.Policy
	for i := range 8 {
		q := anyCustom(echomfa.FactorType(fmt.Sprintf("A%d", i)), echomfa.FactorType(fmt.Sprintf("B%d", i)))
		if i == 0 {
			p = q
		} else {
			p = p.And(q)
		}
	}
	require.NoError(t, p.Err())
	text, err := p.MarshalText()
	require.NoError(t, err)
	var back echomfa.Policy
	require.NoError(t, back.UnmarshalText(text), "%d bytes", len(text))
	assert.True(t, back.Equal(p))
}

// TestGoexitIsNoAnswer shows that a lister that ends its goroutine has not said that
// there are no factors.
func TestGoexitIsNoAnswer(t *testing.T) {
	t.Parallel()
	e := newEnforcer(t, echomfa.FactorListerFunc(func(context.Context, string) ([]client.Factor, error) {
		runtime.Goexit()
		return nil, nil
	}), nil)
	got, err := e.Decide(t.Context(), token, otp())
	assert.NotEqual(t, echomfa.NotEnrolled, got.Outcome, "%v", err)
}

// TestNoRetryDuringAPause shows that a lookup which waits to try again heeds the
// pause that another one was told of meanwhile.
func TestNoRetryDuringAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var limited time.Time
		var late []time.Duration
		calls := 0
		e := newEnforcer(t, echomfa.FactorListerFunc(func(_ context.Context, tok string) ([]client.Factor, error) {
			if !limited.IsZero() {
				late = append(late, time.Since(limited))
			}
			if strings.HasPrefix(tok, "limited") {
				if calls == 0 {
					return nil, nil
				}
				limited = time.Now()
				return nil, &client.APIError{HTTPStatus: http.StatusTooManyRequests, RetryAfter: 7 * time.Second}
			}
			if calls++; calls == 1 {
				return nil, nil
			}
			return nil, &client.APIError{HTTPStatus: http.StatusBadGateway}
		}), nil)
		others := func(i int) string { return fmt.Sprintf("limited-%d", i) }
		together(t, e, 2, others)
		_, _ = e.Decide(t.Context(), token, otp()) // all are known
		pass(61 * time.Second)
		go func() { _, _ = e.Decide(t.Context(), token, otp()) }()
		synctest.Wait() // it waits to try again
		require.Equal(t, 2, calls)
		together(t, e, 2, others)
		late = nil
		pass(6 * time.Second)
		assert.Empty(t, late, "no call for 7 s after a 429")
	})
}

// TestPartialAnswerDoesNotReplaceWholeFacts shows that an answer that left
// something out counts as malformed for a policy that it does not satisfy.
func TestPartialAnswerDoesNotReplaceWholeFacts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll(token, echomfa.OTP)
		e := newEnforcer(t, d, stale)
		decide(t, e, token, otp())
		pass(61 * time.Second)
		partially(echomfa.Email)(d)
		assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome)
	})
}

// TestCallerWhoHasLeftSpendsNoCall shows that nobody is asked for a request that
// has ended already.
func TestCallerWhoHasLeftSpendsNoCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		e := newEnforcer(t, d, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _ = e.Decide(ctx, token, otp())
		synctest.Wait()
		assert.Zero(t, d.total())
	})
}

// TestTurnedAwayAtTheDoorIsCounted shows that lookups which the open breaker
// turned away are counted.
func TestTurnedAwayAtTheDoorIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.fail(dead())
		e := newEnforcer(t, d, nil)
		for i := range 8 {
			decide(t, e, manyTokens(i), otp())
		}
		s := e.Stats()
		assert.Equal(t, uint64(3), s.Lookups.TurnedAway, "%+v", s)
	})
}

// TestUnknownIsNotNoWhateverElseIsSaid shows that an error which matches
// ErrUnauthenticated, and says too that there was no verdict, is neither a 401
// nor remembered as one, and that no stale facts stand in for it.
func TestUnknownIsNotNoWhateverElseIsSaid(t *testing.T) {
	t.Parallel()
	for _, unknown := range []error{
		client.ErrUnavailable, client.ErrRateLimited, client.ErrMalformed, client.ErrMisconfigured,
		echomfa.ErrUnavailable, context.DeadlineExceeded, context.Canceled, &net.OpError{Op: "dial", Err: errors.New("no route")},
	} {
		cause := fmt.Errorf("%w: keys: %w", client.ErrUnauthenticated, unknown)
		synctest.Test(t, func(t *testing.T) {
			d := newDirectory()
			d.enroll(token, echomfa.OTP)
			verdict := cause
			e := newEnforcer(t, d, func(c *echomfa.Config) {
				c.Verify = func(context.Context, string) error { return verdict }
				c.Cache.StaleIfError = 5 * time.Minute
			})
			got, err := e.Decide(t.Context(), token, otp())
			assert.Equal(t, echomfa.Unavailable, got.Outcome, "Verify: %v", err)
			assert.Zero(t, d.total(), "what is not verified is not asked about")

			verdict = nil
			assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome, "not remembered as a refusal: %v", cause)
			pass(61 * time.Second)
			d.fail(cause)
			got, err = e.Decide(t.Context(), token, otp())
			assert.Equal(t, echomfa.Unavailable, got.Outcome, "lister: %v", err)
			pass(61 * time.Second) // for the pause after a 429
			d.fail(nil)
			assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome, "not remembered as a refusal: %v", cause)
		})
	}
}

// TestPartialListDoesNotOutvoteARefusal shows that a list which comes with a
// refusal opens no door, although what is left of a list may.
func TestPartialListDoesNotOutvoteARefusal(t *testing.T) {
	t.Parallel()
	for _, refusal := range []error{client.ErrUnauthenticated, client.ErrMisconfigured} {
		e := newEnforcer(t, echomfa.FactorListerFunc(func(context.Context, string) ([]client.Factor, error) {
			return []client.Factor{{ID: "id", Type: echomfa.OTP}}, errors.Join(&client.PartialError{Skipped: 1}, refusal)
		}), nil)
		got, err := e.Decide(t.Context(), token, otp())
		assert.Equal(t, echomfa.Unavailable, got.Outcome, "%v", err)
	}
}
