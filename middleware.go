//go:build !echomfa_noechov4

package echomfa

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

// MiddlewareConfig configures one mount of the Echo middleware.
type MiddlewareConfig struct {
	// Skipper reports whether a request goes by unchecked. Decide by the
	// registered route, as [SkipRoutes] does, or by what the application knows
	// for certain, never by URL text, headers or unverified claims. Optional.
	Skipper middleware.Skipper
	// Enforcer decides. Required.
	Enforcer *Enforcer
	// Policy is what the user must have enrolled. Required, unless RequireFunc
	// is set.
	Policy Policy
	// Mode is Enforce or ReportOnly. Optional. Default Enforce.
	Mode Mode
	// RequireFunc returns what a request needs, by role or tenant, instead of
	// Policy and Mode. Errors are answered as [GuardConfig] says. Optional.
	RequireFunc func(c echo.Context) (Requirement, error)
	// Token returns the access token instead of the Enforcer's TokenLookup or
	// Token, for instance from echo-jwt's context value. "" or an error
	// matching ErrUnauthenticated is a 401, a [*TokenError] is answered as it
	// says, every other error is a 500. For this mount only: the enrollment pages,
	// InvalidateRequest and Enforcer.Token do not see it; with package enroll set
	// [Config.Token]. Optional.
	Token func(c echo.Context) (string, error)
	// Subject returns the identity that the handler works for. A token whose sub
	// claim differs, or that names nobody, is a 401. Optional.
	Subject func(c echo.Context) (string, error)
	// ErrorHandler answers refusals, after their headers have been set. The
	// error is an *echo.HTTPError with an error of this package inside. What it
	// returns is returned to Echo: return that error to have the app's own
	// HTTPErrorHandler answer. If it returns nil and has written nothing, the
	// default answer is written. Optional. Default: the default answer is
	// written and nil is returned, so that no HTTPErrorHandler is called, and
	// loggers read the status of the response and no error.
	ErrorHandler func(c echo.Context, err error) error
}

// Require returns an Echo middleware that lets a request through if the user
// has enrolled what the policy asks for, and otherwise answers as the package
// comment says. Put it on the routes and groups that it guards, after the
// middleware that verifies the token. It panics on an invalid policy, at
// start-up.
func (e *Enforcer) Require(p Policy) echo.MiddlewareFunc {
	return WithConfig(MiddlewareConfig{Enforcer: e, Policy: p})
}

// WithConfig returns the Echo middleware of a configuration. It panics if that
// is invalid, at start-up, as Echo's own middleware does.
func WithConfig(cfg MiddlewareConfig) echo.MiddlewareFunc {
	mw, err := cfg.ToMiddleware()
	if err != nil {
		panic(err)
	}
	return mw
}

// ToMiddleware returns the Echo middleware, or all that is wrong with the
// configuration.
func (cfg MiddlewareConfig) ToMiddleware() (echo.MiddlewareFunc, error) {
	g, err := NewGuard(GuardConfig[echo.Context]{
		Enforcer: cfg.Enforcer, Policy: cfg.Policy, Mode: cfg.Mode, RequireFunc: cfg.RequireFunc,
		Token: cfg.Token, Subject: cfg.Subject, Skipper: cfg.Skipper,
	})
	if err != nil {
		return nil, err
	}
	return (&echoMiddleware{guard: g, errorHandler: cfg.ErrorHandler}).mounted(), nil
}

// mounted is not inlined, so that all mounts have one code pointer, by which
// DescribeMiddleware tells them from other middleware.
//
//go:noinline
func (m *echoMiddleware) mounted() echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		if next == nil {
			return func(echo.Context) error { return &describedError{mount: m.describe()} }
		}
		// Keep the closure small: Echo allocates it for every request.
		return func(c echo.Context) error { return m.serve(c, next) }
	}
}

// DescribeMiddleware returns what a middleware asks for that Require, WithConfig or
// ToMiddleware has returned. It reports false for every other middleware, also for one
// that calls ours, and runs none of it.
func DescribeMiddleware(mw echo.MiddlewareFunc) (Mount, bool) {
	if !sameCode(mw, (*echoMiddleware)(nil).mounted()) {
		return Mount{}, false
	}
	var described *describedError
	ok := errors.As(mw(nil)(nil), &described)
	return described.mount, ok
}

