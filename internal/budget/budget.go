// Package budget bounds the lookups of a process: how many at once, how many a
// second, and how many may wait for their turn. The rate of GenAuth's user pool
// is shared with the customer's own sign-ins, so a flood of requests must not
// spend it.
package budget

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/echomfa/echomfa/internal/retryafter"
)

// Why a lookup got no turn.
var (
	ErrQueueFull = errors.New("echomfa: too many lookups are waiting")
	ErrQueueWait = errors.New("echomfa: lookup waited too long for its turn")
	ErrPaused    = errors.New("echomfa: lookups pause because GenAuth limits the rate")
	ErrClosed    = errors.New("echomfa: enforcer is closed")
)

// Class says how much a lookup is worth when not all can be made at once.
type Class uint8

const (
	// Renewal renews facts that satisfied the policy: the user is active.
	Renewal Class = iota
	// Recheck asks again about facts that did not satisfy it.
	Recheck
	// Cold asks about an unknown token. A flood of made-up
	// tokens is of this class.
	Cold

	classes = int(Cold) + 1
)

// maxQueued is how many of a class may wait at once. As with the budgets, a
// flood of made-up tokens must leave places for users who are already cached.
func (c Class) maxQueued() int {
	switch c {
	case Recheck:
		return maxQueued / 4
	case Cold:
		return maxQueued / 2
	case Renewal:
	}
	return maxQueued
}

const maxQueued = 1024

// Budget gives lookups their turn. Its methods may be called by several goroutines
// at once, and none but Await blocks. Make one with [New].
type Budget struct {
	maxWait time.Duration

	mu          sync.Mutex
	latest      time.Time // what callers took for now
	total       gauge
	perClass    [classes]gauge
	queues      [classes]*list.List // of *Ticket
	queued      int
	pausedUntil time.Time
	timer       *time.Timer // runs pump when the rate allows the next
	limited     uint64      // lookups turned away
	closed      bool
}

// gauge is one limit: so many at once, so many a second.
type gauge struct {
	inUse, slots int
	rate         *rate.Limiter
}

func newGauge(slots int, perSecond float64) gauge {
	burst := max(1, int(perSecond))
	return gauge{slots: max(1, slots), rate: rate.NewLimiter(rate.Limit(perSecond), burst)}
}

// wait returns how long until the rate allows one more.
func (g *gauge) wait(now time.Time) time.Duration {
	missing := 1 - g.rate.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return time.Duration(missing/float64(g.rate.Limit())*float64(time.Second)) + time.Microsecond
}

// Ticket is a lookup's place in the queue, and then its slot.
type Ticket struct {
	class   Class
	ready   chan struct{} // closed when the slot is given
	place   *list.Element // nil once it is given, or has left
	granted bool
}

// New returns a Budget of so many lookups at once and starting a second. Lookups
// that wait longer than maxWait for their turn are turned away.
func New(maxConcurrent int, maxPerSecond float64, maxWait time.Duration) *Budget {
	b := &Budget{maxWait: maxWait, total: newGauge(maxConcurrent, maxPerSecond)}
	b.perClass[Renewal] = newGauge(maxConcurrent, maxPerSecond)
	b.perClass[Recheck] = newGauge(maxConcurrent/4, maxPerSecond/4)
	b.perClass[Cold] = newGauge(maxConcurrent/2, maxPerSecond/2)
	for i := range b.queues {
		b.queues[i] = list.New()
	}
	return b
}

// Enter takes a slot, or a place in the queue. It never blocks.
func (b *Budget) Enter(c Class, now time.Time) (*Ticket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now = b.forward(now)
	switch {
	case b.closed:
		return nil, ErrClosed
	case b.pausedUntil.Sub(now) > b.maxWait:
		b.limited++
		return nil, ErrPaused
	case b.queued >= maxQueued || b.queues[c].Len() >= c.maxQueued():
		b.limited++
		return nil, ErrQueueFull
	}
	t := &Ticket{class: c, ready: make(chan struct{})}
	t.place = b.queues[c].PushBack(t)
	b.queued++
	b.pump(now)
	return t, nil
}

// Await blocks until the ticket has its slot. The slot is given back by [Budget.Leave],
// which must be called whatever await returns.
func (b *Budget) Await(ctx context.Context, t *Ticket) error {
	timer := time.NewTimer(b.maxWait)
	defer timer.Stop()
	select {
	case <-t.ready:
		return nil
	case <-ctx.Done():
	case <-timer.C:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case t.granted: // in the same instant
		return nil
	case b.closed:
		return ErrClosed
	}
	b.limited++
	if b.pausedUntil.After(time.Now()) {
		return ErrPaused
	}
	return ErrQueueWait
}

