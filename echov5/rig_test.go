package echov5_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
	"github.com/labstack/echo/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/echov5"
)

// table makes an Enforcer whose GenAuth is that of the table of answers.
func table(t *testing.T, change func(*echomfa.Config)) *echomfa.Enforcer {
	t.Helper()
	cfg := echomfa.Config{
		Client: echomfa.FactorListerFunc(answertest.Lister), Namespace: "test", Audience: []string{"app"},
		Cache: echomfa.CacheConfig{Size: 64},
	}
	if change != nil {
		change(&cfg)
	}
	e, err := echomfa.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	return e
}

// newApp returns an Echo that logs nothing.
func newApp(cfg echo.Config) *echo.Echo {
	cfg.Logger = slog.New(slog.DiscardHandler)
	return echo.NewWithConfig(cfg)
}

// headRouter is a router that answers HEAD by GET routes.
func headRouter() echo.Config {
	return echo.Config{Router: echo.NewRouter(echo.RouterConfig{AutoHandleHEAD: true, AllowOverwritingRoute: true})}
}

// served is the result of a request to an Echo app.
type served struct {
	*httptest.ResponseRecorder
	ran bool
	err error // what the middleware returned
}

// serve sends one request for GET /admin/:id through the middleware. setup may
// change the request.
func serve(t *testing.T, cfg echov5.MiddlewareConfig, setup func(*http.Request)) (got served) {
	t.Helper()
	got.ResponseRecorder = httptest.NewRecorder()
	app := newApp(echo.Config{})
	app.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			got.err = next(c)
			return got.err
		}
	})
	app.GET("/admin/:id", func(c *echo.Context) error {
		got.ran = true
		return c.String(http.StatusOK, "secret page")
	}, echov5.WithConfig(cfg))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin/7", nil)
	if setup != nil {
		setup(r)
	}
	app.ServeHTTP(got, r)
	return got
}

// ask sends one request to an app.
func ask(t *testing.T, app http.Handler, method, target, token string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	if token != "" {
		withToken(token)(r)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	return w
}

func withToken(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

func otp() echomfa.Policy { return echomfa.AnyOf(echomfa.OTP) }

// everybody is a GenAuth that knows every token, and that its user has enrolled OTP.
type everybody struct{}

func (everybody) ListEnrolledFactors(context.Context, string) ([]client.Factor, error) {
	return []client.Factor{{ID: "1", Type: client.OTP}}, nil
}
