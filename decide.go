package echomfa

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/echomfa/echomfa/internal/admission"
	"github.com/echomfa/echomfa/internal/bounded"
	"github.com/echomfa/echomfa/internal/claims"
	"github.com/echomfa/echomfa/internal/digest"
	"github.com/echomfa/echomfa/internal/retryafter"
)

// request is what a guard, or [Enforcer.Decide], knows of the request that it
// decides about.
type request struct {
	route, method string
	token         string
	subject       string // what the token's sub must be, if checkSubject
	checkSubject  bool
	observed      bool // the Observer has been told
}

// source is where facts come from if the cache does not have them.
type source interface {
	// fetch returns what the source says of a question, and reports whether
	// that is the answer to it. Before is what the source before has said.
	fetch(ctx context.Context, q *question, p Policy, before reading) (r reading, done bool, err error)
}

// decider decides about tokens. It is the way of a request: facts from the cache,
// from the Store or from GenAuth, held against a policy.
type decider struct {
	cache     *cache
	store     *storeSource // or nil
	genauth   *genauthSource
	running   *running
	audience  admission.Rule
	admission *admission.Watch
	start     *admission.StartWatch
	namespace string
	timeout   time.Duration
	counts    decisionCounts
	checks    bounded.Calls // of CheckToken, without a lookup
}

func newDecider(cfg *Config) *decider {
	d := &decider{
		cache: newCache(cfg.Cache, cfg.Namespace), running: newRunning(),
		audience:  admission.Rule{Accepted: cfg.Audience, Any: cfg.InsecureAnyAudience, Delegated: cfg.AllowDelegated},
		namespace: cfg.Namespace, timeout: cfg.Lookup.Timeout,
	}
	d.admission = admission.NewWatch(panicProof(cfg.Logger), cfg.Audience)
	d.start = admission.NewStartWatch(panicProof(cfg.Logger))
	d.genauth = newGenauthSource(cfg, d.cache, d.running)
	if d.store = newStoreSource(cfg, d.cache, d.running); d.store != nil {
		d.genauth.share = d.store.shareAnswer
		d.store.watch()
	}
	return d
}

// decide settles a decision whose policy is valid and asks for factors. The error
// is nil exactly if the outcome is Allowed.
func (d *decider) decide(ctx context.Context, out *Decision, rq *request) error {
	arrived := d.cache.now()
	key := d.cache.keys.Key(rq.token)
	var said *claims.Claims
	if rq.checkSubject {
		c, err := d.subjectOf(ctx, key, rq)
		if err != nil {
			return d.conclude(out, &reading{err: err})
		}
		said = &c
	}
	var r reading
	if d.cache.read(key, out.Policy, arrived, &r) == nothing {
		return d.conclude(out, &r)
	}
	q := askAgain(rq.token, key, &r, arrived)
	if !r.known || d.store != nil {
		var err error
		if q, err = d.ask(ctx, rq.token, key, said, arrived); err != nil {
			return d.conclude(out, &reading{err: err})
		}
	}
	d.counts.misses.Add(1)
	r = d.learn(ctx, q, out.Policy, patience(out, d.timeout))
	switch {
	case r.known:
		d.start.Accepted()
		if q.graves.user == d.cache.nobody() {
			d.counts.nameless.Store(time.Now().UnixNano())
		}
	case failureOf(r.err) == failureRefused:
		d.start.Refused(ctx, key, r.err)
	}
	return d.conclude(out, &r)
}

// learn asks the sources, one after the other, until one has the answer.
func (d *decider) learn(ctx context.Context, q *question, p Policy, patience time.Duration) reading {
	waiting, cancel := context.WithTimeoutCause(ctx, patience, tired(patience, d.timeout))
	defer cancel()
	var r reading
	done, err := false, ctx.Err()
	for _, s := range d.sources(q) {
		if done || err != nil {
			break
		}
		r, done, err = s.fetch(waiting, q, p, r)
	}
	if r.known && done && q.user != (StoreKey{}) { // a JWT's
		d.admission.Accepted(q.key)
	}
	partial := r.known && r.judge(p) == undecided // what was left out may be what the policy asks for
	switch {
	case err == nil && !partial:
		return r
	case ctx.Err() != nil: // the client has gone
		return reading{err: ctx.Err()}
	case err != nil && (!failureOf(err).stale() || refuses(err)):
		return reading{err: err}
	}
	if old, ok := d.cache.standIn(q.key, p, d.cache.moment(time.Now())); ok {
		return old
	}
	if err == nil {
		return r
	}
	return reading{err: err}
}

// sources returns what is to be asked, in this order. A lookup at GenAuth that is
// under way has the answer sooner than the Store.
func (d *decider) sources(q *question) []source {
	if d.store == nil || d.genauth.underWay(q) {
		return []source{d.genauth}
	}
	return []source{d.store, d.genauth}
}

// verdict is what facts say to a policy.
type verdict uint8

const (
	undecided verdict = iota // nothing is known, or what was left out may be what is asked for
	satisfied
	missing
)

// judge holds what is known against a policy, whatever source it comes from. What is
// unknown is never "no factors".
func (r *reading) judge(p Policy) verdict {
	switch {
	case !r.known:
		return undecided
	case p.satisfied(r.enrolled):
		return satisfied
	case r.partial:
		return undecided
	}
	return missing
}

