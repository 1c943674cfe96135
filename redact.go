package echomfa

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/redact"
)

// withoutToken returns err, or an error that says the same without the token. A
// Verify function or a lister may quote what it was given, and their errors are
// logged.
func withoutToken(err error, token string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	clean := redact.Token(text, token)
	if clean == text {
		return err
	}
	if refusal := (*TokenError)(nil); errors.As(err, &refusal) && !undetermined(err) {
		// How it is answered does not change.
		return &TokenError{Code: refusal.Code, Reason: redact.Token(refusal.Reason, token), Err: withoutToken(refusal.Err, token)}
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
	if text := fmt.Sprintf("%v %#v", err, err); redact.Token(text, token) == text {
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
