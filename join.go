package echomfa

import (
	"context"
	"errors"
	"time"

	"github.com/echomfa/echomfa/internal/claims"
)

// newFlight describes the look-up that a token needs, without starting it. A
// token of which nothing is known is first held against what it says of
// itself: see [audienceRule].
func (e *Enforcer) newFlight(ctx context.Context, token string, k cacheKey, known entry, found bool, now time.Time) (*flight, error) {
	if found && e.tier == nil {
		f := &flight{key: k, user: known.user, keep: true, known: true}
		if known.expires != 0 {
			f.expires = time.Unix(int64(known.expires), 0)
		}
		return f, nil
	}
	c, err := claims.Parse(token)
	if err != nil {
		return nil, &TokenError{Code: codeInvalidToken, Reason: "the token is malformed", Err: err}
	}
	if cause := e.audience.admit(&c); cause != admitted {
		e.admission.refused(ctx, k, cause, &c)
		return nil, cause.err()
	}
	f := &flight{key: k, expires: c.Expires, keep: c.Storable(now), verify: !found, known: found}
	owner := userKey(e.cfg.Namespace, c.Subject)
	if c.Subject != "" {
		f.user = owner.short()
	}
	if e.tier != nil { // also if it is not kept: an invalidation finds it by its name
		f.shared, f.owner = e.tier.tokenKey(token), owner
	}
	return f, nil
}

// lookUp settles the decision by asking the Store and GenAuth, or by what others
// have learned in the meantime.
func (e *Enforcer) lookUp(ctx context.Context, d Decision, q inquiry, f *flight, arrived time.Time) (Decision, error) {
	patience, tired := e.cfg.Lookup.Timeout, context.DeadlineExceeded
	if !d.Enforced && reportOnlyFor < patience {
		patience, tired = reportOnlyFor, errReportWait
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		if ctx.Err() != nil {
			return d, e.unavailable(&d, ctx.Err())
		}
		joined, done, err := e.join(&d, q.token, f) //nolint:contextcheck // a look-up belongs to none of those who wait for it
		if done {
			return d, err
		}
		if err != nil {
			e.lookups.counts.add(resultOf(err))
			return e.fail(d, f.key, err)
		}
		select {
		case <-joined.done:
		case <-ctx.Done():
			return d, e.unavailable(&d, ctx.Err())
		case <-timer.C:
			return e.fail(d, f.key, tired)
		}
		if joined.err != nil && !errors.Is(joined.err, errNotStored) {
			return e.fail(d, f.key, joined.err)
		}
		if joined.err == nil && (joined == f && !joined.consult || e.answers(joined, &d, arrived)) {
			return e.settleByAnswer(d, joined)
		}
		f = f.again(joined)
	}
}

// again is the look-up that a request needs after one that was no answer to it:
// it had begun too long before the request came, or the Store has nothing new.
// The next one begins after it, or is its own.
func (f *flight) again(joined *flight) *flight {
	next := *f
	next.consult, next.ticket = false, nil
	if joined.consult {
		next.consulted, next.version, next.known = true, joined.version, f.known || joined.err == nil
	}
	return &next
}

// join returns the look-up under way for f's key, or starts f. Under the same
// lock it looks once more whether the question has been answered meanwhile, and
// then settles the decision by that.
func (e *Enforcer) join(d *Decision, token string, f *flight) (joined *flight, done bool, err error) {
	s := e.cache.shard(f.key)
	s.mu.Lock()
	defer s.mu.Unlock()
	now, c := time.Now(), cold
	if known, found := s.entry(f.key, now); found {
		if done, err := e.settleBy(d, f.key, &known, now); done {
			return nil, true, err
		}
		c = recheck
		if d.Policy.satisfied(known.enrolled) {
			c = renewal
		}
	} else if r, ok := s.refused.Peek(f.key); ok && elapsed(r.at, now) <= e.cfg.Cache.RefusedFor {
		d.Outcome = Unauthenticated
		return nil, true, r.err
	}
	if c == cold {
		f.verify = true // what was known when the request came is forgotten
	}
	// Who has been told that the Store does not help does not ask it again.
	if under := s.flights[f.key]; under != nil && now.Before(under.deadline) && (!under.consult || !f.consulted) {
		if under.ticket != nil { // a look-up in the Store waits for no turn
			e.lookups.budget.promote(under.ticket, c)
		}
		return under, false, nil
	}
	f.epoch = uint16(e.cache.epoch.Load()) //nolint:gosec // it may wrap around
	f.consult = e.tier != nil && f.keep && !f.consulted
	if f.consult {
		err = e.lookups.consult(f, token, now)
	} else {
		err = e.lookups.start(f, token, c, now)
	}
	if err != nil {
		return nil, false, err
	}
	s.flights[f.key] = f
	return f, false, nil
}

// answers reports whether what a look-up learned is an answer to a request: not
// if it was asked too long before the request came, or before something may have
// been invalidated unheard. What the Store has serves as long as it would here.
func (e *Enforcer) answers(f *flight, d *Decision, arrived time.Time) bool {
	bound := e.cfg.Cache.DenyFreshFor
	if d.Policy.satisfied(f.enrolled) {
		bound = e.cfg.Cache.FreshFor
		if f.consult {
			bound = e.cache.freshFor(f.key)
		}
	}
	return elapsed(f.sent, arrived) <= bound && f.epoch == uint16(e.cache.epoch.Load()) //nolint:gosec // it may wrap around
}

// settleByAnswer settles the decision by what a look-up learned.
func (e *Enforcer) settleByAnswer(d Decision, f *flight) (Decision, error) {
	source := Fetched
	if f.consult {
		source = Stored
	}
	d.use(f.enrolled, source, max(0, elapsed(f.sent, time.Now())))
	if f.user != 0 { // a JWT's
		e.admission.accept(f.key)
	}
	switch {
	case d.Policy.satisfied(f.enrolled):
		d.Outcome = Allowed
		return d, nil
	case f.partial:
		return e.fail(d, f.key, errPartial)
	default:
		return d, d.refuse()
	}
}
