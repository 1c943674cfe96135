package echomfa

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/echomfa/echomfa/internal/bounded"
	"github.com/echomfa/echomfa/internal/claims"
	"github.com/echomfa/echomfa/internal/danger"
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
	decider  *decider  // decides
	refusals *refusals // answers
	required policies
	insecure *danger.Switch             // OnUnavailable is InsecureAllow
	userRef  func(userID string) string // or nil; it holds the key, so that printing shows none
}

// New returns an Enforcer, or all that is wrong with the configuration, each
// mistake naming its field. New makes no network calls and starts no goroutine unless
// a Store is set. With OnUnavailable InsecureAllow a timer logs that until Close.
func New(cfg Config) (*Enforcer, error) {
	cfg, err := cfg.prepared()
	e := &Enforcer{cfg: cfg}
	errs := []error{err}
	e.source, err = newCredential(cfg.TokenLookup, cfg.Token)
	e.source.most = cfg.MaxTokenBytes
	errs = append(errs, err)
	e.refusals, err = newRefusals(&e.cfg, &e.source)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if key := slices.Clone(cfg.UserRefKey); key != nil {
		e.userRef = func(userID string) string { return UserRef(key, userID) }
		e.cfg.UserRefKey = nil
	}
	e.decider, e.required.id = newDecider(&e.cfg), lists.Add(1)
	e.insecure = danger.New(e.logInsecure)
	if e.cfg.OnUnavailable == InsecureAllow {
		e.insecure.Start(time.Time{})
	}
	return e, nil
}

// Close ends the lookups under way and waits for them. Later decisions that need a
// lookup are Unavailable. It may be called again. The error says that a Store has
// not returned from a call whose context has ended: Close does not wait for it.
func (e *Enforcer) Close() error {
	if !e.ready() {
		return nil
	}
	e.insecure.Close()
	return e.decider.close()
}

// ready reports whether the Enforcer was made by New.
func (e *Enforcer) ready() bool { return e != nil && e.decider != nil }

var errNotMade = errors.New("echomfa: Enforcer was not made by New")

// Decide decides by policy about the user of an access token, for callers that
// are not HTTP handlers, such as a gRPC interceptor or a job. It reads the
// cache and asks GenAuth as the middleware does.
//
// The error is nil exactly if the Outcome is Allowed or Exempted; otherwise, also where
// OnUnavailable lets a user through (Enforced is then false), it is
// a [*NotEnrolledError], [*TokenError] or [*LookupError], an error matching
// [ErrInvalidPolicy], the end of ctx, or the error of a callback's panic.
func (e *Enforcer) Decide(ctx context.Context, token string, p Policy) (d Decision, err error) {
	if !e.ready() {
		return Decision{Enforced: true, Policy: p}, errNotMade
	}
	defer func() {
		if v := recover(); v != nil {
			d, err = panicked(ctx, e.cfg.Logger, "callback", v, redact.Of(token))
		}
	}()
	rq := request{token: token}
	d = Decision{Enforced: true, Policy: p}
	err = e.decideToken(ctx, &d, &rq)
	err = e.settle(ctx, &d, err, &rq)
	return d, err
}

func (e *Enforcer) decideToken(ctx context.Context, d *Decision, rq *request) error {
	if done, err := d.withoutFacts(); done {
		return err
	}
	if _, err := e.source.readCustom(rq.token, nil); err != nil {
		d.Outcome = Unauthenticated
		return err
	}
	return e.decide(ctx, d, rq)
}

// decide settles a decision whose policy is valid and asks for factors.
func (e *Enforcer) decide(ctx context.Context, d *Decision, rq *request) error {
	err := e.decider.decide(ctx, d, rq)
	if d.Outcome != Unavailable || !d.Enforced || ctx.Err() != nil || !e.insecure.On() || errors.Is(err, ErrMisconfigured) {
		return err
	}
	refusal := e.decider.mayGoOn(ctx, rq.token, d.Policy)
	switch failureOf(refusal) {
	case noFailure:
		d.Mode, d.Enforced = insecureAllowed, false
	case failureRefused:
		d.Outcome = Unauthenticated
		return refusal
	case failurePanic:
		d.Outcome = InternalError
		return refusal
	case failureLimited, failureMisconfigured, failureUnavailable, failureMalformed, failureTurnedAway:
	}
	return err
}

