package echomfa

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/redact"
)

// Requirement is what a route asks of a request.
type Requirement struct {
	// Policy is what the user must have enrolled. Required: with the zero Policy, or
	// an invalid one, the answer is a 500.
	Policy Policy
	// Mode is Enforce or ReportOnly. Optional. Default Enforce.
	Mode Mode
	// Rule names the rule that this comes from, in the log, the problem document and
	// the Decision. Clients see it. Optional.
	Rule string
	// Revision names the version of the rules, such as the hash of a file, in the log and
	// the Decision. Optional.
	Revision string
}

// GuardConfig configures a [Guard].
type GuardConfig[C any] struct {
	// Enforcer decides. Required.
	Enforcer *Enforcer
	// Policy is what the user must have enrolled. Required, unless RequireFunc is set.
	Policy Policy
	// Mode is Enforce or ReportOnly. Optional. Default Enforce.
	Mode Mode
	// RequireFunc returns what a request needs, by role or tenant, instead of Policy
	// and Mode. Optional. An error is answered in every mode, and the Requirement beside
	// it is not read. It is a 401 if a [*TokenError] is in it, or if it matches
	// ErrUnauthenticated and has neither a [*client.APIError] nor a network error in it:
	// then it may be the application's own call that was refused. Every other error, and
	// an invalid policy, is a 500.
	RequireFunc func(c C) (Requirement, error)
	// Token returns the access token instead of the Enforcer's TokenLookup or Token.
	// "" or an error matching ErrUnauthenticated is a 401, a [*TokenError] is answered
	// as it says, every other error is a 500. For this mount only: the enrollment pages,
	// InvalidateRequest and Enforcer.Token do not see it; with package enroll set
	// [Config.Token]. Optional.
	Token func(c C) (string, error)
	// Subject returns the identity that the handler works for. A token whose sub claim
	// differs, or that names nobody, is a 401. Optional.
	Subject func(c C) (string, error)
	// Skipper reports whether a request goes by unchecked. Optional.
	Skipper func(c C) bool
}

// Guard is one place where a policy guards handlers: what an adapter to a web
// framework is made of. C is what its callbacks are given, such as the framework's
// context. Make one for each mount with [NewGuard]. For each request call
// [Guard.Check]; if it returns an error, answer by [Guard.Refuse] and do not call the
// handler. All methods may be called concurrently. The zero Guard refuses everything.
//
// Which routes are guarded is decided where the guard is put, on a route or a group,
// and never by comparing URL text.
type Guard[C any] struct{ cfg GuardConfig[C] }

// NewGuard returns a Guard, or all that is wrong with the configuration, each mistake
// naming its field.
func NewGuard[C any](cfg GuardConfig[C]) (*Guard[C], error) {
	var errs []error
	if !cfg.Enforcer.ready() {
		errs = append(errs, errors.New("echomfa: Enforcer: required, made by New"))
	}
	switch {
	case cfg.RequireFunc != nil && (!cfg.Policy.isZero() || cfg.Mode != Enforce):
		errs = append(errs, errors.New("echomfa: RequireFunc: it returns Policy and Mode: leave both out"))
	case cfg.RequireFunc != nil:
	case cfg.Policy.isZero():
		errs = append(errs, errors.New("echomfa: Policy: required, or set RequireFunc"))
	default:
		if err := cfg.Policy.Err(); err != nil {
			errs = append(errs, policyError{err})
		}
	}
	if cfg.Mode != Enforce && cfg.Mode != ReportOnly {
		errs = append(errs, fmt.Errorf("echomfa: Mode: %d is neither Enforce nor ReportOnly", cfg.Mode))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if cfg.RequireFunc == nil {
		cfg.Enforcer.learnPolicy(context.Background(), cfg.Policy)
	}
	return &Guard[C]{cfg: cfg}, nil
}

// Check decides about a request. The error is nil exactly if the handler may run; in
// ReportOnly mode it may also where the Outcome is not Allowed. Route is the registered
// route, such as "/admin/:id", and never the path of the URL. A panic of a callback is
// an error, except [http.ErrAbortHandler], which goes on: in a framework that calls the
// next handler after a recovered panic, as gin does, the adapter must stop it first. If
// an answer has begun, call neither Refuse nor RefuseBy: return Redact(r, err, err) to
// the framework.
func (g *Guard[C]) Check(c C, r *http.Request, route string) (d Decision, err error) {
	err = g.checkInto(c, r, route, &d)
	return d, err
}

// checkInto is Check without copies of the decision.
func (g *Guard[C]) checkInto(c C, r *http.Request, route string, d *Decision) error {
	if !g.cfg.Enforcer.ready() {
		return errNotMade
	}
	token, err := g.check(c, r, route, d)
	if d.proceeds() {
		return nil
	}
	return &refusedError{err: err, token: func() string { return token }}
}

// WithDecision returns the request that the handler is given: with the decision in its
// context, for [DecisionFrom], if [Config.KeepDecision] is set, and otherwise r itself.
func (g *Guard[C]) WithDecision(r *http.Request, d *Decision) *http.Request {
	if g.cfg.Enforcer.ready() && g.cfg.Enforcer.cfg.KeepDecision {
		return r.WithContext(context.WithValue(r.Context(), decisionKey{}, *d))
	}
	return r
}

// Refuse writes the default answer to an error of [Guard.Check], with its headers. Do
// not call it if an answer has begun: see Check.
func (g *Guard[C]) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	g.cfg.Enforcer.WriteRefusal(w, r, err)
}

