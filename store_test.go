package echomfa_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
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
	return jwtOf(fmt.Sprintf(`{"sub":%q,"aud":"app","jti":"%d"}`, user, n))
}

// jwtOf is an unsigned JWT with the given claims.
func jwtOf(claims string) string {
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return encode(`{"alg":"none"}`) + "." + encode(claims) + "."
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
// instances at once, by the token and by the user. For the 2 s that clocks may be
// apart each instance asks for itself; after that one asks for all.
func TestStoreInvalidateReachesAll(t *testing.T) {
	t.Parallel()
	for name, invalidate := range map[string]func(ctx context.Context, e *echomfa.Enforcer, token string) error{
		"token": func(ctx context.Context, e *echomfa.Enforcer, token string) error { return e.Invalidate(ctx, token) },
		"user":  func(ctx context.Context, e *echomfa.Enforcer, _ string) error { return e.InvalidateUser(ctx, "alice") },
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
					require.NoError(t, invalidate(t.Context(), list[round], token))
					synctest.Wait()
					for i, e := range list {
						want := map[bool]echomfa.Outcome{true: echomfa.NotEnrolled, false: echomfa.Allowed}[round == 0]
						assert.Equal(t, want, decide(t, e, token, otp()).Outcome, "round %d, instance %d", round, i)
						synctest.Wait()
					}
				}
				assert.Equal(t, before+2*len(list), d.total(), "each asks for itself")
				require.NoError(t, invalidate(t.Context(), list[0], token))
				pass(2*time.Second + time.Millisecond)
				before = d.total()
				for _, e := range list {
					assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome)
					synctest.Wait()
				}
				assert.Equal(t, before+1, d.total(), "one of them asks for all")
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

// TestStoreForgetsRefusedTokens has GenAuth refuse a token whose facts all
// instances know. An unknown token is told to nobody.
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
		// Another route asks for what is missing, and so again.
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
		require.ErrorContains(t, list[1].Invalidate(t.Context(), "token"), "the other instances could not be told yet: gone")
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

// sayingStore says what it is told to say, and that it hears.
type sayingStore struct {
	*storetest.Memory
	says chan echomfa.StoreEvent
	fail chan error
	mute atomic.Bool // Watch fails at once
}

func (s *sayingStore) Watch(ctx context.Context, hear func(echomfa.StoreEvent)) error {
	if s.mute.Load() {
		return errors.New("no xread")
	}
	for {
		hear(echomfa.StoreEvent{Kind: echomfa.Hearing})
		select {
		case e := <-s.says:
			hear(e)
		case err := <-s.fail:
			return err
		case <-time.After(250 * time.Millisecond):
		case <-ctx.Done():
			return nil
		}
	}
}

// TestStoreUnheard asks again for what may have been invalidated while the Store was
// not heard: the Store, if it has not forgotten, and otherwise GenAuth.
func TestStoreUnheard(t *testing.T) {
	t.Parallel()
	say := func(e echomfa.StoreEvent) func(*sayingStore) { return func(s *sayingStore) { s.says <- e } }
	for name, row := range map[string]struct {
		gap  func(*sayingStore)
		want echomfa.Source
	}{
		"unreadable":    {say(echomfa.StoreEvent{Kind: echomfa.Unreadable}), echomfa.Cached},
		"resumed":       {say(echomfa.StoreEvent{Kind: echomfa.Resumed}), echomfa.Stored},
		"rewound":       {say(echomfa.StoreEvent{Kind: echomfa.Rewound}), echomfa.Cached},
		"unknown":       {say(echomfa.StoreEvent{Kind: 99}), echomfa.Fetched},
		"zero":          {say(echomfa.StoreEvent{}), echomfa.Fetched},
		"watched again": {func(s *sayingStore) { s.fail <- errors.New("no channel"); pass(time.Second) }, echomfa.Fetched},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d, store := newDirectory(), &sayingStore{Memory: storetest.NewMemory(), says: make(chan echomfa.StoreEvent), fail: make(chan error)}
				d.enroll("token", echomfa.OTP)
				list := fleet(t, 1, store, d)
				pass(time.Second)
				decide(t, list[0], "token", otp())
				synctest.Wait()
				late := fleet(t, 1, store.Memory, d)[0]
				assert.Equal(t, echomfa.Stored, decide(t, late, "token", otp()).Source, "who comes later believes the Store")
				assert.Equal(t, echomfa.Allowed, decide(t, list[0], "token", otp()).Outcome)
				row.gap(store)
				synctest.Wait()
				assert.Equal(t, row.want, decide(t, list[0], "token", otp()).Source)
			})
		})
	}
}

// TestStoredFactsOfBeforeARewind has the Store come back with facts from before an
// invalidation that it has lost.
func TestStoredFactsOfBeforeARewind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, memory := newDirectory(), storetest.NewMemory()
		d.enroll("token", echomfa.OTP)
		list := fleet(t, 3, memory, d)
		decide(t, list[0], "token", otp())
		synctest.Wait()
		restore := memory.Back()
		d.enroll("token", echomfa.SMS)
		require.NoError(t, list[0].Invalidate(t.Context(), "token"))
		synctest.Wait()
		restore()
		synctest.Wait()
		list = append(list, fleet(t, 1, memory, d)...) // and one that begins only now
		for i, e := range list {
			assert.Equal(t, echomfa.NotEnrolled, decide(t, e, "token", otp()).Outcome, i)
		}
	})
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

// busyStore has a request come while it is told to forget.
type busyStore struct {
	*storetest.Memory
	meanwhile func()
}

func (s *busyStore) Watch(ctx context.Context, hear func(echomfa.StoreEvent)) error {
	says := sayingStore{} // but not what was invalidated
	return says.Watch(ctx, hear)
}

func (s *busyStore) Delete(ctx context.Context, key, user echomfa.StoreKey) error {
	s.meanwhile()
	return s.Memory.Delete(ctx, key, user)
}

func (s *busyStore) DeleteUser(ctx context.Context, user echomfa.StoreKey) error {
	s.meanwhile()
	return s.Memory.DeleteUser(ctx, user)
}

// TestT48RequestBetweenForgettingHereAndInTheStore keeps nothing that a request
// learned from the Store before that had forgotten.
func TestT48RequestBetweenForgettingHereAndInTheStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, store, token := newDirectory(), &busyStore{Memory: storetest.NewMemory()}, userToken("alice", 1)
		e := fleet(t, 1, store, d)[0]
		store.meanwhile = func() { decide(t, e, token, otp()) }
		for _, invalidate := range []func() error{
			func() error { return e.Invalidate(t.Context(), token) },
			func() error { return e.InvalidateUser(t.Context(), "alice") },
		} {
			d.enroll(token, echomfa.OTP)
			decide(t, e, token, echomfa.AnyOf(echomfa.OTP, echomfa.SMS))
			synctest.Wait()
			d.enroll(token, echomfa.SMS)
			require.NoError(t, invalidate())
			assert.Equal(t, echomfa.NotEnrolled, decide(t, e, token, otp()).Outcome)
			pass(3 * time.Second)
		}
	})
}
