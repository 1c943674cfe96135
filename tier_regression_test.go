package echomfa_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa"
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
// answer, and then GenAuth's. A look-up in the Store has no place in a queue.
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
