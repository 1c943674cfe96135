package echomfa

import (
	"errors"
	"strings"
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
	return &redactedError{
		text: clean,
		is:   func(target error) bool { return errors.Is(err, target) },
		as: func(target any) bool {
			_, refusal := target.(**TokenError) // its Reason is shown to the client
			return !refusal && errors.As(err, target)
		},
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
