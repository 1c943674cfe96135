package enroll

import (
	"log/slog"
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

	// callsOfAPage is how often a page asks, about: all pages together ask half as often
	// as the Enforcer may.
	callsOfAPage = 2
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

// spend uses up what a user has left and as much again: nothing is within the limit for
// about as long as all of it takes to come back.
func (l *limit) spend(user string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	limiter, now := rate.NewLimiter(rate.Every(l.every), l.atOnce), time.Now()
	limiter.ReserveN(now, l.atOnce)
	limiter.ReserveN(now, l.atOnce)
	l.users.Add(user, limiter)
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
func (v *visit) mayTry() bool { return v.within("codes", v.h.codes) }

// right says that a code was right: who has it need not try, and what was typed before
// counts no more.
func (v *visit) right() { v.h.codes.forget(v.name()) }

// wasWrong counts a wrong code for all instances. Who tries at one after the other is
// known to each by its first wrong code, and by none to try again.
func (v *visit) wasWrong() {
	if !v.take("codes", codesAtOnce, codeEvery) {
		v.h.codes.spend(v.name())
	}
}

// take counts for all instances.
func (v *visit) take(what string, limit int, every time.Duration) bool {
	return v.h.cfg.Enforcer.Take(v.lasting(), "enroll "+what+" "+v.name(), limit, time.Duration(limit)*every)
}

// maySend reports whether a code may be sent to where the user says. Each counts: a
// session must not be a way to send messages to anybody.
func (v *visit) maySend() bool {
	if !v.within("messages", v.h.messages) {
		return false
	}
	if v.take("messages", messagesAtOnce, messageEvery) {
		return true
	}
	v.h.messages.spend(v.name())
	return v.within("messages", v.h.messages)
}

// within reports whether the visit is within a limit, or sets from when on it is.
func (v *visit) within(what string, l *limit) bool {
	wait := l.wait(v.name())
	if v.again = time.Now().Add(wait); wait > 0 {
		v.limited(what, v.name(), wait)
	}
	return wait == 0
}

// limited says that a limit was met, and by whom is not said.
func (v *visit) limited(what, user string, wait time.Duration) {
	if v.isDue(what + " " + user) {
		v.h.cfg.Logger.LogAttrs(v.r.Context(), slog.LevelWarn, "enrollment limit reached",
			slog.String("event", "enroll_limit_reached"), slog.String("path", v.loggedPath()),
			v.reference(), slog.String("limit", what), slog.Duration("for", wait.Round(time.Second)))
	}
}

// sayEvery is how often a line says again what clients can cause as often as they like.
const sayEvery = time.Minute

// isDue reports whether a line is due about something. Until it is again, all pages about
// that have the reference of the one line.
func (v *visit) isDue(what string) bool {
	ref, isNew := v.h.said.getOrSet(what, v.reference().Value.String(), sayEvery)
	v.ref = ref
	return isNew
}

// name is what a user is counted by.
func (v *visit) name() string {
	if user, err := v.user(); err == nil {
		return user
	}
	return string(digestOf(v.token)) // each token for itself, until GenAuth says whose it is
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
	if known, ok := v.h.users.get(v.token); ok {
		return known.name, known.err
	}
	// Who hangs up must not stay unknown.
	user, err := v.h.cfg.Client.UserID(v.lasting(), v.token)
	keep := nameFor
	if err != nil {
		keep = failureFor
	}
	v.h.users.set(v.token, named{user, err}, keep)
	return user, err
}

// named is whose a token is, or why GenAuth does not say.
type named struct {
	name string
	err  error
}
