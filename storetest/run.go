package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
)

// patience is how long the suite waits for what ought to happen.
const patience = 15 * time.Second

// long is more than any test takes.
const long = time.Minute

// Run tests a Store against what [echomfa.Store] says.
//
// newStore is called once or more in each test of the suite. With the same t it
// returns instances that share their data, as those of several processes of one
// app do; with another t, instances whose data is apart, as two apps' on one
// server: a prefix made of t.Name() does that. It closes what it opens by
// t.Cleanup. The tests run in parallel.
//
// Faults are what the suite does to the data behind them: without them it cannot test
// what a Store says when it has lost something, which is what a Store is hardest to
// get right in.
//
// Goroutines that are left over are not looked for: use goleak in TestMain.
func Run(t *testing.T, newStore func(t *testing.T) echomfa.Store, faults ...Faults) {
	t.Helper()
	tests := map[string]func(*testing.T, func(*testing.T) echomfa.Store){
		"not found is not an error":           testNothing,
		"a list comes back whole":             testRoundTrip,
		"keep ends":                           testKeepEnds,
		"a newer list replaces an older one":  testOverwrite,
		"an older list replaces no newer one": testLateSet,
		"keys are apart":                      testKeysApart,
		"a caller's slice is its own":         testSlices,
		"Delete forgets one token":            testDelete,
		"DeleteUser forgets all of a user":    testDeleteUser,
		"a Set from before is dropped":        testOldVersion,
		"a Set from after is kept":            testNewVersion,
		"Sets do not drop each other":         testConcurrentVersions,
		"instances share their data":          testShared,
		"other apps' data is apart":           testApart,
		"Watch hears in order":                testWatchOrder,
		"Watch hears its own app only":        testWatchApart,
		"Watch ends with ctx":                 testWatchEnds,
		"Watch begins with what was before":   testWatchBegins,
		"Watch says that it hears":            testWatchGoesOn,
		"counts are shared":                   testCounter,
		"an ended ctx is an error":            testEndedContext,
		"many at once":                        testConcurrent,
	}
	for _, f := range faults {
		maps.Copy(tests, f.tests())
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newStore)
		})
	}
}

// newKey returns a key that nobody else has.
func newKey() echomfa.StoreKey {
	var k echomfa.StoreKey
	rand.Read(k[:]) // never fails, as its documentation says
	return k
}

// newFacts returns facts with a token and a user of their own.
func newFacts(types ...echomfa.FactorType) echomfa.StoredFacts {
	if types == nil {
		types = []echomfa.FactorType{echomfa.OTP}
	}
	return echomfa.StoredFacts{Key: newKey(), User: newKey(), Types: types, Asked: time.Now()}
}

// ask is Get with what may go wrong checked.
func ask(t *testing.T, s echomfa.Store, key, user echomfa.StoreKey) (echomfa.StoredFacts, bool, echomfa.StoreVersion) {
	t.Helper()
	facts, found, version, err := s.Get(t.Context(), key, user)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return facts, found, version
}

func version(t *testing.T, s echomfa.Store, key, user echomfa.StoreKey) echomfa.StoreVersion {
	t.Helper()
	_, _, v := ask(t, s, key, user)
	return v
}

// set keeps facts under a version that is current.
func set(t *testing.T, s echomfa.Store, facts echomfa.StoredFacts) {
	t.Helper()
	setAt(t, s, facts, version(t, s, facts.Key, facts.User))
}

func setAt(t *testing.T, s echomfa.Store, facts echomfa.StoredFacts, v echomfa.StoreVersion) {
	t.Helper()
	if err := s.Set(t.Context(), facts, v, long); err != nil {
		t.Fatalf("Set: %v", err)
	}
}

func has(t *testing.T, s echomfa.Store, want echomfa.StoredFacts) {
	t.Helper()
	got, found, _ := ask(t, s, want.Key, want.User)
	if !found {
		t.Fatalf("the list is not found")
	}
	if difference := differ(want, got); difference != "" {
		t.Fatalf("the list came back changed: %s", difference)
	}
}

func hasNot(t *testing.T, s echomfa.Store, key, user echomfa.StoreKey) {
	t.Helper()
	if got, found, _ := ask(t, s, key, user); found {
		t.Fatalf("found, but ought not to be: %v", got.Types)
	}
}

// differ tells facts apart. Times count to the microsecond.
func differ(want, got echomfa.StoredFacts) string {
	switch {
	case want.Key != got.Key:
		return "another Key"
	case want.User != got.User:
		return "another User"
	case !slices.Equal(want.Types, got.Types):
		return fmt.Sprintf("Types %q, want %q", got.Types, want.Types)
	case got.Asked.Sub(want.Asked).Abs() > time.Microsecond:
		return fmt.Sprintf("Asked %v, want %v", got.Asked, want.Asked)
	case want.Expires.IsZero() != got.Expires.IsZero(), got.Expires.Sub(want.Expires).Abs() > time.Microsecond:
		return fmt.Sprintf("Expires %v, want %v", got.Expires, want.Expires)
	}
	return ""
}

func testNothing(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s := newStore(t)
	hasNot(t, s, newKey(), newKey())
	hasNot(t, s, newKey(), echomfa.StoreKey{})
}

