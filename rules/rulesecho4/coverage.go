package rulesecho4

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/echomfa/echomfa/rules"
)

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
// Install was not called, or after a route; a route was not added through the app, or
// another OnAddRouteHandler took the place of Install's; or the version of Echo is one
// whose routes this package cannot read.
func (s *Set) Coverage(e *echo.Echo) (rules.Coverage, error) {
	s.mu.Lock()
	app := s.apps[e]
	twice := app != nil && app.twice
	s.mu.Unlock()
	about := rules.App{
		Service: s.cfg.Service, Version: s.cfg.Version, Revision: s.cfg.Revision,
		Framework: "echo/v4", Unseen: unseen(),
	}
	var errs []error
	none := app == nil // then no route is seen, and one error says so
	if none {
		errs = append(errs, errors.New("rulesecho4: not installed: call Install before the first route"))
		app = &installed{}
	}
	if twice {
		errs = append(errs, errors.New("rulesecho4: Install was called twice"))
	}
	if app.before > 0 {
		errs = append(errs, fmt.Errorf("rulesecho4: routes older than Install: %d: call it before the first route and group", app.before))
	}
	if e.Routers()[""] != nil {
		errs = append(errs, errors.New(`rulesecho4: Host(""): its routes are not seen: they are those of requests without a host`))
	}
	present, err := routesOf(e)
	errs = append(errs, err)
	app.mu.Lock()
	defer app.mu.Unlock()
	for _, at := range slices.SortedFunc(maps.Keys(present), compare) {
		r := rules.Registered{Method: at.method, Host: at.host, Path: at.path}
		seen := app.seen[at]
		if !none && (seen == nil || present[at] == bypassed) {
			errs = append(errs, fmt.Errorf("rulesecho4: %s %s%s: not seen: it is older than Install, was not added by a method of Echo or of a Group, or OnAddRouteHandler was replaced", at.method, at.host, at.path))
		}
		if seen != nil && present[at] != bypassed {
			r.Mounts = seen.mounts
		}
		if at.method == echo.RouteNotFound {
			r.Kind = rules.NotFound
			if seen != nil && seen.notFound && present[at] != bypassed {
				r.Kind = rules.GeneratedNotFound
			}
		}
		about.Routes = append(about.Routes, r)
	}
	return rules.Cover(s.file(), about), errors.Join(errs...)
}

// file returns the rules that decide, or nil for an app without.
func (s *Set) file() *rules.File {
	if s.guard == nil {
		return nil
	}
	return s.cfg.Rules.File()
}

func compare(a, b place) int {
	return cmp.Or(cmp.Compare(a.host, b.host), cmp.Compare(a.path, b.path), cmp.Compare(a.method, b.method))
}

// unseen is what is not registered as a route, or is more than one.
func unseen() []string {
	return []string{
		"what middleware of Pre and Use answers itself, such as Static and Proxy",
		"middleware of Use that asks for a policy beside the rules",
		"the routes of a handler that is a router itself, such as a wrapped ServeMux",
		"a method or a host that middleware of Use changes, or of Pre by SetRequest: the rules then see the changed one",
	}
}

// checkPages returns an error for each page that users without a factor must reach and
// that is not open, and has the rules know the app. Which route leads to a page, the routers of the app and of its hosts say.
func (s *Set) checkPages(e *echo.Echo, coverage *rules.Coverage) error {
	if s.guard == nil {
		return nil
	}
	var pages []rules.PageRoute
	for _, page := range s.cfg.Rules.Pages() {
		routers := withDefault(e)
		for _, host := range slices.Sorted(maps.Keys(routers)) {
			c := e.NewContext(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: page}}, nil)
			routers[host].Find(http.MethodGet, page, c)
			if host == "" || c.Path() == page { // another route of a host is none for the page
				pages = append(pages, rules.PageRoute{Page: page, Host: host, Path: c.Path()})
			}
		}
	}
	return s.cfg.Rules.CheckApp(e, coverage, pages)
}
