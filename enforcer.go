package echomfa

import (
	"context"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/sony/gobreaker/v2"

	"github.com/echomfa/echomfa/internal/claims"
	"github.com/echomfa/echomfa/internal/hidden"
	"github.com/echomfa/echomfa/internal/redact"
)

// secret, embedded in a struct, makes it print as "[redacted]".
type secret = hidden.Fields

// Enforcer decides whether users have enrolled the MFA factors that a policy
// asks for. Make one per GenAuth app with [New], share it among all routes, and
// end it with [Enforcer.Close]. All methods may be called concurrently. The
// zero Enforcer refuses everything. It prints as "[redacted]": its Client and its
// Store may hold secrets.
type Enforcer struct {
	secret

	cfg      Config
	source   credential
	audience audienceRule
	enroll   destination
	login    destination
	returnTo returnTo
	pages    *template.Template
	cache    *cache
	tier     *tier // or nil
	lookups  *lookups
	counts   decisionCounts
	mounted  policies

	admission admissionWatch
	guarded   struct{ enroll, login sync.Once } // it has been said that the page is guarded
	circles   circles
}

// New returns an Enforcer, or all that is wrong with the configuration, each
// mistake naming its field. It asks nobody, and starts nothing but, with a Store,
// the goroutine that hears it.
func New(cfg Config) (*Enforcer, error) {
	cfg, err := cfg.prepared()
	e := &Enforcer{cfg: cfg, audience: audienceRule{accepted: cfg.Audience, any: cfg.InsecureAnyAudience}}
	errs := []error{err}
	e.source, err = newCredential(cfg.TokenLookup, cfg.Token)
	errs = append(errs, err, e.setDestinations())
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	e.admission.log, e.admission.expected = slog.New(calmHandler{e.cfg.Logger.Handler()}), strings.Join(cfg.Audience, " ")
	e.pages = newPages()
	e.cache = newCache(cfg.Cache, cfg.Namespace)
	e.tier = newTier(&e.cfg)
	e.lookups = newLookups(&e.cfg, e.cache, e.tier)
	if e.tier != nil {
		e.tier.watch(e.cache)
	}
	return e, nil
}

// Close ends the look-ups under way and waits for them. Later decisions that
// need a look-up are Unavailable. It returns nil, and may be called again.
func (e *Enforcer) Close() error {
	if e.ready() {
		e.tier.close()
		e.lookups.close()
	}
	return nil
}

// ready reports whether the Enforcer was made by New.
func (e *Enforcer) ready() bool { return e != nil && e.lookups != nil }

var errNotMade = errors.New("echomfa: Enforcer was not made by New")

// Decide decides by policy about the user of an access token, for callers that
// are not HTTP handlers, such as a gRPC interceptor or a job. It reads the
// cache and asks GenAuth as the middleware does.
//
// The error is nil exactly if the Outcome is Allowed or Exempted; otherwise it is
// a [*NotEnrolledError], [*TokenError] or [*LookupError], an error matching
// [ErrInvalidPolicy], the end of ctx, or what a panic of a callback became.
func (e *Enforcer) Decide(ctx context.Context, token string, p Policy) (d Decision, err error) {
	if !e.ready() {
		return Decision{Enforced: true, Policy: p}, errNotMade
	}
	defer func() {
		if v := recover(); v != nil {
			d, err = e.panicked(ctx, "callback", v, redact.Of(token))
		}
	}()
	d, err = e.decideToken(ctx, token, p)
	return e.settle(ctx, d, err, inquiry{token: token})
}

func (e *Enforcer) decideToken(ctx context.Context, token string, p Policy) (Decision, error) {
	d := Decision{Enforced: true, Policy: p}
	if done, err := d.withoutFacts(); done {
		return d, err
	}
	if _, err := checkCustom(token, nil); err != nil {
		d.Outcome = Unauthenticated
		return d, err
	}
	return e.decide(ctx, d, inquiry{token: token})
}

// Invalidate forgets what is known of a token: the next decision asks GenAuth.
// Call it when the user has enrolled or removed a factor. An answer that was
// asked for before is not kept, whenever it comes. The error is a [*TokenError]
// for a token that cannot be one, or says that the Store could not tell the other
// instances: this one has forgotten all the same.
func (e *Enforcer) Invalidate(ctx context.Context, token string) error {
	if !e.ready() {
		return errNotMade
	}
	if _, err := checkCustom(token, nil); err != nil {
		return err
	}
	k := e.cache.key(token)
	e.cache.invalidate(k)
	if e.tier == nil {
		return nil
	}
	c, err := claims.Parse(token)
	if err != nil {
		return nil // no facts are kept of such a token
	}
	// Until the Store has forgotten, a request may have learned from it again.
	defer e.cache.invalidate(k)
	return e.tier.tell(ctx, func(ctx context.Context, s Store) error {
		return s.Delete(ctx, e.tier.tokenKey(token), userKey(e.cfg.Namespace, c.Subject))
	})
}

