package echomfa

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/redact"
)

// withoutToken returns err, or an error that says the same without the token. A
// Verify function or a lister may quote what it was given, and their errors are
// logged.
func withoutToken(err error, token string) error { return withoutSecrets(err, redact.Of(token)) }

// withoutSecrets returns err if neither it nor an error inside it shows a secret,
// and otherwise an error that says the same without.
func withoutSecrets(err error, secrets redact.Secrets) error {
	if err == nil || !tells(err, secrets) {
		return err
	}
	if refusal := (*TokenError)(nil); errors.As(err, &refusal) && !undetermined(err) {
		// How it is answered does not change.
		return &TokenError{
			Code: secrets.Hide(refusal.Code), Reason: secrets.Hide(refusal.Reason),
			Err: withoutSecrets(refusal.Err, secrets),
		}
	}
	return &redactedError{
		text: secrets.Hide(err.Error()), parts: untelling(err, secrets),
		is: func(target error) bool { return errors.Is(err, target) },
	}
}

// tells reports whether an error shows a secret, in one of the ways in which
// errors are printed, or whether one inside it does: errors.As finds that.
func tells(err error, secrets redact.Secrets) bool {
	if secrets.Shown(fmt.Sprintf("%v %+v %#v", err, err, err)) {
		return true
	}
	return slices.ContainsFunc(inside(err), func(inner error) bool { return tells(inner, secrets) })
}

// inside returns the errors that err wraps.
func inside(err error) []error {
	switch wraps := err.(type) { //nolint:errorlint // this is what errors.As does
	case interface{ Unwrap() error }:
		if inner := wraps.Unwrap(); inner != nil {
			return []error{inner}
		}
	case interface{ Unwrap() []error }:
		return slices.DeleteFunc(slices.Clone(wraps.Unwrap()), func(inner error) bool { return inner == nil })
	}
	return nil
}

// untelling returns those parts of an error that show no secret.
func untelling(err error, secrets redact.Secrets) []error {
	if !tells(err, secrets) {
		return []error{err}
	}
	var parts []error
	for _, inner := range inside(err) {
		parts = append(parts, untelling(inner, secrets)...)
	}
	return parts
}

// redactedError is still known for what it is, also where a client has chosen a
// token that stands in the text by chance. The error that it stands for can neither
// be printed nor had from it.
type redactedError struct {
	text  string
	is    func(target error) bool
	parts []error // what it was made of, without what shows a secret
}

func (e *redactedError) Error() string        { return e.text }
func (e *redactedError) Is(target error) bool { return e.is(target) }
func (e *redactedError) Unwrap() []error      { return e.parts }

// GoString is for %#v, which prints unexported fields too.
func (e *redactedError) GoString() string { return e.text }

// rememberedBytes is how much of an error's text a remembered refusal keeps.
const rememberedBytes = 256

// remembered returns what the memory of a refused token keeps of its error: a
// small value of this package. An error of a lister or of Verify may be large, or
// hold the request that it was made for.
func remembered(err error) error {
	var (
		refusal *TokenError
		api     *client.APIError
	)
	if !errors.As(err, &refusal) {
		refusal = &TokenError{Code: codeInvalidToken, Reason: "the token was refused", Err: err}
	}
	kept := &TokenError{Code: shortened(refusal.Code), Reason: shortened(refusal.Reason)}
	if refusal.Err == nil {
		return kept
	}
	cause := &redactedError{
		text: shortened(refusal.Err.Error()),
		is:   func(target error) bool { return errors.Is(target, ErrUnauthenticated) },
	}
	if errors.As(refusal.Err, &api) {
		cause.parts = []error{api} // its texts are short
	}
	kept.Err = cause
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
