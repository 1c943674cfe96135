package echomfa_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/storetest"
)

// counting is a Store that counts as a function says.
type counting struct {
	echomfa.Store

	take func(ctx context.Context) (bool, error)
}

func (c counting) Take(ctx context.Context, _ echomfa.StoreKey, _ int, _ time.Duration) (bool, error) {
	return c.take(ctx)
}

// TestTake has names counted in the Store, and whatever the Store does take no longer than
// a lookup in it: what is not known is within the limit of all, and the caller has its own.
func TestTake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		made := func(store echomfa.Store) *echomfa.Enforcer {
			e, err := echomfa.New(echomfa.Config{
				Client:    echomfa.FactorListerFunc(func(context.Context, string) ([]client.Factor, error) { return nil, nil }),
				Namespace: "test", Audience: []string{"app"}, Cache: echomfa.CacheConfig{Store: store},
			})
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, e.Close()) })
			return e
		}
		store := storetest.NewMemory()
		one, other := made(store), made(store)
		take := func(e *echomfa.Enforcer, name string) bool { return e.Take(t.Context(), name, 2, time.Minute) }
		assert.True(t, take(one, "a"))
		assert.True(t, take(other, "a"))
		assert.False(t, take(one, "a"))
		assert.True(t, take(one, "b"))
		time.Sleep(time.Minute)
		assert.True(t, take(other, "a"))

		for name, answer := range map[string]func(context.Context) (bool, error){
			"fails":  func(context.Context) (bool, error) { return false, errors.New("store is away") },
			"hangs":  func(ctx context.Context) (bool, error) { <-ctx.Done(); return false, ctx.Err() },
			"panics": func(context.Context) (bool, error) { panic("store panics") },
		} {
			begin := time.Now()
			assert.True(t, take(made(counting{storetest.NewMemory(), answer}), "a"), name)
			assert.LessOrEqual(t, time.Since(begin), 100*time.Millisecond, name)
		}
		assert.False(t, take(made(counting{storetest.NewMemory(), func(context.Context) (bool, error) { return false, nil }}), "a"))
		for name, e := range map[string]*echomfa.Enforcer{
			"no store": made(nil), "a store that does not count": made(struct{ echomfa.Store }{store}), "not made": {}, "none": nil,
		} {
			for range 5 {
				assert.True(t, take(e, "c"), name)
			}
		}
		assert.InDelta(t, 100, one.MaxPerSecond(), 0)
		assert.Zero(t, (&echomfa.Enforcer{}).MaxPerSecond())
	})
}
