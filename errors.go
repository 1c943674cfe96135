package echomfa

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/bounded"
	"github.com/echomfa/echomfa/internal/breaker"
	"github.com/echomfa/echomfa/internal/budget"
	"github.com/echomfa/echomfa/internal/redact"
)

// Three failures have three answers: a missing factor is a 403, a missing or rejected
// token a 401, and an unknown enrollment status a 503. Everything else (an invalid
// policy, a callback that failed) is an error in the application's code or
// configuration: a 500. The handler runs in none of these cases.
var (
	// ErrNotEnrolled reports that the user has not enrolled the factors that
	// the policy asks for: 403. The error is a [*NotEnrolledError].
	ErrNotEnrolled = errors.New("echomfa: required MFA factors are not enrolled")

	// ErrUnauthenticated reports that the request has no token, or one that is
	// malformed or rejected: 401. The error is a [*TokenError]. It is the same
	// value as [client.ErrUnauthenticated]; a Token function returns it to say
	// that a request carries no token.
	ErrUnauthenticated = client.ErrUnauthenticated

	// ErrUnavailable reports that the enrollment status is unknown, whatever the
	// cause: 503. The error is a [*LookupError] and unwraps to the cause.
	ErrUnavailable = errors.New("echomfa: enrollment status unknown")

	// ErrMisconfigured reports that GenAuth rejects the call itself, for instance
	// because it does not know the app id: 503, logged at Error. It is
	// the same value as [client.ErrMisconfigured], and such an error matches
	// [ErrUnavailable] too.
	ErrMisconfigured = client.ErrMisconfigured

	// ErrInvalidPolicy reports a policy that cannot be evaluated, such as the
	// zero Policy.
	ErrInvalidPolicy = errors.New("echomfa: invalid policy")

	// ErrUserNotIndexed reports that InvalidateUser may not have reached all tokens of the
	// user: tokens that name nobody, as opaque ones do, are in use.
	ErrUserNotIndexed = errors.New("echomfa: tokens that name no user are in use, and are not reached")

	// ErrClosed reports a lookup after Close. It is the cause inside a
	// [*LookupError].
	ErrClosed = budget.ErrClosed
)

// Causes of a LookupError that arise here and not at GenAuth. They are not
// exported: what to do about them is the same, try again later.
var (
	errPartial    = fmt.Errorf("echomfa: answer left out factors: %w", client.ErrMalformed)
	errNoResult   = &panicError{where: "lookup", value: "it ended without a result"}
	errReportWait = errors.New("echomfa: report-only request does not wait longer")
)

// situation is a row of the table of answers. The zero value is an error in the
// application's code or configuration: a 500.
type situation uint8

const (
	failed situation = iota
	notEnrolled
	unauthenticated
	unavailable
)

// situationOf says how an error is answered. Unknown is not "no": an error that
// also says that something is unknown is answered as that.
func situationOf(err error) situation {
	switch {
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrMisconfigured):
		return unavailable
	case errors.Is(err, ErrNotEnrolled):
		return notEnrolled
	case errors.Is(err, ErrUnauthenticated):
		return unauthenticated
	default:
		return failed
	}
}

// Status returns the HTTP status that answers an error of this package where the answer
// is not a redirect: 401, 403, 503, and 500 for nil and every other error.
func Status(err error) int { return situationOf(err).status() }

// status is the status of an answer other than a redirect.
func (s situation) status() int {
	switch s {
	case notEnrolled:
		return http.StatusForbidden
	case unauthenticated:
		return http.StatusUnauthorized
	case unavailable:
		return http.StatusServiceUnavailable
	case failed:
	}
	return http.StatusInternalServerError
}

// failureClass is why a lookup told nothing of the user, or that it did. The zero
// value is a failure.
type failureClass uint8

const (
	failureUnavailable   failureClass = iota // timeout, transport, 5xx, 6xx, or unknown
	noFailure                                // GenAuth told the factors
	failureRefused                           // GenAuth or CheckToken rejected the token
	failureLimited                           // GenAuth said: too many requests
	failureMisconfigured                     // GenAuth rejected the call
	failureMalformed                         // the answer could not be read
	failurePanic                             // the lister or CheckToken panicked
	failureTurnedAway                        // not asked: budget, breaker, or closed

	failureClasses = int(failureTurnedAway) + 1
)