func testRoundTrip(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s := newStore(t)
	var many []echomfa.FactorType
	for i := range 32 {
		many = append(many, echomfa.FactorType(fmt.Sprintf("%02d%s", i, strings.Repeat("x", 62))))
	}
	all := append([]echomfa.FactorType{echomfa.OTP, echomfa.SMS, echomfa.Email, echomfa.Face, echomfa.Passkey}, many...)
	now := time.Now()
	for name, facts := range map[string]echomfa.StoredFacts{
		"one type":           {Types: []echomfa.FactorType{echomfa.OTP}, User: newKey(), Asked: now, Expires: now.Add(time.Hour)},
		"no type":            {User: newKey(), Asked: now, Expires: now.Add(time.Hour)},
		"no user":            {Types: []echomfa.FactorType{echomfa.OTP}, Asked: now, Expires: now.Add(time.Hour)},
		"no expiry":          {Types: []echomfa.FactorType{echomfa.OTP}, User: newKey(), Asked: now},
		"expiry far away":    {User: newKey(), Asked: now, Expires: time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)},
		"expiry in the past": {User: newKey(), Asked: now, Expires: time.Unix(-1, 0)},
		"asked a while ago":  {User: newKey(), Asked: now.Add(-4*time.Minute - 123456*time.Microsecond)},
		"as many as may be":  {Types: all, User: newKey(), Asked: now},
		"unusual types": {Types: []echomfa.FactorType{
			"a,b", "a b", "\"", "\x00", "\xff\xfe", "指纹", "{}", "\r\n", "*", echomfa.FactorType(strings.Repeat("é", 32)),
		}, User: newKey(), Asked: now},
	} {
		facts.Key = newKey()
		t.Run(name, func(t *testing.T) {
			set(t, s, facts)
			has(t, s, facts)
		})
	}
}

func testKeepEnds(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s := newStore(t)
	facts := newFacts()
	if err := s.Set(t.Context(), facts, version(t, s, facts.Key, facts.User), 50*time.Millisecond); err != nil {
		t.Fatalf("Set: %v", err)
	}
	eventually(t, "kept for longer than it may be", func() bool {
		_, found, _ := ask(t, s, facts.Key, facts.User)
		return !found
	})
	set(t, s, facts)
	has(t, s, facts)
}

// eventually waits until something is so.
func eventually(t *testing.T, otherwise string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience/3)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !so() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatal(otherwise)
		}
	}
}

func testOverwrite(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s := newStore(t)
	facts := newFacts(echomfa.OTP, echomfa.SMS)
	set(t, s, facts)
	facts.Types = []echomfa.FactorType{echomfa.Email}
	facts.Asked = facts.Asked.Add(time.Millisecond)
	set(t, s, facts)
	has(t, s, facts)
}

// testLateSet: X11. Two instances have asked at once, and the one that asked first is
// the last to tell.
func testLateSet(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s, second := newStore(t), newStore(t)
	older, newer := newFacts(echomfa.OTP), newFacts(echomfa.SMS)
	newer.Key, newer.User = older.Key, older.User
	newer.Asked = older.Asked.Add(time.Millisecond)
	v := version(t, s, older.Key, older.User)
	set(t, second, newer)
	setAt(t, s, older, v)
	has(t, s, newer)
	setAt(t, s, newer, v)
	has(t, s, newer)
	if err := s.Delete(t.Context(), older.Key, older.User); err != nil {
		t.Fatal(err)
	}
	set(t, s, older) // nothing newer is known any more
	has(t, s, older)
}

func testKeysApart(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s := newStore(t)
	a, b := newFacts(echomfa.OTP), newFacts(echomfa.SMS)
	b.User = a.User
	set(t, s, a)
	hasNot(t, s, b.Key, b.User)
	set(t, s, b)
	has(t, s, a)
	has(t, s, b)
	for at := range a.Key { // every bit of a key counts
		near := a.Key
		near[at] ^= 1
		hasNot(t, s, near, a.User)
	}
}

func testSlices(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s := newStore(t)
	facts := newFacts(echomfa.OTP, echomfa.SMS)
	want := facts
	want.Types = slices.Clone(facts.Types)
	set(t, s, facts)
	facts.Types[0] = "changed by who set it"
	got, _, _ := ask(t, s, want.Key, want.User)
	if len(got.Types) > 0 {
		got.Types[0] = "changed by who got it"
	}
	has(t, s, want)
}

func testEndedContext(t *testing.T, newStore func(*testing.T) echomfa.Store) {
	s := newStore(t)
	facts := newFacts()
	v := version(t, s, facts.Key, facts.User)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	begin := time.Now()
	_, found, _, err := s.Get(ended, facts.Key, facts.User)
	if found {
		t.Error("Get: found")
	}
	for name, err := range map[string]error{
		"Get":        err,
		"Set":        s.Set(ended, facts, v, long),
		"Delete":     s.Delete(ended, facts.Key, facts.User),
		"DeleteUser": s.DeleteUser(ended, facts.User),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want an error that is context.Canceled", name, err)
		}
	}
	if took := time.Since(begin); took > patience {
		t.Errorf("it took %v", took)
	}
}
