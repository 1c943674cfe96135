package echomfa_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/storetest"
)

// gatedStore holds back what a test tells it to.
type gatedStore struct {
	*storetest.Memory
	deletes, gets chan struct{} // closed: goes on at once
}

func (s *gatedStore) Get(ctx context.Context, key, user echomfa.StoreKey) (echomfa.StoredFacts, bool, echomfa.StoreVersion, error) {
	f, ok, v, err := s.Memory.Get(ctx, key, user)
	if s.gets != nil {
		<-s.gets
	}
	return f, ok, v, err
}

func (s *gatedStore) Delete(ctx context.Context, key, user echomfa.StoreKey) error {
	if s.deletes != nil {
		<-s.deletes
	}
	return s.Memory.Delete(ctx, key, user)
}

// TestX12OlderStoredFactsStayDead has a request come while Invalidate waits for the
// Store, which still has facts from before.
func TestX12OlderStoredFactsStayDead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, token := newDirectory(), userToken("alice", 1)
		store := &gatedStore{Memory: storetest.NewMemory(), deletes: make(chan struct{})}
		list := fleet(t, 2, store, d)
		d.enroll(token, echomfa.OTP)
		assert.Equal(t, echomfa.Allowed, decide(t, list[0], token, otp()).Outcome)
		synctest.Wait() // the Store has it
		d.enroll(token, echomfa.SMS)
		pass(3 * time.Second)

		done := make(chan error)
		go func() { done <- list[1].Invalidate(t.Context(), token) }()
		synctest.Wait()
		assert.Equal(t, echomfa.NotEnrolled, decide(t, list[1], token, otp()).Outcome)
		close(store.deletes)
		require.NoError(t, <-done)
		synctest.Wait()
		for i, e := range list {
			assert.Equal(t, echomfa.NotEnrolled, decide(t, e, token, otp()).Outcome, i)
		}
	})
}

// TestStoreIsReadAcrossAnInvalidation has a lookup in the Store under way while its
// token is invalidated: it is joined by a request that comes after, and must not
// answer with what the Store had before.
func TestStoreIsReadAcrossAnInvalidation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, token := newDirectory(), userToken("alice", 1)
		memory := storetest.NewMemory()
		d.enroll(token, echomfa.OTP)
		decide(t, fleet(t, 1, memory, d)[0], token, otp())
		synctest.Wait()
		d.enroll(token, echomfa.SMS)

		store := &gatedStore{Memory: memory, gets: make(chan struct{})}
		e := fleet(t, 1, store, d)[0]
		outcomes := make(chan echomfa.Outcome, 2)
		ask := func() { outcomes <- decide(t, e, token, otp()).Outcome }
		go ask()
		synctest.Wait()
		require.NoError(t, e.Invalidate(t.Context(), token))
		go ask()
		synctest.Wait()
		close(store.gets)
		assert.Equal(t, echomfa.NotEnrolled, <-outcomes)
		assert.Equal(t, echomfa.NotEnrolled, <-outcomes)
	})
}

// TestClientLeavesWhileTheStoreIsAsked shows that a request ends with its context,
// and that the next one has the answer of the lookup that it has left behind.
func TestClientLeavesWhileTheStoreIsAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, token := newDirectory(), userToken("alice", 1)
		store := &gatedStore{Memory: storetest.NewMemory(), gets: make(chan struct{})}
		d.enroll(token, echomfa.OTP)
		e := fleet(t, 1, store, d)[0]
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		got, err := e.Decide(ctx, token, otp())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, echomfa.Unavailable, got.Outcome)
		assert.Zero(t, d.total(), "GenAuth is not asked for a request that has ended")
		close(store.gets)
		synctest.Wait()
		assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome)
	})
}

// TestX13InvalidationForgetsRefusals shows that a remembered refusal goes with
// everything else that is known of a user or a token, here and elsewhere.
func TestX13InvalidationForgetsRefusals(t *testing.T) {
	t.Parallel()
	for name, invalidate := range map[string]func(e *echomfa.Enforcer, token string) error{
		"token": func(e *echomfa.Enforcer, token string) error { return e.Invalidate(context.Background(), token) },
		"user":  func(e *echomfa.Enforcer, _ string) error { return e.InvalidateUser(context.Background(), "alice") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d, token := newDirectory(), userToken("alice", 1)
				list := fleet(t, 2, storetest.NewMemory(), d)
				for _, e := range list {
					assert.Equal(t, echomfa.Unauthenticated, decide(t, e, token, otp()).Outcome)
				}
				d.enroll(token, echomfa.OTP)
				for _, e := range list {
					assert.Equal(t, echomfa.Unauthenticated, decide(t, e, token, otp()).Outcome, "remembered")
				}
				require.NoError(t, invalidate(list[0], token))
				synctest.Wait()
				for i, e := range list {
					assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome, i)
				}
			})
		})
	}
}

