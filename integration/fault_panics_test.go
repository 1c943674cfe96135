package integration_test

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
)

// bad is whether hooks panic at present.
type bad struct{ atomic.Bool }

func (b *bad) hook() {
	if b.Load() {
		panic("a hook panicked")
	}
}

// slog.Handler, echomfa.Observer and http.RoundTripper that panic.
type (
	badLog       struct{ *bad }
	badObserver  struct{ *bad }
	badTransport struct {
		*bad
		next http.RoundTripper
	}
)

func (badLog) Enabled(context.Context, slog.Level) bool    { return true }
func (l badLog) Handle(context.Context, slog.Record) error { l.hook(); return nil }
func (l badLog) WithAttrs([]slog.Attr) slog.Handler        { return l }
func (l badLog) WithGroup(string) slog.Handler             { return l }

func (o badObserver) ObserveDecision(context.Context, echomfa.Decision, string, string) { o.hook() }

func (x badTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	x.hook()
	return x.next.RoundTrip(r)
}

func (x badTransport) CloseIdleConnections() {
	if t, ok := x.next.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// TestF42HooksPanic has twenty callers of one token meet a panic in each hook:
// all of them are answered, no handler runs, and when the panics are over the
// answers are right.
func TestF42HooksPanic(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		setup func(*setup, *bad)
		// refusals is whether the hook is called for refusals only.
		refusals bool
	}{
		"Config.Token": {setup: func(s *setup, b *bad) {
			s.enforcer.Token = func(r *http.Request) (string, error) {
				b.hook()
				return r.Header.Get("Authorization")[len("Bearer "):], nil
			}
		}},
		"Config.CheckToken": {setup: func(s *setup, b *bad) {
			s.enforcer.CheckToken = func(context.Context, string) error { b.hook(); return nil }
		}},
		"Config.CheckToken, runtime.Goexit": {setup: func(s *setup, b *bad) {
			s.enforcer.CheckToken = func(context.Context, string) error {
				if b.Load() {
					runtime.Goexit()
				}
				return nil
			}
		}},
		"Config.Observer": {setup: func(s *setup, b *bad) { s.enforcer.Observer = badObserver{b} }},
		"Config.Logger":   {setup: func(s *setup, b *bad) { s.enforcer.Logger = slog.New(badLog{b}) }, refusals: true},
		"transport": {setup: func(s *setup, b *bad) {
			s.client.HTTPClient = &http.Client{Transport: badTransport{b, &http.Transport{}}}
		}},
		"MiddlewareConfig.Token": {setup: func(s *setup, b *bad) {
			s.mount.Token = func(c echo.Context) (string, error) {
				b.hook()
				return c.Request().Header.Get("Authorization")[len("Bearer "):], nil
			}
		}},
		"RequireFunc": {setup: func(s *setup, b *bad) {
			s.mount.RequireFunc = func(echo.Context) (echomfa.Requirement, error) {
				b.hook()
				return echomfa.Requirement{Policy: otpPolicy()}, nil
			}
		}},
		"Skipper": {setup: func(s *setup, b *bad) {
			s.mount.Skipper = func(echo.Context) bool { b.hook(); return false }
		}},
		"ErrorHandler": {setup: func(s *setup, b *bad) {
			s.mount.ErrorHandler = func(echo.Context, error) error { b.hook(); return nil }
		}, refusals: true},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := new(bad)
			r := newRig(t, func(s *setup) { row.setup(s, b) })
			b.Store(true)
			for _, c := range callers() {
				if row.refusals && c.has {
					continue
				}
				for _, got := range r.askAll(repeat(c, 20)) {
					assert.Equal(t, http.StatusInternalServerError, got.status, c)
					assert.Empty(t, got.header.Get("Location"), c)
					assert.NotContains(t, got.body, "a hook panicked", c)
				}
				assert.Zero(t, r.runs(c.token), c)
			}
			b.Store(false)
			for _, got := range r.askAll(callers()) {
				r.right(got)
			}
		})
	}
}

func repeat(c caller, n int) []caller {
	all := make([]caller, n)
	for i := range all {
		all[i] = c
	}
	return all
}

// TestF42LoggerPanicsInALookUp shows that a logger which panics where no
// request is, in the lookup that all share, ends neither the process nor what
// the lookup had to do.
func TestF42LoggerPanicsInALookUp(t *testing.T) {
	t.Parallel()
	t.Run("as the breaker opens", func(t *testing.T) {
		t.Parallel()
		b := new(bad)
		r := newRig(t, func(s *setup) { s.enforcer.Logger = slog.New(badLog{b}) })
		b.Store(true)
		r.front.refuse()
		for i := range 8 {
			got := r.ask(caller{has: true, token: tokenWith(strconv.Itoa(i))})
			assert.Equal(t, http.StatusInternalServerError, got.status)
		}
		assert.True(t, r.enforcer.Stats().BreakerOpen)
		b.Store(false)
		r.refused(r.ask(callers()[0]), http.StatusServiceUnavailable)
	})
	t.Run("as tokens are suddenly refused", func(t *testing.T) {
		t.Parallel()
		b := new(bad)
		r := newRig(t, func(s *setup) {
			s.enforcer.Logger = slog.New(badLog{b})
			s.enforcer.Cache.FreshFor = shortly
		})
		users := make([]caller, 20)
		for i := range users {
			users[i] = caller{has: true, token: tokenWith(strconv.Itoa(i))}
			r.granted(r.ask(users[i]))
		}
		pass(t, shortly)
		b.Store(true)
		spoil(401, "")(r)
		for _, c := range users {
			assert.Equal(t, http.StatusInternalServerError, r.ask(c).status)
		}
		assert.Zero(t, r.enforcer.Stats().Entries, "what was known of them is dropped")
	})
}
