package echomfa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/echomfa/echomfa/client"
)

const (
	redacted = "[redacted]"
	// leastSecret is the length from which a token is taken for a secret.
	// Shorter ones do not occur but in tests, and are parts of plain words.
	leastSecret = 16
)

// redact takes a token out of a text, and the parts of a JWT, which may stand
// alone.
func redact(text, token string) string {
	if len(token) < leastSecret {
		return text
	}
	text = strings.ReplaceAll(text, token, redacted)
	for part := range strings.SplitSeq(token, ".") {
		if len(part) >= leastSecret {
			text = strings.ReplaceAll(text, part, redacted)
		}
	}
	return text
}

// withoutToken returns err, or an error that says the same without the token. A
// Verify function or a lister may quote what it was given, and their errors are
// logged.
func withoutToken(err error, token string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	clean := redact(text, token)
	if clean == text {
		return err
	}
	if refusal := (*TokenError)(nil); errors.As(err, &refusal) && !undetermined(err) {
		// How it is answered does not change.
		return &TokenError{Code: refusal.Code, Reason: redact(refusal.Reason, token), Err: withoutToken(refusal.Err, token)}
	}
	e := &redactedError{text: clean, parts: untelling(err, token)}
	for _, class := range []error{
		ErrUnauthenticated, ErrNotEnrolled, ErrUnavailable, ErrMisconfigured, ErrInvalidPolicy,
		client.ErrUnavailable, client.ErrRateLimited, client.ErrMalformed, context.DeadlineExceeded, context.Canceled,
	} {
		if errors.Is(err, class) {
			e.classes = append(e.classes, class)
		}
	}
	return e
}

// untelling returns those parts of an error that do not show the token.
func untelling(err error, token string) []error {
	if err == nil {
		return nil
	}
	if text := fmt.Sprintf("%v %#v", err, err); redact(text, token) == text {
		return []error{err}
	}
	if one, ok := any(err).(interface{ Unwrap() error }); ok {
		return untelling(one.Unwrap(), token)
	}
	var parts []error
	if several, ok := any(err).(interface{ Unwrap() []error }); ok {
		for _, inner := range several.Unwrap() {
			parts = append(parts, untelling(inner, token)...)
		}
	}
	return parts
}

// redactedError is still known for what it is. It does not hold the error that
// it stands for: a refusal is remembered, and tokens are not.
type redactedError struct {
	text    string
	classes []error // which the error matched, in its own way
	parts   []error // what it was made of, without what shows the token
}

func (e *redactedError) Error() string { return e.text }

func (e *redactedError) Is(target error) bool {
	return slices.ContainsFunc(e.classes, func(class error) bool { return class == target })
}

func (e *redactedError) Unwrap() []error { return e.parts }

// GoString is for %#v, which prints unexported fields too.
func (e *redactedError) GoString() string { return e.text }
