package echov5

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/echomfa/echomfa"
	"github.com/labstack/echo/v5"
)

// MiddlewareConfig configures one mount of the middleware.
type MiddlewareConfig struct {
	// Skipper reports whether a request goes by unchecked. Decide by the
	// registered route, as [SkipRoutes] does, or by what the application knows
	// for certain, never by URL text, headers or unverified claims. Optional.
	Skipper func(c *echo.Context) bool
	// Enforcer decides. Required.
	Enforcer *echomfa.Enforcer
	// Policy is what the user must have enrolled. Required, unless RequireFunc
	// is set.
	Policy echomfa.Policy
	// Mode is Enforce or ReportOnly. Optional. Default Enforce.
	Mode echomfa.Mode
	// RequireFunc returns what a request needs, by role or tenant, instead of
	// Policy and Mode. Errors are answered as [echomfa.GuardConfig] says.
	// Optional.
	RequireFunc func(c *echo.Context) (echomfa.Requirement, error)
	// Token returns the access token instead of the Enforcer's TokenLookup or
	// Token, for instance from a value that another middleware has set. "" or an
	// error matching ErrUnauthenticated is a 401, a [*echomfa.TokenError] is
	// answered as it says, every other error is a 500. For this mount only: the enrollment pages,
	// InvalidateRequest and Enforcer.Token do not see it; with package enroll set
	// [echomfa.Config.Token]. Optional.
	Token func(c *echo.Context) (string, error)
	// Subject returns the identity that the handler uses. A token whose sub
	// claim differs, or that names nobody, is a 401. Optional.
	Subject func(c *echo.Context) (string, error)
	// ErrorHandler answers refusals, after their headers have been set. The
	// error is an [*echo.HTTPError] with an error of package echomfa inside.
	// What it returns is returned to Echo: return that error to have the app's
	// own HTTPErrorHandler answer. If it returns nil and has written nothing,
	// the default answer is written. An error that comes with an answer which
	// Echo cannot see yet, because middleware such as Gzip holds it back, is
	// dropped: Echo would answer a second time. Optional. Default: the default
	// answer is written and nil is returned.
	ErrorHandler func(c *echo.Context, err error) error
}

// Require returns a middleware that lets a request through if the user has
// enrolled what the policy asks for, and otherwise answers as the comment of
// package echomfa says. Put it on the routes and groups that it guards, after the
// middleware that verifies the token. It panics on an invalid policy, at start-up.
func Require(e *echomfa.Enforcer, p echomfa.Policy) echo.MiddlewareFunc {
	return WithConfig(MiddlewareConfig{Enforcer: e, Policy: p})
}

// WithConfig returns the middleware of a configuration. It panics if that is
// invalid, at start-up, as Echo's own middleware does.
func WithConfig(cfg MiddlewareConfig) echo.MiddlewareFunc {
	mw, err := cfg.ToMiddleware()
	if err != nil {
		panic(err)
	}
	return mw
}

// ToMiddleware returns the middleware, or all that is wrong with the
// configuration.
func (cfg MiddlewareConfig) ToMiddleware() (echo.MiddlewareFunc, error) {
	guard, err := echomfa.NewGuard(echomfa.GuardConfig[*echo.Context]{
		Enforcer:    cfg.Enforcer,
		Policy:      cfg.Policy,
		Mode:        cfg.Mode,
		RequireFunc: cfg.RequireFunc,
		Token:       cfg.Token,
		Subject:     cfg.Subject,
		Skipper:     cfg.Skipper,
	})
	if err != nil {
		return nil, err
	}
	return (&mount{guard: guard, handle: cfg.ErrorHandler, skipper: cfg.Skipper}).mounted(), nil
}

// mount is the middleware of one mount.
type mount struct {
	guard   *echomfa.Guard[*echo.Context]
	handle  func(c *echo.Context, err error) error
	skipper func(c *echo.Context) bool
}

func (m *mount) serve(c *echo.Context, next echo.HandlerFunc) error {
	r := c.Request()
	d, err := m.guard.Check(c, r, c.Path())
	if err != nil {
		return m.refuse(c, err)
	}
	if kept := m.guard.WithDecision(r, &d); kept != r {
		c.SetRequest(kept)
	}
	return next(c)
}

// SkipRoutes returns a Skipper for the routes that were registered under the
// given patterns, such as "/mfa/*". It compares what Echo matched
// ([echo.Context.Path]), never the URL: the same address can be spelled in many
// ways, a route only in one. Echo's wildcard does not match the path before it:
// name both, as in SkipRoutes("/mfa", "/mfa/*", "/login"). It panics on an empty
// list and on a pattern without a slash at its beginning: they would skip nothing,
// because Echo puts a slash before each route.
func SkipRoutes(patterns ...string) func(c *echo.Context) bool {
	if len(patterns) == 0 {
		panic(errors.New(`echov5: SkipRoutes: needs patterns as they were registered, such as "/mfa/*"`))
	}
	for _, pattern := range patterns {
		if !strings.HasPrefix(pattern, "/") {
			panic(fmt.Errorf("echov5: SkipRoutes: %q skips nothing: routes begin with a slash", pattern))
		}
	}
	return skipRoutes(slices.Clone(patterns))
}

// skipRoutes is not inlined, for Describe to know the Skipper.
//
//go:noinline
func skipRoutes(patterns []string) func(c *echo.Context) bool {
	return func(c *echo.Context) bool { return slices.Contains(patterns, c.Path()) }
}
