package breaker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/internal/breaker"
)

func TestHolds(t *testing.T) {
	t.Parallel()
	var h breaker.Holds
	now := time.Unix(1e9, 0)
	none := breaker.Memory{}
	hold := func(d time.Duration) breaker.Memory { return none.Hold(now, d) }
	assert.Zero(t, h.Count(now))
	h.Change(none, none, now)
	assert.Zero(t, h.Count(now))

	for _, d := range []time.Duration{time.Second, 2 * time.Second, 2 * time.Second, time.Minute} {
		h.Change(none, hold(d), now)
	}
	assert.Equal(t, 4, h.Count(now))
	assert.Equal(t, 4, h.Count(now.Add(time.Second-1)))
	assert.Equal(t, 3, h.Count(now.Add(time.Second)))
	assert.Equal(t, 1, h.Count(now.Add(2*time.Second)))
	h.Change(hold(2*time.Second), none, now)
	assert.Equal(t, 3, h.Count(now), "one is free")
	h.Change(hold(time.Second), hold(3*time.Second), now.Add(500*time.Millisecond))
	assert.Equal(t, 3, h.Count(now.Add(time.Second)), "one is held for longer")
	h.Change(hold(2*time.Second), hold(5*time.Second), now.Add(2*time.Second))
	assert.Equal(t, 3, h.Count(now.Add(2*time.Second)), "it was free, and is held again")

	odd := none.Hold(now, 10*time.Second+1)
	h.Change(none, odd, now)
	assert.Equal(t, 1, h.Count(now.Add(10*time.Second))-1)
	assert.Equal(t, 1, h.Count(now.Add(10*time.Second+250*time.Millisecond)), "to a quarter of a second")

	now = now.Add(64 * time.Second) // the places come around
	assert.Zero(t, h.Count(now))
	h.Change(none, hold(2*time.Second), now)
	assert.Equal(t, 1, h.Count(now))

	assert.Zero(t, h.Count(now.Add(-time.Hour)), "the clock was set back: nothing is held for longer than a minute")
}
