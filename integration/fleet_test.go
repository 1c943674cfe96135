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

// freshFor is far longer than anything may take: what is so before, an invalidation
// has made so.
const freshFor = 5 * time.Minute

// TestFleetRefusesARemovedFactor: each time, with many other facts in the store, and
// facts of the user in all tiers.
func TestFleetRefusesARemovedFactor(t *testing.T) {
	t.Parallel()
	r := newFleet(t, 4, echomfa.CacheConfig{FreshFor: freshFor})
	fillStore(r, 50)
	for n := range removals {
		user := r.user(genauthtest.OTP)
		token := r.genauth.AccessToken(user)
		r.askAll(token, http.StatusOK)
		r.genauth.Reset(user)
		on := r.instances[n%4].mfa
		if n%2 == 0 {
			r.tell(func() error { return on.Invalidate(t.Context(), token) })
		} else {
			r.tell(func() error { return on.InvalidateUser(t.Context(), user) })
		}
		r.until(token, http.StatusForbidden)
		r.askAll(token, http.StatusForbidden)
	}
}

// fillStore has an instance ask about many users.
func fillStore(r *fleetRig, users int) {
	r.t.Helper()
	first := r.instances[0]
	before := first.store.kept.Load()
	r.clock.eventually("it is not kept", func() bool {
		token := r.genauth.Mint(genauthtest.Token{UserID: r.user(genauthtest.OTP), Opaque: true})
		require.Equal(r.t, http.StatusOK, r.ask(first, token))
		return first.store.kept.Load() >= before+int64(users)
	})
}

// TestFleetRefusesARemovedFactorWhileRedisIsFull: Redis has no memory left, not
// even for an invalidation. That is an error, and all instances forget anyway.
func TestFleetRefusesARemovedFactorWhileRedisIsFull(t *testing.T) {
	t.Parallel()
	r := newFleet(t, 4, echomfa.CacheConfig{FreshFor: freshFor})
	for n := range 4 { // each is told once
		user := r.user(genauthtest.OTP)
		token := r.genauth.AccessToken(user)
		require.NoError(t, r.command("CONFIG", "SET", "maxmemory", "0").Error())
		r.askAll(token, http.StatusOK)
		require.NoError(t, r.command("CONFIG", "SET", "maxmemory", "1").Error())
		r.genauth.Reset(user)
		require.Error(t, r.instances[n%4].mfa.Invalidate(t.Context(), token))
		r.until(token, http.StatusForbidden)
		r.askAll(token, http.StatusForbidden)
	}
}

// TestFleetLetsAnEnrolledFactorIn: an invalidation on one instance unlocks all, long
// before DenyFreshFor has passed.
func TestFleetLetsAnEnrolledFactorIn(t *testing.T) {
	t.Parallel()
	r := newFleet(t, 4, echomfa.CacheConfig{FreshFor: freshFor, DenyFreshFor: freshFor})
	for n := range removals {
		user := r.user()
		token := r.genauth.AccessToken(user)
		r.askAll(token, http.StatusForbidden)
		r.genauth.Enroll(user, genauthtest.OTP)
		r.tell(func() error { return r.instances[n%4].mfa.Invalidate(t.Context(), token) })
		r.until(token, http.StatusOK)
		r.askAll(token, http.StatusOK)
	}
}

// TestFleetSharesRefusalsWhileTheyAreFresh: a refusal of the store is as good as
// the instance's own, until DenyFreshFor. The instance that asks again then unlocks all.
func TestFleetSharesRefusalsWhileTheyAreFresh(t *testing.T) {
	t.Parallel()
	const denyFreshFor = 2 * time.Second
	r := newFleet(t, 4, echomfa.CacheConfig{FreshFor: freshFor, DenyFreshFor: denyFreshFor})
	user := r.user()
	token := r.genauth.AccessToken(user)
	kept := func() int64 {
		n := int64(0)
		for _, i := range r.instances {
			n += i.store.kept.Load()
		}
		return n
	}
	asked := r.keep(r.instances[0], token, http.StatusForbidden)
	calls, aside := r.genauth.ListCalls(), r.asides()
	r.askAll(token, http.StatusForbidden)
	if more := r.genauth.ListCalls() - calls; time.Since(asked) < denyFreshFor && r.asides() == aside {
		assert.Zero(t, more, "the others asked for themselves")
	}

	// Nobody is told of the enrollment.
	r.genauth.Enroll(user, genauthtest.OTP)
	pass(t, time.Until(asked.Add(denyFreshFor+10*time.Millisecond)))
	before := kept()
	aside = r.asides()
	r.clock.eventually("still refused", func() bool { return r.ask(r.instances[2], token) == http.StatusOK })
	r.clock.eventually("it is not written through", func() bool { return kept() > before || r.asides() > aside })
	calls = r.genauth.ListCalls()
	r.askAll(token, http.StatusOK)
	if more := r.genauth.ListCalls() - calls; r.asides() == aside {
		assert.Zero(t, more, "one has asked for all")
	}
}
