package integration_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// soon is within what time an invalidation counts on all instances.
const soon = time.Second

// TestFleetRefusesARemovedFactor: 100 of 100 times, with FreshFor at 60 s, many
// other facts in the store, and facts of the user in all tiers.
func TestFleetRefusesARemovedFactor(t *testing.T) {
	t.Parallel()
	r := newFleet(t, 4, echomfa.CacheConfig{FreshFor: time.Minute})
	fillStore(r, 1000)
	for n := range 100 {
		user := r.user(genauthtest.OTP)
		token := r.genauth.AccessToken(user)
		r.askAll(token, http.StatusOK)
		r.genauth.Reset(user)
		on := r.instances[n%4].mfa
		begin := time.Now()
		if n%2 == 0 {
			require.NoError(t, on.Invalidate(t.Context(), token))
		} else {
			require.NoError(t, on.InvalidateUser(t.Context(), user))
		}
		told := time.Since(begin)
		assert.Less(t, told+r.until(token, http.StatusForbidden), soon, "round %d", n)
		r.askAll(token, http.StatusForbidden)
	}
}

// fillStore has an instance ask about many users.
func fillStore(r *fleetRig, users int) {
	r.t.Helper()
	first := r.instances[0]
	before := first.store.kept.Load()
	for range users {
		token := r.genauth.Mint(genauthtest.Token{UserID: r.user(genauthtest.OTP), Opaque: true})
		require.Equal(r.t, http.StatusOK, r.ask(first, token))
	}
	r.clock.eventually("it is not kept", func() bool { return first.store.kept.Load() >= before+int64(users)*9/10 })
}

// TestFleetRefusesARemovedFactorWhileRedisIsFull: Redis has no memory left, not
// even for an invalidation. That is an error, and all instances forget anyway.
func TestFleetRefusesARemovedFactorWhileRedisIsFull(t *testing.T) {
	t.Parallel()
	r := newFleet(t, 4, echomfa.CacheConfig{FreshFor: time.Minute})
	for n := range 20 {
		user := r.user(genauthtest.OTP)
		token := r.genauth.AccessToken(user)
		require.NoError(t, r.command("CONFIG", "SET", "maxmemory", "0").Error())
		r.askAll(token, http.StatusOK)
		require.NoError(t, r.command("CONFIG", "SET", "maxmemory", "1").Error())
		r.genauth.Reset(user)
		require.Error(t, r.instances[n%4].mfa.Invalidate(t.Context(), token))
		assert.Less(t, r.until(token, http.StatusForbidden), soon, "round %d", n)
		r.askAll(token, http.StatusForbidden)
	}
}

// TestFleetLetsAnEnrolledFactorIn: an invalidation on one instance unlocks all, long
// before DenyFreshFor has passed.
func TestFleetLetsAnEnrolledFactorIn(t *testing.T) {
	t.Parallel()
	r := newFleet(t, 4, echomfa.CacheConfig{FreshFor: time.Minute, DenyFreshFor: time.Minute})
	for n := range 25 {
		user := r.user()
		token := r.genauth.AccessToken(user)
		r.askAll(token, http.StatusForbidden)
		r.genauth.Enroll(user, genauthtest.OTP)
		require.NoError(t, r.instances[n%4].mfa.Invalidate(t.Context(), token))
		assert.Less(t, r.until(token, http.StatusOK), soon, "round %d", n)
		r.askAll(token, http.StatusOK)
	}
}

// TestFleetSharesRefusalsWhileTheyAreFresh: a refusal of the store is as good as
// one's own, until DenyFreshFor. Who asks anew then unlocks all.
func TestFleetSharesRefusalsWhileTheyAreFresh(t *testing.T) {
	t.Parallel()
	const denyFreshFor = 2 * time.Second
	r := newFleet(t, 4, echomfa.CacheConfig{FreshFor: time.Minute, DenyFreshFor: denyFreshFor})
	user := r.user()
	token := r.genauth.AccessToken(user)
	kept := func() int64 {
		n := int64(0)
		for _, i := range r.instances {
			n += i.store.kept.Load()
		}
		return n
	}
	before, calls := kept(), r.genauth.ListCalls()
	asked := time.Now()
	require.Equal(t, http.StatusForbidden, r.ask(r.instances[0], token))
	r.clock.eventually("the refusal is not kept", func() bool { return kept() > before })
	r.askAll(token, http.StatusForbidden)
	if time.Since(asked) < denyFreshFor {
		assert.Equal(t, calls+1, r.genauth.ListCalls(), "the others asked for themselves")
	}

	// Nobody is told of the enrollment.
	r.genauth.Enroll(user, genauthtest.OTP)
	pass(t, time.Until(asked.Add(denyFreshFor+10*time.Millisecond)))
	before = kept()
	r.clock.eventually("still refused", func() bool { return r.ask(r.instances[2], token) == http.StatusOK })
	r.clock.eventually("it is not written through", func() bool { return kept() > before })
	calls = r.genauth.ListCalls()
	r.askAll(token, http.StatusOK)
	assert.Equal(t, calls, r.genauth.ListCalls(), "one has asked for all")
}
