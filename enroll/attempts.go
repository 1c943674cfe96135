package enroll

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

const (
	attemptsAtOnce = 10
	attemptEvery   = 90 * time.Second
	attemptUsers   = 1 << 14
)

// attempts bounds how many codes a user can try or have sent: whoever has taken
// over a session must not find the code of the authenticator app by trying.
type attempts struct {
	mu    sync.Mutex
	users *simplelru.LRU[string, *rate.Limiter]
}

func newAttempts() *attempts {
	users, err := simplelru.NewLRU[string, *rate.Limiter](attemptUsers, nil)
	if err != nil {
		panic(err) // the size is a constant
	}
	return &attempts{users: users}
}

// take takes one of the user's attempts, and reports whether there was one.
func (a *attempts) take(user string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	limiter, ok := a.users.Get(user)
	if !ok {
		limiter = rate.NewLimiter(rate.Every(attemptEvery), attemptsAtOnce)
		a.users.Add(user, limiter)
	}
	return limiter.Allow()
}

// mayTry reports whether the user may try a code, or have one sent.
func (v *visit) mayTry() bool {
	user := v.subject()
	if user == "" {
		user = string(binding(v.token))
	}
	return v.h.attempts.take(user)
}