// InvalidateRequest is [Enforcer.Invalidate] for the token of a request, read
// as TokenLookup or Token say.
func (e *Enforcer) InvalidateRequest(r *http.Request) error {
	if !e.ready() {
		return errNotMade
	}
	token, err := e.source.token(r)
	if err != nil {
		return err
	}
	return e.Invalidate(r.Context(), token)
}

// InvalidateUser forgets what is known of all tokens of a user, named by the
// sub claim of their JWTs. It returns an error matching [ErrUserNotIndexed] if
// there are none here: nothing is known of the user, or their tokens are opaque
// and name nobody. With a Store it tells all instances, wherever something is
// known, and returns an error if that fails: this instance has forgotten all the
// same.
func (e *Enforcer) InvalidateUser(ctx context.Context, userID string) error {
	if !e.ready() {
		return errNotMade
	}
	if userID == "" {
		return ErrUserNotIndexed
	}
	user := userKey(e.cfg.Namespace, userID)
	found := e.cache.invalidateUser(user.short())
	switch {
	case e.tier != nil:
		defer e.cache.invalidateUser(user.short()) // as in Invalidate
		return e.tier.tell(ctx, func(ctx context.Context, s Store) error { return s.DeleteUser(ctx, user) })
	case !found:
		return ErrUserNotIndexed
	}
	return nil
}

// Token returns the access token of a request, read as TokenLookup or Token
// say. The error is that of the refusal.
func (e *Enforcer) Token(r *http.Request) (string, error) {
	if !e.ready() {
		return "", errNotMade
	}
	return e.source.token(r)
}

// Policies returns the policies that guard something: those of all mounts made
// so far, each once, without exempt ones and without what a PolicyFunc may
// choose. An enrollment page warns by them before a factor is removed.
func (e *Enforcer) Policies() []Policy {
	if !e.ready() {
		return nil
	}
	return e.mounted.all()
}

// policies is a list of distinct policies that grows as mounts are made.
type policies struct {
	mu   sync.Mutex
	list []Policy
}

func (l *policies) add(p Policy) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, exempt := p.IsExempt(); !exempt && !slices.ContainsFunc(l.list, p.Equal) {
		l.list = append(l.list, p)
	}
}

func (l *policies) all() []Policy {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

// Stats are counts since the Enforcer was made, and its present state.
type Stats struct {
	// Hits and Misses count decisions made from the cache and by a look-up,
	// refusals among them.
	Hits, Misses uint64
	// Stale counts requests let through on facts older than FreshFor.
	Stale uint64
	// WouldBlock counts requests that ReportOnly let through, by what would
	// have been their outcome.
	WouldBlock WouldBlock
	// Lookups counts look-ups by what came of them.
	Lookups LookupStats
	// InFlight and Queued are the look-ups under way and those waiting.
	InFlight, Queued int
	// Limited counts look-ups turned away by the budgets of LookupConfig.
	Limited uint64
	// BreakerOpen reports that look-ups are stopped because they kept failing.
	BreakerOpen bool
	// Store counts what came of asking the Store, if there is one.
	Store StoreStats
	// Entries and Refused are how many tokens' facts and how many refused
	// tokens are remembered.
	Entries, Refused int
}

// LookupStats counts look-ups by result.
type LookupStats struct {
	Succeeded, Refused, RateLimited, Misconfigured, Unavailable, Malformed, Panicked, TurnedAway uint64
}

// WouldBlock counts requests by the outcome that was not enforced.
type WouldBlock struct {
	NotEnrolled, Unauthenticated, Unavailable uint64
}

// Stats returns the figures. They are read one after the other and need not
// agree with one another.
func (e *Enforcer) Stats() Stats {
	if !e.ready() {
		return Stats{}
	}
	s := e.counts.stats()
	s.Lookups = e.lookups.counts.stats()
	s.Store = e.tier.stats()
	s.InFlight, s.Queued, s.Limited = e.lookups.budget.figures()
	s.BreakerOpen = e.lookups.breaker.State() == gobreaker.StateOpen
	s.Entries, s.Refused = e.cache.size()
	return s
}
