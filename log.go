package echomfa

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/echomfa/echomfa/internal/breaker"
	"github.com/echomfa/echomfa/internal/claims"
	"github.com/echomfa/echomfa/internal/digest"
)

// settle ends a decision: it gets its ID, is counted, logged and observed.
func (e *Enforcer) settle(ctx context.Context, d *Decision, err error, rq *request) error {
	if err != nil || !d.Enforced {
		d.ID = newID()
		if rq.token != "" {
			keys := e.decider.cache.keys
			d.TokenRef = keys.Ref(keys.Key(rq.token))
		}
		if err != nil {
			d.UserRef = e.userRefOf(rq.token)
		}
		err = withID(err, d)
		e.decider.counts.add(d)
		e.logRefusal(ctx, d, err, rq)
	}
	e.observe(ctx, d, rq)
	return err
}

// observe tells the Observer, once for each request.
func (e *Enforcer) observe(ctx context.Context, d *Decision, rq *request) {
	if e.cfg.Observer == nil || rq.observed {
		return
	}
	rq.observed = true
	observed := *d // its own to change: the answer is made of the other one
	observed.Missing = slices.Clone(d.Missing)
	for i, types := range observed.Missing {
		observed.Missing[i] = slices.Clone(types)
	}
	e.cfg.Observer.ObserveDecision(ctx, observed, rq.route, methodLabel(rq.method))
}

// observePanic tells the Observer of a request that is refused because a callback has
// panicked, unless that was the Observer.
func (e *Enforcer) observePanic(ctx context.Context, d *Decision, rq *request) {
	defer func() { _ = recover() }() // the panic before it is in the log
	e.observe(ctx, d, rq)
}

// methodLabel bounds what a client may write into logs and metrics.
func methodLabel(method string) string {
	switch method {
	case "", // of Decide: there is no request
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace, "QUERY":
		return method
	default:
		return "_OTHER"
	}
}

// UserRef returns a short name of a user that is made of the user's id, which is the sub
// claim of the user's tokens, with the key. Compute it to find the log lines of a user, by
// their user_ref. Without the key it is known only from the answer to a token of that id,
// which need not be genuine. It is the same on all instances that have the
// key of [Config].UserRefKey, and after restarts.
func UserRef(key []byte, userID string) string { return digest.UserRef(key, userID) }

// UserRef is the function [UserRef] with the key of the configuration. It returns "" if
// there is none, or no user id.
func (e *Enforcer) UserRef(userID string) string {
	if !e.ready() || e.userRef == nil || userID == "" {
		return ""
	}
	return e.userRef(userID)
}

// userRefOf returns the UserRef of whom a token names.
func (e *Enforcer) userRefOf(token string) string {
	if e.userRef == nil || checkToken(token) != nil {
		return ""
	}
	said, err := claims.Parse(token)
	if err != nil {
		return ""
	}
	return e.UserRef(said.Subject)
}

// withID returns the error with the decision's ID in it. The error is copied:
// several requests may share it.
func withID(err error, d *Decision) error {
	var (
		missing *NotEnrolledError
		lookup  *LookupError
		token   *TokenError
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &missing):
		return &NotEnrolledError{Decision: *d}
	case errors.As(err, &lookup):
		c := *lookup
		c.DecisionID, c.UserRef = d.ID, d.UserRef
		return &c
	case errors.As(err, &token):
		c := *token
		c.DecisionID, c.UserRef = d.ID, d.UserRef
		return &c
	}
	return &internalError{decisionID: d.ID, userRef: d.UserRef, err: err}
}

// internalError is an error in the application's code or configuration: 500. The
// client learns the decision's ID and UserRef and nothing else.
type internalError struct {
	decisionID, userRef string
	err                 error
}

func (e *internalError) Error() string { return e.err.Error() }
func (e *internalError) Unwrap() error { return e.err }

