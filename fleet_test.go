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

var errRedisAway = errors.New("redis is away")

// TestX5DeafInstanceSaysSo: an instance that cannot hear goes on with what it knows,
// believes nothing that is stored, and says why: in the log once, and in Stats.
func TestX5DeafInstanceSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d, store := newDirectory(), &sayingStore{Memory: storetest.NewMemory(), says: make(chan echomfa.StoreEvent), fail: make(chan error)}
		d.enroll("token", echomfa.OTP)
		d.enroll("other", echomfa.OTP)
		e := newEnforcer(t, d, func(c *echomfa.Config) {
			c.Cache.Store, c.Logger = store, slog.New(slog.NewTextHandler(&log, nil))
		})
		decide(t, fleet(t, 1, store.Memory, d)[0], "other", otp())
		decide(t, e, "token", otp())
		assert.False(t, e.Stats().Store.Deaf)
		store.fail <- errors.New("no xread")
		synctest.Wait()
		assert.Equal(t, echomfa.Fetched, decide(t, e, "other", otp()).Source, "what is stored is not believed")
		pass(time.Second - 1)
		store.mute.Store(true)
		pass(time.Hour)
		assert.True(t, e.Stats().Store.Deaf)
		assert.Equal(t, 1, strings.Count(log.String(), "mfa store is not heard"))
		assert.Contains(t, log.String(), "no xread")
		store.mute.Store(false)
		pass(30 * time.Second)
		assert.False(t, e.Stats().Store.Deaf)
		assert.Equal(t, 1, strings.Count(log.String(), "mfa store is heard again"))
	})
}

// TestUnreadableIsSaidOnceAMinute: what the Store cannot read is an Error line with the cause,
// and no more than one a minute, however many there are.
func TestUnreadableIsSaidOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		store := &sayingStore{Memory: storetest.NewMemory(), says: make(chan echomfa.StoreEvent)}
		e := newEnforcer(t, newDirectory(), func(c *echomfa.Config) {
			c.Cache.Store, c.Logger = store, slog.New(slog.NewTextHandler(&log, nil))
		})
		for minute := range 3 {
			for range 100 {
				store.says <- echomfa.StoreEvent{Kind: echomfa.Unreadable, Cause: errors.New("another secret")}
			}
			synctest.Wait()
			assert.Equal(t, minute+1, strings.Count(log.String(), "mfa store: an invalidation cannot be read"))
			assert.Equal(t, minute+1, strings.Count(log.String(), "another secret"))
			assert.Equal(t, uint64(100*(minute+1)), e.Stats().Store.Unreadable)
			pass(time.Minute)
		}
	})
}

// TestX3BlipLosesNothing: an instance whose connection is gone for a while hears
// afterwards what it has missed, and nothing else is asked for again.
func TestX3BlipLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, memory := newDirectory(), storetest.NewMemory()
		list := fleet(t, 2, memory, d)
		tokens := []string{userToken("alice", 1), userToken("bob", 1), userToken("carol", 1)}
		for _, token := range tokens {
			d.enroll(token, echomfa.OTP)
			for _, e := range list {
				decide(t, e, token, otp())
				synctest.Wait()
			}
		}
		before := d.total()
		memory.Fail(errRedisAway)
		pass(3 * time.Second)
		for _, e := range list {
			assert.True(t, e.Stats().Store.Deaf)
		}
		d.enroll(tokens[0], echomfa.SMS)
		require.ErrorContains(t, list[0].InvalidateUser(t.Context(), "alice"), "could not be told yet")
		assert.Equal(t, 1, list[0].Stats().Store.Unsent)
		assert.Equal(t, echomfa.Allowed, decide(t, list[1], tokens[0], otp()).Outcome, "it cannot know")
		memory.Fail(nil)
		synctest.Wait()
		assert.Zero(t, list[0].Stats().Store.Unsent, "sent as soon as the Store was heard")
		for i, e := range list {
			assert.False(t, e.Stats().Store.Deaf)
			assert.Equal(t, echomfa.NotEnrolled, decide(t, e, tokens[0], otp()).Outcome, i)
			for _, token := range tokens[1:] {
				assert.Equal(t, echomfa.Cached, decide(t, e, token, otp()).Source)
			}
		}
		assert.Equal(t, before+2, d.total(), "about the one user only")
	})
}

