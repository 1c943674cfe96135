package oidc

import (
	"net/http"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/enroll"
	"github.com/labstack/echo/v4"
)

// NewApp is an app with the sign-in, the enrollment pages, and two areas that ask for what
// the user's role asks for. The role is the app's own business: roleOf returns it for the
// id of a user, and is safe for concurrent use.
func NewApp(cfg Config, stateKey []byte, roleOf func(userID string) string) (*echomfa.Enforcer, http.Handler, error) {
	signIn := New(cfg)
	mfa, err := echomfa.New(echomfa.Config{
		Client:    cfg.GenAuth,
		Token:     Token, // the session's, which Sessions has put into the request
		EnrollURL: "/mfa",
		LoginURL:  "/login",
		ReturnTo:  echomfa.ReturnToConfig{BaseURL: cfg.PublicURL},
		Logger:    cfg.Logger,
	})
	if err != nil {
		return nil, nil, err
	}
	// Made once: making a policy costs more than evaluating it.
	policies := map[string]echomfa.Policy{
		"admin": echomfa.AllOf(echomfa.OTP, echomfa.Email).Named("admins"),
		"staff": echomfa.AnyOf(echomfa.OTP, echomfa.Face).Named("staff"),
	}
	// For the routes and for the enrollment pages: what they ask for is the same.
	policyOf := func(r *http.Request) (echomfa.Policy, error) {
		user := UserOf(r)
		if user.ID == "" {
			return echomfa.Policy{}, echomfa.ErrUnauthenticated // a browser is sent to sign in
		}
		return policies[roleOf(user.ID)], nil // a role that is not there: the zero Policy, a 500
	}
	pages, err := enroll.New(enroll.Config{
		Client:        cfg.GenAuth,
		Enforcer:      mfa,
		BasePath:      "/mfa",
		PolicyFunc:    func(r *http.Request, _ string) (echomfa.Policy, error) { return policyOf(r) },
		RoutePolicies: []echomfa.Policy{policies["admin"], policies["staff"]},
		StateKeys:     [][]byte{stateKey}, // 32 random bytes, the same on all instances
		RecentSignIn:  RecentSignIn,
		UserName:      UserName,
		SignOutURL:    "/logout",
		SignOutPost:   true,
		Logger:        cfg.Logger,
	})
	if err != nil {
		return nil, nil, err
	}
	guard := echomfa.WithConfig(echomfa.MiddlewareConfig{
		Enforcer: mfa,
		RequireFunc: func(c echo.Context) (echomfa.Requirement, error) {
			policy, err := policyOf(c.Request())
			return echomfa.Requirement{Policy: policy}, err
		},
		// The handler works for the user of the session: the token must be of that user.
		Subject: func(c echo.Context) (string, error) { return UserOf(c.Request()).ID, nil },
	})

	e := echo.New()
	sessions := echo.WrapMiddleware(signIn.Sessions(mfa))
	e.GET("/login", echo.WrapHandler(signIn.Login(mfa)))
	e.GET("/callback", echo.WrapHandler(signIn.Callback(mfa)))
	e.POST("/logout", echo.WrapHandler(signIn.Logout(mfa)))
	e.Any("/mfa", echo.WrapHandler(pages), sessions)
	e.Any("/mfa/*", echo.WrapHandler(pages), sessions) // Echo's wildcard does not match "/mfa" itself
	e.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, "Welcome\n") })
	hello := func(c echo.Context) error { return c.String(http.StatusOK, "Hello, "+UserOf(c.Request()).Name+"\n") }
	e.GET("/reports", hello, sessions, guard)
	e.GET("/admin", hello, sessions, guard)
	// A form of another site must not sign anybody out.
	return mfa, http.NewCrossOriginProtection().Handler(e), nil
}
