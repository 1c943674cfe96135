package echomfa

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestLaterTombstoneStays has two invalidations of a slot come the other way round, as
// those of two goroutines may.
func TestLaterTombstoneStays(t *testing.T) {
	t.Parallel()
	slots := newTombstones(1)
	for _, at := range []int64{10, 5, 10} {
		slots.bury(7, at)
		for _, g := range []graves{{token: 7}, {user: 7}} {
			assert.True(t, slots.buried(g, moment{monotonic: 9}, false), at)
			assert.False(t, slots.buried(g, moment{monotonic: 10}, false), at)
			assert.True(t, slots.buried(g, moment{monotonic: 10 + int64(maxClockSkew) - 1}, true), at)
			assert.False(t, slots.buried(g, moment{monotonic: 10 + int64(maxClockSkew)}, true), at)
		}
	}
	slots.bury(7, 11)
	assert.True(t, slots.buried(graves{token: 7}, moment{monotonic: 10}, false))
}
