package echomfa

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/echomfa/echomfa/internal/claims"
	"github.com/echomfa/echomfa/internal/retryafter"
)

// inquiry is one request's question, apart from the policy.
type inquiry struct {
	token         string
	subject       string // what the token's sub must be, if checkSubject
	checkSubject  bool
	route, method string
}

// decide decides by the facts about a token. The policy is valid and asks for
// factors; the token satisfies client.ValidToken.
func (e *Enforcer) decide(ctx context.Context, d Decision, q inquiry) (Decision, error) {
	arrived := time.Now()
	if q.checkSubject {
		if err := checkSubject(q); err != nil {
			d.Outcome = Unauthenticated
			return d, err
		}
	}
	k := e.cache.key(q.token)
	known, found := e.cache.entry(k, arrived)
	if found {
		if done, err := e.settleBy(&d, k, &known, arrived); done {
			e.counts.hits.Add(1)
			return d, err
		}
	} else if err := e.cache.refusal(k, arrived); err != nil {
		e.counts.hits.Add(1)
		d.Outcome = Unauthenticated
		return d, err
	}
	f, err := e.newFlight(ctx, q.token, k, known, found, arrived)
	if err != nil {
		d.Outcome = Unauthenticated
		return d, err
	}
	e.counts.misses.Add(1)
	return e.lookUp(ctx, d, q, f, arrived)
}

// checkSubject compares whom the token names with whom the handler serves. An
// opaque token names nobody.
func checkSubject(q inquiry) error {
	c, err := claims.Parse(q.token)
	switch {
	case err != nil:
		return &TokenError{Code: codeInvalidToken, Reason: "the token is malformed", Err: err}
	case c.Subject == "" || c.Subject != q.subject:
		return errBadToken("the token belongs to another user than the session")
	}
	return nil
}

// settleBy settles the decision by cached facts, if they may be relied upon.
func (e *Enforcer) settleBy(d *Decision, k cacheKey, known *entry, now time.Time) (bool, error) {
	satisfied, age := d.Policy.satisfied(known.enrolled), e.cache.age(known, now)
	switch e.cache.rely(k, known, satisfied, age) {
	case answerAllow:
		d.use(known.enrolled, Cached, age)
		d.Outcome = Allowed
		return true, nil
	case answerRefuse:
		d.use(known.enrolled, Cached, age)
		return true, d.refuse()
	case answerFail:
		d.use(known.enrolled, Cached, age)
		return true, e.unavailable(d, errPartial)
	case answerAsk:
	}
	return false, nil
}

// fail settles the decision after a look-up that told nothing of the factors.
// The cache is read anew: what was invalidated meanwhile does not stand in.
func (e *Enforcer) fail(d Decision, k cacheKey, err error) (Decision, error) {
	r := resultOf(err)
	if r == resultRefused {
		d.Outcome = Unauthenticated
		return d, err
	}
	if r == resultPanic {
		return d, err
	}
	now := time.Now()
	if known, found := e.cache.entry(k, now); found && r.stale() && !refuses(err) && d.Policy.satisfied(known.enrolled) {
		switch age := e.cache.age(&known, now); {
		case e.cache.rely(k, &known, true, age) == answerAllow: // another request has learned it
			d.use(known.enrolled, Cached, age)
			d.Outcome = Allowed
			return d, nil
		case e.cache.current(&known) && age <= e.cfg.Cache.StaleIfError:
			d.use(known.enrolled, Stale, age)
			d.Outcome = Allowed
			e.counts.stale.Add(1)
			return d, nil
		}
	}
	return d, e.unavailable(&d, err)
}

// unavailable settles the decision as one that could not be made.
func (e *Enforcer) unavailable(d *Decision, err error) error {
	d.Outcome = Unavailable
	wait := max(e.lookups.budget.retryAfter(time.Now()), retryafter.Of(err))
	return &LookupError{RetryAfter: wait, Err: err}
}

