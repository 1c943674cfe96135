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

// redact takes a token out of a text.
func redact(text, token string) string {
	if len(token) < leastSecret {
		return text
	}
	return strings.ReplaceAll(text, token, redacted)
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
	if refusal := (*TokenError)(nil); errors.As(err, &refusal) {
		// How it is answered does not change.
		return &TokenError{Code: refusal.Code, Reason: redact(refusal.Reason, token), Err: withoutToken(refusal.Err, token)}
	}
	return &redactedError{text: clean, err: err}
}

// redactedError is still known for what it is, but does not unwrap to what it
// would not say.
type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }

func (e *redactedError) Is(target error) bool { return errors.Is(e.err, target) }

func (e *redactedError) As(target any) bool { return errors.As(e.err, target) }

// GoString is for %#v, which prints unexported fields too.
func (e *redactedError) GoString() string { return e.text }
