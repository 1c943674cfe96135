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
	"strings"
	"sync/atomic"
	"time"
)

// CookieName is the name of the cookie that counts.
const CookieName = "echomfa_round"

const (
	countedFor = 30 * time.Second
	quietFor   = time.Minute

	// maxRounds is how often a browser is sent away before it gets the page.
	// Browsers follow 20 redirects, and a sign-in elsewhere takes four or five.
	maxRounds = 4

	maxPath = 64
)

// Next returns the cookie that counts one more round of a browser which asks for a
// page, by its path as browsers have it, or false if it has gone round often enough.
func Next(r *http.Request, path string, secure bool) (*http.Cookie, bool) {
	mark := markOf(r)
	rounds := roundsOf(r, mark)
	if rounds >= maxRounds {
		return nil, false
	}
	if len(path) > maxPath || strings.ContainsAny(path, ";%") {
		// It would take the room of the Location, end there, or be compared with
		// what is decoded. Without one the browser takes the folder of the page.
		path = ""
	}
	return &http.Cookie{ //nolint:gosec // Secure where the app is reached by https
		Name: CookieName, Value: fmt.Sprintf("%s.%d", mark, rounds+1), Path: path, MaxAge: int(countedFor / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure,
	}, true
}

// markOf tells what a cookie counts from what others do: cookies of the
// paths above are sent too. Both destinations count together: a circle may lead by
// one and the other in turn.
func markOf(r *http.Request) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(r.URL.Path)) // never fails
	return fmt.Sprintf("%016x", h.Sum64())
}

// roundsOf returns how often the browser was sent away, as its cookie says.
func roundsOf(r *http.Request, mark string) int {
	rounds := 0
	for _, cookie := range r.CookiesNamed(CookieName) {
		is, count, _ := strings.Cut(cookie.Value, ".")
		if is == mark && len(count) == 1 && '0' <= count[0] && count[0] <= '9' {
			rounds = max(rounds, int(count[0]-'0'))
		}
	}
	return rounds
}

// Alarm knows when a circle was last logged: clients can make as many as they like.
type Alarm struct{ last atomic.Int64 }

// Due reports whether a circle is to be logged now, and counts it as logged.
func (a *Alarm) Due() bool {
	now := time.Now().UnixNano()
	before := a.last.Load()
	return (before == 0 || now-before >= int64(quietFor)) && a.last.CompareAndSwap(before, now)
}
