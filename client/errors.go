package client

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The classes of failure. Every error of a [Client] matches exactly one of them
// through [errors.Is], except the one that says that the caller's own context
// has ended. The package comment has the table.
var (
	// ErrUnauthenticated means that GenAuth does not accept the token, or that
	// it is not a bearer token at all.
	ErrUnauthenticated = errors.New("client: unauthenticated")
	// ErrRateLimited means that the user pool has spent its budget of requests.
	ErrRateLimited = errors.New("client: rate limited")
	// ErrMisconfigured means that the call cannot succeed as it is: the wrong
	// application, no right to it, bad arguments. A retry fails in the same way.
	ErrMisconfigured = errors.New("client: misconfigured")
	// ErrMalformed means that there was an answer which cannot be used.
	ErrMalformed = errors.New("client: malformed answer")
	// ErrUnavailable means that GenAuth could not be reached, did not answer in
	// time, or said that it is in trouble.
	ErrUnavailable = errors.New("client: unavailable")
)

// APIError reports an answer of GenAuth that is not a success, or that claims
// to be one and cannot be relied upon. It matches one of the sentinels, as the
// table in the package comment says.
type APIError struct {
	// Op is the last part of the endpoint's path, such as
	// "list-enrolled-factors".
	Op string
	// HTTPStatus is the status of the HTTP answer. GenAuth documents that it is
	// 200 for nearly everything.
	HTTPStatus int
	// StatusCode is the answer's own statusCode, or 0 if it has none that can
	// be read. It is not always an HTTP status: GenAuth documents 499, 601, 602
	// and 603.
	StatusCode int
	// APICode is GenAuth's business code, or 0.
	APICode int
	// Message is GenAuth's explanation in the language it chose, shortened,
	// without control characters. Do not match on it.
	Message string
	// RequestID is GenAuth's id for the call, or "".
	RequestID string
	// RetryAfter is how long GenAuth asks to wait: at least a second, also for
	// "0" and a date in the past, and at most an hour. It is 0 if GenAuth does
	// not ask, or not in a form that can be read.
	RetryAfter time.Duration

	// problem says, in this package's words, what is wrong with an answer that
	// could not be read or that lacks what it should hold.
	problem string
}

// Error returns a text without tokens, application id and URL query.
func (e *APIError) Error() string {
	var b strings.Builder
	b.WriteString("client: ")
	b.WriteString(e.Op)
	b.WriteString(": HTTP ")
	b.WriteString(strconv.Itoa(e.HTTPStatus))
	if e.StatusCode != 0 {
		b.WriteString(", statusCode ")
		b.WriteString(strconv.Itoa(e.StatusCode))
	}
	if e.APICode != 0 {
		b.WriteString(", apiCode ")
		b.WriteString(strconv.Itoa(e.APICode))
	}
	if e.RequestID != "" {
		b.WriteString(", request ")
		b.WriteString(strconv.Quote(e.RequestID))
	}
	for _, text := range []string{e.problem, e.Message} {
		if text != "" {
			b.WriteString(": ")
			b.WriteString(text)
		}
	}
	return b.String()
}

// Is reports whether target is the sentinel of e's class.
func (e *APIError) Is(target error) bool {
	return target == classify(e.HTTPStatus, e.StatusCode, e.APICode)
}

// PartialError reports that rows of a list were skipped, because they have no
// usable id or type. It comes together with the rows that were read, and
// matches [ErrMalformed]: what is in the list is there, but what is not in the
// list may be there too.
type PartialError struct {
	// Skipped is the number of rows that were skipped.
	Skipped int
}

// Error returns the number of skipped rows.
func (e *PartialError) Error() string {
	return fmt.Sprintf("client: partial list: %d rows skipped", e.Skipped)
}

// Is reports whether target is [ErrMalformed].
func (e *PartialError) Is(target error) bool { return target == ErrMalformed }