// settle ends a decision: it gets its ID, is counted, logged and observed.
func (e *Enforcer) settle(ctx context.Context, d Decision, err error, q inquiry) (Decision, error) {
	if err != nil || !d.Enforced {
		d.ID = newID()
		if q.token != "" {
			d.TokenRef = e.cache.ref(e.cache.key(q.token))
		}
		err = withID(err, d)
		e.counts.add(&d)
		e.log(ctx, d, err, q)
	}
	if e.cfg.Observer != nil {
		e.cfg.Observer.ObserveDecision(ctx, d, q.route, q.method)
	}
	return d, err
}

// withID returns the error with the decision's ID in it. The error is copied:
// several requests may share it.
func withID(err error, d Decision) error {
	var (
		missing *NotEnrolledError
		lookup  *LookupError
		token   *TokenError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &missing):
		return &NotEnrolledError{Decision: d}
	case errors.As(err, &lookup):
		c := *lookup
		c.DecisionID = d.ID
		return &c
	case errors.As(err, &token):
		c := *token
		c.DecisionID = d.ID
		return &c
	}
	return &internalError{decisionID: d.ID, err: err}
}

// internalError is the application's own mistake: 500. It says nothing to the
// client but the decision's ID.
type internalError struct {
	decisionID string
	err        error
}

func (e *internalError) Error() string { return e.err.Error() }
func (e *internalError) Unwrap() error { return e.err }

// log writes the one line of a refusal.
func (e *Enforcer) log(ctx context.Context, d Decision, err error, q inquiry) {
	if err == nil {
		return
	}
	level := slog.LevelInfo
	switch {
	case d.Outcome == Denied, errors.Is(err, ErrMisconfigured):
		level = slog.LevelError
	case d.Outcome == Unavailable && ctx.Err() == nil:
		level = slog.LevelWarn
	}
	if !e.cfg.Logger.Enabled(ctx, level) {
		return
	}
	e.cfg.Logger.LogAttrs(ctx, level, "mfa refused",
		slog.String("decision_id", d.ID),
		slog.String("outcome", d.Outcome.String()),
		slog.Bool("enforced", d.Enforced),
		slog.String("policy", d.Policy.label()),
		slog.String("missing", alternatives(d.Missing)),
		slog.String("enrolled", d.Enrolled.String()),
		slog.String("source", d.Source.String()),
		slog.Duration("age", d.Age),
		slog.String("token_ref", d.TokenRef),
		slog.String("route", q.route),
		slog.String("method", q.method),
		slog.String("error", err.Error()),
	)
}

// label is how the log names a policy: by its name if it has one.
func (p Policy) label() string {
	if name := p.Name(); name != "" {
		return name
	}
	return p.String()
}

// decisionCounts counts decisions.
type decisionCounts struct {
	hits, misses, stale                       atomic.Uint64
	notEnrolled, unauthenticated, unavailable atomic.Uint64 // in ReportOnly
}

// add counts what ReportOnly lets through.
func (c *decisionCounts) add(d *Decision) {
	if d.Enforced {
		return
	}
	switch d.Outcome {
	case NotEnrolled:
		c.notEnrolled.Add(1)
	case Unauthenticated:
		c.unauthenticated.Add(1)
	case Unavailable:
		c.unavailable.Add(1)
	case Denied, Allowed, Exempted:
	}
}

func (c *decisionCounts) stats() Stats {
	return Stats{
		Hits:   c.hits.Load(),
		Misses: c.misses.Load(),
		Stale:  c.stale.Load(),
		WouldBlock: WouldBlock{
			NotEnrolled:     c.notEnrolled.Load(),
			Unauthenticated: c.unauthenticated.Load(),
			Unavailable:     c.unavailable.Load(),
		},
	}
}

func (c *lookupCounts) stats() LookupStats {
	return LookupStats{
		Succeeded:     c[resultFacts].Load(),
		Refused:       c[resultRefused].Load(),
		RateLimited:   c[resultLimited].Load(),
		Misconfigured: c[resultMisconfigured].Load(),
		Unavailable:   c[resultUnavailable].Load(),
		Malformed:     c[resultMalformed].Load(),
		Panicked:      c[resultPanic].Load(),
		TurnedAway:    c[resultTurnedAway].Load(),
	}
}