// TestX23FactsAgeWhileARequestWaits has a request join a lookup whose answer is
// older than DenyFreshFor when it comes.
func TestX23FactsAgeWhileARequestWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll(token, echomfa.SMS)
		d.slow(3 * time.Second)
		e := newEnforcer(t, d, func(c *echomfa.Config) {
			c.Lookup.Timeout = 10 * time.Second
		})
		go func() { _, _ = e.Decide(t.Context(), token, otp()) }()
		pass(time.Second)
		d.enroll(token, echomfa.OTP)
		got := decide(t, e, token, otp())
		assert.Equal(t, echomfa.Allowed, got.Outcome, "the first lookup's answer is 3 s old")
		assert.LessOrEqual(t, got.Age, 3*time.Second)
		assert.Equal(t, 2, d.total())
	})
}

// TestCheckTokenRunsOnce shows that a token which has been checked is not checked
// again when the Store's facts do not suffice.
func TestCheckTokenRunsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, token := newDirectory(), userToken("alice", 1)
		d.enroll(token, echomfa.SMS)
		memory := storetest.NewMemory()
		decide(t, fleet(t, 1, memory, d)[0], token, otp())
		pass(3 * time.Second)
		var checks atomic.Int64
		e := newEnforcer(t, d, func(c *echomfa.Config) {
			c.Cache.Store = memory
			c.CheckToken = func(context.Context, string) error { checks.Add(1); return nil }
		})
		synctest.Wait()
		assert.Equal(t, echomfa.NotEnrolled, decide(t, e, token, otp()).Outcome)
		assert.Equal(t, 2, d.total(), "facts of 3 s ago do not refuse")
		assert.Equal(t, int64(1), checks.Load())
	})
}

// TestWatchThatEndsIsLoggedOnce has a Store whose Watch returns each time, as it
// does after it was closed.
func TestWatchThatEndsIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		store := &endedStore{Memory: storetest.NewMemory()}
		e := newEnforcer(t, newDirectory(), func(c *echomfa.Config) {
			c.Cache.Store, c.Logger = store, slog.New(slog.NewTextHandler(&log, nil))
		})
		pass(time.Hour)
		require.NoError(t, e.Close())
		assert.Equal(t, 1, strings.Count(log.String(), "mfa store is not heard"))
		assert.LessOrEqual(t, store.watched.Load(), int64(130), "twice a minute")
		assert.GreaterOrEqual(t, store.watched.Load(), int64(100))
	})
}

// TestWatchThatPanics shows that a Store whose Watch panics is one that cannot be
// watched.
func TestWatchThatPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		e := newEnforcer(t, newDirectory(), func(c *echomfa.Config) {
			c.Cache.Store, c.Logger = &endedStore{Memory: storetest.NewMemory(), panics: true}, slog.New(slog.NewTextHandler(&log, nil))
		})
		pass(2 * time.Second)
		require.NoError(t, e.Close())
		assert.Contains(t, log.String(), "mfa store is not heard")
		assert.Contains(t, log.String(), "panic in Store")
	})
}

// TestInvalidateOfWhatIsNoToken has tokens that no facts are kept of: nothing has to
// be told.
func TestInvalidateOfWhatIsNoToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := fleet(t, 1, &gatedStore{Memory: storetest.NewMemory(), deletes: make(chan struct{})}, newDirectory())[0]
		assert.NoError(t, e.Invalidate(t.Context(), "e30.e30"), "a header of a JWT, and no JWT")
	})
}

type endedStore struct {
	*storetest.Memory
	watched atomic.Int64
	panics  bool
}

func (s *endedStore) Watch(context.Context, func(echomfa.StoreEvent)) error {
	s.watched.Add(1)
	if s.panics {
		panic("no watch")
	}
	return errors.New("closed")
}

// forgetfulStore is a Store that keeps what it is told late, and whatever has been
// invalidated meanwhile.
type forgetfulStore struct {
	*storetest.Memory
	sets chan struct{}
}

func (s *forgetfulStore) Set(ctx context.Context, facts echomfa.StoredFacts, _ echomfa.StoreVersion, keep time.Duration) error {
	<-s.sets
	_, _, now, err := s.Get(ctx, facts.Key, facts.User)
	return errors.Join(err, s.Memory.Set(ctx, facts, now, keep))
}

// TestFactsThatDieWhileTheyAreStoredAreDeleted has a token invalidated while its facts
// are on the way to the Store, which keeps them: no other instance learns them.
func TestFactsThatDieWhileTheyAreStoredAreDeleted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, token := newDirectory(), userToken("alice", 1)
		store := &forgetfulStore{Memory: storetest.NewMemory(), sets: make(chan struct{})}
		e := fleet(t, 1, store, d)[0]
		d.enroll(token, echomfa.OTP)
		assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome)
		synctest.Wait() // the Store is told
		d.enroll(token, echomfa.SMS)
		require.NoError(t, e.Invalidate(t.Context(), token))
		close(store.sets)
		synctest.Wait()
		other := fleet(t, 1, store, d)[0] // has heard of no invalidation
		assert.Equal(t, echomfa.NotEnrolled, decide(t, other, token, otp()).Outcome)
	})
}
