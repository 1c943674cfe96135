package echomfa

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/admission"
	"github.com/echomfa/echomfa/internal/budget"
	"github.com/echomfa/echomfa/internal/redact"
	"github.com/echomfa/echomfa/internal/retryafter"
)

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

// genauthSource asks GenAuth: within the budget, behind the breaker, and once for
// all requests that need the same answer.
type genauthSource struct {
	lookups
	lister     FactorLister
	checkToken func(ctx context.Context, token string) error
	budget     *budget.Budget
	breaker    *gobreaker.TwoStepCircuitBreaker[struct{}]
	log        *slog.Logger
	watch      admission.RefusalWatch
	counts     lookupCounts
	open       atomic.Bool // the breaker's state as it was logged last
	// share is called with each flight after its callers have their answer.
	share func(*flight)
}

// The breaker opens after this many failures in a row, and then lets one
// lookup a second try.
const (
	breakerFailures = 5
	breakerPause    = time.Second
	retryPause      = 50 * time.Millisecond
)

func newGenauthSource(cfg *Config, c *cache, r *running) *genauthSource {
	g := &genauthSource{
		lister:     cfg.Client,
		checkToken: cfg.Verify,
		budget:     budget.New(cfg.Lookup.MaxConcurrent, cfg.Lookup.MaxPerSecond, cfg.Lookup.MaxWait),
		log:        panicProof(cfg.Logger),
		share:      func(*flight) {},
		breaker: gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
			Timeout:      breakerPause,
			ReadyToTrip:  func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerFailures },
			IsSuccessful: func(err error) bool { return !failureOf(err).outage() },
		}),
	}
	g.lookups = lookups{
		cache: c, table: genauthTable, running: r, timeout: cfg.Lookup.Timeout, start: g.start,
		promote: func(f *flight, n need) { g.budget.Promote(f.ticket, n.class()) },
	}
	return g
}

// class returns what a lookup for a need is worth.
func (n need) class() budget.Class {
	switch n {
	case renewal:
		return budget.Renewal
	case recheck:
		return budget.Recheck
	case cold, nothing:
	}
	return budget.Cold
}

// fetch returns what GenAuth says. A request takes the answer of the lookup that it
// has started, and of one that has asked after the request came, however long the
// answer took. Another one's answer may be too old: then it asks itself.
func (g *genauthSource) fetch(ctx context.Context, q *question, p Policy, before reading) (reading, bool, error) {
	for {
		b, r, n, err := g.join(q, p, before.version)
		switch {
		case err != nil:
			g.counts.add(failureOf(err))
			return before, false, err
		case n == nothing:
			return r, true, nil
		}
		if err := b.await(ctx); err != nil {
			return before, false, err
		}
		if b.err != nil {
			return before, false, b.err
		}
		r, n = g.reading(b, p, Fetched)
		if n == nothing || b.own || b.sent.monotonic >= q.arrived.monotonic {
			return r, true, nil
		}
		// The next lookup under way has begun after this one has ended, so
		// this happens once.
	}
}

// start begins a flight, if the breaker and the budget allow it.
func (g *genauthSource) start(f *flight, n need, now time.Time) error {
	if g.breaker.State() == gobreaker.StateOpen {
		return errBreakerOpen
	}
	ticket, err := g.budget.Enter(n.class(), now)
	if err != nil {
		return err
	}
	f.ticket = ticket
	if err := g.running.run(f.deadline, func(ctx context.Context) { g.fly(ctx, f) }); err != nil {
		g.budget.Leave(ticket)
		return err
	}
	return nil
}

// fly makes the lookup. A callback may end the goroutine ([runtime.Goexit]), so
// what must happen all the same is deferred: first those who wait get their
// answer, then the Store does.
func (g *genauthSource) fly(ctx context.Context, f *flight) {
	var known facts
	var err error = errNoResult
	defer func() { g.share(f) }()
	defer func() { g.land(f, known, err) }()
	known, err = g.guarded(ctx, f)
	class := failureOf(err)
	g.counts.add(class)
	if f.known && (class == noFailure || class == failureRefused) {
		g.watch.Note(ctx, g.log, class == failureRefused)
	}
}

