package admission

import (
	"context"
	"log/slog"
	"math/bits"
	"strings"
	"sync"
	"time"

	"github.com/echomfa/echomfa/internal/claims"
	"github.com/echomfa/echomfa/internal/digest"
)

// A watch looks at this many of the newest, and says nothing of fewer than these.
const (
	watchWindow = 20
	watchLeast  = 10
)

// Watch notices when tokens are rejected for their claims
// and it is likely that none would be accepted: a wrong app id, or a frontend that
// sends the ID token, looks to each user like an expired session.
type Watch struct {
	log      *slog.Logger
	expected string // the audiences

	mu       sync.Mutex
	accepted bool                      // GenAuth has told the factors of some JWT's user
	recent   [watchWindow]checkedToken // the newest distinct tokens, in a ring
	next     int                       // where the next one goes
	causes   [verdicts]causeWatch      // by what is wrong
}

// NewWatch returns a Watch that logs to a logger. Its line names the audiences that
// are accepted.
func NewWatch(log *slog.Logger, accepted []string) *Watch {
	return &Watch{log: log, expected: strings.Join(accepted, " ")}
}

type checkedToken struct {
	key  digest.Key
	was  Verdict
	used bool
}

type causeWatch struct {
	alarmed bool
	logged  time.Time
}

// repeatAfter is how long an alarm is not repeated. Clients choose which tokens
// are checked: they must not fill the log by good and bad ones in turn.
const repeatAfter = time.Hour

// Refused notes that a token was rejected for its claims, and says so
// at Error: at the first one, if no token has been accepted yet, and when most of
// the last 20 tokens are rejected so.
func (w *Watch) Refused(ctx context.Context, k digest.Key, cause Verdict, c *claims.Claims) {
	bad, of, alarm := w.note(k, cause)
	if !alarm {
		return
	}
	log := func(event, message string, more ...slog.Attr) {
		w.log.LogAttrs(ctx, slog.LevelError, message,
			append([]slog.Attr{slog.String("event", event), slog.Int("refused", bad), slog.Int("of", of)}, more...)...)
	}
	switch cause {
	case NotOurs:
		log("token_wrong_audience", "mfa tokens are rejected for their audience: check AppID of client.Config, and Audience",
			slog.String("expected", w.expected), slog.String("audience", printable(c.Audience)))
	case NotUser:
		log("token_names_no_user", "mfa tokens are rejected because they name no user: send the tokens of users, which have a sub")
	case NotServed:
		log("token_of_other_user", "mfa tokens are rejected because they are not of the user that Subject returns: it must return the sub")
	case Delegated:
		log("token_is_delegated", "mfa tokens are rejected because they are delegated: send the user's own, or set AllowDelegated")
	default: // NotAccessToken
		log("token_is_id_token", "mfa tokens are rejected because they are ID tokens: send the access token instead")
	}
}

// Accepted notes that GenAuth has told the factors of a JWT's user.
func (w *Watch) Accepted(k digest.Key) { w.note(k, Admitted) }

// note records a token and reports how many of the newest were refused for the
// same cause, and whether to say so. A token counts once among them: one client
// that keeps sending a wrong token does not show a wrong configuration.
func (w *Watch) note(k digest.Key, was Verdict) (bad, of int, alarm bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.accepted = w.accepted || was == Admitted
	w.put(k, was)
	var counts [verdicts]int
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
	if was == Admitted {
		return 0, of, false
	}
	bad = counts[was]
	cause := &w.causes[was]
	most := bad*2 > of && of >= watchLeast
	first := !w.accepted && cause.logged.IsZero()
	if now := time.Now(); first || most && !cause.alarmed && (cause.logged.IsZero() || now.Sub(cause.logged) >= repeatAfter) {
		cause.alarmed, cause.logged = true, now
		return bad, of, true
	}
	return bad, of, false
}

// put adds a token to the ring, unless it is there.
func (w *Watch) put(k digest.Key, was Verdict) {
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

// RefusalWatch notices when tokens that GenAuth had accepted are suddenly
// refused on most lookups: a changed app id or a revoked key looks to each
// user like an expired session, and to nobody like what it is.
type RefusalWatch struct {
	mu      sync.Mutex
	last    uint32 // the newest results, one bit each: set if refused
	samples int
	alarmed bool
}

// Note records the result of renewing a token that had been accepted.
func (w *RefusalWatch) Note(ctx context.Context, log *slog.Logger, refused bool) {
	w.mu.Lock()
	w.last = w.last << 1 & (1<<watchWindow - 1)
	if refused {
		w.last |= 1
	}
	w.samples = min(w.samples+1, watchWindow)
	bad := bits.OnesCount32(w.last)
	alarm := w.samples >= watchLeast && bad*2 > w.samples
	rising := alarm && !w.alarmed
	w.alarmed = alarm
	samples := w.samples
	w.mu.Unlock()
	if rising {
		log.LogAttrs(ctx, slog.LevelError, "mfa tokens that had been accepted are now rejected by GenAuth",
			slog.String("event", "accepted_tokens_refused"), slog.Int("refused", bad), slog.Int("of", samples))
	}
}
