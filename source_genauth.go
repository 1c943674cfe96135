package echomfa

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/admission"
	"github.com/echomfa/echomfa/internal/breaker"
	"github.com/echomfa/echomfa/internal/budget"
	"github.com/echomfa/echomfa/internal/claims"
	"github.com/echomfa/echomfa/internal/sendonce"
)

// FactorLister tells which MFA factors the user of an access token has
// enrolled. [*client.Client] is one.
//
// An implementation may be called by several goroutines at once and must
// return before ctx ends. An empty list must mean that the user has none:
// everything else is an error, matching one of the client package's classes;
// an error that matches none counts as [client.ErrUnavailable]. If an error matches
// [client.ErrUnauthenticated] and another class, the other class wins: the token is
// not rejected. A list that left something out comes together with an error
// matching [*client.PartialError] and without a rejection.
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
	breaker    breaker.Breaker
	limits     breaker.Limits
	users      breaker.Users
	holds      breaker.Holds
	maxToken   int // MaxTokenBytes, for the log
	log        *slog.Logger
	said       struct{ tooLong, held, paused rarely }
	watch      admission.RefusalWatch
	counts     lookupCounts
	// share is called with each flight after its callers have their answer.
	share func(*flight)
}

// retryPause is how long a lookup waits before its second try, about.
const retryPause = 50 * time.Millisecond

