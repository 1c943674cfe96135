// Package outbox keeps the invalidations that an instance has made: until its Store
// has acknowledged them, and after that for as long as they matter. A Store that was
// away gets them later, and one that has lost its history gets them again.
package outbox

import (
	"container/list"
	"context"
	"sync"
	"time"
)

const (
	// Max is how many invalidations are kept.
	Max = 4096
	// Keep is how long one is kept: no facts of before it live longer, even if the
	// clocks of two instances are apart.
	Keep = 6 * time.Minute
	// firstPause and lastPause are between two attempts to send one. The pause doubles.
	firstPause, lastPause = 200 * time.Millisecond, 2 * time.Second
	// toldPause is before the next attempt if the last one has returned an error, and the
	// Store tells of the invalidation all the same: each time it does, all instances forget
	// what they have learned since.
	toldPause = 10 * time.Second
	// gap is between two attempts of any: 200 a second.
	gap = 5 * time.Millisecond
	// workers send at once. One alone would wait for a part of the Store that is silent.
	workers = 4
	// sendFor is how long an attempt may take.
	sendFor = 500 * time.Millisecond
	// closeFor is how long Close tries once more. It leaves some of a second to attempts
	// that are given up.
	closeFor = 900 * time.Millisecond
)

// Box keeps invalidations, each by the name of what was invalidated. Its methods may be
// called by several goroutines at once.
type Box[K comparable, V any] struct {
	retry time.Duration
	send  func(context.Context, V) error
	ctx   context.Context //nolint:containedctx // its end is the end of all attempts
	stop  context.CancelFunc
	wg    sync.WaitGroup

	mu      sync.Mutex // guards all that follows
	byName  map[K]*list.Element
	waiting *list.List // of *entry, the oldest first: not acknowledged
	known   *list.List // acknowledged, the oldest first
	idle    int        // of those waiting, how many nobody sends now
	next    time.Time  // when the next attempt may begin
	running int        // workers
	changed chan struct{}
	closed  bool
	dropped uint64
}

type entry[K comparable, V any] struct {
	name  K
	what  V
	at    time.Time // of the invalidation
	due   time.Time // of the next attempt
	pause time.Duration
	round uint64 // changes when what is under way does not suffice
	busy  bool   // somebody sends it
	known bool   // acknowledged
	tried bool   // somebody has sent it, or does, since it may have been lost
	told  bool   // heard since the last attempt began
}

// Ticket is an attempt to send an invalidation.
type Ticket[K comparable, V any] struct {
	e     *entry[K, V]
	round uint64
}

// New returns an empty Box. An invalidation that is not acknowledged is sent again for
// the time of retry.
func New[K comparable, V any](retry time.Duration, send func(context.Context, V) error) *Box[K, V] {
	b := &Box[K, V]{
		retry: min(retry, Keep), send: send,
		byName: make(map[K]*list.Element), waiting: list.New(), known: list.New(), changed: make(chan struct{}),
	}
	b.ctx, b.stop = context.WithCancel(context.Background()) //nolint:gosec // Close calls it
	return b
}

// Add notes an invalidation that the caller is about to send, and tells by
// [Box.Done] the result. Lost reports that an older one was given up that no
// instance has been told.
func (b *Box[K, V]) Add(name K, what V) (t Ticket[K, V], lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if old := b.byName[name]; old != nil {
		b.remove(old)
	}
	if len(b.byName) >= Max {
		oldest := b.known.Front()
		if oldest == nil {
			oldest = b.waiting.Front()
			b.dropped++
			lost = true
		}
		b.remove(oldest)
	}
	e := &entry[K, V]{name: name, what: what, at: time.Now(), busy: true, tried: true}
	b.byName[name] = b.waiting.PushBack(e)
	return Ticket[K, V]{e: e}, lost
}

// Done tells the result of an attempt.
func (b *Box[K, V]) Done(t Ticket[K, V], err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := t.e
	e.busy = false
	element := b.byName[e.name]
	if element == nil || element.Value != e { // a later one has taken its place
		return
	}
	switch {
	case e.round != t.round: // lost since: it goes again, at once
		e.due, e.pause = time.Now(), 0
	case err == nil:
		b.waiting.Remove(element)
		e.known = true
		b.byName[e.name] = b.acknowledge(e)
		return
	case b.closed: // it was the last attempt
		b.waiting.Remove(element)
		delete(b.byName, e.name)
		return
	case e.told:
		e.due = time.Now().Add(toldPause)
	default:
		e.pause = min(max(firstPause, 2*e.pause), lastPause)
		e.due = time.Now().Add(e.pause)
	}
	b.idle++
	b.wake()
}

// acknowledge puts an entry among the known. One that is sent again comes after later
// ones. b.mu is held.
func (b *Box[K, V]) acknowledge(e *entry[K, V]) *list.Element {
	if e.round == 0 {
		return b.known.PushBack(e)
	}
	for at := b.known.Front(); at != nil; at = at.Next() {
		if later := at.Value.(*entry[K, V]); later.at.After(e.at) { //nolint:forcetypeassert,errcheck // the list's own
			return b.known.InsertBefore(e, at)
		}
	}
	return b.known.PushBack(e)
}

