package echomfa_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
)

// This file shows mistakes, so that they can be recognized.

func mistakes() *echomfa.Enforcer {
	e, err := echomfa.New(echomfa.Config{
		Client: echomfa.FactorListerFunc(answertest.Lister), Namespace: "example", Audience: []string{"app"},
	})
	if err != nil {
		panic(err)
	}
	return e
}

func status(app *echo.Echo, target string, headers ...string) int {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	return w.Code
}

func hello(c echo.Context) error { return c.String(http.StatusOK, "hello") }

// Incorrect: the middleware runs before the one that sets the token, so there
// never is one. It refuses everybody, which is safe and of no use.
func ExampleWithConfig_mountedTooEarly_incorrect() {
	mfa := mistakes()
	defer func() { _ = mfa.Close() }()
	guard := echomfa.WithConfig(echomfa.MiddlewareConfig{
		Enforcer: mfa, Policy: echomfa.AnyOf(echomfa.OTP),
		Token: func(c echo.Context) (string, error) {
			token, _ := c.Get("token").(string)
			return token, nil
		},
	})
	signIn := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Set("token", answertest.Enrolled)
			return next(c)
		}
	}
	app := echo.New()
	app.GET("/wrong", hello, guard, signIn)
	app.GET("/right", hello, signIn, guard)
	fmt.Println(status(app, "/wrong"), status(app, "/right"))
	// Output: 401 200
}

// Incorrect: exempting by a prefix of the URL. The address can be spelled so
// that the prefix matches and the route is another. Use SkipRoutes, or mount
// the middleware only where it belongs.
func ExampleWithConfig_urlPrefix_incorrect() {
	mfa := mistakes()
	defer func() { _ = mfa.Close() }()
	guard := func(skip func(echo.Context) bool) echo.MiddlewareFunc {
		return echomfa.WithConfig(echomfa.MiddlewareConfig{Enforcer: mfa, Policy: echomfa.AnyOf(echomfa.OTP), Skipper: skip})
	}
	serve := func(skip func(echo.Context) bool) int {
		app := echo.New()
		app.GET("/:tenant/admin", hello, guard(skip))
		return status(app, "/public/admin")
	}
	fmt.Println(serve(func(c echo.Context) bool { return strings.HasPrefix(c.Request().URL.Path, "/public") }))
	fmt.Println(serve(echomfa.SkipRoutes("/public/*")))
	// Output:
	// 200
	// 401
}

// Incorrect: a Skipper on a claim of a token that nobody has verified. Anybody
// can write one.
func ExampleWithConfig_unverifiedClaim_incorrect() {
	mfa := mistakes()
	defer func() { _ = mfa.Close() }()
	app := echo.New()
	app.GET("/admin", hello, echomfa.WithConfig(echomfa.MiddlewareConfig{
		Enforcer: mfa, Policy: echomfa.AnyOf(echomfa.OTP),
		Skipper: func(c echo.Context) bool {
			var claims struct{ Role string }
			parts := strings.Split(c.Request().Header.Get("Authorization"), ".")
			if len(parts) == 3 {
				raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
				_ = json.Unmarshal(raw, &claims)
			}
			return claims.Role == "service"
		},
	}))
	for _, role := range []string{"user", "service"} {
		payload := base64.RawURLEncoding.EncodeToString([]byte(`{"role":"` + role + `"}`))
		fmt.Println(status(app, "/admin", "Authorization", "Bearer e30."+payload+".Zm9yZ2Vk"))
	}
	// Output:
	// 401
	// 200
}
