package echomfa_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
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

// TestBreakerRule1Known shows of whom five failures open the breaker: of users of whom
// there have been facts, also if they are invalidated, and also if the Store told them.
func TestBreakerRule1Known(t *testing.T) {
	t.Parallel()
	shared := storetest.NewMemory()
	for name, row := range map[string]struct {
		store  echomfa.Store
		warm   bool
		forget bool
		users  int
		open   bool
	}{
		"unknown":                 {users: 5},
		"known":                   {warm: true, users: 5, open: true},
		"known, four users":       {warm: true, users: 4},
		"known, and invalidated":  {warm: true, forget: true, users: 5, open: true},
		"known by what is stored": {store: shared, users: 5, open: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				token := func(i int) string {
					return answertest.JWT(map[string]any{"sub": fmt.Sprintf("user-%d", i%row.users), "aud": "app", "jti": i})
				}
				d := newDirectory()
				for i := range 20 {
					d.enroll(token(i), echomfa.OTP)
				}
				withStore := func(c *echomfa.Config) { c.Cache.Store = row.store }
				if row.store != nil { // another instance tells it
					other := newEnforcer(t, d, withStore)
					together(t, other, 20, token)
				}
				e := newEnforcer(t, d, withStore)
				if row.warm || row.store != nil {
					together(t, e, 20, token)
				}
				if row.forget {
					for i := range 20 {
						require.NoError(t, e.Invalidate(t.Context(), token(i)))
					}
				}
				pass(2 * time.Minute)
				d.fail(client.ErrUnavailable)
				for i := range 20 {
					decide(t, e, token(i), otp())
				}
				assert.Equal(t, row.open, e.Stats().BreakerOpen, "%+v", e.Stats())
			})
		})
	}
}

// TestBreakerRule3Successes shows what ends a row of failures: facts of anybody, and the
// refusal of a token that was accepted, but no refusal of a made-up one.
func TestBreakerRule3Successes(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		between func(d *directory, e *echomfa.Enforcer)
		open    bool
	}{
		"nothing": {func(*directory, *echomfa.Enforcer) {}, true},
		"facts": {func(d *directory, e *echomfa.Enforcer) {
			d.fail(nil)
			_, _ = e.Decide(context.Background(), "new", otp())
		}, false},
		"401, known": {func(d *directory, e *echomfa.Enforcer) {
			d.fail(client.ErrUnauthenticated)
			_, _ = e.Decide(context.Background(), manyTokens(9), otp())
		}, false},
		"401, unknown": {func(d *directory, e *echomfa.Enforcer) {
			d.fail(client.ErrUnauthenticated)
			_, _ = e.Decide(context.Background(), "rubbish", otp())
		}, true},
		"429, known": {func(d *directory, e *echomfa.Enforcer) {
			d.fail(client.ErrRateLimited)
			_, _ = e.Decide(context.Background(), manyTokens(9), otp())
		}, true},
		"CheckToken's refusal": {func(d *directory, e *echomfa.Enforcer) {
			d.fail(nil)
			_, _ = e.Decide(context.Background(), "forged", otp())
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDirectory()
				enrollMany(d, 10)
				d.enroll("new", echomfa.OTP)
				e := newEnforcer(t, d, func(c *echomfa.Config) {
					c.CheckToken = func(_ context.Context, token string) error {
						if token == "forged" {
							return errors.New("forged")
						}
						return nil
					}
				})
				together(t, e, 10, manyTokens)
				pass(2 * time.Minute)
				d.fail(dead())
				for i := range 4 {
					decide(t, e, manyTokens(i), otp())
				}
				row.between(d, e)
				d.fail(dead())
				decide(t, e, manyTokens(5), otp())
				assert.Equal(t, row.open, e.Stats().BreakerOpen)
			})
		})
	}
}

// held makes a token fail until it is held, while others succeed, and returns how often
// GenAuth was asked about it since.
func held(t *testing.T, d *directory, e *echomfa.Enforcer, err error) (calls func() int) {
	t.Helper()
	for range 2 {
		d.fail(err)
		assert.Equal(t, echomfa.Unavailable, decide(t, e, token, otp()).Outcome)
		d.fail(nil)
		pass(3 * time.Second)
		require.NoError(t, e.Invalidate(t.Context(), "other"))
		assert.Equal(t, echomfa.Allowed, decide(t, e, "other", otp()).Outcome)
	}
	d.fail(err)
	decide(t, e, token, otp())
	d.fail(nil)
	before := d.asked()[token]
	return func() int { return d.asked()[token] - before }
}

