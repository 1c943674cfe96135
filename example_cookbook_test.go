package echomfa_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
)

// This file holds the programs of docs/cookbook.md. Its last one is in
// example_operation_test.go, and the one for echo-jwt in the integration module.

// kitchen starts an emulator with alice, who has enrolled OTP, and bob, who has
// enrolled nothing, and a client of it.
func kitchen() (genauth *genauthtest.Server, c *client.Client, done func()) {
	genauth, err := genauthtest.New(genauthtest.Config{AcceptMFATokens: true})
	if err != nil {
		panic(err)
	}
	genauth.AddUser(genauthtest.User{ID: "alice", Factors: []genauthtest.FactorType{genauthtest.OTP}})
	genauth.AddUser(genauthtest.User{ID: "bob"})
	c, err = client.New(client.Config{BaseURL: genauth.URL(), AppID: genauth.AppID()})
	if err != nil {
		panic(err)
	}
	return genauth, c, func() { c.CloseIdleConnections(); genauth.Close() }
}

// mustNew returns an Enforcer with defaults.
func mustNew(c *client.Client) *echomfa.Enforcer {
	mfa, err := echomfa.New(echomfa.Config{Client: c})
	if err != nil {
		panic(err)
	}
	return mfa
}

// ask serves one request with headers, "Name: value".
func ask(h http.Handler, method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), method, target, nil)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// A web app whose session cookie is the access token.
func ExampleConfig_cookie() {
	emulator, genauth, done := kitchen()
	defer done()
	e := echo.New()
	mfa, err := echomfa.New(echomfa.Config{
		Client:      genauth,
		TokenLookup: "cookie:session",
		EnrollURL:   "/mfa",
		LoginURL:    "/login",
	})
	if err != nil {
		panic(err)
	}
	defer func() { _ = mfa.Close() }()
	admin := e.Group("/admin", mfa.Require(echomfa.AnyOf(echomfa.OTP, echomfa.Face)))
	admin.GET("/users", hello)

	const browser = "Sec-Fetch-Mode: navigate"
	fmt.Println(ask(e, "GET", "/admin/users?page=2", browser).Header().Get("Location"))
	fmt.Println(ask(e, "GET", "/admin/users?page=2", browser, "Cookie: session="+emulator.AccessToken("bob")).Header().Get("Location"))
	fmt.Println(ask(e, "GET", "/admin/users?page=2", browser, "Cookie: session="+emulator.AccessToken("alice")).Code)
	// Output:
	// /login?return_to=%2Fadmin%2Fusers%3Fpage%3D2
	// /mfa?return_to=%2Fadmin%2Fusers%3Fpage%3D2
	// 200
}

// A cookie that a script or another framework has percent-encoded.
func ExampleConfig_percentEncodedCookie() {
	emulator, genauth, done := kitchen()
	defer done()
	mfa, err := echomfa.New(echomfa.Config{
		Client: genauth,
		Token: func(r *http.Request) (string, error) {
			cookies := r.CookiesNamed("session")
			if len(cookies) != 1 {
				return "", echomfa.ErrUnauthenticated
			}
			token, err := url.PathUnescape(cookies[0].Value)
			if err != nil {
				return "", &echomfa.TokenError{Code: "invalid_token", Reason: "the cookie is not percent-encoded"}
			}
			return token, nil
		},
	})
	if err != nil {
		panic(err)
	}
	defer func() { _ = mfa.Close() }()
	admin := mfa.Middleware(echomfa.HandlerConfig{Policy: echomfa.AnyOf(echomfa.OTP)})(http.NotFoundHandler())

	token := emulator.AccessToken("alice")
	encoded := fmt.Sprintf("%%%02X", token[0]) + token[1:]
	fmt.Println(ask(admin, "GET", "/admin", "Cookie: session="+encoded).Code) // the handler's
	fmt.Println(ask(admin, "GET", "/admin", "Cookie: session=%").Code)
	// Output:
	// 404
	// 401
}

// A web app whose session cookie is an id, and which keeps the access token on
// the server.
func ExampleConfig_token() {
	emulator, genauth, done := kitchen()
	defer done()
	sessions := map[string]string{"s1": emulator.AccessToken("alice")}
	mfa, err := echomfa.New(echomfa.Config{
		Client: genauth,
		Token: func(r *http.Request) (string, error) {
			cookies := r.CookiesNamed("session")
			if len(cookies) != 1 {
				return "", echomfa.ErrUnauthenticated
			}
			return sessions[cookies[0].Value], nil // "" is a 401, too
		},
	})
	if err != nil {
		panic(err)
	}
	defer func() { _ = mfa.Close() }()
	e := echo.New()
	e.GET("/admin", hello, mfa.Require(echomfa.AnyOf(echomfa.OTP)))
	fmt.Println(ask(e, "GET", "/admin", "Cookie: session=s1").Code, ask(e, "GET", "/admin", "Cookie: session=s2").Code)
	// Output: 200 401
}

