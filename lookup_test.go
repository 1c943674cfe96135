package echomfa_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

// together runs n decisions at once and returns their outcomes.
func together(t *testing.T, e *echomfa.Enforcer, n int, tokenOf func(int) string) map[echomfa.Outcome]int {
	t.Helper()
	outcomes := make([]echomfa.Outcome, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { outcomes[i] = decide(t, e, tokenOf(i), echomfa.AnyOf(echomfa.OTP)).Outcome })
	}
	wg.Wait()
	counts := make(map[echomfa.Outcome]int)
	for _, o := range outcomes {
		counts[o]++
	}
	return counts
}

func sameToken(int) string { return token }

func manyTokens(i int) string { return fmt.Sprintf("token-%d", i) }

// enrollMany enrolls OTP for n tokens.
func enrollMany(d *directory, n int) {
	for i := range n {
		d.enroll(manyTokens(i), echomfa.OTP)
	}
}

// TestOneLookUpForOneToken shows that requests with one cold token share a
// look-up, and that whoever leaves takes nothing from the others.
func TestOneLookUpForOneToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll(token, echomfa.OTP)
		d.slow(200 * time.Millisecond)
		e := newEnforcer(t, d, nil)

		ctx, leave := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() {
			_, err := e.Decide(ctx, token, echomfa.AnyOf(echomfa.OTP))
			first <- err
		}()
		synctest.Wait()
		time.AfterFunc(5*time.Millisecond, leave)
		got := together(t, e, 999, sameToken)
		assert.Equal(t, map[echomfa.Outcome]int{echomfa.Allowed: 999}, got)
		assert.ErrorIs(t, <-first, context.Canceled)
		assert.Equal(t, 1, d.total())
		assert.Equal(t, echomfa.Cached, decide(t, e, token, echomfa.AnyOf(echomfa.OTP)).Source)
	})
}

// TestAllCallersLeave shows that a look-up without anybody waiting ends, and is
// kept.
func TestAllCallersLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll(token, echomfa.OTP)
		d.slow(time.Second)
		e := newEnforcer(t, d, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		got, err := e.Decide(ctx, token, echomfa.AnyOf(echomfa.OTP))
		assert.Equal(t, echomfa.Unavailable, got.Outcome)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		pass(time.Second)
		assert.Equal(t, echomfa.Cached, decide(t, e, token, echomfa.AnyOf(echomfa.OTP)).Source)
		assert.Zero(t, e.Stats().InFlight)
	})
}

// TestLookUpCarriesNoContextValues shows that what is shared by all does not
// see what belongs to one request.
func TestLookUpCarriesNoContextValues(t *testing.T) {
	t.Parallel()
	type key struct{}
	seen := make(chan any, 1)
	e := newEnforcer(t, echomfa.FactorListerFunc(func(ctx context.Context, _ string) ([]client.Factor, error) {
		seen <- ctx.Value(key{})
		return nil, nil
	}), nil)
	_, err := e.Decide(context.WithValue(t.Context(), key{}, "mine"), token, echomfa.AnyOf(echomfa.OTP))
	require.ErrorIs(t, err, echomfa.ErrNotEnrolled)
	assert.Nil(t, <-seen)
}

// TestTimeout shows that no request waits longer than Timeout, also for a
// look-up that it joined late.
func TestTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll(token, echomfa.OTP)
		d.slow(time.Hour)
		e := newEnforcer(t, d, nil)
		begin := time.Now()
		assert.Equal(t, echomfa.Unavailable, decide(t, e, token, echomfa.AnyOf(echomfa.OTP)).Outcome)
		assert.Equal(t, 2*time.Second, time.Since(begin))
	})
}

