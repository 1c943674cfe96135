package budget

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTimeDoesNotRunTwice shows that the rate is not credited twice for a time
// that one caller took down before another and brought after it.
func TestTimeDoesNotRunTwice(t *testing.T) {
	t.Parallel()
	b := New(1<<20, 100, time.Second)
	base := time.Now()
	granted := 0
	for i := range 500 {
		now := base.Add(10 * time.Millisecond * time.Duration(i%2))
		if place, err := b.Enter(Renewal, now); err == nil && place.granted {
			granted++
		}
	}
	assert.LessOrEqual(t, granted, 102, "a burst of 100, and 1 in 10 ms")
	b.Close()
}

// TestQueueHoldsNoMoreThanItSays fills the queue to its last place, with one
// class and with all of them.
func TestQueueHoldsNoMoreThanItSays(t *testing.T) {
	t.Parallel()
	fill := func(b *Budget, c Class, n int) {
		for range n {
			_, err := b.Enter(c, time.Now())
			require.NoError(t, err)
		}
	}
	for name, parts := range map[string][classes]int{
		"renewals":    {Renewal: maxQueued},
		"all of them": {Renewal: maxQueued / 4, Recheck: maxQueued / 4, Cold: maxQueued / 2},
	} {
		b := New(1, 1000, time.Second)
		fill(b, Renewal, 1) // has the only slot
		for c, n := range parts {
			fill(b, Class(c), n)
		}
		_, queued, _ := b.Figures()
		assert.Equal(t, maxQueued, queued, name)
		for c := range parts {
			_, err := b.Enter(Class(c), time.Now())
			assert.ErrorIs(t, err, ErrQueueFull, name)
		}
		b.Close()
	}
}

// TestSharesOfTheClasses has what each class may use and fill when it is alone:
// slots, starts at once, and places in the queue.
func TestSharesOfTheClasses(t *testing.T) {
	t.Parallel()
	for c, want := range map[Class]struct{ slots, burst, places int }{
		Renewal: {slots: 8, burst: 12, places: 1024},
		Recheck: {slots: 2, burst: 3, places: 256},
		Cold:    {slots: 4, burst: 6, places: 512},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := New(8, 1<<20, time.Second)
			defer b.Close()
			for range want.slots + want.places {
				_, err := b.Enter(c, time.Now())
				require.NoError(t, err)
			}
			_, err := b.Enter(c, time.Now())
			require.ErrorIs(t, err, ErrQueueFull)
			underWay, queued, limited := b.Figures()
			assert.Equal(t, want.slots, underWay, "of class %d", c)
			assert.Equal(t, want.places, queued, "of class %d", c)
			assert.Equal(t, uint64(1), limited)
		})
		synctest.Test(t, func(t *testing.T) {
			b := New(1<<20, 12, time.Second)
			defer b.Close()
			for range 2 * want.burst {
				_, err := b.Enter(c, time.Now())
				require.NoError(t, err)
			}
			underWay, _, _ := b.Figures()
			assert.Equal(t, want.burst, underWay, "of class %d", c)
		})
	}
}

// TestGaugeSaysHowLong has the time until the rate allows one more: a
// microsecond longer than it takes, so that rounding wakes nobody in vain.
func TestGaugeSaysHowLong(t *testing.T) {
	t.Parallel()
	for perSecond, want := range map[float64]time.Duration{0.5: 2 * time.Second, 2: 500 * time.Millisecond, 100: 10 * time.Millisecond} {
		now := time.Now()
		g := newGauge(1, perSecond)
		for range max(1, int(perSecond)) {
			assert.Zero(t, g.wait(now), "down to the last of %v a second", perSecond)
			g.take(now)
		}
		assert.Equal(t, want+time.Microsecond, g.wait(now), "%v a second", perSecond)
	}
}

// TestPauseThatMayBeWaitedFor shows that a pause turns away only those whose
// patience ends before it does, and that they are counted.
func TestPauseThatMayBeWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(1, 1, 2*time.Second)
		defer b.Close()
		b.Pause(time.Now().Add(2 * time.Second))
		_, err := b.Enter(Renewal, time.Now())
		require.NoError(t, err)
		b.Pause(time.Now().Add(2*time.Second + 1))
		_, err = b.Enter(Renewal, time.Now())
		require.ErrorIs(t, err, ErrPaused)
		_, queued, limited := b.Figures()
		assert.Equal(t, 1, queued)
		assert.Equal(t, uint64(1), limited)
	})
}

// TestEachIsWokenInItsTime has two classes that wait for the rate, of which the
// worthier one waits longer.
func TestEachIsWokenInItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(1<<10, 8, time.Minute) // 2 rechecks a second, 4 cold ones
		defer b.Close()
		enter := func(c Class, n int) (last *Ticket) {
			for range n {
				var err error
				last, err = b.Enter(c, time.Now())
				require.NoError(t, err)
			}
			return last
		}
		again, unknown := enter(Recheck, 3), enter(Cold, 5)
		begin := time.Now()
		require.NoError(t, b.Await(t.Context(), unknown))
		assert.InDelta(t, 250*time.Millisecond, time.Since(begin), float64(2*time.Microsecond))
		require.NoError(t, b.Await(t.Context(), again))
		assert.InDelta(t, 500*time.Millisecond, time.Since(begin), float64(2*time.Microsecond))
	})
}

// TestTimeIsNotWatchedInVain shows that no timer runs unless time alone will
// allow the next.
func TestTimeIsNotWatchedInVain(t *testing.T) {
	t.Parallel()
	b := New(1, 1000, time.Second)
	for _, what := range []string{"nobody waits", "one waits for a slot"} {
		_, err := b.Enter(Renewal, time.Now())
		require.NoError(t, err)
		b.mu.Lock()
		assert.Nil(t, b.timer, what)
		b.mu.Unlock()
	}
	b.Close()
}

// TestOnlyThoseWhoWaitArePromoted shows that a ticket with a slot keeps its
// class, to which the slot goes back, and that one which is asked for by its own
// class, or a worse one, keeps its place.
func TestOnlyThoseWhoWaitArePromoted(t *testing.T) {
	t.Parallel()
	b := New(1, 1000, time.Second)
	defer b.Close()
	var tickets []*Ticket
	for _, c := range []Class{Cold, Recheck, Recheck} {
		place, err := b.Enter(c, time.Now())
		require.NoError(t, err)
		tickets = append(tickets, place)
	}
	b.Promote(tickets[0], Renewal)
	b.Promote(tickets[1], Recheck)
	b.Promote(tickets[1], Cold)
	b.Leave(tickets[0])
	assert.Zero(t, b.perClass[Cold].inUse)
	assert.True(t, tickets[1].granted, "it was first")
	assert.False(t, tickets[2].granted)
}

// TestRetryTakesTheLast shows that a retry may have the last of the rate, and
// that there is no other after it.
func TestRetryTakesTheLast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(4, 2, time.Second)
		defer b.Close()
		place, err := b.Enter(Renewal, time.Now())
		require.NoError(t, err)
		assert.True(t, b.Again(place))
		assert.False(t, b.Again(place))
	})
}
