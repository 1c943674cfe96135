package echomfa_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
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

// brokenStore is a Store that does what a test says, and is a memory otherwise.
type brokenStore struct {
	*storetest.Memory
	get    func(ctx context.Context, key echomfa.StoreKey) (echomfa.StoredFacts, bool, error)
	healed atomic.Bool // get is not called any more
	delete error
	gets   atomic.Int64
}

func (b *brokenStore) Get(ctx context.Context, key, user echomfa.StoreKey) (echomfa.StoredFacts, bool, echomfa.StoreVersion, error) {
	b.gets.Add(1)
	if b.get == nil || b.healed.Load() {
		return b.Memory.Get(ctx, key, user)
	}
	f, ok, err := b.get(ctx, key)
	return f, ok, "", err
}

func (b *brokenStore) Delete(ctx context.Context, key, user echomfa.StoreKey) error {
	return errors.Join(b.delete, b.Memory.Delete(ctx, key, user))
}

// TestF40StoreIsAMissAtWorst has the Store fail, hang and panic: the verdicts are
// GenAuth's, 100 ms are lost at most, and nothing once it has failed five times.
func TestF40StoreIsAMissAtWorst(t *testing.T) {
	t.Parallel()
	for name, get := range map[string]func(ctx context.Context, key echomfa.StoreKey) (echomfa.StoredFacts, bool, error){
		"fails": func(context.Context, echomfa.StoreKey) (echomfa.StoredFacts, bool, error) {
			return echomfa.StoredFacts{}, false, errors.New("gone")
		},
		"panics": func(context.Context, echomfa.StoreKey) (echomfa.StoredFacts, bool, error) { panic("store") },
		"hangs": func(ctx context.Context, _ echomfa.StoreKey) (echomfa.StoredFacts, bool, error) {
			<-ctx.Done()
			return echomfa.StoredFacts{}, false, ctx.Err()
		},
		"lies and fails": func(_ context.Context, key echomfa.StoreKey) (echomfa.StoredFacts, bool, error) {
			return echomfa.StoredFacts{Key: key, Types: []client.FactorType{echomfa.OTP}, Asked: time.Now()}, true, errors.New("broken")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d, log := newDirectory(), &bytes.Buffer{}
				store := &brokenStore{Memory: storetest.NewMemory(), get: get}
				e := newEnforcer(t, d, func(c *echomfa.Config) {
					c.Cache.Store, c.Logger = store, slog.New(slog.NewTextHandler(log, nil))
				})
				for i := range 20 {
					token := fmt.Sprintf("token-%d", i)
					want := echomfa.NotEnrolled
					if d.enroll(token, echomfa.SMS); i%2 == 0 {
						want = echomfa.Allowed
						d.enroll(token, echomfa.OTP)
					}
					begun := time.Now()
					assert.Equal(t, want, decide(t, e, token, otp()).Outcome)
					assert.LessOrEqual(t, time.Since(begun), 100*time.Millisecond)
					if i >= 5 {
						assert.Zero(t, time.Since(begun), "the Store is left alone")
					}
				}
				assert.Equal(t, int64(5), store.gets.Load())
				stats := e.Stats().Store
				assert.True(t, stats.Open)
				assert.Equal(t, uint64(5), stats.Failed)
				assert.Equal(t, uint64(15), stats.Skipped)
				assert.Equal(t, 1, strings.Count(log.String(), "mfa store keeps failing"))

				store.healed.Store(true)
				pass(1100 * time.Millisecond)
				d.enroll("later", echomfa.OTP)
				decide(t, e, "later", otp())
				assert.False(t, e.Stats().Store.Open)
				assert.Equal(t, 1, strings.Count(log.String(), "mfa store works again"))
			})
		})
	}
}