// The part of an enrollment page that speaks to the Enforcer. It is outside of
// the guarded group.
func ExampleEnforcer_InvalidateRequest() {
	emulator, genauth, done := kitchen()
	defer done()
	mfa := mustNew(genauth)
	defer func() { _ = mfa.Close() }()
	e := echo.New()
	e.GET("/admin", hello, mfa.Require(echomfa.AnyOf(echomfa.OTP)))
	e.POST("/mfa/done", func(c echo.Context) error {
		if err := mfa.InvalidateRequest(c.Request()); err != nil {
			mfa.WriteRefusal(c.Response(), c.Request(), err)
			return nil
		}
		back := mfa.ReturnTo(c.FormValue("return_to"))
		if back == "" {
			back = "/" // it was missing, or led elsewhere
		}
		return c.Redirect(http.StatusSeeOther, back)
	})

	bob := "Authorization: Bearer " + emulator.AccessToken("bob")
	fmt.Println(ask(e, "GET", "/admin", bob).Code)
	emulator.Enroll("bob", genauthtest.OTP)
	fmt.Println(ask(e, "POST", "/mfa/done?return_to=/admin", bob).Header().Get("Location"))
	fmt.Println(ask(e, "POST", "/mfa/done?return_to=//evil.example", bob).Header().Get("Location"))
	fmt.Println(ask(e, "GET", "/admin", bob).Code)
	// Output:
	// 403
	// /admin
	// /
	// 200
}

