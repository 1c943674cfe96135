package echomfa_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
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

// TestT48InvalidateRacesALookUp: an answer that was asked for before
// Invalidate is neither joined nor stored after it, whether the factor was
// added or removed meanwhile.
func TestT48InvalidateRacesALookUp(t *testing.T) {
	t.Parallel()
	drop := map[string]func(*testing.T, *echomfa.Enforcer, string){
		"Invalidate": func(t *testing.T, e *echomfa.Enforcer, jwt string) {
			t.Helper()
			assert.NoError(t, e.Invalidate(t.Context(), jwt))
		},
		"InvalidateUser": func(t *testing.T, e *echomfa.Enforcer, _ string) {
			t.Helper()
			assert.NoError(t, e.InvalidateUser(t.Context(), "u1"))
		},
	}
	states := map[string]struct{ before, after []client.FactorType }{
		"just enrolled": {nil, []client.FactorType{echomfa.OTP}},
		"just removed":  {[]client.FactorType{echomfa.OTP}, nil},
	}
	outcome := func(types []client.FactorType) echomfa.Outcome {
		if len(types) > 0 {
			return echomfa.Allowed
		}
		return echomfa.NotEnrolled
	}
	for how, invalidate := range drop {
		for what, state := range states {
			t.Run(how+", "+what, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					jwt := answertest.JWT(map[string]any{"sub": "u1", "aud": "app"})
					d := newDirectory()
					d.enroll(jwt, state.before...)
					d.slow(time.Second)
					e := newEnforcer(t, d, nil)
					p := echomfa.AnyOf(echomfa.OTP)

					older := make(chan echomfa.Decision, 1)
					go func() { older <- decide(t, e, jwt, p) }()
					synctest.Wait() // its lookup is under way
					d.enroll(jwt, state.after...)
					d.slow(0)
					invalidate(t, e, jwt)

					assert.Equal(t, outcome(state.after), decide(t, e, jwt, p).Outcome, "not joined")
					assert.Equal(t, outcome(state.before), (<-older).Outcome, "its own waiters get its answer")
					assert.Equal(t, outcome(state.after), decide(t, e, jwt, p).Outcome, "not stored")
					assert.Equal(t, 2, d.total())
				})
			})
		}
	}
}

// TestInvalidateDropsARefusal shows that Invalidate makes the Enforcer ask GenAuth
// again about a token that it had refused.
func TestInvalidateDropsARefusal(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	e := newEnforcer(t, d, nil)
	assert.Equal(t, echomfa.Unauthenticated, decide(t, e, token, echomfa.AnyOf(echomfa.OTP)).Outcome)
	d.enroll(token, echomfa.OTP)
	assert.NoError(t, e.Invalidate(t.Context(), token))
	assert.Equal(t, echomfa.Allowed, decide(t, e, token, echomfa.AnyOf(echomfa.OTP)).Outcome)
}

// TestInvalidateUser shows that all of a user's tokens are dropped and nobody
// else's, and that an app whose tokens name no user is told so.
func TestInvalidateUser(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	e := newEnforcer(t, d, nil)
	p := echomfa.AnyOf(echomfa.OTP)
	jwt := func(sub, id string) string {
		return answertest.JWT(map[string]any{"sub": sub, "aud": "app", "jti": id})
	}
	mine, alsoMine, other := jwt("u1", "1"), jwt("u1", "2"), jwt("u2", "1")
	for _, tok := range []string{mine, alsoMine, other, token} {
		d.enroll(tok, echomfa.OTP)
	}
	for _, tok := range []string{mine, alsoMine, other} {
		decide(t, e, tok, p)
	}
	require.NoError(t, e.InvalidateUser(t.Context(), "u3"), "nothing is known, so nothing is left")
	decide(t, e, token, p)
	require.ErrorIs(t, e.InvalidateUser(t.Context(), "u1"), echomfa.ErrUserNotIndexed, "the opaque token may be the user's, too")
	for _, tok := range []string{mine, alsoMine, other, token} {
		decide(t, e, tok, p)
	}
	assert.Equal(t, map[string]int{mine: 2, alsoMine: 2, other: 1, token: 1}, d.asked())
	assert.ErrorIs(t, e.InvalidateUser(t.Context(), ""), echomfa.ErrUserNotIndexed)
	assert.NoError(t, newEnforcer(t, d, nil).InvalidateUser(t.Context(), "u1"), "nothing is known of anybody")
}

