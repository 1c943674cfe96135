package echomfa_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/storetest"
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

// TestT37OneLookUpForOneToken shows that requests with one cold token share a
// lookup, and that one who leaves takes nothing from the others.
func TestT37OneLookUpForOneToken(t *testing.T) {
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

// askedStore counts how often it is asked.
type askedStore struct {
	*storetest.Memory
	asked atomic.Int64
}

func (s *askedStore) Get(ctx context.Context, key, user echomfa.StoreKey) (echomfa.StoredFacts, bool, echomfa.StoreVersion, error) {
	s.asked.Add(1)
	return s.Memory.Get(ctx, key, user)
}

// TestLookupUnderWayIsJoinedWithoutTheStore shows that the Store is not asked while GenAuth
// is: it has nothing yet.
func TestLookupUnderWayIsJoinedWithoutTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, store := newDirectory(), &askedStore{Memory: storetest.NewMemory()}
		d.enroll(token, echomfa.OTP)
		d.slow(time.Second)
		e := fleet(t, 1, store, d)[0]
		for range 3 {
			go func() { assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome) }()
			synctest.Wait()
		}
		pass(2 * time.Second)
		assert.Equal(t, int64(1), store.asked.Load())
		assert.Equal(t, 1, d.total())
	})
}

// TestAllCallersLeave shows that a lookup without anybody waiting ends, and is
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
// lookup that it joined late.
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

// TestNothingWaitsForAListerThatDoesNotReturn shows that a lookup past its
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

// TestClose shows that Close ends lookups under way and that later ones are
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
		assert.Equal(t, echomfa.Allowed, decide(t, e, manyTokens(0), echomfa.AnyOf(echomfa.OTP)).Outcome, "what is known is still used")
		require.NoError(t, e.Close())
	})
}

// TestT43NothingRunsAfterClose shows that nothing stays behind, of which goleak
// is the judge, and that Close itself waits for it.
func TestT43NothingRunsAfterClose(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	d.enroll(token, echomfa.OTP)
	for range 200 {
		e := newEnforcer(t, d, nil)
		decide(t, e, token, echomfa.AnyOf(echomfa.OTP))
		require.NoError(t, e.Close())
	}
	synctest.Test(t, func(t *testing.T) {
		ended := false
		e := newEnforcer(t, echomfa.FactorListerFunc(func(ctx context.Context, _ string) ([]client.Factor, error) {
			<-ctx.Done()
			pass(time.Second) // it takes its time to leave
			ended = true
			return nil, ctx.Err()
		}), nil)
		go func() { _, _ = e.Decide(t.Context(), token, otp()) }()
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, e.Close())
		assert.True(t, ended, "Close waits for what runs")
		assert.Equal(t, time.Second, time.Since(begin), "and ends it, before its deadline")
	})
}

// TestT43CloseWaitsForLookUps shows that Close ends a lookup under way, and does
// not return before its goroutine has: here a second later.
func TestT43CloseWaitsForLookUps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ended atomic.Bool
		e := newEnforcer(t, echomfa.FactorListerFunc(func(ctx context.Context, _ string) ([]client.Factor, error) {
			<-ctx.Done()
			pass(time.Second)
			ended.Store(true)
			return nil, ctx.Err()
		}), nil)
		var wg sync.WaitGroup
		wg.Go(func() { decide(t, e, token, echomfa.AnyOf(echomfa.OTP)) })
		synctest.Wait()
		begin := time.Now()
		require.NoError(t, e.Close())
		assert.True(t, ended.Load())
		assert.Equal(t, time.Second, time.Since(begin), "ended at once, not by its deadline")
		wg.Wait()
	})
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
		assert.Equal(t, 4, got.Refusals, "the one that was refused, and three that failed")
		assert.Zero(t, got.Held, "not any more")
		assert.Zero(t, (*echomfa.Enforcer)(nil).Stats())
	})
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