// TestBreakerRule8Held has a token that keeps failing while another does not, and what
// ends its being held.
func TestBreakerRule8Held(t *testing.T) {
	t.Parallel()
	row := func(name string, change func(*echomfa.Config), f func(t *testing.T, d *directory, e *echomfa.Enforcer)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDirectory()
				d.enroll(token, echomfa.OTP)
				d.enroll("other", echomfa.OTP)
				f(t, d, newEnforcer(t, d, change))
			})
		})
	}
	row("503 with the rest, and no call", nil, func(t *testing.T, d *directory, e *echomfa.Enforcer) {
		t.Helper()
		calls := held(t, d, e, client.ErrMalformed)
		assert.Equal(t, 1, e.Stats().Held)
		pass(time.Second / 2)
		before := e.Stats()
		_, err := e.Decide(t.Context(), token, otp())
		var lookup *echomfa.LookupError
		require.ErrorAs(t, err, &lookup)
		assert.Equal(t, 3500*time.Millisecond, lookup.RetryAfter, "the second time: 4 s")
		assert.Zero(t, calls())
		assert.Equal(t, before.Limited, e.Stats().Limited, "without budget")
		assert.Equal(t, before.Lookups.TurnedAway+1, e.Stats().Lookups.TurnedAway)
		pass(3500 * time.Millisecond)
		assert.Zero(t, e.Stats().Held)
		assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome)
		require.NoError(t, e.Invalidate(t.Context(), token))
		d.fail(client.ErrMalformed)
		decide(t, e, token, otp())
		d.fail(nil)
		assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome, "a success has cleared it: this was the first failure")
	})
	row("Invalidate", nil, func(t *testing.T, d *directory, e *echomfa.Enforcer) {
		t.Helper()
		calls := held(t, d, e, client.ErrMalformed)
		require.NoError(t, e.Invalidate(t.Context(), token))
		assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome)
		assert.Zero(t, e.Stats().Held)
		assert.Equal(t, 1, calls())
	})
	row("a refusal", nil, func(t *testing.T, d *directory, e *echomfa.Enforcer) {
		t.Helper()
		held(t, d, e, client.ErrMalformed)
		pass(5 * time.Second)
		d.fail(client.ErrUnauthenticated)
		assert.Equal(t, echomfa.Unauthenticated, decide(t, e, token, otp()).Outcome)
		assert.Equal(t, echomfa.Unauthenticated, decide(t, e, token, otp()).Outcome, "remembered")
	})
	row("stale facts are used", stale, func(t *testing.T, d *directory, e *echomfa.Enforcer) {
		t.Helper()
		assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome)
		pass(61 * time.Second)
		decide(t, e, "other", otp())
		for range 3 {
			d.fail(client.ErrMalformed)
			decide(t, e, token, otp())
			d.fail(nil)
			require.NoError(t, e.Invalidate(t.Context(), "other"))
			decide(t, e, "other", otp())
		}
		before := d.asked()[token]
		got := decide(t, e, token, otp())
		assert.Equal(t, echomfa.Allowed, got.Outcome)
		assert.Equal(t, echomfa.Stale, got.Source)
		assert.Equal(t, before, d.asked()[token])
	})
	row("others must have succeeded", nil, func(t *testing.T, d *directory, e *echomfa.Enforcer) {
		t.Helper()
		d.fail(client.ErrMalformed)
		for range 4 {
			decide(t, e, token, otp())
		}
		assert.Equal(t, 4, d.asked()[token])
		assert.Zero(t, e.Stats().Held)
	})
	row("a failure while it is invalidated", nil, func(t *testing.T, d *directory, e *echomfa.Enforcer) {
		t.Helper()
		d.slow(time.Second)
		d.fail(&client.APIError{HTTPStatus: 431})
		go func() { _, _ = e.Decide(t.Context(), token, otp()) }()
		synctest.Wait()
		require.NoError(t, e.Invalidate(t.Context(), token))
		pass(2 * time.Second)
		d.fail(nil)
		assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome)
	})
	row("a flood evicts no facts", func(c *echomfa.Config) { c.Cache.RefusedSize = 16 }, func(t *testing.T, d *directory, e *echomfa.Enforcer) {
		t.Helper()
		decide(t, e, token, otp())
		d.fail(&client.APIError{HTTPStatus: 431})
		for i := range 200 {
			decide(t, e, manyTokens(i), otp())
			pass(30 * time.Millisecond)
		}
		s := e.Stats()
		assert.Equal(t, 1, s.Entries)
		assert.LessOrEqual(t, s.Refusals, 16)
		assert.Equal(t, echomfa.Cached, decide(t, e, token, otp()).Source)
	})
}