// TestInvalidateUserNotIndexed follows how long facts of tokens that name nobody may be
// relied upon: so long InvalidateUser cannot say that it has reached all of a user's.
func TestInvalidateUserNotIndexed(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		change func(*echomfa.Config)
		lasts  time.Duration
	}{
		"FreshFor":     {func(c *echomfa.Config) { c.Cache.FreshFor = 30 * time.Second }, 30 * time.Second},
		"StaleIfError": {func(c *echomfa.Config) { c.Cache.StaleIfError = 3 * time.Minute }, 3 * time.Minute},
		"with a Store": {func(c *echomfa.Config) { c.Cache.Store = storetest.NewMemory() }, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDirectory()
				d.enroll(token, echomfa.OTP)
				e := newEnforcer(t, d, row.change)
				user := func() error { return e.InvalidateUser(t.Context(), "u1") }
				require.NoError(t, user())
				decide(t, e, "refused-token-0123456789", otp())
				require.NoError(t, user(), "a token that was refused is nobody's")
				decide(t, e, token, otp())
				require.ErrorIs(t, user(), echomfa.ErrUserNotIndexed)
				pass(row.lasts)
				decide(t, e, token, otp()) // it is renewed, by facts that were known
				pass(row.lasts)
				require.ErrorIs(t, user(), echomfa.ErrUserNotIndexed)
				pass(time.Second)
				require.NoError(t, user())
			})
		})
	}
}

// TestStaleFactsDoNotOutliveInvalidate shows that facts which were dropped while
// a lookup was failing do not stand in for it.
func TestStaleFactsDoNotOutliveInvalidate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll(token, echomfa.OTP)
		e := newEnforcer(t, d, stale)
		p := echomfa.AnyOf(echomfa.OTP)
		decide(t, e, token, p)
		pass(61 * time.Second)
		d.fail(client.ErrUnavailable)
		d.slow(time.Second)
		waiting := make(chan echomfa.Decision, 1)
		go func() { waiting <- decide(t, e, token, p) }()
		synctest.Wait()
		assert.NoError(t, e.Invalidate(t.Context(), token))
		assert.Equal(t, echomfa.Unavailable, (<-waiting).Outcome)
	})
}

// TestT48RefusalAskedForBeforeInvalidate shows that a 401 which was on its way
// when Invalidate was called is not remembered.
func TestT48RefusalAskedForBeforeInvalidate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.slow(time.Second)
		e := newEnforcer(t, d, nil)
		older := make(chan echomfa.Decision, 1)
		go func() { older <- decide(t, e, token, otp()) }()
		synctest.Wait()
		assert.NoError(t, e.Invalidate(t.Context(), token))
		d.enroll(token, echomfa.OTP)
		assert.Equal(t, echomfa.Unauthenticated, (<-older).Outcome)
		assert.Zero(t, e.Stats().Refusals)
		assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome)
	})
}

// TestT48ForgottenTokenIsVerifiedAgain has a request of a known token outlive
// Invalidate while it waits: the lookup that it then begins knows nothing of
// the token, and starts by verifying it.
func TestT48ForgottenTokenIsVerifiedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll(token)
		var verified atomic.Int32
		e := newEnforcer(t, d, func(c *echomfa.Config) {
			c.Lookup.Timeout = 30 * time.Second
			c.CheckToken = func(context.Context, string) error {
				if verified.Add(1) > 1 {
					return errors.New("signed out")
				}
				return nil
			}
		})
		assert.Equal(t, echomfa.NotEnrolled, decide(t, e, token, otp()).Outcome)
		d.slow(6 * time.Second)
		pass(3 * time.Second)
		var wg sync.WaitGroup
		wg.Go(func() { decide(t, e, token, otp()) })
		pass(4 * time.Second)
		wg.Go(func() {
			assert.Equal(t, echomfa.Unauthenticated, decide(t, e, token, otp()).Outcome)
		})
		pass(time.Second)
		require.NoError(t, e.Invalidate(t.Context(), token))
		wg.Wait()
		assert.EqualValues(t, 2, verified.Load())
	})
}