// sameCode reports whether two functions are made by the same lines.
func sameCode(f, g any) bool { return reflect.ValueOf(f).Pointer() == reflect.ValueOf(g).Pointer() }

// describe tells in addition what a Skipper skips that SkipRoutes has made.
func (m *echoMiddleware) describe() Mount {
	mount, skipper := m.guard.Mount(), m.guard.cfg.Skipper
	if skipper != nil && sameCode(skipper, skipRoutes(nil)) {
		mount.Skips = func(route string) (skips, known bool) { return skipper(routeContext{route: route}), true }
	}
	return mount
}

// routeContext is a context that has only the registered route.
type routeContext struct {
	echo.Context

	route string
}

func (c routeContext) Path() string { return c.route }

// echoMiddleware is the middleware of one mount.
type echoMiddleware struct {
	guard        *Guard[echo.Context]
	errorHandler func(c echo.Context, err error) error
}

func (m *echoMiddleware) serve(c echo.Context, next echo.HandlerFunc) error {
	r := c.Request()
	var d Decision
	if err := m.guard.checkInto(c, r, c.Path(), &d); err != nil {
		return m.refuse(c, err)
	}
	if kept := m.guard.WithDecision(r, &d); kept != r {
		c.SetRequest(kept)
	}
	return next(c)
}

// refuse answers a refusal. It returns nil where it has written the answer: some
// middleware drops what was written when an error comes back (labstack/echo#2763),
// and the client would get an empty 200.
func (m *echoMiddleware) refuse(c echo.Context, err error) error {
	w, r := c.Response(), c.Request()
	if w.Committed {
		// An earlier middleware has begun an answer, and nothing can be added to
		// it. Its status does not tell that the request was refused. The error does.
		return httpError(err)
	}
	var handle func(error) error
	if m.errorHandler != nil {
		handle = func(refusal error) error {
			return withoutSecretsHTTP(m.errorHandler(c, httpError(refusal)), func(said error) error { return m.guard.Redact(r, err, said) })
		}
	}
	return m.guard.RefuseBy(w, r, err, func() bool { return c.Response().Committed }, handle)
}

// httpError is how Echo is told a refusal.
func httpError(err error) *echo.HTTPError {
	status := Status(err)
	return echo.NewHTTPError(status, http.StatusText(status)).WithInternal(err)
}

// withoutSecretsHTTP redacts an error that Echo is given: its error handler knows an
// *echo.HTTPError by its type, and sends its message.
func withoutSecretsHTTP(err error, redact func(error) error) error {
	h, ok := err.(*echo.HTTPError) //nolint:errorlint // as Echo does
	if !ok {
		return redact(err)
	}
	clean := &echo.HTTPError{Code: h.Code, Message: h.Message, Internal: withoutSecretsHTTP(h.Internal, redact)}
	said := fmt.Errorf("%v %+v", h.Message, h.Message)
	if redact(said) != said { //nolint:errorlint // the same value
		clean.Message = redact(fmt.Errorf("%v", h.Message)).Error()
	} else if reflect.ValueOf(h.Internal).Comparable() && clean.Internal == h.Internal { //nolint:errorlint // the same value
		return err
	}
	return clean
}

// SkipRoutes returns a Skipper for the routes that were registered under the
// given patterns, such as "/mfa/*". It compares what Echo matched ([echo.Context]'s
// Path), never the URL: the same address can be spelled in many ways, a route
// only in one. Echo's wildcard does not match the path before it: name both, as
// in SkipRoutes("/mfa", "/mfa/*", "/login"). It panics on an empty list and on a
// pattern without a slash at its beginning: they would skip nothing, because Echo
// puts a slash before each route.
func SkipRoutes(patterns ...string) middleware.Skipper {
	if len(patterns) == 0 {
		panic(errors.New(`echomfa: SkipRoutes: needs patterns as they were registered, such as "/mfa/*"`))
	}
	for _, pattern := range patterns {
		if !strings.HasPrefix(pattern, "/") {
			panic(fmt.Errorf("echomfa: SkipRoutes: %q skips nothing: routes begin with a slash", pattern))
		}
	}
	return skipRoutes(slices.Clone(patterns))
}

// skipRoutes is not inlined, for describe to know the Skipper.
//
//go:noinline
func skipRoutes(patterns []string) middleware.Skipper {
	return func(c echo.Context) bool { return slices.Contains(patterns, c.Path()) }
}
