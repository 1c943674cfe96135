package echomfa

import (
	"context"
	"log/slog"
)

// calmHandler keeps a panic of the application's log handler from ending the
// process: look-ups run where nobody else would recover.
type calmHandler struct{ slog.Handler }

// Enabled reports what the handler reports, or false if it panics.
func (h calmHandler) Enabled(ctx context.Context, level slog.Level) (enabled bool) {
	defer func() { _ = recover() }()
	return h.Handler.Enabled(ctx, level)
}

// Handle passes the record on, and gives it up if the handler panics.
func (h calmHandler) Handle(ctx context.Context, r slog.Record) error {
	defer func() { _ = recover() }()
	return h.Handler.Handle(ctx, r)
}
