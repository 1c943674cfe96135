package admission

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/echomfa/echomfa/internal/digest"
)

// StartWatch notices when no token at all is accepted after the start: a wrong host,
// an app id of others, a CheckToken that asks the wrong issuer, or a TokenLookup that
// reads something else looks to each user like an expired session. After the first
// accepted token it says nothing more: what is refused then is the clients' doing.
// All methods may be called at the same time.
type StartWatch struct {
	log  *slog.Logger
	done atomic.Bool // a token was accepted, or the line is written

	mu   sync.Mutex
	seen [watchLeast]digest.Key // the distinct tokens that were refused
	n    int
}

// NewStartWatch returns a StartWatch that logs to a logger.
func NewStartWatch(log *slog.Logger) *StartWatch { return &StartWatch{log: log} }

// Accepted notes that the factors of a token's user are known.
func (w *StartWatch) Accepted() {
	if !w.done.Load() { // most calls only read
		w.done.Store(true)
	}
}

// Refused notes that a token is malformed, or that GenAuth or CheckToken refused it, and
// says so at Error, once, at the tenth distinct one if none was accepted before.
func (w *StartWatch) Refused(ctx context.Context, k digest.Key, err error) {
	if !w.done.Load() && w.full(k) && w.done.CompareAndSwap(false, true) {
		w.log.LogAttrs(ctx, slog.LevelError, "mfa no token has been accepted since the start: check AppID, BaseURL, CheckToken and TokenLookup",
			slog.String("event", "no_token_accepted"), slog.Int("refused", watchLeast), slog.String("error", err.Error()))
	}
}

// full adds a token and reports whether enough distinct ones were refused.
func (w *StartWatch) full(k digest.Key) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.n {
		if w.seen[i] == k {
			return false
		}
	}
	if w.n < len(w.seen) {
		w.seen[w.n] = k
		w.n++
	}
	return w.n == len(w.seen)
}
