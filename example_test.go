package echomfa_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/labstack/echo/v4"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
)

// noVerification stands where an app verifies the signature of a token.
func noVerification(next echo.HandlerFunc) echo.HandlerFunc { return next }

// A route of the README, against the emulator.
func Example() {
	genauth, err := genauthtest.New(genauthtest.Config{})
	if err != nil {
		panic(err)
	}
	defer genauth.Close()
	genauth.AddUser(genauthtest.User{ID: "alice"})
	genauth.AddUser(genauthtest.User{ID: "bob"})
	genauth.Enroll("alice", genauthtest.OTP)

	c, err := client.New(client.Config{BaseURL: genauth.URL(), AppID: genauth.AppID()})
	if err != nil {
		panic(err)
	}
	defer c.CloseIdleConnections()
	mfa, err := echomfa.New(echomfa.Config{Client: c})
	if err != nil {
		panic(err)
	}
	defer func() { _ = mfa.Close() }()

	e := echo.New()
	verifyToken := noVerification // in your app, the middleware that verifies tokens
	admin := e.Group("/admin", verifyToken, mfa.Require(echomfa.AnyOf(echomfa.OTP, echomfa.Face)))
	admin.GET("", func(c echo.Context) error { return c.String(http.StatusOK, "Hello, admin") })

	for _, user := range []string{"alice", "bob"} {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/admin", nil)
		r.Header.Set("Authorization", "Bearer "+genauth.AccessToken(user))
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		fmt.Println(user, w.Code)
	}
	// Output:
	// alice 200
	// bob 403
}

func ExampleParsePolicy() {
	_, err := echomfa.ParsePolicy("OPT or FACE")
	fmt.Println(err)
	// Output:
	// echomfa: invalid policy at offset 0: unknown factor type "OPT": did you mean OTP? (a custom type is quoted)
}

func ExamplePolicy_Evaluate() {
	policy := echomfa.AnyOf(echomfa.OTP).And(echomfa.AnyOf(echomfa.SMS, echomfa.Email))
	result := policy.Evaluate(echomfa.Factors(echomfa.SMS))
	fmt.Println(result.Satisfied, result.Missing)
	fmt.Println(policy)
	// Output:
	// false [[OTP]]
	// OTP and (SMS or EMAIL)
}

func ExampleAtLeast() {
	fmt.Println(echomfa.AtLeast(2, echomfa.OTP, echomfa.SMS, echomfa.Email))
	// Output: 2 of (OTP, SMS, EMAIL)
}
