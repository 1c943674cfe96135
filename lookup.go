package echomfa

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/redact"
	"github.com/echomfa/echomfa/internal/retryafter"
)

// LookupConfig bounds what asking GenAuth may cost. The zero value is the
// default. The limits are per process: GenAuth's own limit is per user pool
// and shared with the sign-ins, so divide what may be spent by the instances.
type LookupConfig struct {
	// Timeout bounds a look-up as a whole: waiting for its turn, connecting,
	// reading the answer, and one retry. No request waits longer. Optional.
	// Default 2 s.
	Timeout time.Duration
	// MaxConcurrent is how many look-ups may be under way at once. Tokens of
	// which nothing is known may use half of it, re-checks of facts that did
	// not satisfy a policy a quarter. Optional. Default 64.
	MaxConcurrent int
	// MaxPerSecond is how many look-ups may start in a second, in bursts of
	// as many, with the same shares. Optional. Default 100, at least 0.01.
	MaxPerSecond float64
	// MaxWait is how long a look-up may wait for its turn. Optional. Default
	// 500 ms or a quarter of Timeout, whichever is less; not above half of it,
	// since a look-up that comes late would look like GenAuth being slow.
	MaxWait time.Duration
}

// FactorLister tells which MFA factors the user of an access token has
// enrolled. [*client.Client] is one.
//
// An implementation may be called by several goroutines at once and must
// return before ctx ends. An empty list must mean that the user has none:
// everything else is an error, matching one of the client package's classes;
// an error that matches none counts as [client.ErrUnavailable], and one that
// matches another beside [client.ErrUnauthenticated] refuses no token. A list
// that left something out comes together with an error matching
// [*client.PartialError] and no refusal.
type FactorLister interface {
	ListEnrolledFactors(ctx context.Context, token string) ([]client.Factor, error)
}

// FactorListerFunc is a function that is a [FactorLister].
type FactorListerFunc func(ctx context.Context, token string) ([]client.Factor, error)

// ListEnrolledFactors calls f.
func (f FactorListerFunc) ListEnrolledFactors(ctx context.Context, token string) ([]client.Factor, error) {
	return f(ctx, token)
}

// flight is one look-up, shared by all requests that need its answer. It does
// not belong to any of them: the first may leave while the others wait.
type flight struct {
	key      cacheKey
	deadline time.Time
	ticket   *ticket
	verify   bool      // the token has not been verified yet
	user     uint64    // keyed hash of the token's sub, or zero
	expires  time.Time // the token's exp, or zero
	keep     bool      // facts may be stored
	known    bool      // facts about the token were known before
	epoch    uint16    // of the cache, when the look-up began

	// Of the Store: the names of the token and its user there, whether this is
	// a look-up in it, whether there has been one before, and what that saw.
	shared, owner      StoreKey
	consult, consulted bool
	version            *StoreVersion

	done chan struct{} // closed when what follows is set
	sent time.Time     // when GenAuth was asked
	facts
	err error
}

// lookups makes the look-ups: coalesced by key, within the budget, behind the
// breaker.
type lookups struct {
	lister  FactorLister
	verify  func(ctx context.Context, token string) error
	timeout time.Duration
	cache   *cache
	tier    *tier // or nil
	budget  *budget
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	log     *slog.Logger
	watch   refusalWatch
	counts  lookupCounts
	open    atomic.Bool // the breaker's state as it was logged last

	mu     sync.Mutex
	active map[*flight]context.CancelFunc // nil once closed
	wg     sync.WaitGroup
}

// The breaker opens after this many failures in a row, and then lets one
// look-up a second try.
const (
	breakerFailures = 5
	breakerPause    = time.Second
	retryPause      = 50 * time.Millisecond
)