// TestX24OneLimitHoldsOneToken shows that a 429 about one user pauses nobody else, whatever
// it says and however many tokens that user has, nor do any number of made-up tokens; and
// that the second known user does, within a second. A 503 with a Retry-After is the same.
func TestX24OneLimitHoldsOneToken(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 503} {
		synctest.Test(t, func(t *testing.T) {
			mallory := func(i int) string { return answertest.JWT(map[string]any{"sub": "mallory", "aud": "app", "jti": i}) }
			limit := &client.APIError{HTTPStatus: status, RetryAfter: 40 * time.Second}
			d := newDirectory()
			enrollMany(d, 100)
			e := newEnforcer(t, d, nil)
			for _, known := range []string{mallory(0), "one", "two"} {
				d.enroll(known, echomfa.OTP)
				assert.Equal(t, echomfa.Allowed, decide(t, e, known, otp()).Outcome)
				require.NoError(t, e.Invalidate(t.Context(), known))
			}
			limited := func(token string) {
				t.Helper()
				d.fail(limit)
				_, err := e.Decide(t.Context(), token, otp())
				d.fail(nil)
				var lookup *echomfa.LookupError
				require.ErrorAs(t, err, &lookup)
				assert.Equal(t, 40*time.Second, lookup.RetryAfter)
			}
			for i := range 10 {
				limited(mallory(i))
				assert.Equal(t, echomfa.Allowed, decide(t, e, manyTokens(i), otp()).Outcome, "nobody else waits")
			}
			for i := range 10 {
				limited(fmt.Sprintf("made-up-%d", i))
				assert.Equal(t, echomfa.Allowed, decide(t, e, manyTokens(30+i), otp()).Outcome, "nobody waits for what anybody can make up")
			}
			assert.Equal(t, 20, e.Stats().Held)
			assert.False(t, e.Stats().Paused)
			calls := d.total()
			assert.Equal(t, echomfa.Unavailable, decide(t, e, mallory(0), otp()).Outcome)
			assert.Equal(t, calls, d.total())
			pass(1100 * time.Millisecond)
			limited("one")
			assert.Equal(t, echomfa.Allowed, decide(t, e, manyTokens(20), otp()).Outcome, "over a second after the one before")
			pass(900 * time.Millisecond)
			limited("two")
			calls = d.total()
			_, err := e.Decide(t.Context(), manyTokens(21), otp())
			var lookup *echomfa.LookupError
			require.ErrorAs(t, err, &lookup)
			assert.Equal(t, 40*time.Second, lookup.RetryAfter, "all wait")
			assert.Equal(t, calls, d.total())
			assert.True(t, e.Stats().Paused)
			pass(40 * time.Second)
			assert.False(t, e.Stats().Paused)
			assert.Equal(t, echomfa.Allowed, decide(t, e, manyTokens(21), otp()).Outcome)
		})
	}
}

// TestBreakerRule12LogLines has what is said of a token that is held, and of a pause.
func TestBreakerRule12LogLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		d := newDirectory()
		d.enroll(token, echomfa.OTP)
		d.enroll("other", echomfa.OTP)
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		held(t, d, e, errors.New("broken record of "+token))
		line := "level=WARN msg=\"mfa lookups of a token are held: GenAuth fails for it, and not for others\""
		assert.Equal(t, 1, strings.Count(log.String(), line), "twice in a minute: %s", log.String())
		assert.Contains(t, log.String(), "for=2s held=1 held_users=0 error=")
		enrollMany(d, 10)
		together(t, e, 10, manyTokens)
		pass(2 * time.Minute)
		d.fail(client.ErrRateLimited)
		for i := range 10 {
			decide(t, e, manyTokens(i), otp())
		}
		assert.Equal(t, 1, strings.Count(log.String(), "level=WARN msg=\"mfa lookups pause: GenAuth limits the rate, for more than one user\" event=lookups_paused for=1s"))
	})
}