// TestNothingWaitsForAListerThatDoesNotReturn shows that a look-up past its
// deadline is not joined.
func TestNothingWaitsForAListerThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		var calls atomic.Int32
		e := newEnforcer(t, echomfa.FactorListerFunc(func(context.Context, string) ([]client.Factor, error) {
			if calls.Add(1) == 1 {
				<-stuck // a lister that breaks its promise to heed ctx
			}
			return []client.Factor{{ID: "1", Type: client.OTP}}, nil
		}), nil)
		begin := time.Now()
		assert.Equal(t, echomfa.Unavailable, decide(t, e, token, echomfa.AnyOf(echomfa.OTP)).Outcome)
		assert.Equal(t, 2*time.Second, time.Since(begin))
		assert.Equal(t, echomfa.Allowed, decide(t, e, token, echomfa.AnyOf(echomfa.OTP)).Outcome)
		close(stuck)
	})
}

// TestBudgets has the rows of the budgets: how many look-ups of a class may be
// under way, and how many may start in a second.
func TestBudgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		enrollMany(d, 200)
		d.slow(time.Second)
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Lookup.MaxConcurrent = 8 })
		got := together(t, e, 100, manyTokens)
		assert.Equal(t, map[echomfa.Outcome]int{echomfa.Allowed: 4, echomfa.Unavailable: 96}, got,
			"tokens without facts use half of MaxConcurrent; the others give up after MaxWait")
		assert.Equal(t, uint64(96), e.Stats().Limited)
	})
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		enrollMany(d, 1000)
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Lookup.MaxPerSecond = 20 })
		begin := time.Now()
		got := together(t, e, 100, manyTokens)
		assert.Equal(t, 15, got[echomfa.Allowed], "a burst of half of 20, and 5 in the half second that one may wait")
		assert.Equal(t, 85, got[echomfa.Unavailable])
		assert.Equal(t, 500*time.Millisecond, time.Since(begin), "no longer than MaxWait")
	})
}

// TestQueueIsBounded shows that the queue holds 512 of those of whom nothing is
// known, half of its places, and that the next is turned away at once.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.slow(time.Second)
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Lookup.MaxConcurrent = 2 })
		done := make(chan struct{})
		go func() {
			defer close(done)
			together(t, e, 1+512, manyTokens)
		}()
		synctest.Wait()
		stats := e.Stats()
		assert.Equal(t, 1, stats.InFlight)
		assert.Equal(t, 512, stats.Queued)
		begin := time.Now()
		_, err := e.Decide(t.Context(), "one-too-many", echomfa.AnyOf(echomfa.OTP))
		var lookup *echomfa.LookupError
		require.ErrorAs(t, err, &lookup)
		assert.Equal(t, time.Second, lookup.RetryAfter)
		assert.Zero(t, time.Since(begin))
		<-done
	})
}

// TestRenewalsGoFirst shows that those who are at work are served before those
// of whom nothing is known, and that a flood cannot take all.
func TestRenewalsGoFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll(token, echomfa.OTP)
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Lookup.MaxConcurrent = 4; c.Lookup.MaxPerSecond = 8 })
		decide(t, e, token, echomfa.AnyOf(echomfa.OTP))
		for range 20 { // a flood of made-up tokens for twenty seconds
			pass(4 * time.Second)
			before := time.Now()
			go together(t, e, 50, func(i int) string { return fmt.Sprintf("flood-%d-%d", before.Unix(), i) })
			synctest.Wait()
			assert.Equal(t, echomfa.Allowed, decide(t, e, token, echomfa.AnyOf(echomfa.OTP)).Outcome)
			assert.Zero(t, time.Since(before), "there is always room for a renewal")
		}
		pass(time.Second)
	})
}

// TestRechecksHaveAQuarter shows the share of those who are refused and come
// back.
func TestRechecksHaveAQuarter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		for i := range 40 {
			d.enroll(manyTokens(i))
		}
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Lookup.MaxConcurrent = 8 })
		together(t, e, 40, manyTokens)
		pass(10 * time.Second)
		d.slow(time.Second)
		got := together(t, e, 40, manyTokens)
		assert.Equal(t, map[echomfa.Outcome]int{echomfa.NotEnrolled: 2, echomfa.Unavailable: 38}, got)
	})
}