// errLacks is that the last that was known of a user is that a factor is missing.
var errLacks = errors.New("echomfa: the user lacked a factor when GenAuth last listed them")

// mayGoOn reports why a user must not go on although the enrollment status is
// unknown: the user lacked a factor before, or the token was rejected, is not
// valid now by its own claims, or is not accepted by CheckToken. What the cache knows has passed CheckToken.
// That is not a lookup, and in no budget, but no request waits for it longer than Timeout.
func (d *decider) mayGoOn(ctx context.Context, token string, p Policy) error {
	now := d.cache.now()
	known, err := d.cache.last(d.cache.keys.Key(token), p, now)
	if known || err != nil {
		return err
	}
	wall := time.Unix(0, now.wall)
	if said, err := claims.Parse(token); err != nil || !said.Storable(wall) || !said.Begun(wall, maxClockSkew) {
		return errBadToken("the token has expired or is not valid yet")
	}
	if d.genauth.checkToken == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	_, err = bounded.Call(ctx, &d.checks, func(ctx context.Context) (_ struct{}, err error) {
		defer recovered(ctx, d.genauth.log, token, &err)
		return struct{}{}, runCheckToken(ctx, d.genauth.checkToken, token)
	})
	return err
}

// EnrolledFactors returns the factor types that the user of an access token has
// enrolled, at most DenyFreshFor old, for pages that show them. It makes no
// decision: nothing is logged or observed. The errors are those of [Enforcer.Decide],
// without the ID of a decision. If GenAuth's list left something out, the types
// that are known come with a [*LookupError]: use them to show what the user has, and
// not what the user lacks.
func (e *Enforcer) EnrolledFactors(ctx context.Context, token string) (FactorSet, error) {
	if !e.ready() {
		return FactorSet{}, errNotMade
	}
	if _, err := e.source.readCustom(token, nil); err != nil {
		return FactorSet{}, err
	}
	// No facts satisfy the zero policy, so they are as fresh as those that refuse.
	d := Decision{Enforced: true}
	err := e.decider.decide(ctx, &d, &request{token: token})
	if d.Outcome == NotEnrolled {
		err = nil
	}
	return d.Enrolled, err
}