func failureOf(err error) failureClass {
	var (
		panicked *panicError
		held     *breaker.HeldError
	)
	switch {
	case err == nil:
		return noFailure
	case errors.As(err, &panicked):
		return failurePanic
	case errors.As(err, &held):
		return failureTurnedAway
	case errors.Is(err, budget.ErrQueueFull), errors.Is(err, budget.ErrQueueWait), errors.Is(err, budget.ErrPaused),
		errors.Is(err, breaker.ErrOpen), errors.Is(err, breaker.ErrCold), errors.Is(err, errReportWait), errors.Is(err, bounded.ErrTooMany), errors.Is(err, ErrClosed):
		return failureTurnedAway
	case errors.Is(err, ErrUnauthenticated) && !undetermined(err):
		return failureRefused
	case errors.Is(err, client.ErrRateLimited):
		return failureLimited
	case errors.Is(err, ErrMisconfigured):
		return failureMisconfigured
	case errors.Is(err, client.ErrMalformed):
		return failureMalformed
	default:
		return failureUnavailable
	}
}

// undetermined reports whether an error says, whatever else it says, that there
// was no decision: unknown is not "no".
func undetermined(err error) bool {
	var network net.Error
	for _, unknown := range []error{
		ErrUnavailable, ErrMisconfigured, client.ErrUnavailable, client.ErrRateLimited, client.ErrMalformed,
		context.DeadlineExceeded, context.Canceled,
	} {
		if errors.Is(err, unknown) {
			return true
		}
	}
	return errors.As(err, &network)
}

// refuses reports whether an error says, whatever else it says, that GenAuth
// has rejected the token or the call: nothing stands in for that.
func refuses(err error) bool {
	return errors.Is(err, ErrUnauthenticated) || errors.Is(err, ErrMisconfigured)
}

// stale reports whether older facts may stand in, within StaleIfError. Never
// when GenAuth has spoken about this token or about this app.
func (c failureClass) stale() bool {
	switch c {
	case failureUnavailable, failureLimited, failureMalformed, failureTurnedAway:
		return true
	case noFailure, failureRefused, failureMisconfigured, failurePanic:
	}
	return false
}

// NotEnrolledError is the error of a refusal for missing factors. It matches
// [ErrNotEnrolled].
type NotEnrolledError struct {
	// Decision is the refusal: what is enrolled and what is missing.
	Decision Decision
}

// Error names the policy and what is missing.
func (e *NotEnrolledError) Error() string {
	return fmt.Sprintf("%v: missing %s", ErrNotEnrolled, alternatives(e.Decision.Missing))
}

// Is reports whether target is ErrNotEnrolled.
func (e *NotEnrolledError) Is(target error) bool { return target == ErrNotEnrolled }

// LookupError is the error of a request whose enrollment status is unknown. It
// matches [ErrUnavailable] and unwraps to the cause, so
// that errors.Is(err, client.ErrRateLimited) and the like tell why.
type LookupError struct {
	// DecisionID is the ID of the decision, and UserRef its UserRef.
	DecisionID, UserRef string
	// RetryAfter is how long to wait before another try is worthwhile: at
	// least a second and at most a minute, as long as lookups pause.
	RetryAfter time.Duration
	// Err is the cause.
	Err error
}

// Error includes the cause.
func (e *LookupError) Error() string { return fmt.Sprintf("%v: %v", ErrUnavailable, e.Err) }

// Unwrap returns the cause.
func (e *LookupError) Unwrap() error { return e.Err }

// Is reports whether target is ErrUnavailable.
func (e *LookupError) Is(target error) bool { return target == ErrUnavailable }

// The error codes of RFC 6750, section 3.1, that a TokenError may have.
const (
	codeInvalidRequest = "invalid_request"
	codeInvalidToken   = "invalid_token"
)