func newGenauthSource(cfg *Config, c *cache, r *running) *genauthSource {
	g := &genauthSource{
		lister:     cfg.Client,
		checkToken: cfg.CheckToken,
		budget:     budget.New(cfg.Lookup.MaxConcurrent, cfg.Lookup.MaxPerSecond, cfg.Lookup.MaxWait),
		log:        panicProof(cfg.Logger),
		maxToken:   cfg.MaxTokenBytes,
		share:      func(*flight) {},
	}
	g.lookups = lookups{
		cache: c, table: genauthTable, running: r, timeout: cfg.Lookup.Timeout, start: g.start, observer: lookupObserver(cfg.Observer),
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
		b, r, n, err := g.joinOrBegin(ctx, q, p, before.version)
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

// start begins a flight, if neither the token nor its user is held, and the breaker and
// the budget allow it. The shard's lock is held.
func (g *genauthSource) start(f *flight, n need, now time.Time) error {
	failures := g.failures(f.q)
	if rest := failures.Rest(now); rest > 0 {
		return &breaker.HeldError{Rest: rest}
	}
	f.goes(g.callerOf(f.q, n != cold), failures.Failing())
	if err := g.breaker.Door(f.caller, now); err != nil {
		return err
	}
	if f.caller.Known {
		over := func(asked breaker.Stamp) bool { return g.ended(f.q.graves, asked) }
		if err := g.users.Enter(f.caller.User, now, func() uint64 { return g.who(f.q) }, over); err != nil {
			return err
		}
	}
	ticket, err := g.budget.Enter(n.class(), now)
	if err == nil {
		f.queues(ticket)
		err = g.running.run(f.deadline, func(ctx context.Context) { g.fly(ctx, f) })
	}
	if err != nil {
		g.leave(f)
	}
	return err
}

// leave gives back what start took.
func (g *genauthSource) leave(f *flight) {
	if f.ticket != nil {
		g.budget.Leave(f.ticket)
	}
	if f.caller.Known {
		g.users.Leave(f.caller.User, time.Now())
	}
}

// fly makes the lookup. A callback may end the goroutine ([runtime.Goexit]), so
// what must happen all the same is deferred: first those who wait get their
// answer, then the Store does.
func (g *genauthSource) fly(ctx context.Context, f *flight) {
	var known facts
	var err error = errNoResult
	defer func() { g.share(f) }()
	defer func() { g.land(f, known, err) }()
	ctx, ended := g.observe(ctx, f)
	defer func() { ended(failureOf(err)) }()
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
	defer g.leave(f)
	if err := g.budget.Await(ctx, f.ticket); err != nil {
		return facts{}, err
	}
	defer recovered(ctx, g.log, f.q.token, &err)
	g.asks(f)
	if !f.known {
		// Not the breaker's business: what CheckToken asks is not GenAuth's list.
		err := runCheckToken(ctx, g.checkToken, f.q.token)
		if err == nil && g.cache.buried(f.q.graves, f.sent, false) { // the verdict may be of before
			g.asks(f)
			err = runCheckToken(ctx, g.checkToken, f.q.token)
		}
		if err != nil {
			return facts{}, err
		}
	}
	known, err = g.askOrRetry(ctx, f)
	return known, withoutToken(err, f.q.token)
}

// askOrRetry asks GenAuth, behind the breaker, and once more where that may
// help.
func (g *genauthSource) askOrRetry(ctx context.Context, f *flight) (known facts, err error) {
	pass, err := g.breaker.Enter(f.caller, time.Now(), f.deadline)
	if err != nil {
		return facts{}, err
	}
	err = errNoResult // unless the lister returns
	defer func() { g.note(ctx, f, pass, err) }()
	known, err = g.ask(ctx, f)
	if g.mayRetry(f, err) && g.pauseToRetry(ctx, f) {
		known, err = g.ask(ctx, f)
	}
	return known, err
}

// ask asks GenAuth once.
func (g *genauthSource) ask(ctx context.Context, f *flight) (facts, error) {
	g.asks(f)
	if !f.caller.Known {
		ctx = sendonce.With(ctx)
	}
	list, err := g.lister.ListEnrolledFactors(ctx, f.q.token)
	err = breaker.TooLong(err, f.q.token)
	var partial *client.PartialError
	switch {
	case err == nil:
		return newFacts(list, false), nil
	case failureOf(err) == failureRefused:
		return facts{}, &TokenError{Code: codeInvalidToken, Reason: "the token was rejected", Err: err}
	case errors.As(err, &partial) && !refuses(err):
		return newFacts(list, true), nil
	}
	return facts{}, err
}

// pauseToRetry reports whether the lookup may be tried once more, after a
// moment: only if the budget allows it at once and the breaker is not testing.
func (g *genauthSource) pauseToRetry(ctx context.Context, f *flight) bool {
	if g.breaker.Figures().Cause != breaker.NotOpen {
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

// mayRetry reports whether a failure is one to try again after. An unknown token that
// has been sent is not: it may be what the failure is about. Nor is one that failed the
// last time too.
func (g *genauthSource) mayRetry(f *flight, err error) bool {
	return breaker.Retryable(err) && !f.failing && (f.caller.Known || evidence(err, false, false) == breaker.NoConnection)
}

// callerOf returns whose lookup it is. The user of a token that names none is the token.
// Users who share a tombstone pass for one.
func (g *genauthSource) callerOf(q *question, known bool) breaker.Caller {
	token := binary.BigEndian.Uint64(q.key[:])
	c := breaker.Caller{User: token, Token: token, Known: known || g.cache.met.Has(q.key)}
	if q.graves.user != g.cache.nobody() {
		c.User = uint64(q.graves.user)
	}
	return c
}

// ended reports whether what was asked for at a time has been invalidated.
func (g *genauthSource) ended(of graves, asked breaker.Stamp) bool {
	return asked.Epoch != g.cache.epochNow() || g.cache.buried(of, moment{monotonic: asked.At}, false)
}

// who returns whose token it is, by a longer hash than that of a tombstone.
func (g *genauthSource) who(q *question) uint64 {
	name := q.token
	if said, err := claims.Parse(q.token); err == nil && said.Subject != "" {
		name = said.Subject
	}
	key := g.cache.keys.Key(name)
	return binary.BigEndian.Uint64(key[:])
}

// failures returns what is remembered of the failures of a token. An invalidation ends
// that too. The shard's lock is held.
func (g *genauthSource) failures(q *question) breaker.Memory {
	r, ok := g.cache.shard(q.key).refused.Peek(q.key)
	if !ok || g.ended(r.graves, r.failed) {
		return breaker.Memory{}
	}
	return r.failures
}

// note draws the conclusions from the result of a lookup: for all others, for
// this one, and for its user.
func (g *genauthSource) note(ctx context.Context, f *flight, pass *breaker.Pass, err error) {
	now := time.Now()
	outcome := f.evidence(err, now)
	g.logChange(ctx, now, pass, outcome)
	wait, limited := breaker.Wait(err)
	var long *breaker.TooLongError
	isLong := errors.As(err, &long)
	successes := g.breaker.Successes()
	rest := g.remember(f, now, func(m breaker.Memory) breaker.Memory {
		switch {
		case outcome == breaker.Success, failureOf(err) == failureRefused:
			m = breaker.Memory{}
		case outcome == breaker.Failed:
			m = m.Fail(now, successes, isLong)
		}
		if limited {
			m = m.Hold(now, wait)
		}
		return m
	})
	switch {
	case outcome == breaker.Success:
		g.users.Succeed(f.caller.User, func() uint64 { return g.who(f.q) })
	case outcome == breaker.Failed && f.caller.Known && !isLong: // a length is about one token
		rest = max(rest, g.users.Fail(f.caller.User, g.who(f.q), f.asked(), now, successes))
	}
	g.logToken(ctx, now, f, err, rest)
	if !limited {
		return
	}
	if until := g.limits.Met(f.caller, wait, now); !until.IsZero() {
		g.budget.Pause(until)
		g.logPause(ctx, now, until, err, f)
	}
}

// remember changes what is remembered of the failures of a token, and returns how long
// the token is held. If it was invalidated meanwhile, nothing is.
func (g *genauthSource) remember(f *flight, now time.Time, change func(breaker.Memory) breaker.Memory) time.Duration {
	s := g.cache.shard(f.q.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	r, _ := s.refused.Peek(f.q.key)
	m := change(g.failures(f.q))
	switch {
	case m == r.failures:
		return m.Rest(now)
	case m != breaker.Memory{} && g.ended(f.q.graves, f.asked()):
		return 0
	}
	g.holds.Change(r.failures, m, now)
	r.graves, r.failures, r.failed = f.q.graves, m, f.asked()
	s.refused.Add(f.q.key, r)
	return m.Rest(now)
}
