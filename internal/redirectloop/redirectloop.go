// Package redirectloop ends redirects that lead in a circle. A browser that is sent
// to sign in and comes back with what is refused again would go round without end: a
// sign-in page that finds a session passes it on at once. A cookie counts the rounds
// for a short while, and then the browser gets a page instead. The cookie is the
// client's to make up: all it can do is to have that page a little earlier.
package redirectloop

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// CookiePrefix begins the names of the cookies that count: each page has its own.
const CookiePrefix = "echomfa_round_"

const (
	countedFor = 30 * time.Second
	quietFor   = time.Minute

	// maxRounds is how often a browser is sent away before it gets the page.
	// Browsers follow 20 redirects, and a sign-in elsewhere takes four or five.
	maxRounds = 4
)

// Next returns the cookie that counts one more round of a browser which asks for a
// page, or false if it has gone round often enough. Both destinations count together:
// a circle may lead by one and the other in turn. The cookie has no path, so that the
// browser takes the folder of the page as it knows it: a proxy may have changed that.
func Next(r *http.Request, secure bool) (*http.Cookie, bool) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(r.URL.Path)) // never fails
	name := fmt.Sprintf("%s%016x", CookiePrefix, h.Sum64())
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
		Name: name, Value: strconv.Itoa(rounds + 1), MaxAge: int(countedFor / time.Second),
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