// What a script that uses fetch gets: the answer itself, never a redirect.
func ExampleNotEnrolledError_fetch() {
	emulator, genauth, done := kitchen()
	defer done()
	mfa, err := echomfa.New(echomfa.Config{Client: genauth, EnrollURL: "/mfa"})
	if err != nil {
		panic(err)
	}
	defer func() { _ = mfa.Close() }()
	e := echo.New()
	e.GET("/api/admin", hello, mfa.Require(echomfa.AnyOf(echomfa.OTP, echomfa.Face)))
	w := ask(e, "GET", "/api/admin", "Sec-Fetch-Mode: cors", "Accept: text/html", "Authorization: Bearer "+emulator.AccessToken("bob"))

	var problem struct {
		Missing   [][]echomfa.FactorType `json:"missing"`
		EnrollURL string                 `json:"enroll_url"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil {
		panic(err)
	}
	fmt.Println(w.Code, w.Header().Get("Content-Type"))
	fmt.Println(problem.Missing, problem.EnrollURL)
	// Output:
	// 403 application/problem+json
	// [[OTP] [FACE]] /mfa
}

// identity is what the middleware that verifies tokens, here a stand-in, puts
// into the context.
type identity struct {
	tenant  string
	service bool
}

func verified(who identity) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			c.Set("identity", who)
			return next(c)
		}
	}
}

// A policy for each tenant.
func ExampleMiddlewareConfig_tenants() {
	emulator, genauth, done := kitchen()
	defer done()
	mfa := mustNew(genauth)
	defer func() { _ = mfa.Close() }()
	// Made once: making a policy costs more than evaluating it.
	policies := map[string]echomfa.Policy{
		"bank": echomfa.AllOf(echomfa.OTP, echomfa.Face).Named("bank"),
		"shop": echomfa.AnyOf(echomfa.OTP, echomfa.Face).Named("shop"),
	}
	guard := echomfa.WithConfig(echomfa.MiddlewareConfig{
		Enforcer: mfa,
		RequireFunc: func(c echo.Context) (echomfa.Requirement, error) {
			who, ok := c.Get("identity").(identity)
			if !ok {
				return echomfa.Requirement{}, echomfa.ErrUnauthenticated // nobody is signed in: a 401
			}
			return echomfa.Requirement{Policy: policies[who.tenant]}, nil // unknown: the zero Policy, a 500
		},
	})

	alice := "Authorization: Bearer " + emulator.AccessToken("alice")
	for _, tenant := range []string{"bank", "shop", "unknown"} {
		e := echo.New()
		e.GET("/admin", hello, verified(identity{tenant: tenant}), guard)
		fmt.Println(tenant, ask(e, "GET", "/admin", alice).Code)
	}
	e := echo.New()
	e.GET("/admin", hello, guard)
	fmt.Println("nobody", ask(e, "GET", "/admin").Code)
	// Output:
	// bank 403
	// shop 200
	// unknown 500
	// nobody 401
}

// A service account is exempt because of what was verified about it.
func ExampleExempt() {
	_, genauth, done := kitchen()
	defer done()
	mfa := mustNew(genauth)
	defer func() { _ = mfa.Close() }()
	people := echomfa.AnyOf(echomfa.OTP, echomfa.Face)
	services := echomfa.Exempt("service account, verified by its signature")
	guard := echomfa.WithConfig(echomfa.MiddlewareConfig{
		Enforcer: mfa,
		RequireFunc: func(c echo.Context) (echomfa.Requirement, error) {
			if who, ok := c.Get("identity").(identity); ok && who.service {
				return echomfa.Requirement{Policy: services}, nil
			}
			return echomfa.Requirement{Policy: people}, nil
		},
	})

	e := echo.New()
	e.GET("/job", hello, verified(identity{service: true}), guard)
	e.GET("/page", hello, verified(identity{}), guard)
	fmt.Println(ask(e, "GET", "/job").Code, ask(e, "GET", "/page").Code)
	// Output: 200 401
}

// CORS goes first: a preflight has no token, and a refusal without CORS headers
// cannot be read by the script.
func ExampleEnforcer_Require_cors() {
	emulator, genauth, done := kitchen()
	defer done()
	mfa := mustNew(genauth)
	defer func() { _ = mfa.Close() }()
	e := echo.New()
	e.Use(middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOrigins:  []string{"https://app.example.com"},
		AllowHeaders:  []string{"Authorization"},
		ExposeHeaders: []string{"Retry-After", "WWW-Authenticate"},
	}))
	api := e.Group("/api", mfa.Require(echomfa.AnyOf(echomfa.OTP)))
	api.GET("/admin", hello)

	const origin = "Origin: https://app.example.com"
	preflight := ask(e, "OPTIONS", "/api/admin", origin, "Access-Control-Request-Method: GET")
	refused := ask(e, "GET", "/api/admin", origin, "Authorization: Bearer "+emulator.AccessToken("bob"))
	fmt.Println(preflight.Code, preflight.Header().Get("Access-Control-Allow-Origin"))
	fmt.Println(refused.Code, refused.Header().Get("Access-Control-Allow-Origin"))
	// Output:
	// 204 https://app.example.com
	// 403 https://app.example.com
}

// newRouter is the application under test in TestAdminNeedsOTP.
func newRouter(mfa *echomfa.Enforcer) http.Handler {
	e := echo.New()
	e.GET("/admin", hello, mfa.Require(echomfa.AnyOf(echomfa.OTP)))
	return e
}

// TestAdminNeedsOTP is the cookbook's test of your own application.
func TestAdminNeedsOTP(t *testing.T) {
	t.Parallel()
	genauth := genauthtest.Start(t)
	bob := genauth.AddUser(genauthtest.User{Username: "bob"})
	c, err := client.New(client.Config{BaseURL: genauth.URL(), AppID: genauth.AppID()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	mfa, err := echomfa.New(echomfa.Config{Client: c})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mfa.Close() })
	app, token := newRouter(mfa), genauth.AccessToken(bob.ID)

	get := func() int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		return w.Code
	}
	if got := get(); got != http.StatusForbidden {
		t.Errorf("before enrolling: %d", got)
	}
	genauth.Enroll(bob.ID, genauthtest.OTP)
	if err := mfa.Invalidate(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if got := get(); got != http.StatusOK {
		t.Errorf("after enrolling: %d", got)
	}
	genauth.Stop() // GenAuth is down
	if got := get(); got != http.StatusOK {
		t.Errorf("seen within FreshFor: %d", got)
	}
	_ = mfa.Invalidate(t.Context(), token)
	if got := get(); got != http.StatusServiceUnavailable {
		t.Errorf("not known: %d", got)
	}
}

// A guard on all routes leaves out the pages that users without a factor need. It
// also covers addresses without a route.
func ExampleSkipRoutes() {
	emulator, genauth, done := kitchen()
	defer done()
	mfa, err := echomfa.New(echomfa.Config{Client: genauth, EnrollURL: "/mfa"})
	if err != nil {
		panic(err)
	}
	defer func() { _ = mfa.Close() }()
	e := echo.New()
	e.Use(echomfa.WithConfig(echomfa.MiddlewareConfig{
		Enforcer: mfa,
		Policy:   echomfa.AnyOf(echomfa.OTP, echomfa.Face),
		Skipper:  echomfa.SkipRoutes("/mfa", "/mfa/*", "/login"), // Echo's wildcard does not match "/mfa" itself
	}))
	for _, route := range []string{"/mfa", "/mfa/*", "/login", "/admin"} {
		e.GET(route, hello)
	}
	token := emulator.AccessToken("bob")
	for _, path := range []string{"/mfa", "/mfa/begin", "/login", "/admin", "/nowhere"} {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		fmt.Println(path, w.Code)
	}
	// Output:
	// /mfa 200
	// /mfa/begin 200
	// /login 200
	// /admin 403
	// /nowhere 403
}