// Invalidate forgets what is known of a token: the next decision asks GenAuth.
// Call it when the user has enrolled or removed a factor. The answer to a call
// made before is discarded when it arrives. The error is a [*TokenError] for a text
// that is not a token, or says that the Store could not tell the other instances:
// this one has forgotten all the same.
func (e *Enforcer) Invalidate(ctx context.Context, token string) error {
	if !e.ready() {
		return errNotMade
	}
	if _, err := e.source.readCustom(token, nil); err != nil {
		return err
	}
	if err := checkToken(token); err != nil {
		return err
	}
	return e.decider.invalidateToken(ctx, token)
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

// InvalidateUser forgets what is known of all tokens of a user, named by the sub
// claim of their JWTs: the next decision about one of them asks GenAuth. With a
// Store it tells all instances, and returns an error if that fails: this instance
// has forgotten all the same. Where there is nothing to forget, it returns nil. The
// error matches [ErrUserNotIndexed] while lists are kept of tokens that name nobody, as
// opaque ones do: this instance has accepted one within FreshFor (or StaleIfError), and it
// may be the user's. It is not reached.
func (e *Enforcer) InvalidateUser(ctx context.Context, userID string) error {
	if !e.ready() {
		return errNotMade
	}
	if userID == "" {
		return ErrUserNotIndexed
	}
	return e.decider.invalidateUser(ctx, userID)
}

// Token returns the access token of a request, read as TokenLookup or Token
// say. The error is that of the refusal.
func (e *Enforcer) Token(r *http.Request) (string, error) {
	if !e.ready() {
		return "", errNotMade
	}
	return e.source.token(r)
}

// Take counts one more event of a name, such as a user's wrong codes, for all instances,
// as [StoreCounter] says, and reports whether it is within limit. If no Store counts, or it
// does not answer, Take reports true: keep a limit in each instance as well, as the
// enrollment pages do.
func (e *Enforcer) Take(ctx context.Context, name string, limit int, per time.Duration) bool {
	return !e.ready() || e.decider.store.take(ctx, name, limit, per)
}

// MaxPerSecond returns [LookupConfig].MaxPerSecond, or 0 if the Enforcer was not made by
// New. The enrollment pages make their own calls at a share of it.
func (e *Enforcer) MaxPerSecond() float64 {
	if !e.ready() {
		return 0
	}
	return e.cfg.Lookup.MaxPerSecond
}

// Client returns the Client of the configuration, or nil if the Enforcer was not
// made by New. Package enroll compares it with its own.
//
//nolint:ireturn // it is what the configuration has
func (e *Enforcer) Client() FactorLister {
	if !e.ready() {
		return nil
	}
	return e.cfg.Client
}

// Pages returns EnrollURL and LoginURL of the configuration, without what is not set.
// Package rules compares them with its rules: neither may be guarded.
func (e *Enforcer) Pages() []string {
	if !e.ready() {
		return nil
	}
	return slices.DeleteFunc([]string{e.cfg.EnrollURL, e.cfg.LoginURL}, func(page string) bool { return page == "" })
}

// Policies returns the policies that guard something, each once, without exempt ones:
// those of all mounts made so far, and what RequireFuncs have returned, the first 64. An
// enrollment page warns by them before a factor is removed.
func (e *Enforcer) Policies() []Policy {
	if !e.ready() {
		return nil
	}
	return slices.Clone(e.required.all())
}

// learnPolicy makes a policy known to the enforcer, and logs what an operator should
// know of it before it matters.
func (e *Enforcer) learnPolicy(ctx context.Context, p Policy) {
	if !e.required.add(p) {
		return
	}
	for _, t := range p.weak() {
		e.cfg.Logger.LogAttrs(ctx, slog.LevelWarn,
			"mfa policy is satisfied by a factor that users may have without having enrolled it",
			slog.String("event", "policy_weak"), slog.String("policy", p.Label()), slog.String("factor", string(t)))
	}
}

// maxPolicies bounds what a RequireFunc that makes policies of requests can cause.
const maxPolicies = 64

// policies is a list of distinct policies that grows as mounts are made and as
// RequireFuncs return others. Reading it takes no lock.
type policies struct {
	id   uint64     // of the list
	mu   sync.Mutex // held by who adds
	list atomic.Pointer[[]Policy]
}

// add reports whether the policy is valid, not exempt, and new. A full list takes no
// lock: requests would wait for one another.
func (l *policies) add(p Policy) bool {
	isNew := func() bool {
		known := l.all()
		return len(known) < maxPolicies && !slices.ContainsFunc(known, p.same)
	}
	if p.Err() != nil || p.p.exempt || l.id != 0 && p.p.listed.Load() == l.id {
		return false // by far the most requests end here: to look through the list takes longer the more there are
	}
	if !isNew() {
		p.p.listed.CompareAndSwap(0, l.id)
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !isNew() {
		return false
	}
	longer := append(slices.Clone(l.all()), p)
	l.list.Store(&longer)
	return true
}

// lists counts the lists of all Enforcers: a pointer to one would keep it in memory.
var lists atomic.Uint64 //nolint:gochecknoglobals // as above

func (l *policies) all() []Policy {
	if list := l.list.Load(); list != nil {
		return *list
	}
	return nil
}
