package echomfa_test

import (
	"context"
	"time"

	"github.com/echomfa/echomfa"
)

// nodeStore is the Store as one instance sees it: through its own connection, and
// with its own clock.
type nodeStore node

// reach is a call on its way to the Store: half of the delay, the call, the other
// half. A fault "loses calls" or "loses answers" is an error before or after it.
func (s *nodeStore) reach(ctx context.Context, call func() error) error {
	s.mu.Lock()
	state := s.store
	s.mu.Unlock()
	if state.fault == "hangs" {
		<-ctx.Done()
		return ctx.Err()
	}
	if err := modelSleep(ctx, state.delay/2); err != nil {
		return err
	}
	if state.fault == "loses calls" {
		return errModel
	}
	s.mu.Lock()
	err := call()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := modelSleep(ctx, state.delay/2); err != nil {
		return err
	}
	if state.fault == "loses answers" {
		return errModel
	}
	if state.fault == "panics" {
		panic("model")
	}
	return nil
}

// Get returns facts, and writes down that the instance has heard them.
func (s *nodeStore) Get(ctx context.Context, key, user echomfa.StoreKey) (
	f echomfa.StoredFacts, found bool, version echomfa.StoreVersion, err error,
) {
	var w *word
	err = s.reach(ctx, func() (err error) {
		f, found, version, err = s.memory.Get(ctx, key, user)
		if found {
			w = &word{verdict: told, types: echomfa.Factors(f.Types...), stored: true, begun: s.kept[key][f.Asked], asked: s.kept[key][f.Asked]}
			w.older = f.Asked.Before(s.newest[key])
		}
		return err
	})
	if err != nil {
		return echomfa.StoredFacts{}, false, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f.Asked = f.Asked.Add(-s.clock)
	switch s.store.fault {
	case "mixes up":
		// A hit about another key, whose facts say that everything is enrolled.
		other := key
		other[0]++
		now := time.Now()
		return echomfa.StoredFacts{Key: other, User: user, Types: []echomfa.FactorType{echomfa.OTP, echomfa.SMS}, Asked: now}, true, version, nil
	case "is ahead":
		f.Asked = f.Asked.Add(time.Hour)
		return f, found, version, nil
	case "is long ago":
		if w != nil {
			f.Asked = time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC)
			w.asked, w.begun = f.Asked, f.Asked
		}
	}
	if w != nil {
		w.heard, w.seems = time.Now(), f.Asked
		w.unheard = time.Since(s.lastRound) > time.Second || f.Asked.Before(s.distrust)
		if w.seems.After(w.heard) {
			w.seems = w.heard
		}
		token := s.setting.names.token[key]
		s.words[token] = append(s.words[token], w)
	}
	return f, found, version, nil
}

// Set keeps facts, as they are by the Store's clock.
func (s *nodeStore) Set(ctx context.Context, f echomfa.StoredFacts, version echomfa.StoreVersion, keep time.Duration) error {
	return s.reach(ctx, func() error {
		if s.store.fault == "is full" {
			return errModel
		}
		asked := f.Asked
		f.Asked = f.Asked.Add(s.clock).Round(0)
		if err := s.memory.Set(ctx, f, version, keep); err != nil {
			return err
		}
		is, found, _, _ := s.memory.Get(ctx, f.Key, f.User)
		if !found || !is.Asked.Equal(f.Asked) {
			return nil // it was invalidated, or something newer is there
		}
		if s.kept[f.Key] == nil {
			s.kept[f.Key] = make(map[time.Time]time.Time)
		}
		s.kept[f.Key][f.Asked] = asked
		if f.Asked.After(s.newest[f.Key]) {
			s.newest[f.Key] = f.Asked
		}
		return nil
	})
}

// Delete forgets a token.
func (s *nodeStore) Delete(ctx context.Context, key, user echomfa.StoreKey) error {
	return s.doubt(s.reach(ctx, func() error {
		delete(s.newest, key)
		s.spread(key, echomfa.StoreEvent{Key: key})
		return s.memory.Delete(ctx, key, user)
	}))
}

