package echomfa_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
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

// fleet are instances that share a Store, each with a GenAuth that counts.
func fleet(t *testing.T, n int, store echomfa.Store, d *directory) []*echomfa.Enforcer {
	t.Helper()
	list := make([]*echomfa.Enforcer, n)
	for i := range list {
		list[i] = newEnforcer(t, d, func(c *echomfa.Config) { c.Cache.Store = store })
	}
	synctest.Wait() // each hears the Store
	return list
}

// userToken is a JWT of a user; another n is another token.
func userToken(user string, n int) string {
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return encode(`{"alg":"none"}`) + "." + encode(fmt.Sprintf(`{"sub":%q,"aud":"app","jti":"%d"}`, user, n)) + "."
}

// TestStoreSharesFacts has one instance ask for all, until the facts are too old
// for any of them.
func TestStoreSharesFacts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll("token", echomfa.OTP)
		list := fleet(t, 4, storetest.NewMemory(), d)
		assert.Equal(t, echomfa.Fetched, decide(t, list[0], "token", otp()).Source)
		synctest.Wait()
		pass(20 * time.Second)
		for _, e := range list[1:] {
			got := decide(t, e, "token", otp())
			assert.Equal(t, echomfa.Stored, got.Source)
			assert.Equal(t, 20*time.Second, got.Age, "it counts from when GenAuth was asked")
			assert.Equal(t, echomfa.Cached, decide(t, e, "token", otp()).Source)
			assert.Equal(t, uint64(1), e.Stats().Store.Hits)
		}
		assert.Equal(t, 1, d.total())
		pass(40 * time.Second)
		assert.Equal(t, echomfa.Fetched, decide(t, list[1], "token", otp()).Source, "a minute, wherever it was spent")
		synctest.Wait()
		assert.Equal(t, echomfa.Stored, decide(t, list[2], "token", otp()).Source)
		assert.Equal(t, 2, d.total())
	})
}

// TestStoreRefusesOnFreshFactsOnly never refuses on facts of the Store that are
// older than DenyFreshFor, and what one instance learns unlocks all.
func TestStoreRefusesOnFreshFactsOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll("token", echomfa.SMS)
		list := fleet(t, 3, storetest.NewMemory(), d)
		assert.Equal(t, echomfa.NotEnrolled, decide(t, list[0], "token", otp()).Outcome)
		synctest.Wait()
		pass(time.Second)
		got := decide(t, list[1], "token", otp())
		assert.Equal(t, echomfa.NotEnrolled, got.Outcome)
		assert.Equal(t, echomfa.Stored, got.Source)
		assert.Equal(t, 1, d.total())

		d.enroll("token", echomfa.SMS, echomfa.OTP)
		pass(time.Second + 1)
		assert.Equal(t, echomfa.Allowed, decide(t, list[1], "token", otp()).Outcome, "GenAuth was asked again")
		synctest.Wait()
		for _, e := range list {
			assert.Equal(t, echomfa.Allowed, decide(t, e, "token", otp()).Outcome)
		}
		assert.Equal(t, 2, d.total())
		d.fail(client.ErrUnavailable)
		d.enroll("token", echomfa.SMS)
		pass(3 * time.Second)
		assert.Equal(t, echomfa.Unavailable, decide(t, list[2], "token", echomfa.AnyOf(echomfa.Face)).Outcome, "never 403 on old facts")
	})
}

// TestStoreInvalidateReachesAll counts a removed and an enrolled factor on all
// instances at once, by the token and by the user.
func TestStoreInvalidateReachesAll(t *testing.T) {
	t.Parallel()
	for name, invalidate := range map[string]func(t *testing.T, e *echomfa.Enforcer, token string) error{
		"token": func(t *testing.T, e *echomfa.Enforcer, token string) error { return e.Invalidate(t.Context(), token) },
		"user":  func(t *testing.T, e *echomfa.Enforcer, _ string) error { return e.InvalidateUser(t.Context(), "alice") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d, token, other := newDirectory(), userToken("alice", 1), userToken("bob", 1)
				d.enroll(token, echomfa.OTP)
				d.enroll(other, echomfa.OTP)
				list := fleet(t, 3, storetest.NewMemory(), d)
				for _, e := range list {
					decide(t, e, token, otp())
					decide(t, e, other, otp())
					synctest.Wait()
				}
				before := d.total()
				for round, types := range [][]client.FactorType{{echomfa.SMS}, {echomfa.OTP}} {
					d.enroll(token, types...)
					require.NoError(t, invalidate(t, list[round], token))
					synctest.Wait()
					for i, e := range list {
						want := map[bool]echomfa.Outcome{true: echomfa.NotEnrolled, false: echomfa.Allowed}[round == 0]
						assert.Equal(t, want, decide(t, e, token, otp()).Outcome, "round %d, instance %d", round, i)
						synctest.Wait()
					}
				}
				assert.Equal(t, before+2, d.total(), "one of them asks for all")
				for _, e := range list {
					assert.Equal(t, echomfa.Cached, decide(t, e, other, otp()).Source, "another user's facts stay")
				}
			})
		})
	}
}

