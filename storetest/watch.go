package storetest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
)

// ear is a Watch that goes on, and what it has said.
type ear struct {
	done chan error
	end  context.CancelFunc
	more chan struct{} // holds one if something was said

	mu   sync.Mutex
	all  []echomfa.StoreEvent
	next int   // the first that was not looked at
	gate *gate // or nil
}

// gate holds a Watch back.
type gate struct{ reached, open chan struct{} }

func (e *ear) hear(event echomfa.StoreEvent) {
	e.mu.Lock()
	g := e.gate
	if event.Kind == echomfa.Hearing {
		e.gate = nil
	}
	e.all = append(e.all, event)
	e.mu.Unlock()
	select {
	case e.more <- struct{}{}:
	default:
	}
	if g != nil && event.Kind == echomfa.Hearing {
		close(g.reached)
		<-g.open
	}
}

// hold waits until the Watch says Hearing, and holds it there until release is called.
func (e *ear) hold(t *testing.T) (release func()) {
	t.Helper()
	g := &gate{make(chan struct{}), make(chan struct{})}
	e.mu.Lock()
	e.gate = g
	e.mu.Unlock()
	release = sync.OnceFunc(func() { close(g.open) })
	t.Cleanup(release)
	select {
	case <-g.reached:
	case <-time.After(patience):
		t.Fatalf("Hearing was not heard for %v", patience)
	}
	return release
}

// begin watches.
func begin(t *testing.T, s echomfa.Store) *ear {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	e := &ear{done: make(chan error, 1), end: cancel, more: make(chan struct{}, 1)}
	go func() { e.done <- s.Watch(ctx, e.hear) }()
	t.Cleanup(func() { e.stop(t) })
	return e
}

// listen watches, and returns when everything from before has been heard.
func listen(t *testing.T, s echomfa.Store) *ear {
	t.Helper()
	e := begin(t, s)
	e.until(t, "Hearing", func(event echomfa.StoreEvent) bool { return event.Kind == echomfa.Hearing })
	return e
}

// until returns what is said before an event.
func (e *ear) until(t *testing.T, what string, is func(echomfa.StoreEvent) bool) []echomfa.StoreEvent {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		e.mu.Lock()
		from, fresh := e.next, e.all[e.next:]
		if at := slices.IndexFunc(fresh, is); at >= 0 {
			e.next += at + 1
			heard := slices.Clone(e.all[from : from+at])
			e.mu.Unlock()
			return heard
		}
		e.mu.Unlock()
		select {
		case <-e.more:
		case err := <-e.done:
			e.done <- err
			t.Fatalf("Watch returned: %v", err)
		case <-deadline.C:
			t.Fatalf("%s was not heard for %v", what, patience)
		}
	}
}

// kind waits for an event of a kind, and returns what is said before.
func (e *ear) kind(t *testing.T, what string, kind echomfa.StoreEventKind) []echomfa.StoreEvent {
	t.Helper()
	return e.until(t, what, func(event echomfa.StoreEvent) bool { return event.Kind == kind })
}

// skip passes by what was said so far.
func (e *ear) skip() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.next = len(e.all)
}

// mark sends an event that can be told from all others.
func mark(t *testing.T, s echomfa.Store) echomfa.StoreKey {
	t.Helper()
	k := newKey()
	if err := s.Delete(t.Context(), k, echomfa.StoreKey{}); err != nil {
		t.Fatalf("Delete: %v", err)
	}
	return k
}

// upTo returns what was invalidated before the mark.
func (e *ear) upTo(t *testing.T, mark echomfa.StoreKey) []echomfa.StoreEvent {
	t.Helper()
	all := e.until(t, "a Delete", func(event echomfa.StoreEvent) bool { return event.Key == mark })
	return slices.DeleteFunc(all, func(event echomfa.StoreEvent) bool { return event.Kind != echomfa.Invalidated })
}

// stop ends the Watch. It may be called twice.
func (e *ear) stop(t *testing.T) {
	t.Helper()
	e.end()
	select {
	case err := <-e.done:
		if err != nil {
			t.Errorf("Watch returned %v when ctx had ended", err)
		}
		e.done <- nil
	case <-time.After(patience):
		t.Errorf("Watch goes on %v after ctx has ended", patience)
	}
}

