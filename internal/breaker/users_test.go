package breaker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/internal/breaker"
)

func never(breaker.Stamp) bool { return false }

// named is who has no other's id.
func named(id uint64) func() uint64 { return func() uint64 { return id } }

// refusesUser checks that a lookup of a user may not be made.
func refusesUser(t *testing.T, u *breaker.Users, id uint64, now time.Time, want breaker.HeldError) {
	t.Helper()
	var held *breaker.HeldError
	require.ErrorAs(t, u.Enter(id, now, named(id), never), &held)
	assert.Equal(t, want, *held)
}

// fail makes a lookup of a user that fails.
func fail(t *testing.T, u *breaker.Users, id uint64, now time.Time, successes uint64) time.Duration {
	t.Helper()
	require.NoError(t, u.Enter(id, now, named(id), never))
	defer u.Leave(id, now)
	return u.Fail(id, id, breaker.Stamp{At: 7}, now, successes)
}

func TestRule8FourLookupsOfAUserAtOnce(t *testing.T) {
	t.Parallel()
	var u breaker.Users
	now := time.Unix(1e9, 0)
	for range 4 {
		require.NoError(t, u.Enter(1, now, named(1), never))
	}
	refusesUser(t, &u, 1, now, breaker.HeldError{Rest: time.Second, User: true, Busy: true})
	require.NoError(t, u.Enter(2, now, named(2), never), "another user")
	u.Leave(1, now)
	require.NoError(t, u.Enter(1, now, named(1), never))
	refusesUser(t, &u, 1, now, breaker.HeldError{Rest: time.Second, User: true, Busy: true})
}

func TestRule8AUserIsHeld(t *testing.T) {
	t.Parallel()
	var u breaker.Users
	now := time.Unix(1e9, 0)
	assert.Zero(t, fail(t, &u, 1, now, 0), "the first")
	require.NoError(t, u.Enter(1, now, named(1), never))
	refusesUser(t, &u, 1, now, breaker.HeldError{Rest: time.Second, User: true, Busy: true}) // one at once
	u.Leave(1, now)
	assert.Zero(t, fail(t, &u, 1, now, 0), "others fail too")
	assert.Zero(t, u.Held(now))
	assert.Equal(t, 2*time.Second, fail(t, &u, 1, now, 1))
	refusesUser(t, &u, 1, now.Add(time.Second), breaker.HeldError{Rest: time.Second, User: true})
	assert.Equal(t, 1, u.Held(now.Add(2*time.Second-1)))
	assert.Zero(t, u.Held(now.Add(2*time.Second)))
	assert.Zero(t, fail(t, &u, 2, now, 1), "another user")
	now = now.Add(2 * time.Second)
	assert.Equal(t, 4*time.Second, fail(t, &u, 1, now, 2))

	over := func(s breaker.Stamp) bool { return s == breaker.Stamp{At: 7} }
	require.NoError(t, u.Enter(1, now, named(1), over), "invalidated")
	require.NoError(t, u.Enter(1, now, named(1), over), "and with it that it has failed")
	u.Leave(1, now)
	u.Leave(1, now)
	fail(t, &u, 1, now, 3)
	u.Succeed(1, named(1))
	assert.Zero(t, fail(t, &u, 1, now, 4), "a success has ended it")
	u.Succeed(9, named(9)) // there is nothing to end
}

// TestRule8TwoUsersWithOneID shows that one is not held for the other's failures.
func TestRule8TwoUsersWithOneID(t *testing.T) {
	t.Parallel()
	var u breaker.Users
	now := time.Unix(1e9, 0)
	fail(t, &u, 1, now, 0)
	assert.Equal(t, 2*time.Second, fail(t, &u, 1, now, 1))
	require.NoError(t, u.Enter(1, now, named(100), never))
	u.Succeed(1, named(100))
	refusesUser(t, &u, 1, now, breaker.HeldError{Rest: 2 * time.Second, User: true})
	assert.Zero(t, u.Fail(1, 100, breaker.Stamp{}, now, 2), "its first")
	u.Leave(1, now)
	require.NoError(t, u.Enter(1, now, named(1), never), "what is remembered is about the other one")
}

// TestRule8ManyUsersFail shows that what is remembered of users is bounded, and that those
// who are held stay.
func TestRule8ManyUsersFail(t *testing.T) {
	t.Parallel()
	u := new(breaker.Users)
	now := time.Unix(1e9, 0)
	hold := func(id uint64) time.Duration { fail(t, u, id, now, 0); return fail(t, u, id, now, 1) }
	assert.Equal(t, 2*time.Second, hold(0))
	for id := range uint64(5000) {
		fail(t, u, 1+id, now, 0)
	}
	refusesUser(t, u, 0, now, breaker.HeldError{Rest: 2 * time.Second, User: true})
	assert.Zero(t, fail(t, u, 1, now, 1), "forgotten: this is the first failure")

	u = new(breaker.Users)
	for id := range uint64(4096) {
		require.Equal(t, 2*time.Second, hold(id))
	}
	for id := range uint64(1000) {
		assert.Zero(t, hold(20_000+id), "there is room for no more")
	}
	assert.Equal(t, 4096, u.Held(now))
	refusesUser(t, u, 0, now, breaker.HeldError{Rest: 2 * time.Second, User: true})
	now = now.Add(2 * time.Second)
	hold(30_000)
	assert.Equal(t, 2*time.Second, hold(40_000), "there is room again")
}