// TestT48InvalidateRacesTheStore has an answer of before the invalidation neither
// kept here nor in the Store.
func TestT48InvalidateRacesTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll("token", echomfa.OTP)
		d.slow(200 * time.Millisecond)
		list := fleet(t, 2, storetest.NewMemory(), d)
		answered := make(chan echomfa.Outcome)
		go func() {
			got, _ := list[0].Decide(context.Background(), "token", otp())
			answered <- got.Outcome
		}()
		pass(100 * time.Millisecond)
		d.enroll("token", echomfa.SMS)
		require.NoError(t, list[1].Invalidate(t.Context(), "token")) // on the other instance
		assert.Equal(t, echomfa.Allowed, <-answered, "its own waiters get the answer")
		synctest.Wait()
		for _, e := range list {
			assert.Equal(t, echomfa.NotEnrolled, decide(t, e, "token", otp()).Outcome)
		}
	})
}

// brokenStore is a Store that does what a test says, and is a memory otherwise.
type brokenStore struct {
	*storetest.Memory
	get    func(ctx context.Context, key echomfa.StoreKey) (echomfa.StoredFacts, bool, error)
	delete error
	gets   atomic.Int64
}

func (b *brokenStore) Get(ctx context.Context, key, user echomfa.StoreKey) (echomfa.StoredFacts, bool, echomfa.StoreVersion, error) {
	b.gets.Add(1)
	if b.get == nil {
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

				store.get = nil
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
		"another token's":     func(f *echomfa.StoredFacts) { f.Key[0]++ },
		"another user's":      func(f *echomfa.StoredFacts) { f.User[0]++ },
		"of the future":       func(f *echomfa.StoredFacts) { f.Asked = f.Asked.Add(3 * time.Second) },
		"with too many types": func(f *echomfa.StoredFacts) { f.Types = append(many, echomfa.OTP) },
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

// TestStoreFactsAreVerified calls Verify for a token that this instance has not
// seen, also if another instance has.
func TestStoreFactsAreVerified(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, store := newDirectory(), storetest.NewMemory()
		d.enroll("token", echomfa.OTP)
		first := fleet(t, 1, store, d)[0]
		decide(t, first, "token", otp())
		synctest.Wait()
		for name, verdict := range map[string]error{"good": nil, "bad": errors.New("bad signature"), "unknown": client.ErrUnavailable} {
			calls := 0
			e := newEnforcer(t, d, func(c *echomfa.Config) {
				c.Cache.Store = store
				c.Verify = func(context.Context, string) error { calls++; return verdict }
			})
			got := decide(t, e, "token", otp())
			assert.Equal(t, 1, calls, name)
			want := map[string]echomfa.Outcome{"good": echomfa.Allowed, "bad": echomfa.Unauthenticated, "unknown": echomfa.Unavailable}[name]
			assert.Equal(t, want, got.Outcome, name)
		}
		panics := newEnforcer(t, d, func(c *echomfa.Config) {
			c.Cache.Store = store
			c.Verify = func(context.Context, string) error { panic("verify") }
		})
		assert.Equal(t, echomfa.Denied, decide(t, panics, "token", otp()).Outcome)
	})
}

// TestStoreForgetsRefusedTokens has GenAuth refuse a token whose facts all
// instances know. A token of which nothing was known is no news to anybody.
func TestStoreForgetsRefusedTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, store := newDirectory(), &brokenStore{Memory: storetest.NewMemory(), delete: nil}
		d.enroll("token", echomfa.OTP)
		list := fleet(t, 2, store, d)
		for _, e := range list {
			decide(t, e, "token", otp())
			synctest.Wait()
		}
		d.revoke("token")
		pass(3 * time.Second)
		// Another route asks for what is missing, and so anew.
		assert.Equal(t, echomfa.Unauthenticated, decide(t, list[0], "token", echomfa.AnyOf(echomfa.Face)).Outcome)
		synctest.Wait()
		assert.Equal(t, echomfa.Unauthenticated, decide(t, list[1], "token", otp()).Outcome)

		store.delete = errors.New("must not be called")
		assert.Equal(t, echomfa.Unauthenticated, decide(t, list[0], "made-up", otp()).Outcome)
		synctest.Wait()
		assert.Zero(t, list[0].Stats().Store.Failed)
	})
}