// testWatchOrder: every watcher of every instance hears what any instance has
// invalidated, its own among it, also where nothing was known of it.
func testWatchOrder(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	first, second := newStore(t), newStore(t)
	ears := []*ear{listen(t, first), listen(t, second), listen(t, second)}
	for begun, i := mark(t, first), 0; i < len(ears); i++ {
		ears[i].upTo(t, begun)
	}
	facts := newFacts()
	set(t, first, facts)
	for _, s := range []echomfa.Store{first, second} {
		var want []echomfa.StoreEvent
		for range 5 {
			token, user := newKey(), newKey()
			want = append(want,
				echomfa.StoreEvent{Key: token}, echomfa.StoreEvent{User: user},
				echomfa.StoreEvent{Key: facts.Key}, echomfa.StoreEvent{User: facts.User})
			for _, err := range []error{
				s.Delete(t.Context(), token, user), s.DeleteUser(t.Context(), user),
				s.Delete(t.Context(), facts.Key, facts.User), s.DeleteUser(t.Context(), facts.User),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		end := mark(t, s)
		for i, e := range ears {
			if got := e.upTo(t, end); !slices.Equal(want, got) {
				t.Fatalf("watcher %d has heard %v, want %v", i, got, want)
			}
		}
	}
}

func testWatchApart(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s := newStore(t)
	e := listen(t, s)
	t.Run("another app", func(t *testing.T) {
		other := newStore(t)
		heard := listen(t, other)
		for _, way := range ways() {
			if err := way.do(t, other, newFacts()); err != nil {
				t.Fatal(err)
			}
		}
		if got := len(heard.upTo(t, mark(t, other))); got != 2 {
			t.Errorf("the other app has heard %d of its own 2 events", got)
		}
	})
	if heard := e.upTo(t, mark(t, s)); len(heard) > 0 {
		t.Errorf("heard of another app: %v", heard)
	}
}

func testWatchEnds(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s := newStore(t)
	ended, witness := listen(t, s), listen(t, s)
	ended.stop(t)
	ended.mu.Lock()
	heard := len(ended.all)
	ended.mu.Unlock()
	witness.upTo(t, mark(t, s))
	ended.mu.Lock()
	if len(ended.all) > heard {
		t.Error("Watch has heard something after it returned")
	}
	ended.mu.Unlock()

	before, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan error, 1)
	go func() {
		done <- s.Watch(before, func(echomfa.StoreEvent) {})
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Watch returned %v where ctx had ended before", err)
		}
	case <-time.After(patience):
		t.Error("Watch goes on where ctx had ended before")
	}
}

// testWatchBegins: who begins to watch is told what was invalidated before, and only
// then that it hears.
func testWatchBegins(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	first := newStore(t)
	token, user := newKey(), newKey()
	if err := first.Delete(t.Context(), token, user); err != nil {
		t.Fatal(err)
	}
	if err := first.DeleteUser(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		said := begin(t, newStore(t)).kind(t, "Hearing", echomfa.Hearing)
		told := slices.Contains(said, echomfa.StoreEvent{Key: token}) && slices.Contains(said, echomfa.StoreEvent{User: user})
		resumed := slices.ContainsFunc(said, func(event echomfa.StoreEvent) bool { return event.Kind == echomfa.Resumed })
		if !told && !resumed {
			t.Fatalf("what was invalidated before is not told: %v", said)
		}
	}
}

// testWatchGoesOn: a Store that is heard says so again and again, and what was
// acknowledged has been told by then.
func testWatchGoesOn(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s, second := newStore(t), newStore(t)
	e := listen(t, s)
	for range 3 {
		e.kind(t, "Hearing", echomfa.Hearing)
	}
	for range 5 {
		release := e.hold(t)
		e.skip()
		token := mark(t, second)
		release()
		if said := e.kind(t, "Hearing", echomfa.Hearing); !slices.Contains(said, echomfa.StoreEvent{Key: token}) {
			t.Fatalf("Hearing was said before an invalidation that was acknowledged: %v", said)
		}
	}
}
