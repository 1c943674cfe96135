package echomfa

import (
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/echomfa/echomfa/internal/accept"
)

// A browser that is sent to sign in and comes back with what is refused again
// would go round without end: a sign-in page that finds a session passes it on
// at once. A cookie counts the rounds for a short while, and then the browser
// gets a page instead. The cookie is the client's to make up: all it can do is
// to have that page a little earlier.
const (
	circleCookie = "echomfa_round"
	circleFor    = 30 * time.Second
	circleLog    = time.Minute

	// maxRounds is how often a browser is sent away before it gets the page.
	// Browsers follow 20 redirects, and a sign-in elsewhere takes four or five.
	maxRounds = 4

	maxCirclePath = 64
)

// circles is when a circle was last logged, in Unix nanoseconds.
type circles struct{ enroll, login atomic.Int64 }

// moves reports whether a client is sent on without its user's doing. If it has
// been sent there again and again, the page that it gets says so.
func (e *Enforcer) moves(w http.ResponseWriter, r *http.Request, kind accept.Kind, answer *reply) bool {
	switch {
	case kind == accept.Program, kind == accept.Framed:
		return false // a frame has not the room for what comes next
	case kind == accept.Browser && !isGet(r), accept.IsPrefetch(r):
		return true // nobody posts a form again by itself
	}
	field, last := "EnrollURL", &e.circles.enroll
	sent := "You were sent to set up sign-in factors several times, but this page still needs one that you have not enrolled"
	if answer.destination == &e.login {
		field, last = "LoginURL", &e.circles.login
		sent = "You were sent to sign in several times, but this page still cannot use your sign-in"
	}
	mark := circleMark(r)
	rounds := circleRounds(r, mark)
	if rounds < maxRounds {
		http.SetCookie(w, e.circleCookie(r, fmt.Sprintf("%s.%d", mark, rounds+1)))
		return true
	}
	reason := e.source.secrets(r).Hide(answer.reason) // it may be the application's own words
	if answer.Detail = sent + "."; reason != "" {
		answer.Detail = sent + ": " + reason + "."
	}
	now := time.Now().UnixNano()
	if before := last.Load(); (before == 0 || now-before >= int64(circleLog)) && last.CompareAndSwap(before, now) {
		e.cfg.Logger.LogAttrs(r.Context(), slog.LevelError,
			"mfa sends browsers in a circle: they come back and are refused again",
			slog.String("decision_id", answer.DecisionID), slog.String("field", field), slog.String("error", reason))
	}
	return false
}

// circleMark tells what a cookie counts from what others do: cookies of the
// paths above are sent too. Both destinations count together: a circle may lead by
// one and the other in turn.
func circleMark(r *http.Request) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(r.URL.Path)) // never fails
	return fmt.Sprintf("%016x", h.Sum64())
}

// circleRounds returns how often the browser was sent away, as its cookie says.
func circleRounds(r *http.Request, mark string) int {
	rounds := 0
	for _, cookie := range r.CookiesNamed(circleCookie) {
		is, count, _ := strings.Cut(cookie.Value, ".")
		if is == mark && len(count) == 1 && '0' <= count[0] && count[0] <= '9' {
			rounds = max(rounds, int(count[0]-'0'))
		}
	}
	return rounds
}

func (e *Enforcer) circleCookie(r *http.Request, value string) *http.Cookie {
	back, _ := e.returnTo.fromRequest(r)
	path, _, _ := strings.Cut(back, "?")
	if len(path) > maxCirclePath || strings.ContainsAny(path, ";%") {
		// It would take the room of the Location, end there, or be compared with
		// what is decoded. Without one the browser takes the folder of the page.
		path = ""
	}
	return &http.Cookie{ //nolint:gosec // Secure where the app is reached by https
		Name: circleCookie, Value: value, Path: path, MaxAge: int(circleFor / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: r.TLS != nil || e.returnTo.origin != nil && e.returnTo.origin.Scheme == "https",
	}
}
