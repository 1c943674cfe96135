package echomfa

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"strings"
	"time"
)

// Outcome is what was decided about a request. The zero value refuses.
type Outcome uint8

// The outcomes. Only Allowed and Exempted let a request through in Enforce mode.
const (
	// InternalError refuses without a reason that the client could act upon: the
	// policy is invalid or a callback failed. It is the zero value, and it
	// refuses in every mode.
	InternalError Outcome = iota
	// Allowed: the enrolled factors satisfy the policy.
	Allowed
	// NotEnrolled: they do not.
	NotEnrolled
	// Unauthenticated: the request has no token, or a bad one.
	Unauthenticated
	// Unavailable: the enrollment status is unknown.
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
	case InternalError:
	}
	return "internal_error"
}

// Source tells where the factor list of a decision comes from.
type Source uint8

// The sources of factor lists.
const (
	// NoSource: the decision was made without a list.
	NoSource Source = iota
	// Cached: this process got it earlier.
	Cached
	// Stored: another instance got it and shared it.
	Stored
	// Fetched: GenAuth was asked for this decision.
	Fetched
	// Stale: GenAuth was asked and did not answer; the list is older than
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
	// before it is enforced. The request waits at most 100 ms for a lookup. An
	// error in the application's code or configuration is still a 500, and an error of
	// RequireFunc is answered as in Enforce mode.
	ReportOnly
)

// OnUnavailable says what happens to a request in Enforce mode while the
// enrollment status is unknown. The zero value is Refuse.
type OnUnavailable uint8

const (
	// Refuse answers 503.
	Refuse OnUnavailable = iota
	// InsecureAllow lets the request through: its Outcome is Unavailable, and Enforced
	// is false. Anybody who can make lookups fail gets in with any token that is not known
	// to be bad: one that GenAuth has rejected, as far as this instance remembers, that
	// has expired or is not valid yet by its own exp and nbf, or that names another
	// audience or subject, is still a 401, and so is one that CheckToken, which is called
	// for unknown tokens, does not accept. Nobody else verifies a token meanwhile: without
	// a CheckToken or a token verifier before the middleware, a made-up token, opaque or a
	// JWT, is not known to be bad. No token is still a 401. A user who lacked a factor
	// when GenAuth last listed them, as far as this instance remembers, is still refused: by
	// a list above DenyFreshFor with a 503, until it is invalidated. So is everybody
	// while GenAuth rejects the call (ErrMisconfigured): that is not an outage.
	InsecureAllow
)

// Observer is told decisions. Implementations must be safe for concurrent use
// and quick: they run before the request goes on.
type Observer interface {
	// ObserveDecision is called once for every decision, also for a request that a
	// Skipper let by, which is Exempted. Route is the registered route
	// ("/admin/:id"), or empty where there is none, as in [Enforcer.Decide]. Method
	// is an HTTP method, "_OTHER" for one that is not in RFC 9110, RFC 5789 or
	// RFC 10008, or empty. Both are safe as metric labels.
	ObserveDecision(ctx context.Context, d Decision, route, method string)
}

// MaxInsecure is the longest time for which [Enforcer.SetOnUnavailable] allows.
const MaxInsecure = 24 * time.Hour

// SetOnUnavailable changes what Config.OnUnavailable says, on this instance. InsecureAllow
// needs a time above zero and at most [MaxInsecure], after which Refuse applies again. It is
// logged at Warn each minute while it is on. With Refuse the time is ignored.
func (e *Enforcer) SetOnUnavailable(what OnUnavailable, during time.Duration) error {
	switch {
	case !e.ready():
		return errNotMade
	case what == Refuse:
		e.insecure.End()
	case what != InsecureAllow:
		return fmt.Errorf("echomfa: SetOnUnavailable: %d is neither Refuse nor InsecureAllow", what)
	case during <= 0 || during > MaxInsecure:
		return fmt.Errorf("echomfa: SetOnUnavailable: %v is not above zero and at most %v", during, MaxInsecure)
	default:
		if !e.insecure.Start(time.Now().Add(during)) {
			return errors.New("echomfa: SetOnUnavailable: the Enforcer is closed")
		}
	}
	return nil
}

// Decision is the answer to one request, and its reasons.
type Decision struct {
	// ID names the decision in the answer and in the log line. It is empty
	// for a request that is let through in Enforce mode.
	ID string
	// Outcome is what was decided. The zero value refuses.
	Outcome Outcome
	// Enforced is false if the decision was made in ReportOnly mode, or if
	// InsecureAllow let an unknown user through.
	Enforced bool
	// Policy is the policy that was applied.
	Policy Policy
	// Rule and Revision are those of the [Requirement], or empty.
	Rule, Revision string
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
	// TokenRef is a short keyed digest of the token: all lines of a token have the
	// same, and it does not reveal the token. It differs from process to process, and
	// is empty where ID is.
	TokenRef string
	// UserRef is what [UserRef] makes of the user whom the token of a refused request
	// names, if [Config.UserRefKey] is set. If the token is not genuine, this is the
	// user it claims to be of. It is personal data: do not use it as a metric label.
	// Empty if the token names nobody, as an opaque one, and if nothing is refused.
	UserRef string
}

