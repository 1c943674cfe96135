package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/internal/spelling"
)

// The limits of a coverage. Memory goes with the number of values: an object of two bytes
// becomes one of 200.
const (
	maxCoverage        = 8 << 20
	maxCoverageObjects = 50_000
	maxCoverageValues  = 400_000
)

// loadCoverage reads the file of the flag --routes.
func (a *app) loadCoverage(name string) (rules.Coverage, error) {
	data, err := a.readFile(name, maxCoverage)
	if err != nil {
		return rules.Coverage{}, fmt.Errorf("--routes: %w", err)
	}
	var c rules.Coverage
	if err = bounded(data); err == nil {
		c, err = rules.ReadCoverage(data)
	}
	if err == nil {
		err = usable(&c)
	}
	if err != nil {
		line, err := inCoverage(data, err)
		place := nameOf(name)
		if line > 0 {
			place = fmt.Sprintf("%s:%d", place, line)
		}
		return rules.Coverage{}, invalid(fmt.Errorf("--routes: %s: this is not the JSON of an app's coverage: %w", place, err))
	}
	return c, nil
}

// bounded says whether a coverage has more values than an app has.
func bounded(data []byte) error {
	if objects := bytes.Count(data, []byte("{")); objects > maxCoverageObjects {
		return fmt.Errorf("it has more than %d objects", maxCoverageObjects)
	}
	if bytes.Count(data, []byte(",")) > maxCoverageValues {
		return fmt.Errorf("it has more than %d values", maxCoverageValues)
	}
	return nil
}

// inCoverage says in which line of a coverage an error is (0: it has none), and what it is
// without the words of Go.
func inCoverage(data []byte, err error) (int, error) {
	var (
		syntax *json.SyntaxError
		typed  *json.UnmarshalTypeError
		offset int64
	)
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		offset, err = int64(len(data)), errors.New("it ends too early")
	case errors.As(err, &syntax):
		offset, err = syntax.Offset, syntax
	case errors.As(err, &typed):
		offset, err = typed.Offset, fmt.Errorf("%s has the wrong type: %s", what(typed.Field), typed.Value)
	default:
		text := strings.TrimPrefix(err.Error(), "rules: coverage: ")
		err = errors.New(strings.TrimPrefix(text, "json: "))
	}
	if offset <= 0 {
		return 0, err
	}
	return bytes.Count(data[:min(offset, int64(len(data)))], []byte("\n")) + 1, err
}

// what names a member of a document.
func what(path string) string {
	if path == "" {
		return "it"
	}
	return path
}

// usable says what is wrong with a coverage that could be read: no app has one like it.
func usable(c *rules.Coverage) error {
	if !slices.ContainsFunc(c.Routes, func(r rules.CoveredRoute) bool { return r.Kind != rules.Unmatched }) {
		return errors.New("it has no routes")
	}
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	for i := range c.Routes {
		r := &c.Routes[i]
		kinds := []rules.RouteKind{rules.Ordinary, rules.NotFound, rules.GeneratedNotFound, rules.Unmatched}
		switch {
		case r.Method == "" || strings.ContainsFunc(r.Method, func(r rune) bool { return odd(r) || r == ' ' }):
			return fmt.Errorf("routes[%d]: %q is not a method", i, r.Method)
		case strings.ContainsFunc(r.Host+r.Path, odd):
			return fmt.Errorf("routes[%d]: %q is not a path", i, r.Host+r.Path)
		case !slices.Contains(kinds, r.Kind):
			return fmt.Errorf("routes[%d]: %q is not a kind of routes", i, r.Kind)
		}
	}
	return nil
}

// registered returns the routes of a coverage, which may be none.
func registered(c *rules.Coverage) []rules.Route { return append([]rules.Route{}, c.Registered()...) }

// rowOf returns the row of a coverage that a request of a registered route meets, or nil.
func rowOf(c *rules.Coverage, method, route string) *rules.CoveredRoute {
	var chosen *rules.CoveredRoute
	best := 0
	for i := range c.Routes {
		if row := &c.Routes[i]; routeOfRow(row) == route {
			if is := rank(row, method); is > best {
				chosen, best = row, is
			}
		}
	}
	return chosen
}

// routeOfRow returns a row's route as rules name it, with the host in lower case.
func routeOfRow(row *rules.CoveredRoute) string { return strings.ToLower(row.Host) + row.Path }

// rank orders the rows of a path for a request's method. It is 0 for a row of others.
func rank(row *rules.CoveredRoute, method string) int {
	switch {
	case row.Kind == rules.Unmatched:
		return 0
	case isNotFound(row):
		return 1
	case row.Method == rules.AnyMethod:
		return 2
	case row.Method == otherMethod && !slices.Contains(knownMethods(), method):
		return 3
	case row.Method == http.MethodGet && method == http.MethodHead:
		return 4
	case row.Method == method:
		return 5
	}
	return 0
}

// mountsOf returns the mounts of the middleware that a request meets beside the rules.
func mountsOf(c *rules.Coverage, method, route string) []rules.CoveredBy {
	chosen := rowOf(c, method, route)
	if chosen == nil {
		return nil
	}
	var mounts []rules.CoveredBy
	for _, by := range chosen.Guards {
		if by.Rule == "" {
			mounts = append(mounts, by)
		}
	}
	return mounts
}

// noRoute says that an app does not have a registered route, and what may be meant. It
// returns "" if the app has it.
func noRoute(c *rules.Coverage, method, route string) string {
	if rowOf(c, method, route) != nil {
		return ""
	}
	var paths, methods []string
	same := "" // but for the names of parameters
	for i := range c.Routes {
		row := &c.Routes[i]
		path := routeOfRow(row)
		switch {
		case row.Kind == rules.Unmatched:
		case path == route:
			methods = append(methods, row.Method)
		case rank(row, method) > 0:
			paths = append(paths, path)
			if unnamed(path) == unnamed(route) {
				same = path
			}
		}
	}
	text := fmt.Sprintf("the app has no route %q", method+" "+route)
	if len(methods) > 0 {
		return text + ": it has the path for " + strings.Join(methods, ", ")
	}
	near, ok := spelling.Nearest(route, paths)
	meets, err := routeOf(c, method, route)
	switch {
	case same != "":
		return text + fmt.Sprintf(": did you mean %q?", method+" "+same)
	case err == nil && meets != "" && !strings.ContainsAny(route, ":{*"):
		return text + fmt.Sprintf(": as a URL it meets %q: give it as url", meets)
	case ok:
		return text + fmt.Sprintf(": did you mean %q?", method+" "+near)
	}
	return text + ": a request that matches no route gets what the default asks for: give its URL to see that"
}

// unnamed returns a registered path without the names of its parameters.
func unnamed(path string) string {
	elements := strings.Split(path, "/")
	for i, element := range elements {
		if strings.HasPrefix(element, ":") || strings.HasPrefix(element, "{") {
			elements[i] = ":"
		}
	}
	return strings.Join(elements, "/")
}
