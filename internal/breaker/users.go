package breaker

import (
	"sync"
	"time"
)

const (
	perUser   = 4       // lookups of a known user under way at once
	mostUsers = 1 << 12 // who are remembered, if all are held
)

// Stamp says when and in which state of the cache something was asked for: an invalidation
// may have ended it since.
type Stamp struct {
	At    int64
	Epoch uint16
}

// Users are the known users with lookups under way, and the memory of those whose lookups
// fail while others succeed. One who signs in again and again has hundreds of tokens that
// GenAuth accepts. Each may be of those lookups that go first, and hang: four at once of one
// user are a sixteenth of the lookups that may be, and more than somebody with several
// devices has, since requests with one token share a lookup. While a user's lookups fail,
// one at once is enough to see the end of it, and the user is held as a token is.
//
// Two users may share the id by which they are told apart. Who is held is another matter:
// then the caller is asked who it is, which costs more.
//
// The zero Users has none. Its methods may be called by several goroutines at once.
type Users struct {
	mu    sync.Mutex
	of    map[uint64]user
	swept time.Time
}

type user struct {
	underWay int
	memory   Memory
	who      uint64 // whom memory is about
	failed   Stamp
}

// Enter lets a lookup of a known user be made, whose [Users.Leave] must follow. Over
// reports whether an invalidation has ended what is remembered. The error is a [*HeldError].
func (u *Users) Enter(id uint64, now time.Time, who func() uint64, over func(Stamp) bool) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	one := u.of[id]
	if one.memory.Failing() && over(one.failed) {
		one.memory = Memory{}
	}
	most, rest := perUser, time.Duration(0)
	if one.memory.Failing() && one.who == who() {
		most, rest = 1, one.memory.Rest(now)
	}
	switch {
	case rest > 0:
		return &HeldError{Rest: rest, User: true}
	case one.underWay >= most:
		return &HeldError{Rest: time.Second, User: true, Busy: true}
	}
	if u.of == nil {
		u.of = make(map[uint64]user)
	}
	one.underWay++
	u.of[id] = one
	return nil
}

// Leave notes that a lookup is over.
func (u *Users) Leave(id uint64, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	one := u.of[id]
	one.underWay--
	u.put(id, one)
	if len(u.of) <= mostUsers {
		return
	}
	if one.forgettable(now) {
		delete(u.of, id)
	}
	// If all are held, to look at each of them finds nobody: that is done once a second.
	if now.Sub(u.swept) >= time.Second {
		u.sweep(now)
	}
}

// forgettable reports whether a user has no lookup under way and is not held.
func (o user) forgettable(now time.Time) bool { return o.underWay == 0 && o.memory.Rest(now) == 0 }

// put keeps a user of whom there is something to keep. u.mu is held.
func (u *Users) put(id uint64, one user) {
	if u.of[id] = one; one.underWay == 0 && !one.memory.Failing() {
		delete(u.of, id)
	}
}

// sweep forgets who can be forgotten. u.mu is held.
func (u *Users) sweep(now time.Time) {
	u.swept = now
	for id, one := range u.of {
		if one.forgettable(now) {
			delete(u.of, id)
		}
	}
}

// Held returns how many users are held.
func (u *Users) Held(now time.Time) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for _, one := range u.of {
		if one.memory.Rest(now) > 0 {
			n++
		}
	}
	return n
}

// Fail remembers that a lookup of a user has failed, who has one under way, and returns for
// how long the user is held.
func (u *Users) Fail(id, who uint64, asked Stamp, now time.Time, successes uint64) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	one := u.of[id]
	if one.who != who {
		one.memory = Memory{}
	}
	one.memory, one.who, one.failed = one.memory.Fail(now, successes, false), who, asked
	u.of[id] = one
	return one.memory.Rest(now)
}

// Succeed forgets that a user's lookups have failed.
func (u *Users) Succeed(id uint64, who func() uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if one := u.of[id]; one.memory.Failing() && one.who == who() {
		one.memory = Memory{}
		u.put(id, one)
	}
}
