package echomfa_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
	"github.com/echomfa/echomfa/storetest"
)

// slowStore takes its time, and keeps nothing if it is told so.
type slowStore struct {
	*storetest.Memory
	delay time.Duration

	mu   sync.Mutex
	full bool
}

func (s *slowStore) Get(ctx context.Context, key, user echomfa.StoreKey) (echomfa.StoredFacts, bool, echomfa.StoreVersion, error) {
	pass(s.delay)
	return s.Memory.Get(ctx, key, user)
}

func (s *slowStore) Set(ctx context.Context, facts echomfa.StoredFacts, version echomfa.StoreVersion, keep time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return errors.New("the store is full")
	}
	return s.Memory.Set(ctx, facts, version, keep)
}

// TestLookUpInTheStoreIsJoined: many who come while the Store is asked share its
// answer, and then GenAuth's. A lookup in the Store has no place in a queue.
func TestLookUpInTheStoreIsJoined(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		token := manyTokens(1)
		d.enroll(token, echomfa.OTP)
		store := &slowStore{Memory: storetest.NewMemory(), delay: 20 * time.Millisecond}
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Cache.Store = store })
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				assert.Equal(t, echomfa.Allowed, decide(t, e, token, echomfa.AnyOf(echomfa.OTP)).Outcome)
			})
			pass(time.Millisecond)
		}
		wg.Wait()
		assert.Equal(t, 1, d.total())
	})
}

// TestStoreDoesNotUndoWhatIsKnown: an instance that knows newer facts than the
// Store does not go back to what the Store has.
func TestStoreDoesNotUndoWhatIsKnown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		token := manyTokens(1)
		store := &slowStore{Memory: storetest.NewMemory()}
		otp, face := echomfa.AnyOf(echomfa.OTP), echomfa.AnyOf(echomfa.Face)
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Cache.Store = store })
		pass(3 * time.Second)
		d.enroll(token, echomfa.OTP)
		assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp).Outcome)
		synctest.Wait()

		// The factor is removed, another route has GenAuth asked, and the Store
		// cannot be told.
		pass(5 * time.Second)
		d.enroll(token)
		store.mu.Lock()
		store.full = true
		store.mu.Unlock()
		assert.Equal(t, echomfa.NotEnrolled, decide(t, e, token, face).Outcome)
		pass(3 * time.Second)
		assert.Equal(t, echomfa.NotEnrolled, decide(t, e, token, otp).Outcome)
	})
}

// TestX10StoredFactsOfLongAgo has the Store say that GenAuth was asked when no
// number of nanoseconds reaches: that is not as good as now.
func TestX10StoredFactsOfLongAgo(t *testing.T) {
	t.Parallel()
	for name, asked := range map[string]time.Time{
		"never":         {},
		"year 1":        time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC),
		"year 1500":     time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC),
		"year 1678":     time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC),
		"year 1970":     time.Unix(0, 0),
		"year 9999":     time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
		"year 292e9":    time.Unix(1<<62, 0),
		"year -292e9":   time.Unix(-1<<62, 0),
		"a day ago":     time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC),
		"six years on":  time.Date(2006, 1, 1, 0, 0, 0, 0, time.UTC),
		"a century ago": time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDirectory()
				d.enroll("token", echomfa.SMS)
				store := &brokenStore{Memory: storetest.NewMemory()}
				store.get = func(_ context.Context, key echomfa.StoreKey) (echomfa.StoredFacts, bool, error) {
					return echomfa.StoredFacts{Key: key, Types: []client.FactorType{echomfa.OTP}, Asked: asked}, true, nil
				}
				e := newEnforcer(t, d, func(c *echomfa.Config) { c.Cache.Store, c.Cache.StaleIfError = store, 5*time.Minute })
				got := decide(t, e, "token", otp())
				assert.Equal(t, echomfa.NotEnrolled, got.Outcome)
				assert.Equal(t, echomfa.Fetched, got.Source)
				d.fail(client.ErrUnavailable)
				pass(3 * time.Second)
				assert.Equal(t, echomfa.Unavailable, decide(t, e, "token", otp()).Outcome, "nor do they stand in")
			})
		})
	}
}

// TestX8StaleFactsEndWithAMissedInvalidation: what may have been invalidated unheard
// does not stand in while GenAuth is away.
func TestX8StaleFactsEndWithAMissedInvalidation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll("token", echomfa.OTP)
		store := &resumingStore{Memory: storetest.NewMemory(), resume: make(chan struct{})}
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Cache.Store, c.Cache.StaleIfError = store, 5*time.Minute })
		synctest.Wait()
		assert.Equal(t, echomfa.Allowed, decide(t, e, "token", otp()).Outcome)
		d.fail(client.ErrUnavailable)
		pass(2 * time.Minute)
		assert.Equal(t, echomfa.Stale, decide(t, e, "token", otp()).Source)
		store.resume <- struct{}{}
		synctest.Wait()
		assert.Equal(t, echomfa.Unavailable, decide(t, e, "token", otp()).Outcome)
	})
}

// TestRefusalIsNotUndoneByOlderStoredFacts: once an instance was told by GenAuth that
// a token is refused, facts of before, which another instance keeps, do not let it in
// when the refusal is not remembered any more.
func TestRefusalIsNotUndoneByOlderStoredFacts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		token := userToken("alice", 2)
		d.enroll(token, echomfa.OTP)
		store := &slowStore{Memory: storetest.NewMemory()}
		list := fleet(t, 2, store, d)
		pass(time.Second)
		assert.Equal(t, echomfa.Allowed, decide(t, list[0], token, otp()).Outcome)
		synctest.Wait()

		// The second cannot reach the Store when it asks.
		d.revoke(token)
		store.delay = time.Second
		pass(time.Second)
		assert.Equal(t, echomfa.Unauthenticated, decide(t, list[1], token, otp()).Outcome)
		synctest.Wait()
		store.delay = 0
		pass(6 * time.Second)
		assert.Equal(t, echomfa.Unauthenticated, decide(t, list[1], token, otp()).Outcome)
	})
}

// TestUnstorableTokenIsInvalidatedFromElsewhere: a lookup about a token that is past
// its exp is not shared, but an invalidation on another instance cuts it loose too.
func TestUnstorableTokenIsInvalidatedFromElsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		token := answertest.JWT(map[string]any{"sub": "alice", "aud": "app", "exp": time.Now().Add(time.Second).Unix()})
		list := fleet(t, 2, storetest.NewMemory(), d)
		pass(2 * time.Second)
		d.enroll(token, echomfa.OTP)
		d.slow(time.Second)
		var first sync.WaitGroup
		first.Go(func() { decide(t, list[0], token, otp()) })
		pass(100 * time.Millisecond)
		d.enroll(token)
		require.NoError(t, list[1].Invalidate(t.Context(), token))
		synctest.Wait()
		assert.Equal(t, echomfa.NotEnrolled, decide(t, list[0], token, otp()).Outcome)
		first.Wait()
	})
}
