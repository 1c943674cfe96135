package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
)

// ear is a Watch that goes on.
type ear struct {
	heard chan echomfa.StoreEvent
	done  chan error
	end   context.CancelFunc
}

// listen watches, and returns when it hears: a Watch may take a while to begin.
func listen(t *testing.T, s echomfa.Store) *ear {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	e := &ear{heard: make(chan echomfa.StoreEvent, 1000), done: make(chan error, 1), end: cancel}
	go func() {
		e.done <- s.Watch(ctx, func(event echomfa.StoreEvent) { e.heard <- event })
	}()
	t.Cleanup(func() { e.stop(t) })

	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	probe := newKey()
	for sent := false; ; {
		select {
		case event := <-e.heard:
			if event.Key == probe {
				e.until(t, s)
				return e
			}
			continue
		case err := <-e.done:
			e.done <- err
			t.Fatalf("Watch returned: %v", err)
		case <-deadline.C:
			t.Fatalf("Watch has heard nothing for %v (a Delete was sent: %v)", patience, sent)
		case <-again.C:
		}
		if err := s.Delete(t.Context(), probe, echomfa.StoreKey{}); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		sent = true
	}
}

// until sends one more event and returns what was heard before it.
func (e *ear) until(t *testing.T, s echomfa.Store) []echomfa.StoreEvent {
	t.Helper()
	return e.upTo(t, mark(t, s))
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

// upTo returns what was heard before the mark.
func (e *ear) upTo(t *testing.T, mark echomfa.StoreKey) []echomfa.StoreEvent {
	t.Helper()
	var heard []echomfa.StoreEvent
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		select {
		case event := <-e.heard:
			if event.Key == mark {
				return heard
			}
			if !event.Resumed {
				heard = append(heard, event)
			}
		case <-deadline.C:
			t.Fatalf("Watch has not heard a Delete for %v", patience)
		}
	}
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
	e.until(t, s)
	t.Run("another app", func(t *testing.T) {
		other := newStore(t)
		heard := listen(t, other)
		for _, way := range ways() {
			if err := way.do(t, other, newFacts()); err != nil {
				t.Fatal(err)
			}
		}
		if got := len(heard.until(t, other)); got != 2 {
			t.Errorf("the other app has heard %d of its own 2 events", got)
		}
	})
	if heard := e.until(t, s); len(heard) > 0 {
		t.Errorf("heard of another app: %v", heard)
	}
}

func testWatchEnds(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s := newStore(t)
	ended, witness := listen(t, s), listen(t, s)
	ended.stop(t)
	for len(ended.heard) > 0 {
		<-ended.heard
	}
	witness.until(t, s)
	if len(ended.heard) > 0 {
		t.Error("Watch has heard something after it returned")
	}

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