// proceeds reports whether the handler may run. Nothing else decides it.
func (d *Decision) proceeds() bool {
	switch d.Outcome {
	case Allowed, Exempted:
		return true
	case NotEnrolled, Unauthenticated, Unavailable:
		return !d.Enforced
	case InternalError:
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

// DecisionFrom returns the decision by which a request was let through, from
// the request's context. It reports false unless [Config.KeepDecision] is set
// and the middleware has run.
func DecisionFrom(ctx context.Context) (Decision, bool) {
	d, ok := ctx.Value(decisionKey{}).(Decision)
	return d, ok
}

// The types of the problem documents (RFC 9457, section 3.1.1) that programs are
// refused by. They do not change; each is the address of its constant's documentation.
const (
	problems = "https://pkg.go.dev/github.com/echomfa/echomfa#"

	// ProblemNotEnrolled is the type of a 403: the user has not enrolled what the
	// route asks for.
	ProblemNotEnrolled = problems + "ProblemNotEnrolled"
	// ProblemUnauthenticated is the type of a 401: the access token is missing, malformed
	// or rejected.
	ProblemUnauthenticated = problems + "ProblemUnauthenticated"
	// ProblemUnavailable is the type of a 503: the enrollment status is unknown.
	ProblemUnavailable = problems + "ProblemUnavailable"
	// ProblemInternalError is the type of a 500: an error in the application's code
	// or configuration.
	ProblemInternalError = problems + "ProblemInternalError"
)

// Refusal is what [Config].RefusalPage makes a page of.
type Refusal struct {
	// Status is the status of the answer: 401, 403, 500 or 503.
	Status int
	// DecisionID is what the log line has, for the user to quote. It may be empty.
	DecisionID string
	// UserRef is [Decision].UserRef, for the user to quote as well. It may be empty.
	UserRef string
	// Err is the error, as an ErrorHandler is given it, to choose words by and not to
	// be shown: a [*NotEnrolledError] is a 403, a [*TokenError] a 401, a
	// [*LookupError] a 503.
	Err error
	// Missing are the alternatives of a 403, as in [Decision].
	Missing [][]FactorType
	// Link is where the user can go on, with a return-to: EnrollURL for a 403,
	// LoginURL for a 401. Empty if there is none. In a frame, it needs the
	// target "_top".
	Link string
	// Circle says that the browser was sent to Link several times and came back as it
	// went.
	Circle bool
	// Retry says that asking for the same address again may help, and does nothing
	// else: an empty href does that.
	Retry bool
	// RetryAfter is how long to wait before that, as the header Retry-After says.
	RetryAfter time.Duration
	// PathPrefix is the path of ReturnTo.BaseURL: what stands before paths of this
	// app. It may be empty.
	PathPrefix string
	// Fragment says that a script puts the page into the app's own: what is wanted is
	// what stands in the body, in the app's style.
	Fragment bool
}

// RefusalPage is the page that [Config].RefusalPage makes.
type RefusalPage struct {
	// HTML is a whole document in UTF-8, or for a Fragment a part of one, of at most
	// 1 MiB. Required. The text is in its element main, where Unpoly looks for it.
	HTML template.HTML
	// Language is the language of the page as a tag, such as "zh-CN", for
	// Content-Language. Optional.
	Language string
	// Style is the content of the style element, if the page has one. The
	// Content-Security-Policy allows that and no other, by its hash. Optional.
	Style string
	// Sources say what the page may load, as directives of a
	// Content-Security-Policy. What has none is forbidden, but forms, which lead to
	// this origin. Where the page may be framed cannot be changed. Optional. Default:
	// Style, and styles, pictures and fonts of this origin.
	Sources string
}

// check reports what is wrong with a page.
func (p *RefusalPage) check() error {
	const most = 1 << 20
	switch {
	case p.HTML == "":
		return errors.New("echomfa: RefusalPage: HTML: required")
	case len(p.HTML) > most:
		return fmt.Errorf("echomfa: RefusalPage: HTML: %d bytes are more than %d", len(p.HTML), most)
	case strings.ContainsFunc(p.Language, func(r rune) bool { return r != '-' && !isAlphanumeric(r) }):
		return fmt.Errorf("echomfa: RefusalPage: Language: %q is not a tag such as %q", p.Language, "zh-CN")
	case p.Style != "" && p.Sources != "":
		return errors.New("echomfa: RefusalPage: Style and Sources: set one of them")
	case strings.ContainsFunc(p.Sources, func(r rune) bool { return r < ' ' || r > '~' || r == ',' }):
		return fmt.Errorf("echomfa: RefusalPage: Sources: %q: only printable ASCII without commas", p.Sources)
	}
	return nil
}

func isAlphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
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
