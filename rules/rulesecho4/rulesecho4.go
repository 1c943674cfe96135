// Package rulesecho4 puts the rules of a file before all routes of an Echo v4 app, and says
// what guards each of its routes.
//
//	set, err := rulesecho4.New(rulesecho4.Config{Rules: rules})
//	...
//	e.Use(verifyToken)
//	set.Install(e)
//	// routes
//	if err := set.CheckCoverage(e); err != nil {
//		log.Fatal(err)
//	}
//
// A rule and a mount's own Require must both let a request through, each in its own mode.
package rulesecho4

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/echomfa/echomfa"
	"github.com/labstack/echo/v4"

	"github.com/echomfa/echomfa/rules"
)

// Config configures a [Set].
type Config struct {
	// Rules decide. Required.
	Rules *rules.Set
	// Identity returns the user's role and tenant, from a source that the app has
	// verified, for rules with a when. Optional, if no file has such a rule: without it a
	// file that has one is refused, also when it is read again.
	Identity func(c echo.Context) (rules.Identity, error)
	// Token, Subject and ErrorHandler are those of [echomfa.MiddlewareConfig]. Optional.
	Token        func(c echo.Context) (string, error)
	Subject      func(c echo.Context) (string, error)
	ErrorHandler func(c echo.Context, err error) error
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
		return nil, errors.New("rulesecho4: Rules: required; for the coverage of an app without rules use WithoutRules")
	}
	guard, err := echomfa.MiddlewareConfig{
		Enforcer: cfg.Rules.Enforcer(),
		RequireFunc: func(c echo.Context) (echomfa.Requirement, error) {
			return rules.Requirement(cfg.Rules, c, c.Request().Method, routeOf(c), cfg.Identity)
		},
		Token: cfg.Token, Subject: cfg.Subject, ErrorHandler: cfg.ErrorHandler,
	}.ToMiddleware()
	if err != nil {
		return nil, err
	}
	s := &Set{cfg: cfg, guard: guard, made: true}
	if cfg.Identity == nil {
		if err := cfg.Rules.Hold(s, func(o *rules.CheckOptions) { o.NoIdentity = true }); err != nil {
			return nil, fmt.Errorf("rulesecho4: Identity: required for these rules:\n%w", err)
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

// routeOf returns the route that the router has matched, after its host if the host has a
// router of its own.
func routeOf(c echo.Context) string {
	route := c.Path()
	if routers := c.Echo().Routers(); len(routers) > 0 && route != "" {
		if host := c.Request().Host; routers[host] != nil {
			return strings.ToLower(host) + route // rules have hosts in lower case
		}
	}
	return route
}

// Install puts the rules before all routes of an app, in the place of an [echo.Echo.Use],
// and notes the routes that are registered from now on. Call it once, after the
// middleware that verifies the token, and before the first route and group. An
// OnAddRouteHandler of the app is still called; set it before.
func (s *Set) Install(e *echo.Echo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if app := s.apps[e]; app != nil {
		app.twice = true
		return
	}
	app := &installed{before: len(e.Routes()), seen: make(map[place]*registered)}
	for _, router := range e.Routers() {
		app.before += len(router.Routes())
	}
	if s.apps == nil {
		s.apps = make(map[*echo.Echo]*installed)
	}
	s.apps[e] = app
	switch {
	case !s.made:
		e.Use(func(echo.HandlerFunc) echo.HandlerFunc { return func(echo.Context) error { return errNotMade } })
	case s.guard != nil:
		e.Use(s.guard)
	}
	next := e.OnAddRouteHandler
	e.OnAddRouteHandler = func(host string, route echo.Route, handler echo.HandlerFunc, middleware []echo.MiddlewareFunc) {
		app.add(host, &route, handler, middleware)
		if next != nil {
			next(host, route, handler, middleware)
		}
	}
}

var errNotMade = errors.New("rulesecho4: the Set was not made by New or WithoutRules")

// installed is what is known of an app.
type installed struct {
	before int  // routes that were there before Install
	twice  bool // with the lock of the Set

	mu   sync.Mutex
	seen map[place]*registered
}

// place is where a route is. A route that is registered there again takes its place.
type place struct{ host, method, path string }

// registered is what the hook has seen of a route.
type registered struct {
	mounts   []echomfa.Mount
	notFound bool // Echo's own handler
}

func (a *installed) add(host string, route *echo.Route, handler echo.HandlerFunc, middleware []echo.MiddlewareFunc) {
	r := &registered{notFound: reflect.ValueOf(handler).Pointer() == builtInNotFound}
	for _, mw := range middleware {
		if mount, ours := echomfa.DescribeMiddleware(mw); ours {
			r.mounts = append(r.mounts, mount)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen[place{host, route.Method, route.Path}] = r
}

// builtInNotFound is what Echo registers for a group that has middleware. An app that
// replaces the variable by a handler of its own has made a door of it.
var builtInNotFound = reflect.ValueOf(echo.NotFoundHandler).Pointer() //nolint:gochecknoglobals // read before an app can replace it