// logRefusal writes the one line of a refusal.
func (e *Enforcer) logRefusal(ctx context.Context, d *Decision, err error, rq *request) {
	if err == nil {
		return
	}
	log, level := e.cfg.Logger, slog.LevelInfo
	switch {
	case ctx.Err() != nil && errors.Is(err, ctx.Err()): // clients may leave as often as they like
	case d.Outcome == InternalError, errors.Is(err, ErrMisconfigured):
		level = slog.LevelError
	case d.Outcome == Unavailable && ctx.Err() == nil && !e.decider.genauth.breaker.Figures().Outage():
		level = slog.LevelWarn // in an outage, the breaker's own line is the alert
	}
	if !log.Enabled(ctx, level) {
		return
	}
	message := "mfa refused"
	if d.proceeds() { // in report-only mode: the line must not say that the request was refused
		message = "mfa would refuse"
	}
	log.LogAttrs(ctx, level, message,
		slog.String("event", "refused"),
		slog.String("decision_id", d.ID),
		slog.String("outcome", d.Outcome.String()),
		slog.Bool("enforced", d.Enforced),
		slog.String("mode", d.Mode.String()),
		slog.String("policy", d.Policy.Label()),
		slog.String("rule", d.Rule), slog.String("rules", d.Revision),
		slog.String("missing", alternatives(d.Missing)),
		slog.String("enrolled", d.Enrolled.String()),
		slog.String("source", d.Source.String()),
		slog.Duration("age", d.Age),
		slog.String("token_ref", d.TokenRef),
		slog.String("user_ref", d.UserRef),
		slog.String("route", rq.route),
		slog.String("method", methodLabel(rq.method)),
		slog.String("error", err.Error()),
	)
}

// logInsecure logs that requests go on although nothing is known of the user, and that
// they do not any more.
func (e *Enforcer) logInsecure(on bool, until time.Time) {
	log, ctx := panicProof(e.cfg.Logger), context.Background()
	switch {
	case !on:
		log.LogAttrs(ctx, slog.LevelInfo, "mfa refuses requests again while lookups fail", slog.String("event", "insecure_allow_ended"))
	case until.IsZero():
		log.LogAttrs(ctx, slog.LevelWarn, "mfa lets requests through while lookups fail: OnUnavailable is InsecureAllow",
			slog.String("event", "insecure_allow"))
	default:
		log.LogAttrs(ctx, slog.LevelWarn, "mfa lets requests through while lookups fail: OnUnavailable is InsecureAllow",
			slog.String("event", "insecure_allow"), slog.Time("until", until))
	}
}

// ownFailed logs that the app could not make the page of a refusal.
func (f *refusals) ownFailed(r *http.Request, about *Refusal, cause any, stack []byte) {
	secrets := f.source.secrets(r)
	panicProof(f.log).LogAttrs(r.Context(), slog.LevelError, "mfa RefusalPage failed: the built-in page is shown",
		slog.String("event", "refusal_page_failed"), slog.String("decision_id", about.DecisionID), slog.String("error", secrets.Hide(fmt.Sprint(cause))),
		slog.String("stack", secrets.Hide(string(stack))))
}

// Label returns how the log and metrics name the policy: by its name if it has one, and
// otherwise by its text. The zero Policy has none.
func (p Policy) Label() string {
	if p.isZero() {
		return ""
	}
	if name := p.Name(); name != "" {
		return name
	}
	return p.String()
}

// logChange tells the breaker the result of a lookup, and logs what that changed.
func (g *genauthSource) logChange(ctx context.Context, now time.Time, pass *breaker.Pass, o breaker.Outcome) {
	change, figures := g.breaker.Leave(pass, o, now)
	users := slog.Int("users", figures.Users)
	switch change {
	case breaker.Opened:
		g.log.LogAttrs(ctx, slog.LevelError, "mfa lookups keep failing: one at a time is tried until GenAuth answers",
			slog.String("event", "breaker_opened"), slog.String("class", figures.Cause.String()), users)
	case breaker.Closed, breaker.Warmed:
		g.log.LogAttrs(ctx, slog.LevelInfo, "mfa lookups work again", slog.String("event", "lookups_recovered"))
	case breaker.Cooled:
		g.log.LogAttrs(ctx, slog.LevelError, "mfa lookups have failed since the start: four at a time are tried until GenAuth answers",
			slog.String("event", "cold_start_failing"), users)
	case breaker.Same:
	}
}

