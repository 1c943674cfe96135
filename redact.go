package echomfa

import (
	"errors"

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
	if refusal := (*TokenError)(nil); errors.As(err, &refusal) {
		// How it is answered does not change.
		return &TokenError{Code: refusal.Code, Reason: redact.Token(refusal.Reason, token), Err: withoutToken(refusal.Err, token)}
	}
	return &redactedError{
		text: clean,
		is:   func(target error) bool { return errors.Is(err, target) },
		as:   func(target any) bool { return errors.As(err, target) },
	}
}

// redactedError is still known for what it is, but neither unwraps to what it
// would not say nor holds it where something that prints could reach it.
type redactedError struct {
	text string
	is   func(target error) bool
	as   func(target any) bool
}

func (e *redactedError) Error() string { return e.text }

func (e *redactedError) Is(target error) bool { return e.is(target) }

func (e *redactedError) As(target any) bool { return e.as(target) }

// GoString is for %#v, which prints unexported fields too.
func (e *redactedError) GoString() string { return e.text }
