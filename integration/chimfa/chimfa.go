// Package chimfa is echomfa for chi. Enforcer.Middleware is enough for chi; this shows
// how little an adapter needs that also knows its framework's routes: what package
// echomfa exports, and nothing else.
package chimfa

import (
	"net/http"

	"github.com/echomfa/echomfa"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

// Config configures one mount of the middleware.
type Config struct {
	echomfa.GuardConfig[*http.Request]
	// ErrorHandler answers refusals, after their headers have been set. If it writes
	// nothing, the default answer is written. Optional.
	ErrorHandler func(w http.ResponseWriter, r *http.Request, err error)
}

// Require returns a middleware that enforces a policy. It panics on an invalid one, at
// start-up.
func Require(e *echomfa.Enforcer, p echomfa.Policy) func(http.Handler) http.Handler {
	mw, err := New(Config{GuardConfig: echomfa.GuardConfig[*http.Request]{Enforcer: e, Policy: p}})
	if err != nil {
		panic(err)
	}
	return mw
}

// New returns the middleware of a configuration, or all that is wrong with it.
func New(cfg Config) (func(http.Handler) http.Handler, error) {
	guard, err := echomfa.NewGuard(cfg.GuardConfig)
	if err != nil {
		return nil, err
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d, err := guard.Check(r, r, route(r))
			if err != nil {
				refuse(w, r, guard, cfg.ErrorHandler, err)
				return
			}
			next.ServeHTTP(w, guard.WithDecision(r, &d))
		})
	}, nil
}

// route returns the registered route, as far as chi knows it where the middleware is:
// with With and Group the whole of it, with Use what is above.
func route(r *http.Request) string { return chi.RouteContext(r.Context()).RoutePattern() }

func refuse(w http.ResponseWriter, r *http.Request, guard *echomfa.Guard[*http.Request],
	errorHandler func(http.ResponseWriter, *http.Request, error), refusal error,
) {
	tracked := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
	var handle func(error) error
	if errorHandler != nil {
		handle = func(err error) error {
			errorHandler(tracked, r, err)
			return nil
		}
	}
	written := func() bool { return tracked.Status() != 0 }
	_ = guard.RefuseBy(tracked, r, refusal, written, handle) // handle returns no error
}
