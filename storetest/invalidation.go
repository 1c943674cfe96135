package storetest

import (
	"sync"
	"testing"

	"github.com/echomfa/echomfa"
)

func testDelete(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s := newStore(t)
	gone, sibling, other := newFacts(), newFacts(), newFacts()
	sibling.User = gone.User
	nobody, nobodyElse := newFacts(), newFacts()
	nobody.User, nobodyElse.User = echomfa.StoreKey{}, echomfa.StoreKey{}
	for _, facts := range []echomfa.StoredFacts{gone, sibling, other, nobody, nobodyElse} {
		set(t, s, facts)
	}
	for _, facts := range []echomfa.StoredFacts{gone, nobody} {
		if err := s.Delete(t.Context(), facts.Key, facts.User); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		hasNot(t, s, facts.Key, facts.User)
	}
	for _, facts := range []echomfa.StoredFacts{sibling, other, nobodyElse} {
		has(t, s, facts)
	}
}

func testDeleteUser(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s := newStore(t)
	first, second, other, nobody := newFacts(), newFacts(), newFacts(), newFacts()
	second.User, nobody.User = first.User, echomfa.StoreKey{}
	for _, facts := range []echomfa.StoredFacts{first, second, other, nobody} {
		set(t, s, facts)
	}
	if err := s.DeleteUser(t.Context(), first.User); err != nil {
		t.Fatalf("DeleteUser: %v", err)
	}
	hasNot(t, s, first.Key, first.User)
	hasNot(t, s, second.Key, second.User)
	has(t, s, other)
	has(t, s, nobody)
	set(t, s, second)
	has(t, s, second)
	hasNot(t, s, first.Key, first.User)
}

// way is one of the two ways to invalidate.
type way struct {
	name string
	do   func(*testing.T, echomfa.Store, echomfa.StoredFacts) error
}

func ways() []way {
	return []way{
		{"Delete", func(t *testing.T, s echomfa.Store, facts echomfa.StoredFacts) error {
			t.Helper()
			return s.Delete(t.Context(), facts.Key, facts.User)
		}},
		{"DeleteUser", func(t *testing.T, s echomfa.Store, facts echomfa.StoredFacts) error {
			t.Helper()
			return s.DeleteUser(t.Context(), facts.User)
		}},
	}
}

// change is what happened at GenAuth between a Get and its Set.
func changes() map[string][2][]echomfa.FactorType {
	has, none := []echomfa.FactorType{echomfa.OTP}, []echomfa.FactorType{}
	return map[string][2][]echomfa.FactorType{"a factor was removed": {has, none}, "a factor was enrolled": {none, has}}
}

// testOldVersion: what was asked for before an invalidation may be old, whether
// a factor was enrolled or removed. Whether the key was known does not matter,
// nor whether newer facts have come since.
func testOldVersion(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s, second := newStore(t), newStore(t)
	for _, way := range ways() {
		for name, change := range changes() {
			t.Run(way.name+", "+name, func(t *testing.T) {
				old := newFacts(change[0]...)
				v := version(t, s, old.Key, old.User)
				if err := way.do(t, second, old); err != nil {
					t.Fatal(err)
				}
				setAt(t, s, old, v)
				hasNot(t, s, old.Key, old.User)

				// Now with facts that are known: they stay.
				fresh := old
				fresh.Types = change[1]
				v = version(t, s, old.Key, old.User)
				if err := way.do(t, second, old); err != nil {
					t.Fatal(err)
				}
				set(t, second, fresh)
				setAt(t, s, old, v)
				got, found, _ := ask(t, s, old.Key, old.User)
				if found && differ(fresh, got) != "" {
					t.Fatalf("a list from before the invalidation came back: %v", got.Types)
				}
			})
		}
		t.Run(way.name+", known before", func(t *testing.T) {
			facts := newFacts()
			set(t, s, facts)
			v := version(t, s, facts.Key, facts.User)
			if err := way.do(t, s, facts); err != nil {
				t.Fatal(err)
			}
			setAt(t, second, facts, v)
			hasNot(t, s, facts.Key, facts.User)
			hasNot(t, second, facts.Key, facts.User)
		})
		t.Run(way.name+", twice", func(t *testing.T) {
			facts := newFacts()
			if err := way.do(t, s, facts); err != nil {
				t.Fatal(err)
			}
			v := version(t, s, facts.Key, facts.User)
			if err := way.do(t, s, facts); err != nil {
				t.Fatal(err)
			}
			setAt(t, s, facts, v)
			hasNot(t, s, facts.Key, facts.User)
		})
	}
	t.Run("Delete, a token of nobody", func(t *testing.T) {
		facts := newFacts()
		facts.User = echomfa.StoreKey{}
		v := version(t, s, facts.Key, facts.User)
		if err := s.Delete(t.Context(), facts.Key, facts.User); err != nil {
			t.Fatal(err)
		}
		setAt(t, s, facts, v)
		hasNot(t, s, facts.Key, facts.User)
	})
}

