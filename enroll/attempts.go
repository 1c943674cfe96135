package enroll

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// What a user can cause. All of it is per user, of up to as many users at once.
const (
	limitedUsers = 1 << 14

	codesAtOnce = 10 // wrong ones
	codeEvery   = 90 * time.Second

	messagesAtOnce = 10
	messageEvery   = 90 * time.Second

	pagesAtOnce = 60 // each asks GenAuth up to four times
	pageEvery   = time.Second
)

// limit bounds what a user can do. It may be used by several goroutines at once.
type limit struct {
	every  time.Duration
	atOnce int

	mu    sync.Mutex
	users *simplelru.LRU[string, *rate.Limiter]
}

func newLimit(every time.Duration, atOnce int) *limit {
	return &limit{every: every, atOnce: atOnce, users: newLRU[*rate.Limiter]()}
}

func newLRU[V any]() *simplelru.LRU[string, V] {
	kept, err := simplelru.NewLRU[string, V](limitedUsers, nil)
	if err != nil {
		panic(err) // the size is a constant
	}
	return kept
}

// take counts one, and reports whether it is within the limit.
func (l *limit) take(user string) bool { return l.wait(user) == 0 }

// wait counts one, or returns after how long it is within the limit.
func (l *limit) wait(user string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, ok := l.users.Get(user)
	if !ok {
		limiter = rate.NewLimiter(rate.Every(l.every), l.atOnce)
		l.users.Add(user, limiter)
	}
	taken := limiter.Reserve()
	wait := taken.Delay()
	if wait > 0 {
		taken.Cancel()
	}
	return wait
}

// forget begins a user's count again.
func (l *limit) forget(user string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.users.Remove(user)
}

// mayTry reports whether the user may try a code: somebody who has taken over a session
// must not find the code of the authenticator app by trying. It counts each code as a wrong
// one, since others may be on their way: see right.
func (v *visit) mayTry() bool { return v.within(v.h.codes) }

// right says that a code was right: who has it need not try, and what was typed before
// counts no more.
func (v *visit) right() { v.h.codes.forget(v.name()) }

// maySend reports whether a code may be sent to where the user says. Each counts: a
// session is no way to send messages to whomever one likes.
func (v *visit) maySend() bool { return v.within(v.h.messages) }

// within reports whether the visit is within a limit, or sets from when on it is.
func (v *visit) within(l *limit) bool {
	wait := l.wait(v.name())
	v.again = time.Now().Add(wait)
	return wait == 0
}

// name is what a user is counted by.
func (v *visit) name() string {
	if user, err := v.user(); err == nil {
		return user
	}
	return string(digestOf(v.token)) // each token for itself, until GenAuth says whose it is
}

// users remember whose the tokens are that do not say so. They may be used by several
// goroutines at once.
type users struct {
	mu    sync.Mutex
	names *simplelru.LRU[string, string] // by digest of the token
}

func (u *users) get(token string) (string, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.names.Get(string(digestOf(token)))
}

func (u *users) set(token, name string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.names.Add(string(digestOf(token)), name)
}

// lastTold remembers the last change of a user that the app was told of. It may be used by
// several goroutines at once.
type lastTold struct {
	mu   sync.Mutex
	last *simplelru.LRU[string, string] // by user, a digest
}

// isNew reports whether a change is another one than the last of the user. An older one
// may be the same and is not known: what was added, removed and added again is told
// three times.
func (o *lastTold) isNew(user, change string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	key := string(digestOf(change))
	if last, ok := o.last.Get(user); ok && last == key {
		return false
	}
	o.last.Add(user, key)
	return true
}

// user returns the id of the user who is here: the sub of the token, or what GenAuth says
// of an opaque one.
func (v *visit) user() (string, error) {
	if user := v.subject(); user != "" {
		return user, nil
	}
	if user, ok := v.h.users.get(v.token); ok {
		return user, nil
	}
	user, err := v.h.cfg.Client.UserID(v.r.Context(), v.token)
	if err == nil {
		v.h.users.set(v.token, user)
	}
	return user, err
}