// TestInvalidateSaysThatTheStoreFailed forgets here all the same, and does not
// believe what was stored before.
func TestInvalidateSaysThatTheStoreFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, memory := newDirectory(), storetest.NewMemory()
		d.enroll("token", echomfa.OTP)
		list := append(fleet(t, 1, memory, d), fleet(t, 1, &failingDelete{memory}, d)...)
		decide(t, list[0], "token", otp())
		synctest.Wait()
		decide(t, list[1], "token", otp())
		d.enroll("token", echomfa.SMS)
		require.ErrorContains(t, list[1].Invalidate(t.Context(), "token"), "the other instances could not be told: gone")
		require.ErrorContains(t, list[1].InvalidateUser(t.Context(), "alice"), "gone")
		assert.Equal(t, echomfa.NotEnrolled, decide(t, list[1], "token", otp()).Outcome)
	})
}

// failingDelete cannot tell anybody.
type failingDelete struct{ *storetest.Memory }

func (*failingDelete) Delete(context.Context, echomfa.StoreKey, echomfa.StoreKey) error {
	return errors.New("gone")
}
func (*failingDelete) DeleteUser(context.Context, echomfa.StoreKey) error { panic("gone") }

// resumingStore says once that it was not heard.
type resumingStore struct {
	*storetest.Memory
	resume chan struct{}
	fail   chan error
}

func (s *resumingStore) Watch(ctx context.Context, hear func(echomfa.StoreEvent)) error {
	hear(echomfa.StoreEvent{Resumed: true}) // the first time
	for {
		select {
		case <-s.resume:
			hear(echomfa.StoreEvent{Resumed: true})
		case err := <-s.fail:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// TestStoreUnheard asks again for everything that was known while the Store was
// not heard: an invalidation may have been missed.
func TestStoreUnheard(t *testing.T) {
	t.Parallel()
	for name, gap := range map[string]func(*resumingStore){
		"resumed":       func(s *resumingStore) { s.resume <- struct{}{} },
		"watched again": func(s *resumingStore) { s.fail <- errors.New("no channel"); pass(time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d, store := newDirectory(), &resumingStore{storetest.NewMemory(), make(chan struct{}), make(chan error)}
				d.enroll("token", echomfa.OTP)
				e := fleet(t, 1, store, d)[0]
				pass(time.Second)
				decide(t, e, "token", otp())
				synctest.Wait()
				late := newEnforcer(t, d, func(c *echomfa.Config) { c.Cache.Store = store })
				synctest.Wait()
				assert.Equal(t, echomfa.Stored, decide(t, late, "token", otp()).Source, "who comes later believes the Store")
				d.enroll("token", echomfa.SMS)
				assert.Equal(t, echomfa.Allowed, decide(t, e, "token", otp()).Outcome)
				gap(store)
				gap(store) // the two of them
				synctest.Wait()
				got := decide(t, e, "token", otp())
				assert.Equal(t, echomfa.NotEnrolled, got.Outcome, "neither here nor from the Store")
				assert.Equal(t, echomfa.Fetched, got.Source)
			})
		})
	}
}

// TestStoreKeepsNoPartialFacts shares only what is whole, and no longer than the
// token lives.
func TestStoreKeepsNoPartialFacts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll("token", echomfa.OTP)
		d.fail(&client.PartialError{Skipped: 1})
		list := fleet(t, 2, storetest.NewMemory(), d)
		assert.Equal(t, echomfa.Allowed, decide(t, list[0], "token", otp()).Outcome)
		synctest.Wait()
		assert.Equal(t, echomfa.Fetched, decide(t, list[1], "token", otp()).Source)

		d.fail(nil)
		ends := fmt.Sprintf(`{"sub":"a","aud":"app","exp":%d}`, time.Now().Add(10*time.Second).Unix())
		encode := base64.RawURLEncoding.EncodeToString
		token := encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(ends)) + "."
		d.enroll(token, echomfa.OTP)
		decide(t, list[0], token, otp())
		synctest.Wait()
		assert.Equal(t, echomfa.Stored, decide(t, list[1], token, otp()).Source)
		pass(11 * time.Second)
		assert.Equal(t, echomfa.Fetched, decide(t, list[1], token, otp()).Source, "GenAuth decides about a token past its exp")
	})
}