func testNewVersion(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s := newStore(t)
	for _, way := range ways() {
		t.Run(way.name, func(t *testing.T) {
			facts := newFacts()
			for range 2 {
				if err := way.do(t, s, facts); err != nil {
					t.Fatal(err)
				}
				set(t, s, facts)
				has(t, s, facts)
			}
		})
	}
	t.Run("another user's invalidation", func(t *testing.T) {
		facts, other := newFacts(), newFacts()
		v := version(t, s, facts.Key, facts.User)
		for _, way := range ways() {
			if err := way.do(t, s, other); err != nil {
				t.Fatal(err)
			}
		}
		setAt(t, s, facts, v)
		has(t, s, facts)
	})
}

// testConcurrentVersions: two tokens of a user are asked for at once, and so is
// one token by two instances. Nothing was invalidated, so all of it is kept.
func testConcurrentVersions(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s, second := newStore(t), newStore(t)
	a, b := newFacts(echomfa.OTP), newFacts(echomfa.SMS)
	b.User = a.User
	later := a
	later.Types = []echomfa.FactorType{echomfa.Email}
	va, vb, vLater := version(t, s, a.Key, a.User), version(t, s, b.Key, b.User), version(t, second, a.Key, a.User)
	setAt(t, s, a, va)
	setAt(t, s, b, vb)
	has(t, s, a)
	has(t, s, b)
	setAt(t, second, later, vLater)
	has(t, s, later)
}

func testShared(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s, second := newStore(t), newStore(t)
	facts := newFacts()
	set(t, s, facts)
	has(t, second, facts)
	if err := second.DeleteUser(t.Context(), facts.User); err != nil {
		t.Fatal(err)
	}
	hasNot(t, s, facts.Key, facts.User)
	set(t, s, facts)
	has(t, second, facts)
	if err := second.Delete(t.Context(), facts.Key, facts.User); err != nil {
		t.Fatal(err)
	}
	hasNot(t, s, facts.Key, facts.User)
}

func testApart(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s := newStore(t)
	facts := newFacts()
	set(t, s, facts)
	t.Run("another app", func(t *testing.T) {
		other := newStore(t)
		hasNot(t, other, facts.Key, facts.User)
		for _, way := range ways() {
			if err := way.do(t, other, facts); err != nil {
				t.Fatal(err)
			}
		}
	})
	has(t, s, facts)
}

// testConcurrent: whatever is going on, nobody is told of another's factors,
// and what is over has its end.
func testConcurrent(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	stores := []echomfa.Store{newStore(t), newStore(t)}
	users := make([]echomfa.StoredFacts, 8)
	for i := range users {
		users[i] = newFacts(echomfa.FactorType([]string{"A", "B", "C", "D", "E", "F", "G", "H"}[i]))
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			s := stores[worker%len(stores)]
			for i := range 50 {
				want := users[(worker+i)%len(users)]
				got, found, v, err := s.Get(t.Context(), want.Key, want.User)
				if err != nil {
					t.Errorf("Get: %v", err)
					return
				}
				if difference := differ(want, got); found && difference != "" {
					t.Errorf("another's list: %s", difference)
				}
				switch i % 8 {
				case 6:
					err = s.Delete(t.Context(), want.Key, want.User)
				case 7:
					err = s.DeleteUser(t.Context(), want.User)
				default:
					err = s.Set(t.Context(), want, v, long)
				}
				if err != nil {
					t.Errorf("after Get: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for _, facts := range users {
		set(t, stores[0], facts)
		has(t, stores[1], facts)
	}
}
