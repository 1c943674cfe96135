package echomfa

import (
	"context"
	"crypto/rand"
	"strings"
	"time"
)

// Outcome is what was decided about a request. The zero value refuses.
type Outcome uint8

// The outcomes. Only Allowed and Exempted let a request through in Enforce mode.
const (
	// Denied refuses without a reason that the client could act upon: the
	// policy is invalid or a callback failed. It is the zero value, and it
	// refuses in every mode.
	Denied Outcome = iota
	// Allowed: the enrolled factors satisfy the policy.
	Allowed
	// NotEnrolled: they do not.
	NotEnrolled
	// Unauthenticated: the request has no token, or a bad one.
	Unauthenticated
	// Unavailable: the enrolled factors could not be found out.
	Unavailable
	// Exempted: the policy asks for nothing, or the request was skipped.
	Exempted
)

// String returns the outcome as the log writes it, such as "not_enrolled".
func (o Outcome) String() string {
	switch o {
	case Allowed:
		return "allowed"
	case NotEnrolled:
		return "not_enrolled"
	case Unauthenticated:
		return "unauthenticated"
	case Unavailable:
		return "unavailable"
	case Exempted:
		return "exempt"
	case Denied:
	}
	return "denied"
}

// Source tells where the facts of a decision come from.
type Source uint8

// The sources of facts.
const (
	// NoSource: the decision was made without facts.
	NoSource Source = iota
	// Cached: this process learned them earlier.
	Cached
	// Stored: another instance learned them and shared them.
	Stored
	// Fetched: GenAuth was asked for this decision.
	Fetched
	// Stale: GenAuth was asked and did not answer; the facts are older than
	// FreshFor and at most StaleIfError old.
	Stale
)

// String returns the source as the log writes it, such as "cached".
func (s Source) String() string {
	switch s {
	case Cached:
		return "cached"
	case Stored:
		return "store"
	case Fetched:
		return "fetched"
	case Stale:
		return "stale"
	case NoSource:
	}
	return "none"
}

// Mode says what happens to a request that the policy refuses. The zero value
// is Enforce, and every value that is not ReportOnly enforces.
type Mode uint8

// The modes.
const (
	// Enforce refuses such a request.
	Enforce Mode = iota
	// ReportOnly lets it through and reports it, to see what a policy would do
	// before it is enforced, or to open the doors knowingly in an outage. The
	// request waits at most 100 ms for a lookup. What is the application's
	// own mistake is still refused.
	ReportOnly
)

// Decision is the answer to one request, and its reasons.
type Decision struct {
	// ID names the decision in the answer and in the log line. It is empty
	// for a request that is let through in Enforce mode.
	ID string
	// Outcome is what was decided. The zero value refuses.
	Outcome Outcome
	// Enforced is false if the decision was made in ReportOnly mode.
	Enforced bool
	// Policy is the policy that was applied.
	Policy Policy
	// Enrolled are the factor types that the user has enrolled, as far as
	// they are known.
	Enrolled FactorSet
	// Missing are the alternatives if Outcome is NotEnrolled: enrolling all
	// the types of any one of them satisfies the policy.
	Missing [][]FactorType
	// Source tells where Enrolled comes from.
	Source Source
	// Age is how old Enrolled is, counted from when GenAuth was asked.
	Age time.Duration
	// TokenRef is a short keyed digest of the token: lines of the same token
	// can be found by it, the token cannot. It differs from process to
	// process, and is empty where ID is.
	TokenRef string
}

// proceeds reports whether the handler may run. It is the only door.
func (d *Decision) proceeds() bool {
	switch d.Outcome {
	case Allowed, Exempted:
		return true
	case NotEnrolled, Unauthenticated, Unavailable:
		return !d.Enforced
	case Denied:
	}
	return false
}

// withoutFacts settles a decision that needs no facts: by an invalid policy,
// which refuses, or by an exempt one. It reports whether it has.
func (d *Decision) withoutFacts() (bool, error) {
	if err := d.Policy.Err(); err != nil {
		return true, err
	}
	if _, exempt := d.Policy.IsExempt(); exempt {
		d.Outcome = Exempted
		return true, nil
	}
	return false, nil
}

// newID returns what nobody can guess: it is shown to users and searched for in
// logs.
func newID() string { return rand.Text() }

type decisionKey struct{}

// withDecision returns a context that carries d.
func withDecision(ctx context.Context, d Decision) context.Context {
	return context.WithValue(ctx, decisionKey{}, d)
}

// DecisionFrom returns the decision by which a request was let through, from
// the request's context. It reports false unless [Config.KeepDecision] is set
// and the middleware has run.
func DecisionFrom(ctx context.Context) (Decision, bool) {
	d, ok := ctx.Value(decisionKey{}).(Decision)
	return d, ok
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
