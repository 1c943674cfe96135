package rulesecho5

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v5"

	"github.com/echomfa/echomfa/rules"
)

// BeforeServe is [Set.CheckCoverage] for [echo.StartConfig].BeforeServeFunc: an app that has
// an unguarded route does not start.
func (s *Set) BeforeServe(server *http.Server) error {
	e, ok := server.Handler.(*echo.Echo)
	if !ok {
		return fmt.Errorf("rulesecho5: the server's handler is a %T and not an Echo: call CheckCoverage for each Echo in it", server.Handler)
	}
	return s.CheckCoverage(e)
}

// CheckCoverage returns all that keeps an app from being guarded on every route, at once:
// an [*rules.UnguardedError] with the routes that nothing guards, what [Set.Coverage]
// returns as an error, and an enrollment or sign-in page that is guarded itself. From then
// on a changed file that guards such a page is refused. Call it
// in a test, and after the last route has been registered. It runs no handler, and no
// middleware of the app.
func (s *Set) CheckCoverage(e *echo.Echo) error {
	coverage, err := s.Coverage(e)
	return errors.Join(err, coverage.Err(), s.checkPages(e, &coverage))
}

// Coverage says what guards the routes of an app. The error says why there may be others:
// Install was not called, or after a route; or a route was not added through the app, or
// another OnAddRoute took the place of Install's. A route that was registered several
// times has a row for each, because routers differ in which they take.
func (s *Set) Coverage(e *echo.Echo) (rules.Coverage, error) {
	s.mu.Lock()
	app := s.apps[e]
	twice := app != nil && app.twice
	s.mu.Unlock()
	about := rules.App{
		Service: s.cfg.Service, Version: s.cfg.Version, Revision: s.cfg.Revision,
		Framework: "echo/v5", Unseen: unseen(),
	}
	var errs []error
	none := app == nil // then no route is seen, and one error says so
	if none {
		errs = append(errs, errors.New("rulesecho5: not installed: call Install before the first route"))
		app = &installed{}
	}
	if twice {
		errs = append(errs, errors.New("rulesecho5: Install was called twice"))
	}
	if app.before > 0 {
		errs = append(errs, fmt.Errorf("rulesecho5: routes older than Install: %d: call it before the first route and group", app.before))
	}
	app.mu.Lock()
	defer app.mu.Unlock()
	for _, info := range e.Router().Routes() {
		at := placeOf(info.Method, info.Path)
		all := app.seen[at]
		if all == nil {
			if !none {
				errs = append(errs, fmt.Errorf("rulesecho5: %s %s: not seen: it is older than Install, was not added by a method of Echo or of a Group, or OnAddRoute was replaced", at.method, at.path))
			}
			all = []registered{{}}
		}
		for _, seen := range all {
			about.Routes = append(about.Routes, rules.Registered{Method: at.method, Path: at.path, Kind: seen.kind(at.method), Mounts: seen.mounts})
		}
	}
	return rules.Cover(s.file(), about), errors.Join(errs...)
}

func (r *registered) kind(method string) rules.RouteKind {
	switch {
	case r.notFound:
		return rules.GeneratedNotFound
	case method == echo.RouteNotFound:
		return rules.NotFound
	}
	return rules.Ordinary
}

// file returns the rules that decide, or nil for an app without.
func (s *Set) file() *rules.File {
	if s.guard == nil {
		return nil
	}
	return s.cfg.Rules.File()
}

// unseen is what is not registered as a route, or is more than one.
func unseen() []string {
	return []string{
		"what middleware of Pre and Use answers itself, such as Static and Proxy",
		"middleware of Use that asks for a policy beside the rules",
		"the routes of a handler that is a router itself, such as a wrapped ServeMux",
		"a method that middleware of Use changes: the rules then see the changed one",
		"a registered route that Router().Add registers again, or that a router of the app's own adds",
		"the apps of NewVirtualHostHandler: each needs its own Install",
		"the NotFoundHandler, MethodNotAllowedHandler and OptionsMethodHandler of a RouterConfig",
	}
}

// checkPages returns an error for each page that users without a factor must reach and
// that is not open, and has the rules know the app. Which route leads to a page, the router says.
func (s *Set) checkPages(e *echo.Echo, coverage *rules.Coverage) error {
	if s.guard == nil {
		return nil
	}
	var pages []rules.PageRoute
	for _, page := range s.cfg.Rules.Pages() {
		c := e.NewContext(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: page}}, nil)
		e.Router().Route(c)
		pages = append(pages, rules.PageRoute{Page: page, Path: c.Path()})
	}
	return s.cfg.Rules.CheckApp(e, coverage, pages)
}
