package echomfa

import (
	"errors"
	"net/http"
	"slices"

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
	// Policy is what the user must have enrolled. Required, unless PolicyFunc
	// is set.
	Policy Policy
	// PolicyFunc chooses the policy for a request, by role or tenant, instead
	// of Policy. An error, or an invalid policy, is a 500. Optional.
	PolicyFunc func(c echo.Context) (Policy, error)
	// Token returns the access token instead of the Enforcer's TokenLookup or
	// Token, for instance from echo-jwt's context value. "" or an error
	// matching ErrUnauthenticated is a 401, a [*TokenError] is answered as it
	// says, every other error is a 500. Optional.
	Token func(c echo.Context) (string, error)
	// Subject returns the identity that the handler serves. A token whose sub
	// claim differs, or that names nobody, is a 401. Optional.
	Subject func(c echo.Context) (string, error)
	// Mode is Enforce or ReportOnly. Optional. Default Enforce.
	Mode Mode
	// ModeFunc is asked for the mode on every request, instead of Mode: the
	// switch for the night of an outage. Optional.
	ModeFunc func() Mode
	// ErrorHandler answers refusals, after their headers have been set. The
	// error is an *echo.HTTPError with an error of this package inside. If it
	// returns nil and has written nothing, the default answer is written. What
	// it returns is returned to Echo. Optional.
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
	m := &mount[echo.Context]{
		enforcer:   cfg.Enforcer,
		policy:     cfg.Policy,
		policyFunc: cfg.PolicyFunc,
		token:      cfg.Token,
		subject:    cfg.Subject,
		mode:       cfg.Mode,
		modeFunc:   cfg.ModeFunc,
		skipper:    cfg.Skipper,
	}
	if err := m.validate(); err != nil {
		return nil, err
	}
	m.announce()
	g := &guard{mount: m, cfg: &cfg}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		// Echo does this for each request: the less is captured, the better.
		return func(c echo.Context) error { return g.serve(c, next) }
	}, nil
}

// guard is the middleware of one mount.
type guard struct {
	mount *mount[echo.Context]
	cfg   *MiddlewareConfig
}

func (g *guard) serve(c echo.Context, next echo.HandlerFunc) error {
	d, err := g.mount.check(c, c.Request(), c.Path())
	if !d.proceeds() {
		return g.cfg.refuse(c, err)
	}
	if g.cfg.Enforcer.cfg.KeepDecision {
		c.SetRequest(c.Request().WithContext(withDecision(c.Request().Context(), d)))
	}
	return next(c)
}

// refuse answers a refusal and returns its error. Echo's own error handler
// leaves an answer alone that has been written, and request loggers see it.
func (cfg *MiddlewareConfig) refuse(c echo.Context, err error) (returned error) {
	w, r := c.Response(), c.Request()
	defer func() {
		if v := recover(); v != nil {
			_, err := cfg.Enforcer.panicked(r.Context(), "ErrorHandler", v, cfg.Enforcer.declaredToken(r))
			returned = cfg.answer(c, err)
		}
	}()
	if w.Committed { // by an earlier middleware: there is nothing to add
		return httpError(situationOf(err).status(), err)
	}
	cfg.Enforcer.setRefusalHeaders(w.Header(), err)
	if cfg.Token != nil {
		addVary(w.Header(), "Cookie") // where it reads is not known here
	}
	if cfg.ErrorHandler != nil {
		if returned := cfg.ErrorHandler(c, httpError(situationOf(err).status(), err)); returned != nil || w.Committed {
			return returned
		}
	}
	return cfg.answer(c, err)
}

// answer writes the default answer, unless there is one.
func (cfg *MiddlewareConfig) answer(c echo.Context, err error) error {
	if c.Response().Committed {
		return httpError(situationOf(err).status(), err)
	}
	return httpError(cfg.Enforcer.writeRefusal(c.Response(), c.Request(), err), err)
}

func httpError(status int, err error) *echo.HTTPError {
	return echo.NewHTTPError(status, http.StatusText(status)).WithInternal(err)
}

// SkipRoutes returns a Skipper for the routes that were registered under the
// given patterns, such as "/mfa/*". It compares what Echo matched ([echo.Context]'s
// Path), never the URL: the same address can be spelled in many ways, a route
// only in one. It panics on an empty list or pattern, which would skip nothing
// or what no route matches.
func SkipRoutes(patterns ...string) middleware.Skipper {
	if len(patterns) == 0 || slices.Contains(patterns, "") {
		panic(errors.New("echomfa: SkipRoutes: needs patterns as they were registered, such as \"/mfa/*\""))
	}
	patterns = slices.Clone(patterns)
	return func(c echo.Context) bool { return slices.Contains(patterns, c.Path()) }
}