// conclude settles the decision by what is known, whatever it comes from.
// What is unknown is never taken for "no factors".
func (d *decider) conclude(out *Decision, r *reading) error {
	if r.known {
		out.Enrolled, out.Source, out.Age = r.enrolled, r.source, r.age
	}
	switch r.judge(out.Policy) {
	case satisfied:
		if r.source == Stale {
			d.counts.stale.Add(1)
		}
		out.Outcome = Allowed
		return nil
	case missing:
		out.Outcome = NotEnrolled
		out.Missing = out.Policy.Evaluate(r.enrolled).Missing
		return &NotEnrolledError{Decision: *out}
	case undecided:
		if r.known {
			r.err = errPartial
		}
	}
	switch failureOf(r.err) {
	case failureRefused:
		out.Outcome = Unauthenticated
		return r.err
	case failurePanic:
		return r.err // InternalError
	case noFailure: // cannot be: what is not known has an error
		return errNoResult
	case failureLimited, failureMisconfigured, failureUnavailable, failureMalformed, failureTurnedAway:
	}
	out.Outcome = Unavailable
	wait := max(d.genauth.budget.RetryAfter(), retryafter.Of(r.err))
	return &LookupError{RetryAfter: wait, Err: r.err}
}

// patience is how long a request waits for a lookup.
func patience(out *Decision, timeout time.Duration) time.Duration {
	if !out.Enforced {
		return min(timeout, reportOnlyFor)
	}
	return timeout
}

// tired is the error of a request that waits no longer.
func tired(patience, timeout time.Duration) error {
	if patience < timeout {
		return errReportWait
	}
	return context.DeadlineExceeded
}

// subjectOf compares whom the token names with whom the handler serves. An opaque
// token names nobody.
func (d *decider) subjectOf(ctx context.Context, key digest.Key, rq *request) (claims.Claims, error) {
	c, err := d.parse(ctx, key, rq.token)
	switch {
	case err != nil:
		return claims.Claims{}, err
	case c.Subject == "" || c.Subject != rq.subject:
		verdict := d.audience.Admit(&c)
		if verdict == admission.Admitted {
			verdict = admission.NotServed
		}
		return claims.Claims{}, d.refuse(ctx, key, verdict, &c)
	}
	return c, nil
}

// parse holds a token against the grammar of tokens, and returns its claims.
func (d *decider) parse(ctx context.Context, key digest.Key, token string) (claims.Claims, error) {
	var c claims.Claims
	err := checkToken(token)
	if err == nil {
		if c, err = claims.Parse(token); err != nil {
			err = errMalformedToken(err)
		}
	}
	if err != nil {
		d.start.Refused(ctx, key, err)
	}
	return c, err
}

// refuse returns the refusal of a token for its claims.
func (d *decider) refuse(ctx context.Context, key digest.Key, verdict admission.Verdict, said *claims.Claims) error {
	d.admission.Refused(ctx, key, verdict, said)
	return errBadToken(verdict.Reason())
}

// ask makes the question about a token of which the cache has no answer. The token
// is first held against the grammar of tokens and against its own claims:
// what the cache knows has passed both.
func (d *decider) ask(ctx context.Context, token string, key digest.Key, said *claims.Claims, arrived moment) (*question, error) {
	if said == nil {
		c, err := d.parse(ctx, key, token)
		if err != nil {
			return nil, err
		}
		said = &c
	}
	if verdict := d.audience.Admit(said); verdict != admission.Admitted {
		return nil, d.refuse(ctx, key, verdict, said)
	}
	q := &question{
		token: token, key: key, arrived: arrived, expires: said.Expires, keep: said.Storable(time.Now()),
		user: userKey(d.namespace, said.Subject),
	}
	q.graves = graves{token: d.cache.grave(binary.BigEndian.Uint64(key[:])), user: d.cache.nobody()}
	if said.Subject != "" {
		q.graves.user = d.cache.grave(q.user.short())
	}
	if d.store != nil {
		name := tokenKey(d.namespace, token)
		q.graves.token = d.cache.grave(name.short())
		if q.keep {
			q.name = name
		}
	}
	return q, nil
}

// askAgain makes the question about a token that the cache knows: it has passed what
// ask holds it against.
func askAgain(token string, key digest.Key, known *reading, arrived moment) *question {
	q := &question{token: token, key: key, arrived: arrived, keep: true, graves: known.graves}
	if known.expires != 0 {
		q.expires = time.Unix(int64(known.expires), 0)
	}
	return q
}

// invalidate buries what is known of a token or a user.
func (d *decider) invalidate(name uint64) {
	d.cache.bury(d.cache.grave(name), d.cache.dig(time.Now()))
}

// invalidateToken forgets a token, here and wherever the Store is heard.
func (d *decider) invalidateToken(ctx context.Context, token string) error {
	key := d.cache.keys.Key(token)
	if d.store == nil {
		d.invalidate(binary.BigEndian.Uint64(key[:]))
		return nil
	}
	name := tokenKey(d.namespace, token)
	d.invalidate(name.short())
	c, err := claims.Parse(token)
	if err != nil {
		return nil // no facts are kept of such a token
	}
	// Until the Store has forgotten, a request may have learned from it again.
	defer d.invalidate(name.short())
	return d.store.tell(ctx, forgotten{name, userKey(d.namespace, c.Subject)})
}

// invalidateUser forgets a user, here and wherever the Store is heard.
func (d *decider) invalidateUser(ctx context.Context, userID string) error {
	user := userKey(d.namespace, userID)
	d.invalidate(user.short())
	if d.store != nil {
		defer d.invalidate(user.short()) // as in invalidateToken
		if err := d.store.tell(ctx, forgotten{user: user}); err != nil {
			return err
		}
	}
	if rules := &d.cache.rules; time.Since(time.Unix(0, d.counts.nameless.Load())) <= max(rules.FreshFor, rules.StaleIfError) {
		return ErrUserNotIndexed
	}
	return nil
}

// close ends all lookups.
func (d *decider) close() error {
	d.genauth.budget.Close()
	d.running.close()
	<-d.checks.Over()
	return d.store.close() // last: a lookup that ends tells the Store
}
