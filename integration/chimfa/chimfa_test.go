package chimfa_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
	"github.com/go-chi/chi/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/integration/chimfa"
)

// TestAnswers runs the table of answers over chi.
func TestAnswers(t *testing.T) {
	t.Parallel()
	type middleware = func(http.Handler) http.Handler
	mounts := map[string]func(app chi.Router, guard middleware, handler http.Handler){
		"route": func(app chi.Router, guard middleware, handler http.Handler) { app.With(guard).Handle("/*", handler) },
		"group": func(app chi.Router, guard middleware, handler http.Handler) {
			app.Group(func(app chi.Router) { app.Use(guard); app.Handle("/*", handler) })
		},
		"server": func(app chi.Router, guard middleware, handler http.Handler) {
			app.Use(guard)
			app.Handle("/*", handler)
		},
	}
	for name, mount := range mounts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answertest.Run(t, func(e *echomfa.Enforcer, p echomfa.Policy, handler http.Handler) http.Handler {
				app := chi.NewRouter()
				mount(app, chimfa.Require(e, p), handler)
				return app
			}, "../../testdata/answers")
		})
	}
}

// route is an Observer that keeps the route.
type route string

func (r *route) ObserveDecision(_ context.Context, _ echomfa.Decision, at, _ string) { *r = route(at) }

// TestErrorHandler shows whose answer is given, that the handler runs in no case, and
// that the registered route is observed.
func TestErrorHandler(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		handle func(w http.ResponseWriter, r *http.Request, err error)
		code   int
		body   string
	}{
		"none":           {nil, 403, `"decision_id"`},
		"writes nothing": {func(http.ResponseWriter, *http.Request, error) {}, 403, `"decision_id"`},
		"writes": {func(w http.ResponseWriter, _ *http.Request, err error) {
			w.WriteHeader(echomfa.Status(err) + 15)
			_, _ = w.Write([]byte("mine"))
		}, 418, "mine"},
		"panics": {func(http.ResponseWriter, *http.Request, error) { panic("hook") }, 500, `"decision_id"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var at route
			e, err := echomfa.New(echomfa.Config{
				Client: echomfa.FactorListerFunc(answertest.Lister), Namespace: "test", Audience: []string{"app"}, Observer: &at,
			})
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, e.Close()) })
			guard, err := chimfa.New(chimfa.Config{
				GuardConfig:  echomfa.GuardConfig[*http.Request]{Enforcer: e, Policy: echomfa.AnyOf(echomfa.OTP)},
				ErrorHandler: row.handle,
			})
			require.NoError(t, err)
			app := chi.NewRouter()
			app.Route("/admin", func(app chi.Router) {
				app.With(guard).Get("/{id}", func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })
			})
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin/7", nil)
			r.Header.Set("Authorization", "Bearer "+answertest.NotEnrolled)
			w := httptest.NewRecorder()
			app.ServeHTTP(w, r)
			assert.Equal(t, row.code, w.Code)
			assert.Contains(t, w.Body.String(), row.body)
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			assert.Equal(t, route("/admin/{id}"), at)
		})
	}
}