// RefuseBy has the application answer an error of [Guard.Check]. It sets the headers of
// the answer, and calls handle, which may be nil, with the refusal. handle may write an
// answer and return nil. If it returns nil, and written reports that there is no answer,
// not even one that is not flushed yet, the default one is written. What handle returns is
// returned, without the token and other secrets of the request. A panic of handle is
// logged, and is a 500 if there is no answer.
func (g *Guard[C]) RefuseBy(w http.ResponseWriter, r *http.Request, err error, written func() bool, handle func(err error) error) (returned error) {
	e := g.cfg.Enforcer
	if !e.ready() {
		e.WriteRefusal(w, r, err)
		return nil
	}
	secrets, refusal := g.refusal(r, err)
	defer func() {
		if v := recover(); v != nil {
			_, failure := panicked(r.Context(), e.cfg.Logger, "ErrorHandler", v, secrets())
			if returned = nil; !written() {
				e.refusals.write(w, r, failure)
			}
		}
	}()
	e.refusals.setHeaders(w.Header(), r, refusal)
	if handle != nil {
		if err := handle(refusal); err != nil {
			return withoutSecrets(err, secrets())
		}
	}
	if !written() {
		e.refusals.write(w, r, refusal)
	}
	return nil
}

// Redact returns err, or an error that says the same without the token and other
// secrets of a request: refusal is what [Guard.Check] returned, and err what the
// framework is about to get. An adapter needs it if its framework knows errors by their
// type, and has to take them apart: [Guard.RefuseBy] redacts errors as a whole.
func (g *Guard[C]) Redact(r *http.Request, refusal, err error) error {
	if !g.cfg.Enforcer.ready() {
		return errNotMade
	}
	secrets, _ := g.refusal(r, refusal)
	return withoutSecrets(err, secrets())
}

// refusal takes apart what Check returned.
func (g *Guard[C]) refusal(r *http.Request, err error) (secrets func() redact.Secrets, refusal error) {
	token := ""
	if refused := (*refusedError)(nil); errors.As(err, &refused) {
		err, token = refused.err, refused.token()
	}
	return func() redact.Secrets { return g.cfg.Enforcer.source.secrets(r, token) }, err
}

// refusedError is a refusal that knows what its answer must not show. The token is
// behind a function, so that printing shows none.
type refusedError struct {
	err   error
	token func() string
}

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// check decides about a request, and fills in the decision, which is the zero one
// before. Whatever panics in a callback, the decision is then again the zero one,
// which refuses. The token is the one that was read, for the one who answers the
// refusal to keep it secret.
func (g *Guard[C]) check(c C, r *http.Request, route string, d *Decision) (token string, err error) {
	e := g.cfg.Enforcer
	rq := request{route: route, method: r.Method}
	defer func() { //nolint:contextcheck // the request carries it
		if v := recover(); v != nil {
			*d, err = panicked(r.Context(), e.cfg.Logger, "callback", v, e.source.secrets(r, rq.token))
			token = rq.token
			e.observePanic(r.Context(), d, &rq)
		}
	}()
	d.Enforced = true
	if g.cfg.Skipper != nil && g.cfg.Skipper(c) {
		d.Policy, d.Outcome = g.cfg.Policy, Exempted
	} else {
		err = g.decide(c, r, d, &rq)
	}
	if err = e.settle(r.Context(), d, err, &rq); err != nil {
		e.refusals.warnOfGuardedPages(r, d) //nolint:contextcheck // the request carries it
	}
	return rq.token, err
}

