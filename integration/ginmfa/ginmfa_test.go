package ginmfa_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/integration/ginmfa"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	os.Exit(m.Run())
}

// TestAnswers runs the table of answers over gin.
func TestAnswers(t *testing.T) {
	t.Parallel()
	mounts := map[string]func(app *gin.Engine, guard, handler gin.HandlerFunc){
		"route":  func(app *gin.Engine, guard, handler gin.HandlerFunc) { app.Any("/*path", guard, handler) },
		"group":  func(app *gin.Engine, guard, handler gin.HandlerFunc) { app.Group("/", guard).Any("/*path", handler) },
		"server": func(app *gin.Engine, guard, handler gin.HandlerFunc) { app.Use(guard); app.Any("/*path", handler) },
	}
	for name, mount := range mounts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answertest.Run(t, func(e *echomfa.Enforcer, p echomfa.Policy, handler http.Handler) http.Handler {
				app := gin.New()
				mount(app, ginmfa.Require(e, p), gin.WrapH(handler))
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
		handle func(c *gin.Context, err error)
		code   int
		body   string
	}{
		"none":           {nil, 403, `"decision_id"`},
		"writes nothing": {func(*gin.Context, error) {}, 403, `"decision_id"`},
		"writes":         {func(c *gin.Context, err error) { c.String(echomfa.Status(err)+15, "mine") }, 418, "mine"},
		"sets a status":  {func(c *gin.Context, _ error) { c.Status(http.StatusTeapot) }, 418, ""},
		"panics":         {func(*gin.Context, error) { panic("hook") }, 500, `"decision_id"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var at route
			e, err := echomfa.New(echomfa.Config{
				Client: echomfa.FactorListerFunc(answertest.Lister), Namespace: "test", Audience: []string{"app"}, Observer: &at,
			})
			require.NoError(t, err)
			t.Cleanup(func() { assert.NoError(t, e.Close()) })
			guard, err := ginmfa.New(ginmfa.Config{
				GuardConfig:  echomfa.GuardConfig[*gin.Context]{Enforcer: e, Policy: echomfa.AnyOf(echomfa.OTP)},
				ErrorHandler: row.handle,
			})
			require.NoError(t, err)
			app := gin.New()
			app.GET("/admin/:id", guard, func(*gin.Context) { t.Error("the handler ran") })
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin/7", nil)
			r.Header.Set("Authorization", "Bearer "+answertest.NotEnrolled)
			w := httptest.NewRecorder()
			app.ServeHTTP(w, r)
			assert.Equal(t, row.code, w.Code)
			assert.Contains(t, w.Body.String(), row.body)
			if row.body == "" {
				assert.Empty(t, w.Body.String())
			}
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			assert.Equal(t, route("/admin/:id"), at)
		})
	}
}

// TestPanicIsNoWayIn has a callback abort the request by a panic that goes on, under a
// middleware which recovers and does not abort: gin then calls what comes next.
func TestPanicIsNoWayIn(t *testing.T) {
	t.Parallel()
	e, err := echomfa.New(echomfa.Config{Client: echomfa.FactorListerFunc(answertest.Lister), Namespace: "test", Audience: []string{"app"}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	guard, err := ginmfa.New(ginmfa.Config{GuardConfig: echomfa.GuardConfig[*gin.Context]{
		Enforcer: e, Policy: echomfa.AnyOf(echomfa.OTP), Token: func(*gin.Context) (string, error) { panic(http.ErrAbortHandler) },
	}})
	require.NoError(t, err)
	app := gin.New()
	recovered := false
	app.Use(func(c *gin.Context) {
		defer func() { recovered = recover() != nil }()
		c.Next()
	})
	app.GET("/admin", guard, func(*gin.Context) { t.Error("the handler ran") })
	app.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin", nil))
	assert.True(t, recovered)
}
