package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
)

// Faults are what can happen to the data behind a Store. Each is about the stores that
// newStore returns for the same t, and must leave those of other tests alone. What
// is nil is not tested.
type Faults struct {
	// Lose loses everything, as FLUSHALL does.
	Lose func(t *testing.T)
	// Back notes what there is. The function that it returns brings that back, as a
	// failover to a replica that lags does.
	Back func(t *testing.T) (restore func())
	// Trim loses the log of invalidations, and nothing else. A Store without one does
	// not need it.
	Trim func(t *testing.T)
	// Silence makes the calls of all stores fail until end is called.
	Silence func(t *testing.T) (end func())
}

// tests returns the tests of the faults there are.
func (f Faults) tests() map[string]func(*testing.T, func(*testing.T) echomfa.Store) {
	type newStore = func(*testing.T) echomfa.Store
	tests := make(map[string]func(*testing.T, newStore))
	if f.Lose != nil {
		tests["a lost history is told"] = func(t *testing.T, n newStore) { testLost(t, n, f.Lose) }
	}
	if f.Back != nil {
		tests["a history that was set back is told"] = func(t *testing.T, n newStore) { testBack(t, n, f.Back) }
		tests["a loss of what was not heard yet is told to its author"] = func(t *testing.T, n newStore) { testUnheard(t, n, f.Back) }
		tests["a history that goes on from before is told"] = func(t *testing.T, n newStore) { testFork(t, n, f.Back) }
	}
	if f.Trim != nil {
		tests["a gap is told"] = func(t *testing.T, n newStore) { testGap(t, n, f.Trim) }
	}
	if f.Silence != nil {
		tests["a Store that is away is not heard"] = func(t *testing.T, n newStore) { testSilence(t, n, f.Silence) }
	}
	return tests
}

// again sends invalidations once more, as an author does after Rewound, and returns when
// they have been heard.
func again(t *testing.T, s echomfa.Store, e *ear, keys ...echomfa.StoreKey) {
	t.Helper()
	for _, key := range keys {
		if err := s.Delete(t.Context(), key, echomfa.StoreKey{}); err != nil {
			t.Fatalf("Delete: %v", err)
		}
	}
	heard := e.upTo(t, mark(t, s))
	for _, key := range keys {
		if !slices.Contains(heard, echomfa.StoreEvent{Key: key}) {
			t.Fatalf("what was invalidated again after Rewound is not told")
		}
	}
}

// testLost: an author may have to say again what it has said, and is told so.
func testLost(t *testing.T, newStore func(*testing.T) echomfa.Store, lose func(*testing.T)) {
	s, second := newStore(t), newStore(t)
	e := listen(t, s)
	for range 2 {
		facts := newFacts()
		set(t, s, facts)
		keys := []echomfa.StoreKey{mark(t, second), mark(t, second)}
		e.upTo(t, keys[1])
		lose(t)
		e.kind(t, "Rewound", echomfa.Rewound)
		e.kind(t, "Hearing", echomfa.Hearing)
		hasNot(t, s, facts.Key, facts.User)
		again(t, second, e, keys...)
	}
}

// testBack: the last invalidations are gone, and nothing has replaced them.
func testBack(t *testing.T, newStore func(*testing.T) echomfa.Store, back func(*testing.T) func()) {
	s, second := newStore(t), newStore(t)
	e := listen(t, s)
	before := mark(t, second)
	restore := back(t)
	keys := []echomfa.StoreKey{mark(t, second), mark(t, second), mark(t, second)}
	e.upTo(t, keys[2])
	restore()
	e.kind(t, "Rewound", echomfa.Rewound)
	said := e.kind(t, "Hearing", echomfa.Hearing)
	if !slices.Contains(said, echomfa.StoreEvent{Key: before}) {
		t.Fatalf("after Rewound, what the Store still knows is not told: %v", said)
	}
	again(t, second, e, keys...)
}

// testUnheard: an invalidation is acknowledged, and lost before anybody has heard it. Its
// author is told, whether others have come in its place or not.
func testUnheard(t *testing.T, newStore func(*testing.T) echomfa.Store, back func(*testing.T) func()) {
	for _, more := range []bool{false, true} {
		s, second := newStore(t), newStore(t)
		e := listen(t, s)
		e.upTo(t, mark(t, second))
		restore := back(t)
		release := e.hold(t)
		e.skip()
		lost := mark(t, s)
		restore()
		if more {
			mark(t, second)
		}
		release()
		e.kind(t, "Rewound", echomfa.Rewound)
		again(t, s, e, lost)
	}
}