func newLookups(cfg *Config, c *cache, t *tier) *lookups {
	return &lookups{
		lister:  cfg.Client,
		verify:  cfg.Verify,
		timeout: cfg.Lookup.Timeout,
		cache:   c,
		tier:    t,
		budget:  newBudget(cfg.Lookup.MaxConcurrent, cfg.Lookup.MaxPerSecond, cfg.Lookup.MaxWait),
		log:     slog.New(calmHandler{cfg.Logger.Handler()}),
		active:  make(map[*flight]context.CancelFunc),
		breaker: gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
			Timeout:      breakerPause,
			ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerFailures },
			IsSuccessful: func(err error) bool { return !resultOf(err).outage() },
		}),
	}
}

// start begins a look-up. The lock of the flight's shard is held, so it must
// not block.
func (l *lookups) start(f *flight, token string, c class, now time.Time) error {
	if l.breaker.State() == gobreaker.StateOpen {
		return errBreakerOpen
	}
	ticket, err := l.budget.enter(c, now)
	if err != nil {
		return err
	}
	f.ticket = ticket
	f.deadline = now.Add(l.timeout)
	f.done = make(chan struct{})

	if err := l.begin(f, func(ctx context.Context) { l.fly(ctx, f, token) }); err != nil {
		l.budget.leave(ticket)
		return err
	}
	return nil
}

// begin runs a look-up until its deadline. No value of the request's context is
// taken along, and its end does not end the look-up.
func (l *lookups) begin(f *flight, fly func(context.Context)) error {
	ctx, cancel := context.WithDeadline(context.Background(), f.deadline)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.active == nil {
		cancel()
		return ErrClosed
	}
	l.active[f] = cancel
	l.wg.Go(func() { fly(ctx) })
	return nil
}

// verifyOnce calls Verify, if the token has not been verified yet.
func (l *lookups) verifyOnce(ctx context.Context, f *flight, token string) error {
	if !f.verify || l.verify == nil {
		return nil
	}
	if err := l.verify(ctx, token); err != nil {
		return withoutToken(verifyError(err), token)
	}
	return nil
}

// fly makes the look-up, and keeps what it learned.
func (l *lookups) fly(ctx context.Context, f *flight, token string) {
	s := l.cache.shard(f.key)
	defer l.end(f)
	current := false
	defer func() { l.share(f, current) }() //nolint:contextcheck // it has its own time
	defer close(f.done)
	defer s.land(f)

	f.sent = time.Now()
	f.err = errNoResult // runtime.Goexit in a callback returns nothing
	f.facts, f.err = l.guarded(ctx, f, token)
	result := resultOf(f.err)
	l.counts.add(result)
	if !f.verify && (result == resultFacts || result == resultRefused) {
		l.watch.note(ctx, l.log, result == resultRefused)
	}
	switch result {
	case resultFacts:
		if f.keep {
			current = s.store(f, l.cache.newEntry(f, f.facts))
		} else {
			s.store(f, nil)
		}
	case resultRefused:
		s.refuse(f, f.err)
	case resultLimited, resultMisconfigured, resultUnavailable, resultMalformed, resultPanic, resultTurnedAway:
		// Nothing was learned of the user.
	}
}

func (l *lookups) end(f *flight) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cancel, ok := l.active[f]; ok {
		cancel()
		delete(l.active, f)
	}
}

// guarded waits for its turn and asks. A panic of the lister or of Verify
// becomes an error, so that those who wait are released.
func (l *lookups) guarded(ctx context.Context, f *flight, token string) (known facts, err error) {
	defer l.budget.leave(f.ticket)
	if err := l.budget.await(ctx, f.ticket); err != nil {
		return facts{}, err
	}
	defer l.recovered(ctx, token, &err)
	// Not the breaker's business: what Verify asks is not GenAuth's list.
	if err := l.verifyOnce(ctx, f, token); err != nil {
		return facts{}, err
	}
	known, err = l.askOrRetry(ctx, f, token)
	return known, withoutToken(err, token)
}

