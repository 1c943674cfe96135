package echomfa_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

// TestBudgets has the rows of the budgets: how many lookups of a class may be
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

// TestRenewalsGoFirst shows that renewals for active users go before lookups of unknown
// tokens, and that a flood cannot take all places.
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

// TestPromotion shows that a request whose facts satisfied lifts the lookup
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

// TestRetryIsWithinTheBudget shows that a second try is not made on credit.
func TestRetryIsWithinTheBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.fail(dead())
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Lookup.MaxPerSecond = 2 }) // one a second for cold tokens
		decide(t, e, token, echomfa.AnyOf(echomfa.OTP))
		assert.Equal(t, 1, d.total())
	})
}

// TestRateLimitPauses shows that a 429 is heeded by all lookups if it was said about
// two known users, for as long as it says and not longer than a minute.
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
				d.enroll(token, echomfa.OTP)
				d.enroll("another", echomfa.OTP)
				e := newEnforcer(t, d, nil)
				for _, known := range []string{token, "another"} {
					assert.Equal(t, echomfa.Allowed, decide(t, e, known, echomfa.AnyOf(echomfa.OTP)).Outcome)
				}
				pass(2 * time.Minute)
				d.fail(&client.APIError{HTTPStatus: 429, StatusCode: 429, RetryAfter: row.says})
				_, err := e.Decide(t.Context(), token, echomfa.AnyOf(echomfa.OTP))
				var lookup *echomfa.LookupError
				require.ErrorAs(t, err, &lookup)
				assert.Equal(t, row.pauses, lookup.RetryAfter)
				_, err = e.Decide(t.Context(), "another", echomfa.AnyOf(echomfa.OTP))
				require.ErrorAs(t, err, &lookup)
				assert.Equal(t, row.pauses, lookup.RetryAfter)
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

// TestFloodLeavesPlacesInTheQueue shows that made-up tokens cannot take every
// place in the queue: active users still get their lists renewed.
func TestFloodLeavesPlacesInTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		enrollMany(d, 10)
		e := newEnforcer(t, d, nil)
		for i := range 10 {
			assert.Equal(t, echomfa.Fetched, decide(t, e, manyTokens(i), echomfa.AnyOf(echomfa.OTP)).Source)
		}
		pass(time.Minute)

		var flood sync.WaitGroup
		for i := range 3000 {
			flood.Go(func() { decide(t, e, manyTokens(1000+i), echomfa.AnyOf(echomfa.OTP)) })
		}
		synctest.Wait()
		assert.Equal(t, 512, e.Stats().Queued, "half of the places")
		for i := range 10 {
			assert.Equal(t, echomfa.Fetched, decide(t, e, manyTokens(i), echomfa.AnyOf(echomfa.OTP)).Source)
		}
		flood.Wait()
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