// TestR5LostHistoryIsSentAgain: the Store loses what it has acknowledged before another
// instance has heard it. The author sends it again.
func TestR5LostHistoryIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(m *storetest.Memory) func(){
		"all of it": func(m *storetest.Memory) func() { return m.Lose },
		"the end":   func(m *storetest.Memory) func() { return m.Back() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d, memory, token := newDirectory(), storetest.NewMemory(), userToken("alice", 1)
				d.enroll(token, echomfa.OTP)
				late := &lateStore{memory, chanMutex{make(chan struct{}, 1)}}
				list := append(fleet(t, 1, memory, d), fleet(t, 1, late, d)...)
				for _, e := range list {
					decide(t, e, token, otp())
					synctest.Wait()
				}
				lost := lose(memory)
				late.deaf.Lock()
				d.enroll(token, echomfa.SMS)
				require.NoError(t, list[0].Invalidate(t.Context(), token))
				lost()
				late.deaf.Unlock()
				synctest.Wait()
				assert.Equal(t, echomfa.NotEnrolled, decide(t, list[1], token, otp()).Outcome)
			})
		})
	}
}

// lateStore is heard only while deaf is not locked.
type lateStore struct {
	*storetest.Memory
	deaf chanMutex
}

// Watch holds back what it hears.
func (s *lateStore) Watch(ctx context.Context, hear func(echomfa.StoreEvent)) error {
	return s.Memory.Watch(ctx, func(e echomfa.StoreEvent) {
		s.deaf.Lock()
		defer s.deaf.Unlock()
		hear(e)
	})
}

// chanMutex is a mutex on which a bubble of synctest counts as blocked.
type chanMutex struct{ held chan struct{} }

// Lock locks.
func (m *chanMutex) Lock() { m.held <- struct{}{} }

// Unlock unlocks.
func (m *chanMutex) Unlock() { <-m.held }

// evictedStore has lost the generations by which it would know that facts are from
// before an invalidation.
type evictedStore struct{ *storetest.Memory }

// Set keeps whatever comes.
func (s *evictedStore) Set(ctx context.Context, facts echomfa.StoredFacts, _ echomfa.StoreVersion, keep time.Duration) error {
	_, _, v, err := s.Get(ctx, facts.Key, facts.User)
	return errors.Join(err, s.Memory.Set(ctx, facts, v, keep))
}

// TestX19EvictedGenerationBringsNothingBack has an answer of before an invalidation come
// into the Store after it. No instance believes it, not even one that begins later, and
// the one that has brought it deletes it.
func TestX19EvictedGenerationBringsNothingBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, store, token := newDirectory(), &evictedStore{storetest.NewMemory()}, userToken("alice", 1)
		d.enroll(token, echomfa.OTP)
		d.slow(200 * time.Millisecond)
		list := fleet(t, 2, store, d)
		pass(3 * time.Second)
		answered := make(chan echomfa.Outcome)
		go func() {
			got, _ := list[0].Decide(context.Background(), token, otp())
			answered <- got.Outcome
		}()
		pass(100 * time.Millisecond)
		d.enroll(token, echomfa.SMS)
		require.NoError(t, list[1].Invalidate(t.Context(), token))
		assert.Equal(t, echomfa.Allowed, <-answered, "its own waiters get the answer")
		synctest.Wait()
		list = append(list, fleet(t, 1, store, d)...)
		for i, e := range list {
			assert.Equal(t, echomfa.NotEnrolled, decide(t, e, token, otp()).Outcome, i)
		}
	})
}

