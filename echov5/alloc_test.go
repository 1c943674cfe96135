package echov5_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
	"github.com/labstack/echo/v5"
	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/echov5"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header       { return d.header }
func (*discard) Write(b []byte) (int, error) { return len(b), nil }
func (*discard) WriteHeader(int)             {}

// TestHitDoesNotAllocate shows that a request which is let through from the cache
// costs no allocation, in whichever place the guard is and whatever callbacks it
// has. Under the race detector one is allowed, because the scratch of the digest
// comes from a pool.
func TestHitDoesNotAllocate(t *testing.T) {
	e, policy := table(t, nil), otp()
	token := answertest.JWT(map[string]any{"sub": "u1", "aud": "app", "scope": strings.Repeat("user:read ", 80)})
	known := table(t, func(c *echomfa.Config) { c.Client = everybody{} })
	mounts := map[string]func(app *echo.Echo){
		"route": func(app *echo.Echo) { app.GET("/", noContent, echov5.Require(e, otp())) },
		"group": func(app *echo.Echo) { app.Group("", echov5.Require(e, otp())).GET("/", noContent) },
		"server": func(app *echo.Echo) {
			app.Use(echov5.Require(e, otp()))
			app.GET("/", noContent)
		},
		"a long token, callbacks": func(app *echo.Echo) {
			app.GET("/", noContent, echov5.WithConfig(echov5.MiddlewareConfig{
				Enforcer: known,
				RequireFunc: func(*echo.Context) (echomfa.Requirement, error) {
					return echomfa.Requirement{Policy: policy, Rule: "everybody"}, nil
				},
				Token:        func(*echo.Context) (string, error) { return token, nil },
				Skipper:      echov5.SkipRoutes("/mfa"),
				ErrorHandler: func(_ *echo.Context, err error) error { return err },
			}))
		},
	}
	for name, mount := range mounts {
		app := newApp(echo.Config{})
		mount(app)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		withToken(answertest.Enrolled)(r)
		w := &discard{header: make(http.Header)}
		allocated := testing.AllocsPerRun(200, func() { app.ServeHTTP(w, r) })
		if raceDetector {
			allocated--
		}
		assert.LessOrEqual(t, allocated, 0.0, name)
	}
	assert.Positive(t, e.Stats().Hits)
	assert.Positive(t, known.Stats().Hits)
}

func noContent(*echo.Context) error { return nil }
