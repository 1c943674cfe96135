package rules

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/echomfa/echomfa"
)

// Enforcer returns the Enforcer of the configuration, for packages that mount the rules.
func (s *Set) Enforcer() *echomfa.Enforcer {
	if s == nil {
		return nil
	}
	return s.cfg.Enforcer
}

// Pages returns the paths of this app's pages that users without a factor must reach:
// EnrollURL, LoginURL and those of the configuration, without what is on another host.
func (s *Set) Pages() []string {
	if s.revision() == nil {
		return nil
	}
	var paths []string
	for _, page := range append(s.cfg.Enforcer.Pages(), s.cfg.Pages...) {
		if path, ok := pathOf(page); ok {
			paths = append(paths, path)
		}
	}
	return paths
}

// checkPages returns an error for each page that users without a factor must reach and that
// is guarded, or open for a time only, and of the other pages those that the app has.
func (c *Coverage) checkPages(pages []PageRoute) (open []PageRoute, err error) {
	var errs []error
	for _, page := range pages {
		chosen := c.rowOf(page)
		if chosen == nil {
			continue
		}
		if i := slices.IndexFunc(chosen.Guards, func(by CoveredBy) bool {
			return by.Public == "" || len(by.Stricter) > 0 // a rule with a when is before the public one
		}); i >= 0 {
			errs = append(errs, fmt.Errorf("rules: %s, which users without a factor must reach, is guarded: %s -> %s: name the route in a public rule that comes first", page.Page, chosen.name(), chosen.Guards[i]))
			continue
		}
		open = append(open, page)
	}
	return open, errors.Join(errs...)
}

// rowOf returns the row of a GET of a page's route, or nil if it is of another app: that of
// the method before one of all methods, and a route before a handler for what has none.
func (c *Coverage) rowOf(page PageRoute) *CoveredRoute {
	var chosen *CoveredRoute
	best := 0
	for i := range c.Routes {
		r, rank := &c.Routes[i], 1
		if r.Host != page.Host || r.Path != page.Path || page.Path == "" || r.Kind != Ordinary && r.Kind != NotFound || r.Method != http.MethodGet && r.Method != AnyMethod {
			continue
		}
		if r.Method == http.MethodGet {
			rank++
		}
		if r.Kind == Ordinary {
			rank += 2
		}
		if rank > best {
			chosen, best = r, rank
		}
	}
	return chosen
}