// DeleteUser forgets a user.
func (s *nodeStore) DeleteUser(ctx context.Context, user echomfa.StoreKey) error {
	return s.doubt(s.reach(ctx, func() error {
		for key, token := range s.setting.names.token {
			if s.setting.names.userKey[token] == user {
				delete(s.newest, key)
			}
		}
		s.spread(user, echomfa.StoreEvent{User: user})
		return s.memory.DeleteUser(ctx, user)
	}))
}

// doubt writes down that the instance could not tell the Store, if that is so.
func (s *nodeStore) doubt(err error) error {
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.doubted = time.Now()
	}
	return err
}

// spread sends an event to all instances that hear. s.mu is held.
func (s *nodeStore) spread(what echomfa.StoreKey, e echomfa.StoreEvent) {
	from, ok := s.tells[what]
	if !ok {
		from = time.Now() // of the Enforcer's own accord, or once more
	}
	s.told[what] = time.Now()
	for _, n := range s.nodes {
		if n.hears {
			n.events <- heard{e, from}
		}
	}
}

// Watch tells what is heard. An instance that has not heard for a while is told that
// it has missed something.
func (s *nodeStore) Watch(ctx context.Context, hear func(echomfa.StoreEvent)) error {
	n := (*node)(s)
	n.listen(true)
	defer func() {
		n.listen(false)
		n.mu.Lock()
		defer n.mu.Unlock()
		n.lastRound = time.Time{}
	}()
	// After a Watch that has ended the Enforcer does not wait for the event.
	n.hear(heard{echomfa.StoreEvent{Kind: echomfa.Resumed}, time.Now()})
	round := time.NewTicker(400 * time.Millisecond)
	defer round.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.broken:
			return errModel
		case <-round.C:
		case e := <-n.events:
			n.mu.Lock()
			after := n.hearAfter
			n.mu.Unlock()
			if modelSleep(ctx, after) != nil {
				return nil
			}
			n.hear(e)
			hear(e.StoreEvent)
		}
		n.mu.Lock()
		hears := n.hears && len(n.events) == 0
		if hears {
			n.lastRound = time.Now()
		}
		n.mu.Unlock()
		if hears {
			hear(echomfa.StoreEvent{Kind: echomfa.Hearing})
		} else {
			hear(echomfa.StoreEvent{Kind: echomfa.Deaf, Cause: errModel})
		}
	}
}

// listen begins or ends that an instance hears the Store.
func (n *node) listen(on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.events) > 0 {
		<-n.events
	}
	for len(n.broken) > 0 {
		<-n.broken
	}
	if n.hears = on; on {
		n.events <- heard{echomfa.StoreEvent{Kind: echomfa.Resumed}, time.Now()}
	}
}

// rewind sets the Store back to what it was, or to nothing if back is nil, and tells
// all instances that hear. w.mu is held.
func (w *world) rewind(back func()) {
	if back == nil {
		w.memory.Lose()
	} else {
		back()
	}
	clear(w.newest)
	for _, n := range w.nodes {
		if n.hears {
			n.events <- heard{echomfa.StoreEvent{Kind: echomfa.Rewound}, time.Now()}
		}
	}
}

// hear writes down that the instance has heard an event.
func (n *node) hear(e heard) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e.Kind == echomfa.Rewound {
		n.distrust = time.Now().Add(modelSkew)
		return
	}
	for k := range n.cuts {
		names := n.setting.names
		if e.Kind == echomfa.Resumed || e.Key != (echomfa.StoreKey{}) && e.Key == names.tokenKey[k] || e.User != (echomfa.StoreKey{}) && e.User == names.userKey[k] {
			n.cuts[k] = append(n.cuts[k], &cut{from: e.from, done: time.Now(), missed: e.Kind == echomfa.Resumed})
		}
	}
}