// testFork: the last invalidations are gone, and others have come in their place before
// the watch looks again.
func testFork(t *testing.T, newStore func(*testing.T) echomfa.Store, back func(*testing.T) func()) {
	s, second := newStore(t), newStore(t)
	e := listen(t, s)
	mark(t, second)
	restore := back(t)
	lost := mark(t, second)
	e.upTo(t, lost)
	release := e.hold(t)
	e.skip()
	restore()
	var fresh []echomfa.StoreKey
	for range 3 {
		fresh = append(fresh, mark(t, second))
	}
	release()
	said := e.kind(t, "Hearing", echomfa.Hearing)
	for _, key := range fresh {
		if !slices.Contains(said, echomfa.StoreEvent{Key: key}) {
			t.Fatalf("an invalidation of after the loss is not told: %v", said)
		}
	}
	if !slices.ContainsFunc(said, func(event echomfa.StoreEvent) bool { return event.Kind == echomfa.Rewound }) {
		t.Fatalf("Rewound is not told: %v", said)
	}
	again(t, second, e, lost)
}

// testGap: the log has lost what was not heard.
func testGap(t *testing.T, newStore func(*testing.T) echomfa.Store, trim func(*testing.T)) {
	s, second := newStore(t), newStore(t)
	e := listen(t, s)
	e.upTo(t, mark(t, second))
	release := e.hold(t)
	e.skip()
	mark(t, second)
	mark(t, second)
	trim(t)
	after := mark(t, second)
	release()
	said := e.kind(t, "Hearing", echomfa.Hearing)
	missed := func(event echomfa.StoreEvent) bool {
		return event.Kind == echomfa.Resumed || event.Kind == echomfa.Rewound
	}
	if !slices.ContainsFunc(said, missed) || !slices.Contains(said, echomfa.StoreEvent{Key: after}) {
		t.Fatalf("a gap in the log, and what comes after it, are not told: %v", said)
	}
	trim(t)
	if said := begin(t, s).kind(t, "Hearing", echomfa.Hearing); !slices.ContainsFunc(said, missed) {
		t.Fatalf("who begins after a gap in the log is not told of it: %v", said)
	}
}

// testSilence: a Store that cannot be asked says so and not that it hears. When it is
// back, nothing was lost.
func testSilence(t *testing.T, newStore func(*testing.T) echomfa.Store, silence func(*testing.T) func()) {
	s := newStore(t)
	e := listen(t, s)
	token := mark(t, s)
	e.upTo(t, token)
	end := silence(t)
	defer end()
	deaf := errors.New("")
	e.until(t, "Deaf", func(event echomfa.StoreEvent) bool {
		if event.Kind == echomfa.Deaf {
			deaf = event.Cause
			return true
		}
		return false
	})
	if deaf == nil {
		t.Error("Deaf has no Cause")
	}
	for range 3 {
		said := e.kind(t, "Deaf", echomfa.Deaf)
		if slices.ContainsFunc(said, func(event echomfa.StoreEvent) bool { return event.Kind == echomfa.Hearing }) {
			t.Fatalf("Hearing was said while all calls fail: %v", said)
		}
	}
	end()
	e.kind(t, "Hearing", echomfa.Hearing)
	deadline := time.Now().Add(patience)
	for s.Delete(t.Context(), token, echomfa.StoreKey{}) != nil {
		if time.Now().After(deadline) {
			t.Fatal("it does not work again")
		}
	}
	e.upTo(t, token)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.all {
		if event.Kind == echomfa.Rewound || event.Kind == echomfa.Resumed {
			t.Fatalf("nothing was lost, and %v was said", event)
		}
	}
}

// testCounter: a Store that counts does so for all instances, by name.
func testCounter(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s, second := newStore(t), newStore(t)
	first, counts := s.(echomfa.StoreCounter)
	other, also := second.(echomfa.StoreCounter)
	if !counts || !also {
		return // it does not count
	}
	take := func(c echomfa.StoreCounter, name echomfa.StoreKey, limit int, per time.Duration, want bool) {
		t.Helper()
		got, err := c.Take(t.Context(), name, limit, per)
		if err != nil || got != want {
			t.Fatalf("Take: %v, %v, want %v", got, err, want)
		}
	}
	name := newKey()
	take(first, name, 3, long, true)
	take(other, name, 3, long, true)
	take(first, name, 3, long, true)
	take(first, name, 3, long, false)
	take(other, name, 3, long, false)
	take(other, name, 4, long, true)
	take(first, newKey(), 1, long, true)
	take(first, newKey(), 0, long, false)
	take(first, newKey(), -1, long, false)

	brief := newKey()
	take(first, brief, 1, 50*time.Millisecond, true)
	eventually(t, "a window does not end", func() bool {
		ok, err := other.Take(t.Context(), brief, 1, long)
		return err == nil && ok
	})
	take(first, brief, 1, long, false)
}
