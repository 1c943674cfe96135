//go:build !echomfa_noechov4

package echomfa

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/echomfa/echomfa/internal/redact"
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
	shared := &guard[echo.Context]{
		enforcer:   cfg.Enforcer,
		policy:     cfg.Policy,
		policyFunc: cfg.PolicyFunc,
		token:      cfg.Token,
		subject:    cfg.Subject,
		mode:       cfg.Mode,
		modeFunc:   cfg.ModeFunc,
		skipper:    cfg.Skipper,
	}
	if err := shared.validate(); err != nil {
		return nil, err
	}
	shared.announce()
	g := &echoGuard{guard: shared, cfg: &cfg}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		// Echo does this for each request: the less is captured, the better.
		return func(c echo.Context) error { return g.serve(c, next) }
	}, nil
}

// echoGuard is the middleware of one mount.
type echoGuard struct {
	guard *guard[echo.Context]
	cfg   *MiddlewareConfig
}

func (g *echoGuard) serve(c echo.Context, next echo.HandlerFunc) error {
	var d Decision
	token, err := g.guard.check(c, c.Request(), c.Path(), &d)
	if !d.proceeds() {
		return g.cfg.refuse(c, err, token)
	}
	if g.cfg.Enforcer.cfg.KeepDecision {
		c.SetRequest(c.Request().WithContext(withDecision(c.Request().Context(), d)))
	}
	return next(c)
}

// refuse answers a refusal. It returns nil where it has written the answer: some
// middleware drops what was written when an error comes back (labstack/echo#2763),
// and the client would get an empty 200.
func (cfg *MiddlewareConfig) refuse(c echo.Context, err error, token string) (returned error) {
	w, r := c.Response(), c.Request()
	if w.Committed {
		// An earlier middleware has begun an answer, and nothing can be added to
		// it. Its status does not tell that the request was refused. The error does.
		return httpError(err)
	}
	defer func() {
		if v := recover(); v != nil {
			_, err := panicked(r.Context(), cfg.Enforcer.cfg.Logger, "ErrorHandler", v, cfg.Enforcer.source.secrets(r, token))
			cfg.answer(c, err)
			returned = nil
		}
	}()
	cfg.Enforcer.refusals.setHeaders(w.Header(), r, err)
	if cfg.ErrorHandler != nil {
		if returned := cfg.ErrorHandler(c, httpError(err)); returned != nil {
			return withoutSecretsHTTP(returned, cfg.Enforcer.source.secrets(r, token))
		}
	}
	cfg.answer(c, err)
	return nil
}

// answer writes the default answer, unless there is one.
func (cfg *MiddlewareConfig) answer(c echo.Context, err error) {
	if !c.Response().Committed {
		cfg.Enforcer.refusals.write(c.Response(), c.Request(), err)
	}
}

// httpError is how Echo is told a refusal.
func httpError(err error) *echo.HTTPError {
	status := situationOf(err).status()
	return echo.NewHTTPError(status, http.StatusText(status)).WithInternal(err)
}

// withoutSecretsHTTP is withoutSecrets for an error that Echo is given: its error
// handler knows an *echo.HTTPError by its type, and sends its message.
func withoutSecretsHTTP(err error, secrets redact.Secrets) error {
	h, ok := err.(*echo.HTTPError) //nolint:errorlint // as Echo does
	if !ok {
		return withoutSecrets(err, secrets)
	}
	said := fmt.Sprintf("%v %+v", h.Message, h.Message)
	if !secrets.Shown(said) && (h.Internal == nil || !secrets.Told(h.Internal)) {
		return err
	}
	clean := &echo.HTTPError{Code: h.Code, Message: h.Message}
	if secrets.Shown(said) {
		clean.Message = secrets.Hide(fmt.Sprint(h.Message))
	}
	if h.Internal != nil {
		clean.Internal = withoutSecretsHTTP(h.Internal, secrets)
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
	patterns = slices.Clone(patterns)
	return func(c echo.Context) bool { return slices.Contains(patterns, c.Path()) }
}
