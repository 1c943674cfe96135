package redact

import (
	"errors"
	"fmt"
	"slices"
)

// Told reports whether an error shows a secret, in one of the ways in which
// errors are printed, or whether one inside it does: errors.As finds that.
func (s Secrets) Told(err error) bool {
	if s.Shown(fmt.Sprintf("%v %+v %#v", err, err, err)) {
		return true
	}
	return slices.ContainsFunc(inside(err), s.Told)
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
func (s Secrets) untelling(err error) []error {
	if !s.Told(err) {
		return []error{err}
	}
	var parts []error
	for _, inner := range inside(err) {
		parts = append(parts, s.untelling(inner)...)
	}
	return parts
}

// HideIn returns an error that says the same as another without the secrets.
func (s Secrets) HideIn(err error) error {
	return NewError(s.Hide(err.Error()), func(target error) bool { return errors.Is(err, target) }, s.untelling(err)...)
}

// NewError returns an error with a text that stands for another: it matches what is
// says, and what is in the parts that it was made of.
func NewError(text string, is func(target error) bool, parts ...error) error {
	return &redactedError{text: text, is: is, parts: parts}
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