// TestOnlyWhileHeard has the Store away for the whole fleet, and a factor removed on
// another instance.
func TestOnlyWhileHeard(t *testing.T) {
	t.Parallel()
	for name, strict := range map[string]bool{"by default": false, "OnlyWhileHeard": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d, memory := newDirectory(), storetest.NewMemory()
				d.enroll("token", echomfa.OTP)
				e := newEnforcer(t, d, func(c *echomfa.Config) {
					c.Cache.Store, c.Cache.OnlyWhileHeard, c.Cache.StaleIfError = memory, strict, 3*time.Minute
				})
				synctest.Wait()
				decide(t, e, "token", otp())
				memory.Fail(errRedisAway)
				pass(1900 * time.Millisecond)
				assert.Equal(t, echomfa.Cached, decide(t, e, "token", otp()).Source, "heard 2 s ago")
				pass(500 * time.Millisecond)
				got := decide(t, e, "token", otp())
				if !strict {
					assert.Equal(t, echomfa.Cached, got.Source)
					return
				}
				assert.Equal(t, echomfa.Fetched, got.Source)
				pass(time.Second)
				assert.Equal(t, echomfa.Cached, decide(t, e, "token", otp()).Source, "for DenyFreshFor")
				pass(time.Second + 1)
				d.fail(errors.New("GenAuth is away too"))
				assert.Equal(t, echomfa.Unavailable, decide(t, e, "token", otp()).Outcome, "and nothing stands in")
				memory.Fail(nil)
				synctest.Wait()
				assert.Equal(t, echomfa.Cached, decide(t, e, "token", otp()).Source, "it is heard again")
			})
		})
	}
	_, err := echomfa.New(echomfa.Config{Client: newDirectory(), Namespace: "n", InsecureAnyAudience: true, Cache: echomfa.CacheConfig{OnlyWhileHeard: true}})
	assert.ErrorContains(t, err, "Cache.OnlyWhileHeard: needs a Store")
}

// TestTooManyInvalidationsWait: the Store is away, and more is invalidated than is kept.
func TestTooManyInvalidationsWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		memory := storetest.NewMemory()
		memory.Fail(errRedisAway)
		e := newEnforcer(t, newDirectory(), func(c *echomfa.Config) {
			c.Cache.Store, c.Logger = memory, slog.New(slog.NewTextHandler(&log, nil))
		})
		for i := range 4097 {
			require.Error(t, e.InvalidateUser(t.Context(), string(rune('a'+i))))
		}
		stats := e.Stats().Store
		assert.Equal(t, 4096, stats.Unsent)
		assert.Equal(t, uint64(1), stats.Dropped)
		assert.Equal(t, 1, strings.Count(log.String(), "an invalidation was given up"))
	})
}

// tellingStore forgets users, tells all, and says that it has failed.
type tellingStore struct {
	*storetest.Memory
	told atomic.Int64
}

// DeleteUser forgets.
func (s *tellingStore) DeleteUser(ctx context.Context, user echomfa.StoreKey) error {
	s.told.Add(1)
	return errors.Join(s.Memory.DeleteUser(ctx, user), errRedisAway)
}

// TestStoreThatTellsAndFails: each time that an invalidation is told, all instances ask
// again. What was told is not sent again soon, whatever the Store has said of it.
func TestStoreThatTellsAndFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, store, token := newDirectory(), &tellingStore{Memory: storetest.NewMemory()}, userToken("alice", 1)
		d.enroll(token, echomfa.OTP)
		list := fleet(t, 2, store, d)
		pass(3 * time.Second)
		ask := func() {
			for _, e := range list {
				assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome)
			}
		}
		ask()
		before := d.total()
		require.ErrorIs(t, list[0].InvalidateUser(t.Context(), "alice"), errRedisAway)
		for range 900 {
			pass(100 * time.Millisecond)
			ask()
		}
		assert.LessOrEqual(t, store.told.Load(), int64(7))
		assert.LessOrEqual(t, d.total()-before, 2*7+2)
		assert.Zero(t, list[0].Stats().Store.Unsent, "FreshFor is over")
	})
}

// silentStore does not answer an invalidation, and returns a little after its context
// has ended.
type silentStore struct{ *storetest.Memory }

// DeleteUser waits.
func (s *silentStore) DeleteUser(ctx context.Context, _ echomfa.StoreKey) error {
	<-ctx.Done()
	<-time.After(10 * time.Millisecond)
	return ctx.Err()
}

// TestCloseWhileTheStoreIsSilent: Close tries once more, and does not blame a Store that
// returns when its context has ended.
func TestCloseWhileTheStoreIsSilent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, err := echomfa.New(echomfa.Config{
			Client: newDirectory(), Namespace: "n", InsecureAnyAudience: true,
			Cache: echomfa.CacheConfig{Store: &silentStore{storetest.NewMemory()}},
		})
		require.NoError(t, err)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for i := range 20 {
			require.Error(t, e.InvalidateUser(gone, string(rune('a'+i))))
		}
		begun := time.Now()
		require.NoError(t, e.Close())
		assert.LessOrEqual(t, time.Since(begun), time.Second)
	})
}