// TestF41FactsThatAreNotBelieved has the Store give facts that are not those of
// the token, or not of any time.
func TestF41FactsThatAreNotBelieved(t *testing.T) {
	t.Parallel()
	many := make([]client.FactorType, 40)
	for i := range many {
		many[i] = client.FactorType(fmt.Sprintf("T%02d", i))
	}
	for name, change := range map[string]func(*echomfa.StoredFacts){
		"another token's":       func(f *echomfa.StoredFacts) { f.Key[0]++ },
		"another user's":        func(f *echomfa.StoredFacts) { f.User[0]++ },
		"X10, of long ago":      func(f *echomfa.StoredFacts) { f.Asked = time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC) },
		"older than any may be": func(f *echomfa.StoredFacts) { f.Asked = f.Asked.Add(-6 * time.Minute) },
		"dated ahead":           func(f *echomfa.StoredFacts) { f.Asked = f.Asked.Add(3 * time.Second) },
		"with too many types":   func(f *echomfa.StoredFacts) { f.Types = slices.Concat(many, []client.FactorType{echomfa.OTP}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDirectory()
				d.enroll("token", echomfa.SMS)
				store := &brokenStore{Memory: storetest.NewMemory()}
				store.get = func(_ context.Context, key echomfa.StoreKey) (echomfa.StoredFacts, bool, error) {
					f := echomfa.StoredFacts{Key: key, Types: []client.FactorType{echomfa.OTP}, Asked: time.Now()}
					change(&f)
					return f, true, nil
				}
				e := fleet(t, 1, store, d)[0]
				got := decide(t, e, "token", otp())
				assert.Equal(t, echomfa.NotEnrolled, got.Outcome)
				assert.Equal(t, echomfa.Fetched, got.Source)
				assert.Equal(t, uint64(1), e.Stats().Store.Rejected)
			})
		})
	}
}

// TestStoreFactsAreVerified calls CheckToken for a token that this instance has not
// seen, also if another instance has.
func TestStoreFactsAreVerified(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, store := newDirectory(), storetest.NewMemory()
		d.enroll("token", echomfa.OTP)
		first := fleet(t, 1, store, d)[0]
		decide(t, first, "token", otp())
		synctest.Wait()
		pass(10 * time.Second) // longer than a refusal is remembered
		for name, verdict := range map[string]error{"good": nil, "bad": errors.New("bad signature"), "unknown": client.ErrUnavailable} {
			calls := 0
			e := newEnforcer(t, d, func(c *echomfa.Config) {
				c.Cache.Store = store
				c.CheckToken = func(context.Context, string) error { calls++; return verdict }
			})
			got := decide(t, e, "token", otp())
			assert.Equal(t, 1, calls, name)
			decide(t, e, "token", otp())
			if name != "unknown" { // a verdict is remembered, whichever it is
				assert.Equal(t, 1, calls, name)
			}
			want := map[string]echomfa.Outcome{"good": echomfa.Allowed, "bad": echomfa.Unauthenticated, "unknown": echomfa.Unavailable}[name]
			assert.Equal(t, want, got.Outcome, name)
		}
		panics := newEnforcer(t, d, func(c *echomfa.Config) {
			c.Cache.Store = store
			c.CheckToken = func(context.Context, string) error { panic("verify") }
		})
		assert.Equal(t, echomfa.InternalError, decide(t, panics, "token", otp()).Outcome)
	})
}

// deafStore is a Store whose calls do not return, whatever becomes of their context,
// until it is released.
type deafStore struct{ released chan struct{} }

func (s *deafStore) Get(context.Context, echomfa.StoreKey, echomfa.StoreKey) (echomfa.StoredFacts, bool, echomfa.StoreVersion, error) {
	<-s.released
	return echomfa.StoredFacts{}, false, "", nil
}

func (s *deafStore) Set(context.Context, echomfa.StoredFacts, echomfa.StoreVersion, time.Duration) error {
	<-s.released
	return nil
}

func (s *deafStore) Delete(context.Context, echomfa.StoreKey, echomfa.StoreKey) error {
	<-s.released
	return nil
}

func (s *deafStore) DeleteUser(context.Context, echomfa.StoreKey) error {
	<-s.released
	return nil
}

func (s *deafStore) Watch(context.Context, func(echomfa.StoreEvent)) error {
	<-s.released
	return nil
}

// TestX16StoreIgnoresItsContext has a Store that does not return when its context
// ends. It costs what one costs that does, and Close says so instead of waiting.
func TestX16StoreIgnoresItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, store := newDirectory(), &deafStore{released: make(chan struct{})}
		d.enroll("token", echomfa.OTP)
		e, err := echomfa.New(echomfa.Config{
			Client: d, Namespace: "n", InsecureAnyAudience: true, Cache: echomfa.CacheConfig{Store: store},
		})
		require.NoError(t, err)
		begun := time.Now()
		assert.Equal(t, echomfa.Allowed, decide(t, e, "token", otp()).Outcome)
		assert.Equal(t, 100*time.Millisecond, time.Since(begun))

		begun = time.Now()
		require.ErrorIs(t, e.Invalidate(t.Context(), "token"), context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(begun))

		begun = time.Now()
		require.ErrorContains(t, e.Close(), "the store does not return")
		assert.Equal(t, time.Second, time.Since(begun))
		close(store.released)
		synctest.Wait()
		assert.NoError(t, e.Close(), "its calls have ended")
	})
}
