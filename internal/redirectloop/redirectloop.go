// Package redirectloop ends redirects that lead in a circle. A browser that is sent
// to sign in and comes back with what is refused again would go round without end: a
// sign-in page that finds a session passes it on at once. A cookie counts the rounds
// for a short while, and then the browser gets a page instead. The cookie is the
// client's to make up: all it can do is to have that page a little earlier, or to go
// round until the browser gives up.
package redirectloop

import (
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// The cookies that count have these names, with a number after them. The first one is
// for browsers that reach the app by https: no other host of the same domain can set it,
// and no page that was not fetched by https.
const (
	hostPrefix = "__Host-" + plain
	plain      = "echomfa_round_"
)

// Owns reports whether a cookie of this name may be one that counts.
func Owns(name string) bool {
	return strings.HasPrefix(name, plain) || strings.HasPrefix(name, hostPrefix)
}

const (
	// counters is how many cookies there are at most. Pages share them: those of two
	// pages that are asked for within countedFor count together.
	counters   = 64
	countedFor = 30 * time.Second
	quietFor   = time.Minute

	// maxRounds is how often a browser is sent away before it gets the page.
	// Browsers follow 20 redirects, and a sign-in elsewhere takes four or five.
	maxRounds = 4
)

// Next returns the cookie that counts one more round of a browser which asks for a
// page, or false if it has gone round often enough. Both destinations count together:
// a circle may lead by one and the other in turn. The cookie is for all paths: a proxy
// may have changed the one that the browser knows.
func Next(r *http.Request, secure bool) (*http.Cookie, bool) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(r.URL.Path)) // never fails
	name := plain
	if secure {
		name = hostPrefix
	}
	name += strconv.FormatUint(h.Sum64()%counters, 10)
	rounds := 0
	for _, cookie := range r.CookiesNamed(name) {
		if count := cookie.Value; len(count) == 1 && '0' <= count[0] && count[0] <= '9' {
			rounds = max(rounds, int(count[0]-'0'))
		}
	}
	if rounds >= maxRounds {
		return nil, false
	}
	return &http.Cookie{ //nolint:gosec // Secure where the app is reached by https
		Name: name, Value: strconv.Itoa(rounds + 1), Path: "/", MaxAge: int(countedFor / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure,
	}, true
}

// Alarm knows when a circle was last logged: clients can make as many as they like.
type Alarm struct{ last atomic.Int64 }

// Due reports whether a circle is to be logged now, and counts it as logged.
func (a *Alarm) Due() bool {
	now := time.Now().UnixNano()
	before := a.last.Load()
	return (before == 0 || now-before >= int64(quietFor)) && a.last.CompareAndSwap(before, now)
}