// logToken logs the failure of a lookup if the token is held, or is too long on its way.
func (g *genauthSource) logToken(ctx context.Context, now time.Time, f *flight, err error, rest time.Duration) {
	var long *breaker.TooLongError
	_, limited := breaker.Wait(err)
	switch {
	case errors.As(err, &long):
		if g.said.tooLong.again(now) {
			g.log.LogAttrs(ctx, slog.LevelError, "mfa token is too long on the way to GenAuth: raise the limit there, or lower MaxTokenBytes",
				slog.String("event", "token_too_long"), slog.Int("length", long.Length), slog.Int("max_token_bytes", g.maxToken), withoutTokenAttr(err, f))
		}
	case rest > 0 && !limited && g.said.held.again(now):
		g.log.LogAttrs(ctx, slog.LevelWarn, "mfa lookups of a token are held: GenAuth fails for it, and not for others",
			slog.String("event", "token_held"), slog.String("token_ref", g.cache.keys.Ref(f.q.key)), slog.Duration("for", rest), slog.Int("held", g.holds.Count(now)),
			slog.Int("held_users", g.users.Held(now)), withoutTokenAttr(err, f))
	}
}

// logPause logs that no lookups are made until a time.
func (g *genauthSource) logPause(ctx context.Context, now, until time.Time, err error, f *flight) {
	if g.said.paused.again(now) {
		g.log.LogAttrs(ctx, slog.LevelWarn, "mfa lookups pause: GenAuth limits the rate, for more than one user",
			slog.String("event", "lookups_paused"), slog.Duration("for", until.Sub(now)), withoutTokenAttr(err, f))
	}
}

// withoutTokenAttr is what the log says of why a lookup has failed.
func withoutTokenAttr(err error, f *flight) slog.Attr {
	return slog.String("error", fmt.Sprint(withoutToken(err, f.q.token)))
}

// rarely is what is said once a minute at most, because clients can cause it.
type rarely struct{ last atomic.Int64 }

// again reports whether to say it now.
func (r *rarely) again(now time.Time) bool {
	last, at := r.last.Load(), now.UnixNano()
	return (last == 0 || at-last >= int64(time.Minute)) && r.last.CompareAndSwap(last, at)
}

// panicProof returns a logger that keeps a panic of the application's log handler
// from ending the process: lookups run where nobody else would recover.
func panicProof(log *slog.Logger) *slog.Logger { return slog.New(panicProofHandler{log.Handler()}) }

type panicProofHandler struct{ slog.Handler }

// Enabled reports what the handler reports, or false if it panics.
func (h panicProofHandler) Enabled(ctx context.Context, level slog.Level) (enabled bool) {
	defer func() { _ = recover() }()
	return h.Handler.Enabled(ctx, level)
}

// Handle passes the record on, and gives it up if the handler panics.
func (h panicProofHandler) Handle(ctx context.Context, r slog.Record) error {
	defer func() { _ = recover() }()
	return h.Handler.Handle(ctx, r)
}

// alternatives spells what is missing, such as "OTP or SMS+EMAIL".
func alternatives(missing [][]FactorType) string {
	var b strings.Builder
	for i, types := range missing {
		if i > 0 {
			b.WriteString(" or ")
		}
		for j, t := range types {
			if j > 0 {
				b.WriteByte('+')
			}
			b.WriteString(string(t))
		}
	}
	return b.String()
}
