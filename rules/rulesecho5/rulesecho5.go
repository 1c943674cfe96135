// Package rulesecho5 puts the rules of a file before all routes of an Echo v5 app, and says
// what guards each of its routes.
//
//	set, err := rulesecho5.New(rulesecho5.Config{Rules: rules})
//	...
//	e.Use(verifyToken)
//	set.Install(e)
//	// routes
//	err = echo.StartConfig{Address: addr, BeforeServeFunc: set.BeforeServe}.Start(ctx, e)
//
// A rule and a mount's own Require must both let a request through, each in its own mode.
//
// Build with the tag echomfa_noechov4 to keep Echo v4 out of the binary.
package rulesecho5

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/echov5"
	"github.com/labstack/echo/v5"

	"github.com/echomfa/echomfa/rules"
)

// Config configures a [Set].
type Config struct {
	// Rules decide. Required.
	Rules *rules.Set
	// Identity returns the user's role and tenant, from a source that the app has
	// verified, for rules with a when. Optional, if no file has such a rule: without it a
	// file that has one is refused, also when it is read again.
	Identity func(c *echo.Context) (rules.Identity, error)
	// Token, Subject and ErrorHandler are those of [echov5.MiddlewareConfig]. Optional.
	Token        func(c *echo.Context) (string, error)
	Subject      func(c *echo.Context) (string, error)
	ErrorHandler func(c *echo.Context, err error) error
	// Service, Version and Revision name the app in its coverage. Optional. Default: as the
	// Go tool has recorded them in the binary.
	Service, Version, Revision string
}

// Set guards apps by rules, and knows what guards their routes. Make one with [New] or
// [WithoutRules]. All methods may be called concurrently. The zero Set refuses every
// request of an app.
type Set struct {
	cfg   Config
	guard echo.MiddlewareFunc // nil without rules
	made  bool

	mu   sync.Mutex
	apps map[*echo.Echo]*installed
}

// New returns a Set, or all that is wrong with the configuration.
func New(cfg Config) (*Set, error) {
	if cfg.Rules == nil {
		return nil, errors.New("rulesecho5: Rules: required; for the coverage of an app without rules use WithoutRules")
	}
	guard, err := echov5.MiddlewareConfig{
		Enforcer: cfg.Rules.Enforcer(),
		RequireFunc: func(c *echo.Context) (echomfa.Requirement, error) {
			return rules.Requirement(cfg.Rules, c, c.Request().Method, c.Path(), cfg.Identity)
		},
		Token: cfg.Token, Subject: cfg.Subject, ErrorHandler: cfg.ErrorHandler,
	}.ToMiddleware()
	if err != nil {
		return nil, err
	}
	s := &Set{cfg: cfg, guard: guard, made: true}
	if cfg.Identity == nil {
		if err := cfg.Rules.Hold(s, func(o *rules.CheckOptions) { o.NoIdentity = true }); err != nil {
			return nil, fmt.Errorf("rulesecho5: Identity: required for these rules:\n%w", err)
		}
	}
	return s, nil
}

// WithoutRules returns a Set for an app that has no rules, and guards its routes by mounts
// of the middleware: it says which are not guarded, and guards none itself, also after
// [Set.Install], which it needs to see them. Only the fields that name the app are read.
func WithoutRules(cfg Config) *Set {
	return &Set{cfg: Config{Service: cfg.Service, Version: cfg.Version, Revision: cfg.Revision}, made: true}
}

// Install puts the rules before all routes of an app, in the place of an [echo.Echo.Use],
// and notes the routes that are registered from now on. Call it once, after the
// middleware that verifies the token, and before the first route and group. An OnAddRoute
// of the app is still called; set it before.
func (s *Set) Install(e *echo.Echo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if app := s.apps[e]; app != nil {
		app.twice = true
		return
	}
	app := &installed{before: len(e.Router().Routes()), seen: make(map[place][]registered)}
	if s.apps == nil {
		s.apps = make(map[*echo.Echo]*installed)
	}
	s.apps[e] = app
	switch {
	case !s.made:
		e.Use(func(echo.HandlerFunc) echo.HandlerFunc { return func(*echo.Context) error { return errNotMade } })
	case s.guard != nil:
		e.Use(s.guard)
	}
	next := e.OnAddRoute
	e.OnAddRoute = func(route echo.Route) error {
		if next != nil {
			if err := next(route); err != nil {
				return err
			}
		}
		app.add(&route)
		return nil
	}
}

var errNotMade = errors.New("rulesecho5: the Set was not made by New or WithoutRules")

// installed is what is known of an app.
type installed struct {
	before int  // routes that were there before Install
	twice  bool // with the lock of the Set

	mu   sync.Mutex
	seen map[place][]registered
}

// place is where a route is. Of routes that are registered there again it is not known
// which the router takes.
type place struct{ method, path string }

// placeOf returns the place of a route. Echo lists the path as it was written, and puts a
// slash before it.
func placeOf(method, path string) place {
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return place{method, path}
}

// registered is what the hook has seen of a route.
type registered struct {
	mounts   []echomfa.Mount
	notFound bool // the router's own handler
}

func (a *installed) add(route *echo.Route) {
	r := registered{notFound: route.Method == echo.RouteNotFound && route.Handler == nil}
	for _, mw := range route.Middlewares {
		if mount, ours := echov5.Describe(mw); ours {
			r.mounts = append(r.mounts, mount)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	at := placeOf(route.Method, route.Path)
	a.seen[at] = append(a.seen[at], r)
}
