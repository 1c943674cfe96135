package rules

import (
	"fmt"
	"net/http"

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

// CheckPage returns an error if a page that users without a factor must reach is guarded,
// or is open for a time only. Route is the one that the router chooses for it, or "" if
// it is of another app.
func (c *Coverage) CheckPage(page, route string) error {
	if route == "" {
		return nil
	}
	var chosen *CoveredRoute
	for i := range c.Routes {
		r := &c.Routes[i]
		switch {
		case r.Host != "" || r.Path != route || r.Kind != Ordinary && r.Kind != NotFound:
		case r.Method == http.MethodGet && r.Kind == Ordinary:
			chosen = r
		case chosen == nil && r.Method == AnyMethod:
			chosen = r
		}
	}
	if chosen == nil {
		return nil
	}
	for _, by := range chosen.Guards {
		if by.Public == "" || len(by.Stricter) > 0 { // a rule with a when is before the public one
			return fmt.Errorf("rules: %s, which users without a factor must reach, is guarded: %s -> %s: name the route in a public rule that comes first", page, chosen.name(), by)
		}
	}
	return nil
}