// Told notes that the Store has told an invalidation of this name, whatever the attempt
// to send it has returned. What is not acknowledged is sent again, but not soon. After
// [Box.Again] it may be an older one, from before what was lost.
func (b *Box[K, V]) Told(name K) {
	b.mu.Lock()
	defer b.mu.Unlock()
	element := b.byName[name]
	if element == nil {
		return
	}
	if e := element.Value.(*entry[K, V]); e.tried && !e.known { //nolint:forcetypeassert,errcheck // the list's own
		e.told = true
		e.due = time.Now().Add(toldPause)
	}
}

// Again sends all that is kept once more, the latest first: the Store may have lost it,
// and of a Store that was a little behind it is the latest that is lost.
func (b *Box[K, V]) Again() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	for at := b.waiting.Front(); at != nil; at = at.Next() {
		e := at.Value.(*entry[K, V]) //nolint:forcetypeassert,errcheck // the list's own
		e.round++
		e.tried, e.told, e.due, e.pause = false, false, now, 0
	}
	for at := b.known.Front(); at != nil; at = b.known.Front() {
		e := at.Value.(*entry[K, V]) //nolint:forcetypeassert,errcheck // the list's own
		b.known.Remove(at)
		if now.Sub(e.at) > Keep {
			delete(b.byName, e.name)
			continue
		}
		e.round++
		e.known, e.tried, e.told, e.due, e.pause = false, false, false, now, 0
		b.byName[e.name] = b.waiting.PushBack(e)
		b.idle++
	}
	b.wake()
}

// Hurry ends the pauses: the Store has just answered again.
func (b *Box[K, V]) Hurry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hurry()
	b.wake()
}

func (b *Box[K, V]) hurry() {
	for at := b.waiting.Front(); at != nil; at = at.Next() {
		e := at.Value.(*entry[K, V]) //nolint:forcetypeassert,errcheck // the list's own
		e.due, e.pause = time.Time{}, 0
	}
}

// Figures returns how many invalidations are not acknowledged, and how many were given
// up because there were too many.
func (b *Box[K, V]) Figures() (waiting int, dropped uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.waiting.Len(), b.dropped
}

// Close tries once more to send what is not acknowledged, for a second at most.
func (b *Box[K, V]) Close() {
	b.mu.Lock()
	b.closed = true
	b.hurry()
	b.next = time.Time{}
	b.wake()
	b.mu.Unlock()
	timer := time.AfterFunc(closeFor, b.stop)
	b.wg.Wait()
	timer.Stop()
	b.stop()
}

// remove forgets an invalidation. b.mu is held.
func (b *Box[K, V]) remove(element *list.Element) {
	e := element.Value.(*entry[K, V]) //nolint:forcetypeassert,errcheck // the list's own
	delete(b.byName, e.name)
	if e.known {
		b.known.Remove(element)
		return
	}
	b.waiting.Remove(element)
	if !e.busy {
		b.idle--
	}
}

// wake has as many workers as there is work for look at it. b.mu is held.
func (b *Box[K, V]) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
	for b.running < min(workers, b.idle) && b.ctx.Err() == nil {
		b.running++
		b.wg.Go(b.work)
	}
}

// work sends what is due until nothing is left to be sent.
func (b *Box[K, V]) work() {
	for {
		what, ticket, wait, changed, ok := b.take()
		switch {
		case !ok:
			return
		case wait > 0:
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-changed:
			case <-b.ctx.Done():
			}
			timer.Stop()
			continue
		}
		ctx, cancel := context.WithTimeout(b.ctx, sendFor)
		err := b.send(ctx, what)
		cancel()
		b.Done(ticket, err)
	}
}

// take returns an invalidation that is due, or for how long there is none; or not ok,
// and then the worker ends.
//
//nolint:ireturn // V is no interface
func (b *Box[K, V]) take() (what V, t Ticket[K, V], wait time.Duration, changed <-chan struct{}, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if wait = b.next.Sub(now); wait > 0 && b.idle > 0 && !b.closed {
		return what, t, wait, b.changed, true // nothing is looked for
	}
	var first *entry[K, V]
	for at := b.waiting.Front(); at != nil; {
		element, e := at, at.Value.(*entry[K, V]) //nolint:forcetypeassert,errcheck // the list's own
		at = at.Next()
		switch {
		case e.busy:
		case now.Sub(e.at) > b.retry && e.round == 0, now.Sub(e.at) > Keep:
			b.remove(element) // what was known before it has expired everywhere
		case first == nil || e.due.Before(first.due) || e.due.Equal(first.due) && e.at.After(first.at):
			first = e
		}
	}
	if first == nil || b.ctx.Err() != nil {
		b.running--
		return what, t, 0, nil, false
	}
	wait = first.due.Sub(now)
	if !b.closed {
		wait = max(wait, b.next.Sub(now))
	}
	if wait > 0 {
		return what, t, wait, b.changed, true
	}
	b.next = now.Add(gap)
	first.busy, first.tried, first.told = true, true, false
	b.idle--
	return first.what, Ticket[K, V]{first, first.round}, 0, nil, true
}
