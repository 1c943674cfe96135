package echomfa

import (
	"context"
	"errors"
	"log/slog"
	"math/bits"
	"net"
	"sync"
	"sync/atomic"

	"github.com/echomfa/echomfa/client"
)

// result is what came of a look-up, by class. The zero value is a failure.
type result uint8

const (
	resultUnavailable   result = iota // timeout, transport, 5xx, 6xx, or unknown
	resultFacts                       // GenAuth told the factors
	resultRefused                     // GenAuth or Verify refused the token
	resultLimited                     // GenAuth said: too many requests
	resultMisconfigured               // GenAuth refused the question
	resultMalformed                   // the answer could not be read
	resultPanic                       // the lister or Verify panicked
	resultTurnedAway                  // not asked: budget, breaker, or closed

	results = int(resultTurnedAway) + 1
)

func resultOf(err error) result {
	var panicked *panicError
	switch {
	case err == nil:
		return resultFacts
	case errors.As(err, &panicked):
		return resultPanic
	case errors.Is(err, errQueueFull), errors.Is(err, errQueueWait), errors.Is(err, errPaused),
		errors.Is(err, errBreakerOpen), errors.Is(err, errReportWait), errors.Is(err, ErrClosed):
		return resultTurnedAway
	case errors.Is(err, ErrUnauthenticated) && !undetermined(err):
		return resultRefused
	case errors.Is(err, client.ErrRateLimited):
		return resultLimited
	case errors.Is(err, ErrMisconfigured):
		return resultMisconfigured
	case errors.Is(err, client.ErrMalformed):
		return resultMalformed
	default:
		return resultUnavailable
	}
}

// undetermined reports whether an error says, whatever else it says, that there
// was no verdict: unknown is not "no".
func undetermined(err error) bool {
	var network net.Error
	for _, unknown := range []error{
		ErrUnavailable, ErrMisconfigured, client.ErrUnavailable, client.ErrRateLimited, client.ErrMalformed,
		context.DeadlineExceeded, context.Canceled,
	} {
		if errors.Is(err, unknown) {
			return true
		}
	}
	return errors.As(err, &network)
}

// refuses reports whether an error says, whatever else it says, that GenAuth
// has refused the token or the question: nothing stands in for that.
func refuses(err error) bool {
	return errors.Is(err, ErrUnauthenticated) || errors.Is(err, ErrMisconfigured)
}

// outage reports whether the result speaks of GenAuth being down. A 401, 403 or
// 429 is an answer, and a panic is the application's: the breaker must not open
// because of what tokens users send.
func (r result) outage() bool { return r == resultUnavailable || r == resultMalformed }

// stale reports whether older facts may stand in, within StaleIfError. Never
// when GenAuth has spoken about this token or about this app.
func (r result) stale() bool {
	switch r {
	case resultUnavailable, resultLimited, resultMalformed, resultTurnedAway:
		return true
	case resultFacts, resultRefused, resultMisconfigured, resultPanic:
	}
	return false
}

// lookupCounts counts look-ups by result.
type lookupCounts [results]atomic.Uint64

func (c *lookupCounts) add(r result) { c[r].Add(1) }

// refusalWatch notices when tokens that GenAuth had accepted are suddenly
// refused on most look-ups: a changed app id or a revoked key looks to each
// user like an expired session, and to nobody like what it is.
type refusalWatch struct {
	mu      sync.Mutex
	last    uint32 // the newest results, one bit each: set if refused
	samples int
	alarmed bool
}

const (
	watchWindow = 20
	watchLeast  = 10
)

// note records what came of renewing a token that had been accepted.
func (w *refusalWatch) note(ctx context.Context, log *slog.Logger, refused bool) {
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
		log.LogAttrs(ctx, slog.LevelError, "mfa tokens that had been accepted are now refused by GenAuth",
			slog.Int("refused", bad), slog.Int("of", samples))
	}
}