// Leave gives back the slot or the place in the queue.
func (b *Budget) Leave(t *Ticket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.granted {
		t.granted = false
		b.total.inUse--
		b.perClass[t.class].inUse--
	} else {
		b.unqueue(t)
	}
	b.pump(time.Now())
}

// Promote raises a waiting ticket: facts that satisfy one route's policy may
// fail another's, and both ask the same question.
func (b *Budget) Promote(t *Ticket, c Class) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c >= t.class || t.place == nil {
		return
	}
	b.queues[t.class].Remove(t.place)
	t.class = c
	t.place = b.queues[c].PushBack(t)
	b.pump(time.Now())
}

// Again takes one more of the rate for a retry, if that is possible at once.
// The slot is held already.
func (b *Budget) Again(t *Ticket) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.forward(time.Now())
	g := &b.perClass[t.class]
	if b.closed || b.pausedUntil.After(now) || b.total.rate.TokensAt(now) < 1 || g.rate.TokensAt(now) < 1 {
		return false
	}
	b.total.rate.AllowN(now, 1)
	g.rate.AllowN(now, 1)
	return true
}

// Pause lets no lookup start until then: GenAuth said that there were too many.
func (b *Budget) Pause(until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until.After(b.pausedUntil) {
		b.pausedUntil = until
	}
}

// Paused reports whether no lookup may start.
func (b *Budget) Paused(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Before(b.pausedUntil)
}

// RetryAfter returns how long a request that was turned away should wait. It reads the
// clock after the one who paused: nobody is told a longer time than that.
func (b *Budget) RetryAfter() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return retryafter.Bound(time.Until(b.pausedUntil))
}

// pump gives slots to those who wait, the worthiest class first, and sees to it
// that it is called again when time allows the next. b.mu is held.
func (b *Budget) pump(now time.Time) {
	now = b.forward(now)
	next := time.Duration(-1)
	for c := range b.queues {
		for b.queues[c].Len() > 0 {
			if wait, ok := b.admit(Class(c), now); !ok {
				if wait > 0 && (next < 0 || wait < next) {
					next = wait
				}
				break
			}
			t, _ := b.queues[c].Front().Value.(*Ticket)
			b.unqueue(t)
			t.granted = true
			close(t.ready)
		}
	}
	b.wake(next)
}

// forward returns now, or a later time that another caller has brought: the
// rate would credit the time between them twice. b.mu is held.
func (b *Budget) forward(now time.Time) time.Time {
	if now.After(b.latest) {
		b.latest = now
	}
	return b.latest
}

// admit takes a slot of the class, or reports how long until time allows one;
// zero if not time but a slot is missing.
func (b *Budget) admit(c Class, now time.Time) (time.Duration, bool) {
	g := &b.perClass[c]
	if b.closed || b.total.inUse >= b.total.slots || g.inUse >= g.slots {
		return 0, false
	}
	if wait := max(b.pausedUntil.Sub(now), b.total.wait(now), g.wait(now)); wait > 0 {
		return wait, false
	}
	b.total.take(now)
	g.take(now)
	return 0, true
}

func (g *gauge) take(now time.Time) {
	g.inUse++
	g.rate.AllowN(now, 1)
}

// unqueue takes a ticket out of its queue, if it is in one. b.mu is held.
func (b *Budget) unqueue(t *Ticket) {
	if t.place == nil {
		return
	}
	b.queues[t.class].Remove(t.place)
	t.place = nil
	b.queued--
}

// wake arranges for pump to run after d; a negative d for nothing to wait for.
// b.mu is held.
func (b *Budget) wake(d time.Duration) {
	switch {
	case d < 0 || b.closed:
		if b.timer != nil {
			b.timer.Stop()
		}
	case b.timer == nil:
		b.timer = time.AfterFunc(d, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.pump(time.Now())
		})
	default:
		b.timer.Reset(d)
	}
}

// Close turns away all who wait or come.
func (b *Budget) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	if b.timer != nil {
		b.timer.Stop()
	}
}

// Figures returns the lookups under way, those waiting, and those turned away.
func (b *Budget) Figures() (inFlight, queued int, limited uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total.inUse, b.queued, b.limited
}
