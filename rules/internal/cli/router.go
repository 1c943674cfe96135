package cli

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	echo4 "github.com/labstack/echo/v4"
	echo5 "github.com/labstack/echo/v5"

	"github.com/echomfa/echomfa/rules"
)

// routeOf returns the registered route that an app's router chooses for an address, or ""
// if it chooses none. It asks a router of the app's framework that has the app's routes,
// because what is chosen depends on all of them. An error that is a failure is one of the
// coverage; another one is of the address.
func routeOf(c *rules.Coverage, method, address string) (route string, err error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return "", fmt.Errorf("%q is not a URL", address)
	case u.Path == "" || u.Path[0] != '/':
		return "", fmt.Errorf("%q has no path: it is a URL, or a path that begins with a slash", address)
	}
	r := &http.Request{Method: method, URL: u, Host: u.Host, Header: http.Header{}, RequestURI: u.RequestURI()}
	rows := rowsFor(c, method)
	defer func() {
		if v := recover(); v != nil { // of a router that cannot have these routes together
			err = invalid(fmt.Errorf("--routes: the routes cannot be registered: %v", v))
		}
	}()
	switch c.Framework {
	case "echo/v4":
		return routeOfEcho4(rows, r), nil
	case "echo/v5":
		return routeOfEcho5(rows, r)
	case "net/http":
		return routeOfMux(rows, r), nil
	}
	return "", invalid(fmt.Errorf("--routes: the framework %q is not known: give the registered route in place of the URL", c.Framework))
}

// rowsFor returns the routes that a router can have, each once. A row of all methods that
// are not known stands for this one.
func rowsFor(c *rules.Coverage, method string) []rules.CoveredRoute {
	var rows []rules.CoveredRoute
	seen := make(map[[3]string]bool)
	for i := range c.Routes {
		row := c.Routes[i]
		if row.Kind == rules.Unmatched {
			continue
		}
		if row.Method == otherMethod && !slices.Contains(knownMethods(), method) {
			row.Method = method
		}
		if at := [3]string{row.Host, row.Method, row.Path}; !seen[at] {
			seen[at] = true
			rows = append(rows, row)
		}
	}
	return rows
}

const otherMethod = "_OTHER"

// knownMethods are those that rules name.
func knownMethods() []string {
	return []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "QUERY"}
}

func isNotFound(row *rules.CoveredRoute) bool {
	return row.Kind == rules.NotFound || row.Kind == rules.GeneratedNotFound
}

func routeOfEcho4(rows []rules.CoveredRoute, r *http.Request) string {
	e := echo4.New()
	handler := func(echo4.Context) error { return nil }
	hosts := make(map[string]*echo4.Group) // Host makes a new router each time
	for i := range rows {
		row := &rows[i]
		var add interface {
			Add(method, path string, handler echo4.HandlerFunc, middleware ...echo4.MiddlewareFunc) *echo4.Route
			Any(path string, handler echo4.HandlerFunc, middleware ...echo4.MiddlewareFunc) []*echo4.Route
		} = e
		if row.Host != "" {
			if hosts[row.Host] == nil {
				hosts[row.Host] = e.Host(row.Host)
			}
			add = hosts[row.Host]
		}
		switch {
		case isNotFound(row):
			add.Add(echo4.RouteNotFound, row.Path, handler)
		case row.Method == rules.AnyMethod:
			add.Any(row.Path, handler)
		default:
			add.Add(row.Method, row.Path, handler)
		}
	}
	router, host := e.Router(), ""
	if own := e.Routers()[r.Host]; own != nil {
		router, host = own, strings.ToLower(r.Host)
	}
	c := e.NewContext(r, nil)
	router.Find(r.Method, echo4.GetPath(r), c)
	if c.Path() == "" {
		return ""
	}
	return host + c.Path()
}

func routeOfEcho5(rows []rules.CoveredRoute, r *http.Request) (string, error) {
	e := echo5.New()
	for i := range rows {
		row := &rows[i]
		route := echo5.Route{Method: row.Method, Path: row.Path, Handler: func(*echo5.Context) error { return nil }}
		switch {
		case isNotFound(row):
			route.Method = echo5.RouteNotFound
		case row.Method == rules.AnyMethod:
			route.Method = echo5.RouteAny
		}
		if _, err := e.AddRoute(route); err != nil {
			return "", invalid(fmt.Errorf("--routes: the routes cannot be registered: %w", err))
		}
	}
	c := e.NewContext(r, nil)
	e.Router().Route(c)
	return c.Path(), nil
}

func routeOfMux(rows []rules.CoveredRoute, r *http.Request) string {
	mux := http.NewServeMux()
	for i := range rows {
		row := &rows[i]
		pattern := row.Host + row.Path
		if row.Method != rules.AnyMethod {
			pattern = row.Method + " " + pattern
		}
		mux.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
	}
	_, pattern := mux.Handler(r)
	if _, path, ok := strings.Cut(pattern, " "); ok {
		pattern = path
	}
	slash := max(strings.IndexByte(pattern, '/'), 0)
	return strings.ToLower(pattern[:slash]) + pattern[slash:] // rules have hosts in lower case
}
