package echov5_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/labstack/echo/v5"

	"github.com/echomfa/echomfa/echov5"
)

// emulated starts an emulator with two users, of whom alice has enrolled an
// authenticator app, and makes an Enforcer that asks it.
func emulated() (genauth *genauthtest.Server, mfa *echomfa.Enforcer, done func()) {
	genauth, err := genauthtest.New(genauthtest.Config{})
	if err != nil {
		panic(err)
	}
	genauth.AddUser(genauthtest.User{ID: "alice"})
	genauth.AddUser(genauthtest.User{ID: "bob"})
	genauth.Enroll("alice", genauthtest.OTP)
	c, err := client.New(client.Config{BaseURL: genauth.URL(), AppID: genauth.AppID()})
	if err != nil {
		panic(err)
	}
	mfa, err = echomfa.New(echomfa.Config{Client: c})
	if err != nil {
		panic(err)
	}
	return genauth, mfa, func() {
		_ = mfa.Close()
		c.CloseIdleConnections()
		genauth.Close()
	}
}

// get asks an app for a page, as the user of a token.
func get(app http.Handler, target, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, target, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	return w
}

func Example() {
	genauth, mfa, done := emulated()
	defer done()

	e := echo.New()
	// Mount the middleware that verifies your tokens before this one.
	admin := e.Group("/admin", echov5.Require(mfa, echomfa.AnyOf(echomfa.OTP, echomfa.Face)))
	admin.GET("", func(c *echo.Context) error { return c.String(http.StatusOK, "Hello, admin") })

	fmt.Println("alice", get(e, "/admin", genauth.AccessToken("alice")).Code)
	fmt.Println("bob", get(e, "/admin", genauth.AccessToken("bob")).Code)
	fmt.Println("nobody", get(e, "/admin", "").Code)
	fmt.Println("page not found", get(e, "/admin/none", genauth.AccessToken("alice")).Code)
	// Output:
	// alice 200
	// bob 403
	// nobody 401
	// page not found 404
}

// A policy for each role: administrators need more than others.
func ExampleMiddlewareConfig_requireFunc() {
	genauth, mfa, done := emulated()
	defer done()

	guard := echov5.WithConfig(echov5.MiddlewareConfig{
		Enforcer: mfa,
		RequireFunc: func(c *echo.Context) (echomfa.Requirement, error) {
			role, err := echo.ContextGet[string](c, "role")
			if err != nil {
				return echomfa.Requirement{}, err // a 500: nobody has set the role
			}
			if role == "admin" {
				return echomfa.Requirement{Policy: echomfa.AllOf(echomfa.OTP, echomfa.Face), Rule: "admins"}, nil
			}
			return echomfa.Requirement{Policy: echomfa.AnyOf(echomfa.OTP), Rule: "everybody"}, nil
		},
	})
	signedInAs := func(role string) echo.MiddlewareFunc {
		return func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c *echo.Context) error {
				c.Set("role", role)
				return next(c)
			}
		}
	}
	e := echo.New()
	page := func(c *echo.Context) error { return c.String(http.StatusOK, "Hello") }
	e.GET("/as-clerk", page, signedInAs("clerk"), guard)
	e.GET("/as-admin", page, signedInAs("admin"), guard)

	for _, target := range []string{"/as-clerk", "/as-admin"} {
		fmt.Println(target, get(e, target, genauth.AccessToken("alice")).Code)
	}
	// Output:
	// /as-clerk 200
	// /as-admin 403
}

// The app's own HTTPErrorHandler answers one kind of refusal, the default answer the
// others.
func ExampleMiddlewareConfig_errorHandler() {
	genauth, mfa, done := emulated()
	defer done()

	guard := echov5.WithConfig(echov5.MiddlewareConfig{
		Enforcer: mfa,
		Policy:   echomfa.AnyOf(echomfa.OTP),
		ErrorHandler: func(_ *echo.Context, err error) error {
			if errors.Is(err, echomfa.ErrNotEnrolled) {
				return err // the app's HTTPErrorHandler answers
			}
			return nil // the default answer
		},
	})
	e := echo.NewWithConfig(echo.Config{HTTPErrorHandler: echo.DefaultHTTPErrorHandler(false)})
	e.GET("/admin", func(c *echo.Context) error { return c.String(http.StatusOK, "Hello, admin") }, guard)

	for _, token := range []string{genauth.AccessToken("bob"), ""} {
		w := get(e, "/admin", token)
		fmt.Println(w.Code, w.Header().Get("Content-Type"))
	}
	// Output:
	// 403 application/json
	// 401 application/problem+json
}