// recovered makes a panic of the lister or of Verify an error, so that those who
// wait are released.
func (l *lookups) recovered(ctx context.Context, token string, err *error) {
	v := recover()
	if v == nil {
		return
	}
	secrets := redact.Of(token)
	said := secrets.Hide(fmt.Sprint(v))
	*err = &panicError{where: "look-up", value: said}
	l.log.LogAttrs(ctx, slog.LevelError, "mfa look-up panicked",
		slog.String("panic", said), slog.String("stack", secrets.Hide(string(debug.Stack()))))
}

// askOrRetry asks GenAuth, behind the breaker, and once more where that may
// help.
func (l *lookups) askOrRetry(ctx context.Context, f *flight, token string) (known facts, err error) {
	report, err := l.breaker.Allow()
	if err != nil {
		return facts{}, errBreakerOpen
	}
	err = errNoResult // unless the lister returns
	defer func() {
		report(err)
		l.logBreaker(ctx)
		if d, ok := pauseFor(err); ok {
			l.budget.pause(d)
		}
	}()
	known, err = l.ask(ctx, f, token)
	if retryable(err) && l.pauseToRetry(ctx, f) {
		known, err = l.ask(ctx, f, token)
	}
	return known, err
}

// ask asks GenAuth once.
func (l *lookups) ask(ctx context.Context, f *flight, token string) (facts, error) {
	f.sent = time.Now()
	list, err := l.lister.ListEnrolledFactors(ctx, token)
	var partial *client.PartialError
	switch {
	case err == nil:
		return newFacts(list, false), nil
	case resultOf(err) == resultRefused:
		return facts{}, &TokenError{Code: codeInvalidToken, Reason: "the token was refused", Err: err}
	case errors.As(err, &partial) && !refuses(err):
		return newFacts(list, true), nil
	}
	return facts{}, err
}

// pauseToRetry reports whether the look-up may be tried once more, after a
// moment: only if the budget allows it at once and the breaker is not testing.
func (l *lookups) pauseToRetry(ctx context.Context, f *flight) bool {
	if l.breaker.State() != gobreaker.StateClosed {
		return false
	}
	timer := time.NewTimer(retryPause/2 + jitter(f.key, retryPause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return l.budget.again(f.ticket)
	case <-ctx.Done():
		return false
	}
}

// retryable reports whether a second try may help: the connection broke before
// there was an answer, or a gateway answered in GenAuth's place. A Retry-After
// is an order to wait longer than a request can.
func retryable(err error) bool {
	var api *client.APIError
	if errors.As(err, &api) {
		switch api.HTTPStatus {
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return api.RetryAfter == 0
		}
		return false
	}
	var transport interface{ Retryable() bool }
	return errors.As(err, &transport) && transport.Retryable()
}

// pauseFor returns for how long GenAuth asked not to be asked. A Retry-After
// beside a 401 speaks of one token, and pauses nobody else.
func pauseFor(err error) (time.Duration, bool) {
	var api *client.APIError
	limited := errors.Is(err, client.ErrRateLimited)
	if errors.As(err, &api) && api.RetryAfter > 0 && (limited || errors.Is(err, client.ErrUnavailable)) {
		return retryafter.Of(err), true
	}
	return retryafter.Least, limited
}

// verifyError tells a verdict of Verify from its failure to reach one.
func verifyError(err error) error {
	if undetermined(err) {
		return err
	}
	return &TokenError{Code: codeInvalidToken, Reason: "the token was not accepted", Err: err}
}

// logBreaker logs a change of the breaker's state once.
func (l *lookups) logBreaker(ctx context.Context) {
	open := l.breaker.State() != gobreaker.StateClosed
	if !l.open.CompareAndSwap(!open, open) {
		return
	}
	if open {
		l.log.LogAttrs(ctx, slog.LevelError, "mfa look-ups keep failing: one a second is tried until GenAuth answers")
		return
	}
	l.log.LogAttrs(ctx, slog.LevelInfo, "mfa look-ups work again")
}

// close ends all look-ups and waits for them.
func (l *lookups) close() {
	l.budget.close()
	l.mu.Lock()
	for _, cancel := range l.active {
		cancel()
	}
	l.active = nil
	l.mu.Unlock()
	l.wg.Wait()
}
