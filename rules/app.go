package rules

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// CheckApp returns an error for each page that users without a factor must reach and that
// is guarded in an app, and remembers the app, which the key names: from now on a file that
// guards such a page is refused, and a rule that meets no route of all such apps is a line
// in the log. The pages are the routes that the app's routers choose for [Set.Pages].
// Packages that mount the rules call it.
func (s *Set) CheckApp(key any, c *Coverage, pages []PageRoute) error {
	if s.revision() == nil {
		return errNoRules
	}
	s.holding.Lock()
	if s.routes == nil {
		s.routes = make(map[any][]Route)
	}
	s.routes[key] = c.Registered()
	s.holding.Unlock()
	s.warnUnmet(context.Background(), s.File())
	open, err := c.checkPages(pages)
	if err != nil {
		return errors.Join(err, s.Hold(key, nil))
	}
	return s.Hold(key, func(o *CheckOptions) { o.PageRoutes = append(o.PageRoutes, open...) })
}

// warnUnmet says which rules meet no route of an app: after a route was renamed, or if a
// path is written as another framework has it, another rule guards the route. It is no
// mistake, since other apps may have the file too.
func (s *Set) warnUnmet(ctx context.Context, f *File) {
	s.holding.Lock()
	var routes []Route
	for _, of := range s.routes {
		routes = append(routes, of...)
	}
	s.holding.Unlock()
	if routes == nil { // it is not known which there are
		return
	}
	var lines []string
	for _, m := range f.Check(CheckOptions{At: time.Now(), Routes: routes}) {
		if m.Code == codeNoRoute {
			lines = append(lines, m.String())
		}
	}
	if lines == nil {
		return
	}
	s.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "mfa rules: there are rules that meet no route of this app",
		slog.String("event", "rules_without_route"), slog.String("file", f.name), slog.String("rules", f.ShortHash()),
		slog.Any("mistakes", lines[:min(len(lines), maxLogged)]))
}