// TestPromotion shows that a request whose facts satisfied lifts the look-up
// that a worse one has queued for the same token.
func TestPromotion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll(token, echomfa.OTP)
		enrollMany(d, 10)
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Lookup.MaxConcurrent = 4 })
		decide(t, e, token, echomfa.AnyOf(echomfa.OTP))
		decide(t, e, manyTokens(0), echomfa.AnyOf(echomfa.OTP))
		pass(3 * time.Second)
		d.slow(2 * time.Second)
		// One recheck has the only slot of its class, the other waits for it.
		for _, tok := range []string{manyTokens(0), token} {
			go func() { _, _ = e.Decide(t.Context(), tok, echomfa.AnyOf(echomfa.Face)) }()
			synctest.Wait()
		}
		assert.Equal(t, 1, e.Stats().Queued)
		pass(58 * time.Second) // both have ended
		d.slow(time.Second)
		for _, tok := range []string{manyTokens(0), token} {
			go func() { _, _ = e.Decide(t.Context(), tok, echomfa.AnyOf(echomfa.Face)) }()
			synctest.Wait()
		}
		assert.Equal(t, 1, e.Stats().Queued)
		assert.Equal(t, echomfa.Allowed, decide(t, e, token, echomfa.AnyOf(echomfa.OTP)).Outcome)
		pass(2 * time.Second)
	})
}

// TestBreaker shows that failures in a row stop the look-ups, that one a second
// is tried, and that the first success ends it. What users send cannot open it.
func TestBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := newDirectory()
		enrollMany(d, 200)
		d.fail(client.ErrUnavailable)
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		for i := range 100 { // ten seconds
			decide(t, e, manyTokens(i), echomfa.AnyOf(echomfa.OTP))
			pass(100 * time.Millisecond)
		}
		assert.LessOrEqual(t, d.total(), 5+10)
		assert.GreaterOrEqual(t, d.total(), 5+8)
		d.fail(nil)
		pass(time.Second)
		assert.Equal(t, echomfa.Allowed, decide(t, e, manyTokens(1), echomfa.AnyOf(echomfa.OTP)).Outcome)
		assert.Equal(t, echomfa.Allowed, decide(t, e, manyTokens(2), echomfa.AnyOf(echomfa.OTP)).Outcome)
		assert.False(t, e.Stats().BreakerOpen)
		assert.Equal(t, 1, strings.Count(log.String(), "mfa look-ups keep failing"))
		assert.Equal(t, 1, strings.Count(log.String(), "mfa look-ups work again"))
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

// TestRetry shows what is tried once more, and that nothing is tried twice.
func TestRetry(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		err   error
		calls int
	}{
		"broken connection":    {broken{client.ErrUnavailable}, 2},
		"502":                  {&client.APIError{HTTPStatus: http.StatusBadGateway}, 2},
		"503":                  {&client.APIError{HTTPStatus: http.StatusServiceUnavailable}, 2},
		"504":                  {&client.APIError{HTTPStatus: http.StatusGatewayTimeout}, 2},
		"503 with Retry-After": {&client.APIError{HTTPStatus: http.StatusServiceUnavailable, RetryAfter: time.Second}, 1},
		"500":                  {&client.APIError{HTTPStatus: http.StatusInternalServerError}, 1},
		"429":                  {&client.APIError{HTTPStatus: http.StatusTooManyRequests}, 1},
		"401":                  {client.ErrUnauthenticated, 1},
		"malformed":            {client.ErrMalformed, 1},
		"anything else":        {errors.New("odd"), 1},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDirectory()
				d.fail(row.err)
				e := newEnforcer(t, d, nil)
				begin := time.Now()
				decide(t, e, token, echomfa.AnyOf(echomfa.OTP))
				assert.Equal(t, row.calls, d.total())
				assert.Less(t, time.Since(begin), 100*time.Millisecond)
			})
		})
	}
}

// TestRetryIsWithinTheBudget shows that a second try is not made on credit.
func TestRetryIsWithinTheBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.fail(broken{client.ErrUnavailable})
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Lookup.MaxPerSecond = 2 }) // one a second for cold tokens
		decide(t, e, token, echomfa.AnyOf(echomfa.OTP))
		assert.Equal(t, 1, d.total())
	})
}

