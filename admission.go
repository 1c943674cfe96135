package echomfa

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/echomfa/echomfa/internal/claims"
	"github.com/echomfa/echomfa/internal/digest"
)

// audienceRule is who a JWT-shaped token must be meant for. Any app of the
// same GenAuth would accept it otherwise (RFC 9068, section 4).
type audienceRule struct {
	accepted []string
	any      bool
}

// admission is what a token says of itself. Each value but the first is a cause
// for refusing it.
type admission uint8

const (
	admitted admission = iota
	notAccessToken
	notUser
	notOurs

	admissions = int(notOurs) + 1
)

// admit checks a token before GenAuth is asked: whether it is meant for this
// application and for a user. That GenAuth accepts a token is necessary and
// not sufficient.
func (a audienceRule) admit(c *claims.Claims) admission {
	switch {
	case !c.JWT:
		return admitted
	case c.IDToken:
		return notAccessToken
	case c.Subject == "":
		return notUser
	case !a.any && !slices.ContainsFunc(c.Audience, func(s string) bool { return slices.Contains(a.accepted, s) }):
		return notOurs
	}
	return admitted
}

// err is the error of the refusal.
func (a admission) err() error {
	return errBadToken([admissions]string{ //nolint:gosec // G101 takes the word token for one
		notAccessToken: "an ID token is not an access token",
		notUser:        "the token names no user",
		notOurs:        "the token is meant for another application",
	}[a])
}

// admissionWatch notices when tokens are refused for what they say of themselves
// and it is likely that none would be accepted: a wrong app id, or a frontend that
// sends the ID token, looks to each user like an expired session.
type admissionWatch struct {
	log      *slog.Logger
	expected string // the audiences

	mu       sync.Mutex
	accepted bool                            // GenAuth has told the factors of some JWT's user
	recent   [watchWindow]checkedToken       // the newest distinct tokens, in a ring
	next     int                             // where the next one goes
	causes   [admissions]admissionCauseWatch // by what is wrong
}

type checkedToken struct {
	key  digest.Key
	was  admission
	used bool
}

type admissionCauseWatch struct {
	alarmed bool
	logged  time.Time
}

// admissionPause is how long an alarm is not repeated. Clients choose which tokens
// are checked: they must not fill the log by good and bad ones in turn.
const admissionPause = time.Hour

// refused notes that a token was refused for what it says of itself, and says so
// at Error: at the first one, if no token has been accepted yet, and when most of
// the last 20 tokens are refused so.
func (w *admissionWatch) refused(ctx context.Context, k digest.Key, cause admission, c *claims.Claims) {
	bad, of, alarm := w.note(k, cause)
	if !alarm {
		return
	}
	numbers := []slog.Attr{slog.Int("refused", bad), slog.Int("of", of)}
	switch cause {
	case notOurs:
		w.log.LogAttrs(ctx, slog.LevelError, "mfa tokens are refused for their audience: check AppID of client.Config, and Audience",
			append(numbers, slog.String("expected", w.expected), slog.String("audience", printable(c.Audience)))...)
	case notUser:
		w.log.LogAttrs(ctx, slog.LevelError, "mfa tokens are refused because they name no user: send the tokens of users, which have a sub", numbers...)
	default: // notAccessToken
		w.log.LogAttrs(ctx, slog.LevelError, "mfa tokens are refused because they are ID tokens: send the access token instead", numbers...)
	}
}

// accept notes that GenAuth has told the factors of a JWT's user.
func (w *admissionWatch) accept(k digest.Key) { w.note(k, admitted) }

// note records a token and reports how many of the newest were refused for the
// same cause, and whether to say so. A token counts once among them: one client
// that keeps sending a wrong token is no sign of a wrong configuration.
func (w *admissionWatch) note(k digest.Key, was admission) (bad, of int, alarm bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.accepted = w.accepted || was == admitted
	w.put(k, was)
	var counts [admissions]int
	for i := range w.recent {
		if w.recent[i].used {
			of++
			counts[w.recent[i].was]++
		}
	}
	for cause := range w.causes {
		if counts[cause]*2 <= of {
			w.causes[cause].alarmed = false
		}
	}
	if was == admitted {
		return 0, of, false
	}
	bad = counts[was]
	cause := &w.causes[was]
	most := bad*2 > of && of >= watchLeast
	first := !w.accepted && cause.logged.IsZero()
	if now := time.Now(); first || most && !cause.alarmed && (cause.logged.IsZero() || now.Sub(cause.logged) >= admissionPause) {
		cause.alarmed, cause.logged = true, now
		return bad, of, true
	}
	return bad, of, false
}

// put adds a token to the ring, unless it is there.
func (w *admissionWatch) put(k digest.Key, was admission) {
	for i := range w.recent {
		if w.recent[i].used && w.recent[i].key == k {
			w.recent[i].was = was
			return
		}
	}
	w.recent[w.next] = checkedToken{key: k, was: was, used: true}
	w.next = (w.next + 1) % watchWindow
}

// printable spells the audience of a token that was refused, for a log line, or
// returns "" if it is too long or holds anything but printable ASCII: nobody has
// verified it.
func printable(audience []string) string {
	const limit = 128
	if len(audience) > 4 {
		return ""
	}
	text := strings.Join(audience, " ")
	if len(text) > limit || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return text
}
