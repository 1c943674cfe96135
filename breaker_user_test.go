package echomfa_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
)

// TestBreakerBOneUserWithABrokenRecord is the attack of a user whose record GenAuth cannot
// show, with hundreds of tokens and a hundred requests a second: whether GenAuth has told
// facts of these tokens before, or not; while others are active, and while nobody is.
func TestBreakerBOneUserWithABrokenRecord(t *testing.T) {
	t.Parallel()
	slow := func(context.Context, string) error { pass(90 * time.Millisecond); return errServer }
	for name, row := range map[string]struct {
		known, alone bool
		behave       func(context.Context, string) error
		calls        int // in 20 s, at most
		atOnce       int // of lookups that hang
	}{
		// Four at first, one after the other until another succeeds, then after 2, 4 and 8 s.
		"known, 500": {known: true, behave: always(errServer), calls: 16},
		// Each may be tried twice.
		"known, 503":       {known: true, behave: always(&client.APIError{HTTPStatus: 503}), calls: 32},
		"known, malformed": {known: true, behave: always(client.ErrMalformed), calls: 16},
		"known, it hangs":  {known: true, behave: hang, calls: 16, atOnce: 4},
		// Nobody else succeeds, so it is not held: but one lookup is made after the other.
		"known, alone": {known: true, alone: true, behave: slow, calls: 4 + 200, atOnce: 4},
		// Of these a few a token: its first two, and the next ones after 2, 4 and 8 s.
		"unknown, slow": {behave: always(context.DeadlineExceeded), calls: 50 * 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tokens := make(map[string]bool)
				list := make([]string, 50)
				if row.known {
					list = make([]string, 400)
				}
				for i := range list {
					list[i] = answertest.JWT(map[string]any{"sub": "mallory", "aud": "app", "jti": i})
					tokens[list[i]] = true
				}
				o := newOffice(t)
				if row.known {
					for _, token := range list {
						require.Equal(t, echomfa.Allowed, o.ask(token))
						pass(50 * time.Millisecond)
					}
				}
				if o.here = 0; !row.alone {
					o.arrive()
				}
				calls, atOnce, most := 0, 0, 0
				o.does(func(ctx context.Context, token string) error {
					if !tokens[token] {
						return nil
					}
					o.mu.Lock()
					calls, atOnce = calls+1, atOnce+1
					most = max(most, atOnce)
					o.mu.Unlock()
					err := row.behave(ctx, token)
					o.mu.Lock()
					defer o.mu.Unlock()
					atOnce--
					return err
				})
				if row.alone {
					pass(2 * time.Minute)
				}
				held, users := 0, 0
				o.work(attackFor, o.neverOpen(func(i int) {
					o.later(list[i%len(list)])
					s := o.e.Stats()
					held, users = max(held, s.Held), max(users, s.HeldUsers)
				}))
				assert.Positive(t, calls)
				assert.LessOrEqual(t, calls, row.calls)
				if row.atOnce > 0 {
					assert.Equal(t, row.atOnce, most, "at once")
				}
				if row.alone {
					return
				}
				o.nobodyNoticed()
				if !row.known {
					assert.Equal(t, len(list), held)
					return
				}
				assert.Equal(t, 1, users)
			})
		})
	}
}

// hang is how GenAuth does that takes a token and says nothing.
func hang(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() }
