package echomfa

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

// TestTimeDoesNotRunTwice shows that the rate is not credited twice for a time
// that one caller took down before another and brought after it.
func TestTimeDoesNotRunTwice(t *testing.T) {
	t.Parallel()
	b := newBudget(1<<20, 100, time.Second)
	base := time.Now()
	granted := 0
	for i := range 500 {
		now := base.Add(10 * time.Millisecond * time.Duration(i%2))
		if place, err := b.enter(renewal, now); err == nil && place.granted {
			granted++
		}
	}
	assert.LessOrEqual(t, granted, 102, "a burst of 100, and 1 in 10 ms")
	b.close()
}

// TestClockSetBackDoesNotAskForEver shows that a request takes the answer of its
// own look-up, whatever the wall clock did meanwhile.
func TestClockSetBackDoesNotAskForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		e, err := New(Config{
			Namespace: "n", InsecureAnyAudience: true,
			Client: FactorListerFunc(func(context.Context, string) ([]client.Factor, error) {
				calls++
				<-time.After(time.Millisecond)
				return []client.Factor{{ID: "1", Type: OTP}}, nil
			}),
		})
		require.NoError(t, err)
		defer func() { assert.NoError(t, e.Close()) }()
		f := &flight{key: e.cache.key("token")} // facts about it are not kept
		// Wall time alone, an hour ahead of what the look-up will read.
		arrived := time.Now().Add(time.Hour).Round(0)
		d, err := e.lookUp(t.Context(), Decision{Enforced: true, Policy: AnyOf(OTP)}, inquiry{token: "token"}, f, arrived)
		require.NoError(t, err)
		assert.Equal(t, Allowed, d.Outcome)
		assert.Equal(t, 1, calls)
	})
}

// TestQueueHoldsNoMoreThanItSays fills the queue to its last place, with one
// class and with all of them.
func TestQueueHoldsNoMoreThanItSays(t *testing.T) {
	t.Parallel()
	fill := func(b *budget, c class, n int) {
		for range n {
			_, err := b.enter(c, time.Now())
			require.NoError(t, err)
		}
	}
	for name, parts := range map[string][classes]int{
		"renewals":    {renewal: maxQueued},
		"all of them": {renewal: maxQueued / 4, recheck: maxQueued / 4, cold: maxQueued / 2},
	} {
		b := newBudget(1, 1000, time.Second)
		fill(b, renewal, 1) // has the only slot
		for c, n := range parts {
			fill(b, class(c), n)
		}
		_, queued, _ := b.figures()
		assert.Equal(t, maxQueued, queued, name)
		for c := range parts {
			_, err := b.enter(class(c), time.Now())
			assert.ErrorIs(t, err, errQueueFull, name)
		}
		b.close()
	}
}
