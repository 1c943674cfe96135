package echomfa

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/echomfa/echomfa/internal/redact"
)

// guard is one place where a policy guards handlers: what the Echo adapter and
// the net/http adapter have in common. C is what their callbacks are given.
//
// Which routes are guarded is decided where the guard is put, on a route or a
// group, and never by comparing URL text.
type guard[C any] struct {
	enforcer   *Enforcer
	policy     Policy
	policyFunc func(C) (Policy, error)
	token      func(C) (string, error)
	subject    func(C) (string, error)
	mode       Mode
	modeFunc   func() Mode
	skipper    func(C) bool
}

// validate reports all that is wrong with a guard.
func (g *guard[C]) validate() error {
	var errs []error
	if !g.enforcer.ready() {
		errs = append(errs, errors.New("echomfa: Enforcer: required, made by New"))
	}
	switch {
	case g.policyFunc == nil && g.policy.isZero():
		errs = append(errs, errors.New("echomfa: Policy: required, or set PolicyFunc"))
	case g.policyFunc == nil:
		if err := g.policy.Err(); err != nil {
			errs = append(errs, policyError{err})
		}
	case !g.policy.isZero():
		errs = append(errs, errors.New("echomfa: Policy and PolicyFunc: set one of them"))
	}
	if g.mode != Enforce && g.mode != ReportOnly {
		errs = append(errs, fmt.Errorf("echomfa: Mode: %d is neither Enforce nor ReportOnly", g.mode))
	}
	if g.mode != Enforce && g.modeFunc != nil {
		errs = append(errs, errors.New("echomfa: Mode and ModeFunc: set one of them"))
	}
	return errors.Join(errs...)
}

// policyError names the field of an error that names this package.
type policyError struct{ err error }

func (e policyError) Error() string {
	return "echomfa: Policy: " + strings.TrimPrefix(e.err.Error(), "echomfa: ")
}
func (e policyError) Unwrap() error { return e.err }

// announce makes the policy known to the enforcer, and logs what an operator
// should know of it before it matters.
func (g *guard[C]) announce() {
	if g.policyFunc != nil {
		return
	}
	g.enforcer.required.add(g.policy)
	for _, t := range g.policy.weak() {
		g.enforcer.cfg.Logger.LogAttrs(context.Background(), slog.LevelWarn,
			"mfa policy is satisfied by a factor that users may have without having enrolled it",
			slog.String("policy", g.policy.label()), slog.String("factor", string(t)))
	}
}

// check decides about a request, and fills in the decision, which is the zero one
// before. Whatever panics in a callback, the decision is then again the zero one,
// which refuses. The token is the one that was read, for the one who answers the
// refusal to keep it secret.
func (g *guard[C]) check(c C, r *http.Request, route string, d *Decision) (token string, err error) {
	rq := request{route: route, method: r.Method}
	defer func() { //nolint:contextcheck // the request carries it
		if v := recover(); v != nil {
			*d, err = panicked(r.Context(), g.enforcer.cfg.Logger, "callback", v, g.enforcer.source.secrets(r, rq.token))
			token = rq.token
		}
	}()
	if g.skipper != nil && g.skipper(c) {
		d.Outcome, d.Enforced = Exempted, true
		return "", nil
	}
	d.Enforced, d.Policy = g.enforced(), g.policy
	err = g.decide(c, r, d, &rq)
	if err = g.enforcer.settle(r.Context(), d, err, &rq); err != nil {
		g.enforcer.refusals.warnOfGuardedPages(r, d) //nolint:contextcheck // the request carries it
	}
	return rq.token, err
}

// decide goes the way of a request: policy, token, facts.
func (g *guard[C]) decide(c C, r *http.Request, d *Decision, rq *request) error {
	if g.policyFunc != nil {
		p, err := g.policyFunc(c)
		if err != nil {
			return fmt.Errorf("echomfa: PolicyFunc: %w", concealed{g.enforcer.source.withoutSecrets(r, err)})
		}
		d.Policy = p
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
	if g.subject != nil {
		rq.checkSubject = true
		if rq.subject, err = g.subject(c); err != nil {
			return subjectFailed(d, g.enforcer.source.withoutSecrets(r, err, rq.token))
		}
	}
	return g.enforcer.decider.decide(r.Context(), d, rq)
}

func (g *guard[C]) enforced() bool {
	if g.modeFunc != nil {
		return g.modeFunc() != ReportOnly
	}
	return g.mode != ReportOnly
}

func (g *guard[C]) readToken(c C, r *http.Request) (string, error) {
	if g.token == nil {
		return g.enforcer.source.read(r)
	}
	token, err := g.token(c)
	return g.enforcer.source.readCustom(token, g.enforcer.source.withoutSecrets(r, err, token))
}

// subjectFailed is a Subject function's error: without an identity to serve
// there is none to check.
func subjectFailed(d *Decision, err error) error {
	if situationOf(err) == unauthenticated {
		d.Outcome = Unauthenticated
		return &TokenError{Reason: "no signed-in user", Err: err}
	}
	return fmt.Errorf("echomfa: Subject: %w", concealed{err})
}

// concealed keeps an application's error from being taken for one of ours: a
// PolicyFunc whose own call ended in some "unauthenticated" has not judged the
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
// token. Aborting a handler by [http.ErrAbortHandler] is no failure, and goes on,
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
		log.LogAttrs(ctx, slog.LevelError, "mfa callback panicked", slog.String("decision_id", d.ID),
			slog.String("panic", said), slog.String("stack", secrets.Hide(string(debug.Stack()))))
	}()
	return d, err
}

// methodLabel bounds what a client may write into logs and metrics.
func methodLabel(method string) string {
	switch method {
	case "", // of Decide: there is no request
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	default:
		return "OTHER"
	}
}
