package echomfa

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// moment is a time in nanoseconds, by a clock that is never set back, and by the wall
// clock. Ages and the order of things go by the first. What was written down elsewhere
// goes by the second: when a token expires, and when another instance asked.
type moment struct{ monotonic, wall int64 }

// age returns how old something of this moment is.
func (m moment) age(now moment) time.Duration { return time.Duration(now.monotonic - m.monotonic) }

// clock makes moments, and orders lookups and invalidations. Two of them may come in
// the same nanosecond, and which was first decides whether an answer may be kept.
//
// Its monotonic time begins with the cache, and is the system's monotonic time with
// all that the wall clock has gained on it. The system's alone does not see that the
// machine was suspended, and the wall clock may be set back: an age is not less than
// either says. What the wall clock gains by less than unnoticed does not count: on some
// systems it goes in steps.
type clock struct {
	made time.Time
	// ahead is how far the wall clock was ahead of the system's monotonic one when
	// now read both last, at the monotonic time read.
	ahead, read atomic.Int64
	// counted is how far it was ahead when that was last counted, and gained the sum
	// of what it has gained.
	counted, gained atomic.Int64

	mu                sync.Mutex
	lastSent, lastDug int64 // the latest of each, monotonic; guarded by mu

	steps   sync.Mutex // taken last
	stepped int64      // the system's monotonic time of the last step; guarded by steps
}

func (c *clock) start() {
	c.made = time.Now()
	c.ahead.Store(c.made.UnixNano())
	c.counted.Store(c.made.UnixNano())
}

const (
	// wallPause is how long the distance of the two clocks is taken to be the same.
	wallPause = int64(time.Millisecond)
	// unnoticed is how far the wall clock may go its own way.
	unnoticed = 20 * int64(time.Millisecond)
)

// now returns the present moment. Two clocks cost twice the time of one, so that
// the wall clock is read at most once in wallPause: that it was set, or that the
// machine was suspended, is noticed so much later.
func (c *clock) now() moment {
	monotonic := int64(time.Since(c.made))
	if since := monotonic - c.read.Load(); since >= wallPause || since < 0 {
		now := time.Now()
		monotonic = int64(now.Sub(c.made))
		m := c.at(monotonic, now.UnixNano())
		c.ahead.Store(m.wall - monotonic)
		c.read.Store(monotonic) // last: who sees it sees the distance too
		return m
	}
	return moment{monotonic: monotonic + c.gained.Load(), wall: monotonic + c.ahead.Load()}
}

func (c *clock) moment(t time.Time) moment { return c.at(int64(t.Sub(c.made)), t.UnixNano()) }

// at returns the moment that the system's clocks show.
func (c *clock) at(monotonic, wall int64) moment {
	ahead := wall - monotonic
	if step := ahead - c.counted.Load(); step >= unnoticed || step <= -unnoticed {
		c.step(monotonic, ahead)
	}
	return moment{monotonic: monotonic + c.gained.Load(), wall: wall}
}

// step counts that the wall clock has left the other. Who read them before the last
// step, and comes late, does not take it back.
func (c *clock) step(monotonic, ahead int64) {
	c.steps.Lock()
	defer c.steps.Unlock()
	if monotonic < c.stepped {
		return
	}
	c.stepped = monotonic
	c.gained.Add(max(0, ahead-c.counted.Load()))
	c.counted.Store(ahead)
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
	c.lastDug = max(c.moment(now).monotonic, c.lastSent+1, c.lastDug)
	return c.lastDug
}

// maxClockSkew is how far the clocks of two instances may be apart.
const maxClockSkew = 2 * time.Second

// tombstones remember when tokens and users were invalidated. What was asked for
// before is dead, wherever it is: in the cache, in the Store, in a lookup under
// way, among the refused. An invalidation writes one number, and a reader that
// meets something dead drops it: nothing is searched for.
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

const (
	// minTombstones is enough for the users of a small cache not to share slots.
	minTombstones = 1 << 12
	// maxTombstones is what an entry has the bits for, beside nobody's slot.
	maxTombstones = 1 << (graveBits - 1)
)

// newTombstones makes a table for a cache of a size.
func newTombstones(size int) tombstones {
	n := minTombstones
	for n < min(size, maxTombstones) {
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

// logHearing logs once that the Store is not heard, and once that it is.
func (t *storeSource) logHearing(deaf bool, cause error) {
	if deaf {
		t.log.LogAttrs(context.Background(), slog.LevelError, "mfa store is not heard: invalidations of other instances do not arrive",
			slog.String("event", "store_deaf"), slog.String("error", fmt.Sprint(cause)))
		return
	}
	t.log.LogAttrs(context.Background(), slog.LevelInfo, "mfa store is heard again", slog.String("event", "store_heard"))
}

// unread counts what the Store cannot read, and logs it.
func (t *storeSource) unread(cause error) {
	t.counts.unreadable.Add(1)
	if t.saidUnread.again(time.Now()) {
		t.log.LogAttrs(context.Background(), slog.LevelError, "mfa store: an invalidation cannot be read: this instance and its author do not hear each other",
			slog.String("event", "invalidation_unreadable"), slog.String("error", fmt.Sprint(cause)))
	}
}

// watch hears what other instances invalidate, until close.
func (t *storeSource) watch() {
	ctx, stop := context.WithCancel(context.Background())
	t.stop = stop
	_ = t.calls.Go(func() { // there is no other yet
		t.ear.Listen(ctx, t.watchOnce, func() { t.rewound(); t.missed() })
	})
}

func (t *storeSource) watchOnce(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{where: "Store", value: v}
		}
	}()
	return t.store.Watch(ctx, t.hear)
}

// hear is what news of the Store lead to.
func (t *storeSource) hear(e StoreEvent) {
	for _, name := range []StoreKey{e.Key, e.User} {
		if c := t.cache; name != (StoreKey{}) {
			c.bury(c.grave(name.short()), c.dig(time.Now()))
			t.outbox.Told(name)
		}
	}
	named := e.Key != (StoreKey{}) || e.User != (StoreKey{})
	switch {
	case e.Kind == Invalidated && named:
	case e.Kind == Hearing:
		if t.ear.Heard() {
			t.outbox.Hurry()
		}
	case e.Kind == Deaf:
		t.ear.Failed(e.Cause)
	case e.Kind == Rewound:
		t.rewound()
	case e.Kind == Resumed:
		t.missed()
	case e.Kind == Unreadable:
		t.unread(e.Cause)
	default:
		t.rewound()
		t.missed()
	}
}

// rewound handles that the Store has lost what it had. What was heard is known here;
// what is stored may be from before an invalidation, by the clock of an instance that
// is behind; and what this instance has invalidated may be lost.
func (t *storeSource) rewound() {
	t.trustFrom.Store(time.Now().Add(maxClockSkew).UnixNano())
	t.outbox.Again()
}

// missed handles that invalidations were not heard: all facts from before are asked for
// again. Those in the Store have been forgotten there.
func (t *storeSource) missed() { t.cache.epoch.Add(1) }
