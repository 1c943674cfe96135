package echomfa

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// moment is a time by both clocks of this process, in nanoseconds: since the cache
// was made, and since 1970. The monotonic clock does not see a suspended machine,
// and the wall clock may be set back.
type moment struct{ monotonic, wall int64 }

// age returns how old something of this moment is, by the clock that says more.
func (m moment) age(now moment) time.Duration {
	return time.Duration(max(now.monotonic-m.monotonic, now.wall-m.wall))
}

// clock turns times into moments, and orders lookups and invalidations. Two of them
// may come in the same nanosecond, and which was first decides whether an answer
// may be kept.
type clock struct {
	made time.Time
	// ahead is how far the wall clock was ahead of the monotonic one when it was
	// read last, at the monotonic moment read.
	ahead, read atomic.Int64

	mu                sync.Mutex
	lastSent, lastDug int64 // the latest of each, monotonic; guarded by mu
}

func (c *clock) start() {
	c.made = time.Now()
	c.ahead.Store(c.made.UnixNano())
}

// wallPause is how long the distance of the two clocks is taken to be the same.
const wallPause = int64(time.Millisecond)

// now returns the present moment. Two clocks cost twice the time of one, so that
// the wall clock is read at most once in wallPause: that it was set, or that the
// machine was suspended, is noticed so much later.
func (c *clock) now() moment {
	monotonic := int64(time.Since(c.made))
	if since := monotonic - c.read.Load(); since >= wallPause || since < 0 {
		m := c.moment(time.Now())
		c.ahead.Store(m.wall - m.monotonic)
		c.read.Store(m.monotonic) // last: who sees it sees the distance too
		return m
	}
	return moment{monotonic: monotonic, wall: monotonic + c.ahead.Load()}
}

func (c *clock) moment(t time.Time) moment {
	return moment{monotonic: int64(t.Sub(c.made)), wall: t.UnixNano()}
}

// send returns the moment of a lookup that is made now: not before the last
// invalidation.
func (c *clock) send(now time.Time) moment {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.moment(now)
	m.monotonic = max(m.monotonic, c.lastDug)
	c.lastSent = max(c.lastSent, m.monotonic)
	return m
}

// dig returns the moment of an invalidation that comes now: after every lookup.
func (c *clock) dig(now time.Time) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastDug = max(int64(now.Sub(c.made)), c.lastSent+1, c.lastDug)
	return c.lastDug
}

// maxClockSkew is how far the clocks of two instances may be apart.
const maxClockSkew = 2 * time.Second

// tombstones remember when tokens and users were invalidated. What was asked for
// before is dead, wherever it is: in the cache, in the Store, in a lookup under
// way, among the refused. An invalidation writes one number, and whoever meets
// something dead drops it: nothing is searched for.
//
// A token and a user have one slot of a table each, by a hash under a secret of
// the process. Two that share a slot are invalidated together, which costs a
// lookup. A tombstone does not expire.
type tombstones struct {
	seed maphash.Seed
	// slots hold the moment of the latest invalidation, monotonic. The last
	// one belongs to tokens that name no user, and stays zero.
	slots []atomic.Int64
}

// graves are where the tombstones of a token and its user are.
type graves struct{ token, user uint32 }

// minTombstones is enough for the users of a small cache not to share slots.
const minTombstones = 1 << 12

// newTombstones makes a table for a cache of a size.
func newTombstones(size int) tombstones {
	n := minTombstones
	for n < size {
		n *= 2
	}
	return tombstones{seed: maphash.MakeSeed(), slots: make([]atomic.Int64, n+1)}
}

// grave returns the slot of a name.
func (t *tombstones) grave(name uint64) uint32 {
	return uint32(maphash.Comparable(t.seed, name) & uint64(len(t.slots)-2)) //nolint:gosec // below the size of the table
}

// nobody is the slot that stays empty.
func (t *tombstones) nobody() uint32 { return uint32(len(t.slots) - 1) } //nolint:gosec // as above

// buried reports whether facts that were asked for at a moment have been
// invalidated since. Those that another instance asked for are dated by its clock.
func (t *tombstones) buried(g graves, sent moment, stored bool) bool {
	latest := max(t.slots[g.token].Load(), t.slots[g.user].Load())
	if latest == 0 { // never: the facts may be older than this process
		return false
	}
	if stored {
		latest += int64(maxClockSkew)
	}
	return sent.monotonic < latest
}

// bury invalidates a slot. A later tombstone stays.
func (t *tombstones) bury(slot uint32, at int64) {
	for s := &t.slots[slot]; ; {
		old := s.Load()
		if old >= at || s.CompareAndSwap(old, at) {
			return
		}
	}
}