// TestRateLimitPauses shows that a 429 is heeded by all look-ups, for as long as
// it says and not longer than a minute.
func TestRateLimitPauses(t *testing.T) {
	t.Parallel()
	rows := map[string]struct{ says, pauses time.Duration }{
		"as long as it says":  {7 * time.Second, 7 * time.Second},
		"a second by default": {0, time.Second},
		"a minute at most":    {time.Hour, time.Minute},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDirectory()
				d.fail(&client.APIError{HTTPStatus: 429, StatusCode: 429, RetryAfter: row.says})
				e := newEnforcer(t, d, nil)
				_, err := e.Decide(t.Context(), token, echomfa.AnyOf(echomfa.OTP))
				var lookup *echomfa.LookupError
				require.ErrorAs(t, err, &lookup)
				assert.Equal(t, max(row.says, time.Second), lookup.RetryAfter)
				enrollMany(d, 2)
				d.fail(nil)
				pass(row.pauses - 600*time.Millisecond)
				assert.Equal(t, echomfa.Unavailable, decide(t, e, manyTokens(0), echomfa.AnyOf(echomfa.OTP)).Outcome)
				pass(200 * time.Millisecond)
				begin := time.Now()
				assert.Equal(t, echomfa.Allowed, decide(t, e, manyTokens(1), echomfa.AnyOf(echomfa.OTP)).Outcome)
				assert.InDelta(t, 400*time.Millisecond, time.Since(begin), float64(10*time.Millisecond), "it waits for the end")
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
		assert.Equal(t, 1, strings.Count(log.String(), "had been accepted are now refused"))
	})
}

// TestClose shows that Close ends look-ups under way and that later ones are
// refused.
func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		enrollMany(d, 10)
		e := newEnforcer(t, d, nil)
		decide(t, e, manyTokens(0), echomfa.AnyOf(echomfa.OTP))
		d.slow(time.Second)
		done := make(chan echomfa.Decision, 1)
		go func() { done <- decide(t, e, manyTokens(1), echomfa.AnyOf(echomfa.OTP)) }()
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, e.Close())
		assert.Zero(t, time.Since(begin))
		assert.Equal(t, echomfa.Unavailable, (<-done).Outcome)
		_, err := e.Decide(t.Context(), manyTokens(2), echomfa.AnyOf(echomfa.OTP))
		require.ErrorIs(t, err, echomfa.ErrClosed)
		assert.Equal(t, echomfa.Allowed, decide(t, e, manyTokens(0), echomfa.AnyOf(echomfa.OTP)).Outcome, "what is known still serves")
		require.NoError(t, e.Close())
	})
}

// TestManyEnforcers shows that nothing stays behind; goleak is the judge.
func TestManyEnforcers(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	d.enroll(token, echomfa.OTP)
	for range 200 {
		e := newEnforcer(t, d, nil)
		decide(t, e, token, echomfa.AnyOf(echomfa.OTP))
		require.NoError(t, e.Close())
	}
}

// TestStats counts.
func TestStats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		e := newEnforcer(t, d, nil)
		p := echomfa.AnyOf(echomfa.OTP)
		d.enroll(token, echomfa.OTP)
		decide(t, e, token, p)
		decide(t, e, token, p)
		decide(t, e, "unknown-token", p)
		for i, err := range []error{client.ErrRateLimited, client.ErrMisconfigured, client.ErrUnavailable, client.ErrMalformed} {
			pass(2 * time.Second)
			d.fail(err)
			decide(t, e, manyTokens(i), p)
		}
		got := e.Stats()
		assert.Equal(t, uint64(1), got.Hits)
		assert.Equal(t, uint64(6), got.Misses)
		assert.Equal(t, echomfa.LookupStats{
			Succeeded: 1, Refused: 1, RateLimited: 1, Misconfigured: 1, Unavailable: 1, Malformed: 1,
		}, got.Lookups)
		assert.Equal(t, 1, got.Entries)
		assert.Equal(t, 1, got.Refused)
		assert.Zero(t, (*echomfa.Enforcer)(nil).Stats())
	})
}
