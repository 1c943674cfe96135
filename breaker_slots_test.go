package echomfa_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
)

// TestEverySlotIsGivenBack has lookups end in every way while requests are given up, and
// tokens and users are invalidated. When all is over, no slot of the budget is taken, and
// none of a user: the four lookups that each may have under way are made at once.
func TestEverySlotIsGivenBack(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			r := rand.New(rand.NewPCG(seed, 0))
			draw := func(n int) int { mu.Lock(); defer mu.Unlock(); return r.IntN(n) }
			after := func(most int) time.Duration { return time.Duration(draw(most)) * time.Millisecond }
			calm := func() bool { mu.Lock(); defer mu.Unlock(); return r == nil }
			found := []client.Factor{{ID: "id", Type: echomfa.OTP}}
			e := newEnforcer(t, echomfa.FactorListerFunc(func(ctx context.Context, _ string) ([]client.Factor, error) {
				if calm() {
					pass(time.Second)
					return found, nil
				}
				pass(after(300))
				switch draw(12) {
				case 0:
					panic("odd")
				case 1:
					runtime.Goexit()
				case 2, 3:
					<-ctx.Done()
					return nil, ctx.Err()
				case 4:
					return nil, client.ErrUnauthenticated
				case 5:
					return nil, client.ErrRateLimited
				case 6, 7, 8:
					return nil, client.ErrMalformed
				}
				return found, nil
			}), func(c *echomfa.Config) {
				c.Lookup.MaxConcurrent = 8
				c.CheckToken = func(ctx context.Context, _ string) error {
					if !calm() && draw(20) == 0 {
						<-ctx.Done()
					}
					return nil
				}
			})
			user := func(i int) string { return fmt.Sprintf("user-%d", i%5) }
			token := func(i int) string { return answertest.JWT(map[string]any{"sub": user(i), "aud": "app", "jti": i}) }
			var all sync.WaitGroup
			for range 2000 {
				of, patience := token(draw(40)), after(3000)
				all.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					_, _ = e.Decide(ctx, of, otp())
				})
				switch draw(30) {
				case 0:
					require.NoError(t, e.Invalidate(t.Context(), token(draw(40))))
				case 1:
					_ = e.InvalidateUser(t.Context(), user(draw(5))) // nobody may have been named yet
				}
				pass(after(60))
			}
			all.Wait()
			pass(time.Minute)
			s := e.Stats()
			for name, n := range map[string]int{"InFlight": s.InFlight, "Queued": s.Queued, "Held": s.Held, "HeldUsers": s.HeldUsers} {
				assert.Zero(t, n, name)
			}
			for name, n := range map[string]uint64{
				"Panicked": s.Lookups.Panicked, "Succeeded": s.Lookups.Succeeded, "RateLimited": s.Lookups.RateLimited, "Limited": s.Limited,
			} {
				assert.Positive(t, n, name)
			}
			mu.Lock()
			r = nil
			mu.Unlock()
			for i := range 5 {
				decide(t, e, token(i), otp()) // it ends that lookups of the user fail
				require.NoError(t, e.InvalidateUser(t.Context(), user(i)))
				begin := time.Now()
				got := together(t, e, 4, func(n int) string { return token(i + 5*n) })
				assert.Equal(t, map[echomfa.Outcome]int{echomfa.Allowed: 4}, got)
				assert.Equal(t, time.Second, time.Since(begin), "at once")
			}
		})
	}
}