// guarded waits for its turn and asks. A panic of the lister or of CheckToken
// becomes an error.
func (g *genauthSource) guarded(ctx context.Context, f *flight) (known facts, err error) {
	defer g.budget.Leave(f.ticket)
	if err := g.budget.Await(ctx, f.ticket); err != nil {
		return facts{}, err
	}
	defer recovered(ctx, g.log, f.q.token, &err)
	g.asks(f)
	if !f.known {
		// Not the breaker's business: what CheckToken asks is not GenAuth's list.
		if err := runCheckToken(ctx, g.checkToken, f.q.token); err != nil {
			return facts{}, err
		}
	}
	known, err = g.askOrRetry(ctx, f)
	return known, withoutToken(err, f.q.token)
}

// recovered makes a panic of a callback an error, so that those who wait are
// released.
func recovered(ctx context.Context, log *slog.Logger, token string, err *error) {
	v := recover()
	if v == nil {
		return
	}
	secrets := redact.Of(token)
	said := secrets.Hide(fmt.Sprint(v))
	*err = &panicError{where: "lookup", value: said}
	log.LogAttrs(ctx, slog.LevelError, "mfa look-up panicked",
		slog.String("panic", said), slog.String("stack", secrets.Hide(string(debug.Stack()))))
}

// runCheckToken calls CheckToken, and tells its verdict from its failure to reach one.
func runCheckToken(ctx context.Context, check func(context.Context, string) error, token string) error {
	if check == nil {
		return nil
	}
	err := check(ctx, token)
	if err == nil || undetermined(err) {
		return withoutToken(err, token)
	}
	return withoutToken(&TokenError{Code: codeInvalidToken, Reason: "the token was not accepted", Err: err}, token)
}

// askOrRetry asks GenAuth, behind the breaker, and once more where that may
// help.
func (g *genauthSource) askOrRetry(ctx context.Context, f *flight) (known facts, err error) {
	report, err := g.breaker.Allow()
	if err != nil {
		return facts{}, errBreakerOpen
	}
	err = errNoResult // unless the lister returns
	defer func() {
		report(err)
		g.logBreaker(ctx)
		if d, ok := pauseFor(err); ok {
			g.budget.Pause(d)
		}
	}()
	known, err = g.ask(ctx, f)
	if retryable(err) && g.pauseToRetry(ctx, f) {
		known, err = g.ask(ctx, f)
	}
	return known, err
}

// ask asks GenAuth once.
func (g *genauthSource) ask(ctx context.Context, f *flight) (facts, error) {
	g.asks(f)
	list, err := g.lister.ListEnrolledFactors(ctx, f.q.token)
	var partial *client.PartialError
	switch {
	case err == nil:
		return newFacts(list, false), nil
	case failureOf(err) == failureRefused:
		return facts{}, &TokenError{Code: codeInvalidToken, Reason: "the token was refused", Err: err}
	case errors.As(err, &partial) && !refuses(err):
		return newFacts(list, true), nil
	}
	return facts{}, err
}

// pauseToRetry reports whether the lookup may be tried once more, after a
// moment: only if the budget allows it at once and the breaker is not testing.
func (g *genauthSource) pauseToRetry(ctx context.Context, f *flight) bool {
	if g.breaker.State() != gobreaker.StateClosed {
		return false
	}
	timer := time.NewTimer(retryPause/2 + jitter(f.q.key, retryPause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return g.budget.Again(f.ticket)
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

// logBreaker logs a change of the breaker's state once.
func (g *genauthSource) logBreaker(ctx context.Context) {
	open := g.breaker.State() != gobreaker.StateClosed
	if !g.open.CompareAndSwap(!open, open) {
		return
	}
	if open {
		g.log.LogAttrs(ctx, slog.LevelError, "mfa look-ups keep failing: one a second is tried until GenAuth answers")
		return
	}
	g.log.LogAttrs(ctx, slog.LevelInfo, "mfa look-ups work again")
}