// TokenError is the error of a request without a usable token. It matches
// [ErrUnauthenticated].
type TokenError struct {
	// DecisionID is the ID of the decision, and UserRef its UserRef.
	DecisionID, UserRef string
	// Code is the error code of RFC 6750, section 3.1: "invalid_request",
	// "invalid_token", or empty if the request has no token at all, in which
	// case the challenge carries no error code.
	Code string
	// Reason says in a few words what is wrong. It is shown to the client as
	// error_description, without the token as a whole and the parts of a JWT. It
	// must not hold a token that is shortened or encoded otherwise.
	Reason string
	// Err is the cause, if there is one. While a rejection is remembered, no more
	// of it is kept than the beginning of its text and a *client.APIError.
	Err error
}

// Error names the reason and includes the cause.
func (e *TokenError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("echomfa: unauthenticated: %s: %v", e.Reason, e.Err)
	}
	return "echomfa: unauthenticated: " + e.Reason
}

// Unwrap returns the cause, if there is one.
func (e *TokenError) Unwrap() error { return e.Err }

// Is reports whether target is ErrUnauthenticated.
func (e *TokenError) Is(target error) bool { return target == ErrUnauthenticated }

func errMalformedToken(err error) error {
	return &TokenError{Code: codeInvalidToken, Reason: "the token is malformed", Err: err}
}

func errNoToken() error { return &TokenError{Reason: "no access token"} }

func errBadRequest(reason string) error {
	return &TokenError{Code: codeInvalidRequest, Reason: reason}
}

func errBadToken(reason string) error {
	return &TokenError{Code: codeInvalidToken, Reason: reason}
}

// panicError is what a callback's panic becomes. The value is printed, the
// stack is logged where it was caught.
type panicError struct {
	where string
	value any
}

func (e *panicError) Error() string {
	return fmt.Sprintf("echomfa: panic in %s: %v", e.where, e.value)
}

// withoutToken returns err, or an error that says the same without the token. A
// CheckToken function or a lister may quote what it was given, and their errors are
// logged.
func withoutToken(err error, token string) error { return withoutSecrets(err, redact.Of(token)) }

// withoutSecrets returns err if neither it nor an error inside it shows a secret,
// and otherwise an error that says the same without.
func withoutSecrets(err error, secrets redact.Secrets) error {
	if err == nil || !secrets.Told(err) {
		return err
	}
	if refusal := (*TokenError)(nil); errors.As(err, &refusal) && !undetermined(err) {
		// How it is answered does not change.
		return &TokenError{
			Code: secrets.Hide(refusal.Code), Reason: secrets.Hide(refusal.Reason),
			Err: withoutSecrets(refusal.Err, secrets),
		}
	}
	return secrets.HideIn(err)
}

// rememberedBytes is how much of an error's text a remembered refusal keeps.
const rememberedBytes = 256

// remembered returns what the memory of a refused token keeps of its error: a
// small value of this package. An error of a lister or of CheckToken may be large, or
// hold the request that it was made for.
func remembered(err error) error {
	var api *client.APIError
	refusal := &TokenError{Code: codeInvalidToken, Reason: "the token was rejected", Err: err}
	errors.As(err, &refusal)
	kept := &TokenError{Code: shortened(refusal.Code), Reason: shortened(refusal.Reason)}
	if refusal.Err == nil {
		return kept
	}
	var parts []error
	if errors.As(refusal.Err, &api) {
		parts = []error{api} // its texts are short
	}
	kept.Err = redact.NewError(shortened(refusal.Err.Error()),
		func(target error) bool { return errors.Is(target, ErrUnauthenticated) }, parts...)
	return kept
}

// shortened returns a text of a bounded length that holds no larger one in
// memory.
func shortened(text string) string {
	if len(text) > rememberedBytes {
		text = strings.ToValidUTF8(text[:rememberedBytes], "") + "..."
	}
	return strings.Clone(text)
}

// policyError names the field of an error that names this package.
type policyError struct{ err error }

func (e policyError) Error() string {
	return "echomfa: Policy: " + strings.TrimPrefix(e.err.Error(), "echomfa: ")
}
func (e policyError) Unwrap() error { return e.err }
