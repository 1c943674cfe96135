package bench_test

import (
	"net/http"
	"testing"

	"github.com/echomfa/echomfa/echov5"
	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/echomfa/echomfa/bench/peer"
)

// BenchmarkEchoV5Hit is the way of a request of a user who is known over Echo v5,
// beside its own KeyAuth.
func BenchmarkEchoV5Hit(b *testing.B) {
	user := peer.NewTokens("alice")
	peers := []struct {
		name string
		mw   []echo.MiddlewareFunc
	}{
		{"bare", nil},
		{"no-op", []echo.MiddlewareFunc{func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c *echo.Context) error { return next(c) }
		}}},
		{"KeyAuth", []echo.MiddlewareFunc{middleware.KeyAuth(func(*echo.Context, string, middleware.ExtractorSource) (bool, error) {
			return true, nil
		})}},
		{"echomfa", []echo.MiddlewareFunc{echov5.Require(newEnforcer(b, 1<<16), peer.Policy())}},
	}
	for name, token := range map[string]string{"jwt": user.RS256, "40B": user.Opaque} {
		for _, p := range peers {
			b.Run("token="+name+"/peer="+p.name, func(b *testing.B) {
				app := echo.New()
				app.GET("/", func(c *echo.Context) error { c.Response().WriteHeader(http.StatusOK); return nil })
				app.Use(p.mw...)
				run(b, app, token)
			})
		}
	}
}