// decide goes the way of a request: requirement, token, facts.
func (g *Guard[C]) decide(c C, r *http.Request, d *Decision, rq *request) error {
	e := g.cfg.Enforcer
	if err := g.require(c, r, d); err != nil {
		return err
	}
	if done, err := d.withoutFacts(); done {
		return err
	}
	var err error
	if rq.token, err = g.readToken(c, r); err != nil {
		if situationOf(err) == unauthenticated {
			d.Outcome = Unauthenticated
		}
		return err
	}
	if g.cfg.Subject != nil {
		rq.checkSubject = true
		if rq.subject, err = g.cfg.Subject(c); err != nil {
			return subjectFailed(d, e.source.withoutSecrets(r, err, rq.token))
		}
	}
	return e.decide(r.Context(), d, rq)
}

// require settles what the request needs.
func (g *Guard[C]) require(c C, r *http.Request, d *Decision) error {
	if g.cfg.RequireFunc == nil {
		d.Policy, d.Mode, d.Enforced = g.cfg.Policy, g.cfg.Mode, g.cfg.Mode != ReportOnly
		return nil
	}
	required, err := g.cfg.RequireFunc(c)
	if err != nil {
		return requireFailed(d, g.cfg.Enforcer.source.withoutSecrets(r, err))
	}
	d.Policy, d.Mode, d.Enforced = required.Policy, required.Mode.effective(), required.Mode != ReportOnly
	d.Rule, d.Revision = required.Rule, required.Revision
	g.cfg.Enforcer.learnPolicy(r.Context(), d.Policy)
	return nil
}

func (g *Guard[C]) readToken(c C, r *http.Request) (string, error) {
	source := &g.cfg.Enforcer.source
	if g.cfg.Token == nil {
		return source.read(r)
	}
	token, err := g.cfg.Token(c)
	return source.readCustom(token, source.withoutSecrets(r, err, token))
}

// requireFailed is a RequireFunc's error. A service of roles that refuses the
// application's own call has not judged the user's token: to send the user to sign in
// again would not end.
func requireFailed(d *Decision, err error) error {
	var (
		token *TokenError
		api   *client.APIError
	)
	ofToken := errors.As(err, &token)
	if situationOf(err) != unauthenticated || !ofToken && (errors.As(err, &api) || undetermined(err)) {
		return fmt.Errorf("echomfa: RequireFunc: %w", concealed{err})
	}
	d.Outcome = Unauthenticated
	if ofToken {
		return err
	}
	return &TokenError{Reason: "no signed-in user", Err: err}
}

// subjectFailed is a Subject function's error: without an identity
// there is none to check.
func subjectFailed(d *Decision, err error) error {
	if situationOf(err) == unauthenticated {
		d.Outcome = Unauthenticated
		return &TokenError{Reason: "no signed-in user", Err: err}
	}
	return fmt.Errorf("echomfa: Subject: %w", concealed{err})
}

// concealed keeps an application's error from being taken for one of ours: a
// RequireFunc whose own call ended in some "unauthenticated" has not judged the
// user's token, and a session store that is away is not GenAuth being away.
type concealed struct{ err error }

func (c concealed) Error() string { return c.err.Error() }

// Is reports whether target is in the application's error, and is none of the
// values that this package answers by.
func (c concealed) Is(target error) bool {
	switch target {
	case ErrUnauthenticated, ErrNotEnrolled, ErrUnavailable, ErrMisconfigured:
		return false
	}
	return errors.Is(c.err, target)
}

// panicked makes a panic a refusal that tells the client nothing, and nobody the
// token. Aborting a handler by [http.ErrAbortHandler] is not a failure, and goes on,
// without what it may be wrapped in: net/http logs that.
func panicked(ctx context.Context, log *slog.Logger, where string, v any, secrets redact.Secrets) (Decision, error) {
	if aborted, ok := v.(error); ok && errors.Is(aborted, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	d := Decision{Enforced: true, ID: newID()}
	said := secrets.Hide(fmt.Sprint(v))
	err := &internalError{decisionID: d.ID, err: &panicError{where: where, value: said}}
	func() {
		defer func() { _ = recover() }() // it may be the logger that panics
		log.LogAttrs(ctx, slog.LevelError, "mfa callback panicked",
			slog.String("event", "callback_panicked"), slog.String("decision_id", d.ID), slog.String("panic", said), slog.String("stack", secrets.Hide(string(debug.Stack()))))
	}()
	return d, err
}
