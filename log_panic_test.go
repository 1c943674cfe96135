package echomfa_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

// panicky is a log handler that panics.
type panicky struct{ slog.Handler }

// Handle panics.
func (panicky) Handle(context.Context, slog.Record) error { panic("logger") }

// TestLoggerPanicDoesNotEndTheProcess shows that a log handler that panics, where nobody
// but the lookup could recover, ends neither the lookup nor the process.
func TestLoggerPanicDoesNotEndTheProcess(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	d.fail(client.ErrUnavailable)
	e := newEnforcer(t, d, func(c *echomfa.Config) {
		c.Logger = slog.New(panicky{slog.NewTextHandler(&strings.Builder{}, nil)})
	})
	for i := range 6 {
		func() {
			defer func() { _ = recover() }()
			_, _ = e.Decide(t.Context(), manyTokens(i), echomfa.AnyOf(echomfa.OTP))
		}()
	}
}
