package rules

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/echomfa/echomfa"
)

// CheckOptions are what the time and the app add to what a file says.
type CheckOptions struct {
	// At is the time to check by. Required.
	At time.Time
	// Pages are the pages that users without a factor must reach: paths as the app
	// registers them, or URLs, of which those with a host are left out.
	Pages []string
	// Roles and Tenants are the values that the app's identities have. Nil: they are not
	// compared.
	Roles, Tenants []string
	// Factors are the types that users can enroll. Nil: they are not compared.
	Factors []echomfa.FactorType
	// Routes are the app's registered routes. Nil: it is not known which there are.
	Routes []Route
	// PageRoutes are the routes that the app's router chooses for such pages.
	PageRoutes []PageRoute
	// NoIdentity says that the app does not say who its users are: a rule with a when is a
	// mistake.
	NoIdentity bool
}

// PageRoute is the route that the router of an app, or of one of its hosts, chooses for a
// page.
type PageRoute struct {
	// Page is the page's path.
	Page string
	// Host is the host whose router chooses, as it was registered, or empty.
	Host string
	// Path is the route's path as it was registered, or empty for none.
	Path string
}

// Check returns what is wrong with a file at a time and for an app, all at once: exemptions
// that have expired, enrollment and sign-in pages that are guarded, roles that nobody has,
// policies that nobody can satisfy, and with Routes also rules that no route meets. Notes
// are policies that no rule asks for, and with Routes the routes that only the default
// meets.
func (f *File) Check(opts CheckOptions) Mistakes {
	c := checker{decoder: decoder{file: f.name}, file: f, opts: opts}
	c.times()
	c.pages()
	c.pageRoutes()
	c.identities()
	c.factors()
	for _, n := range f.unused {
		c.note(n.at, "unused-policy", "no rule asks for the policy %s", n.policy.Name())
	}
	if opts.Routes != nil {
		c.routes()
	}
	return c.sorted()
}

// codeExpired is the one mistake that a file may begin to have by itself.
const codeExpired = "expired"

// codeNoRoute is a rule that an app has no route for.
const codeNoRoute = "no-route"

type checker struct {
	decoder

	file *File
	opts CheckOptions
}

// times notes what has ended.
func (c *checker) times() {
	for _, r := range c.file.rules {
		if r.Expired(c.opts.At) {
			c.fail(r.at, codeExpired, "", "the exemption %s of %s expired on %s: its routes are guarded", r.name, r.owner, stamp(r.expires))
		}
	}
	u := c.file.onUnavailable
	if !u.Set || u.InsecureAllowUntil.IsZero() {
		return
	}
	switch left := u.InsecureAllowUntil.Sub(c.opts.At); {
	case left <= 0:
		c.fail(place{u.Line, u.Column}, codeExpired, "remove it", "on_unavailable ended on %s", stamp(u.InsecureAllowUntil))
	case left > echomfa.MaxInsecure:
		c.fail(place{u.Line, u.Column}, "on-unavailable", "", "insecure_allow_until is more than %v ahead", echomfa.MaxInsecure)
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// pages notes which of the pages that users without a factor must reach are guarded.
func (c *checker) pages() {
	for _, page := range c.opts.Pages {
		path, ok := pathOf(page)
		if !ok {
			continue
		}
		m := c.file.Match("GET", path)
		guard := m.firstGuard(c.opts.At)
		if guard == nil || c.openPattern(path) {
			continue
		}
		suggestion := "name it in a public rule: under: [" + quoted(path) + "]"
		if last := m.Weakest(c.opts.At); last.kind == Require {
			guard = last // of everybody
		} else {
			suggestion = "put the rule " + last.name + " before it"
		}
		c.fail(guard.at, "guarded-page", suggestion,
			"the rule %s guards %s, which users without a factor must reach", guard.name, path)
	}
}

// pageRoutes notes which of the pages' routes are guarded, or open for a time only.
func (c *checker) pageRoutes() {
	for _, page := range c.opts.PageRoutes {
		route := strings.ToLower(page.Host) + page.Path
		may := c.file.Match("GET", route).Rules()
		if len(may) == 0 || may[0].kind == Public {
			continue
		}
		r, what := may[0], "guards"
		if r.kind == Exempt {
			what = "opens for a time only"
		}
		c.fail(r.at, "guarded-page", "name the route in a public rule that comes first: routes: ["+quoted(route)+"]",
			"the rule %s %s the route of %s, which users without a factor must reach", r.name, what, page.Page)
	}
}

// firstGuard returns the rule that asks somebody for a factor at a time, or nil: a rule
// with a when does so before an open one.
func (m Match) firstGuard(at time.Time) *Rule {
	for _, r := range m.Rules() {
		if !r.Expired(at) {
			if r.kind == Require {
				return r
			}
			return nil
		}
	}
	return nil
}

// pathOf returns the path of a page of this app.
func pathOf(page string) (string, bool) {
	u, err := url.Parse(page)
	if err != nil || u.Host != "" || u.Path == "" {
		return "", false
	}
	return u.Path, true
}

// openPattern reports whether an open rule names a route with parameters that a path may
// belong to. Which route a router chooses is not known here.
func (c *checker) openPattern(path string) bool {
	for _, r := range c.file.rules {
		if r.kind == Require || r.Expired(c.opts.At) {
			continue
		}
		for _, m := range r.routes {
			if registeredMethods(m.Method).has(get) && patternMatches(m.Path, path) && c.file.Match("GET", m.Path).firstGuard(c.opts.At) == nil {
				return true
			}
		}
	}
	return false
}

// patternMatches reports whether a registered path may be that of a URL's path.
func patternMatches(pattern, path string) bool {
	pattern, _ = withoutHost(pattern)
	for pattern != "" && path != "" {
		want, morePattern, _ := strings.Cut(pattern[1:], "/")
		is, morePath, _ := strings.Cut(path[1:], "/")
		switch {
		case want == "{$}":
			return path == "/"
		case strings.HasSuffix(want, "...}"):
			return true
		case strings.Contains(want, "*"):
			return strings.HasPrefix(is, want[:strings.IndexByte(want, '*')])
		case strings.HasPrefix(want, ":"), strings.HasPrefix(want, "{"):
		case want != is:
			return false
		}
		pattern, path = slashed(morePattern), slashed(morePath)
	}
	return pattern == path
}

func slashed(rest string) string {
	if rest == "" {
		return ""
	}
	return "/" + rest
}

// identities notes values of when that no user has.
func (c *checker) identities() {
	for _, r := range c.file.rules {
		if c.opts.NoIdentity && r.Conditional() {
			c.fail(r.whenAt, "no-identity", "set Identity", "the rule %s has a when, and the app does not say who its users are", r.name)
		}
		for _, list := range []struct {
			what         string
			values, have []string
		}{{"role", r.roles, c.opts.Roles}, {"tenant", r.tenants, c.opts.Tenants}} {
			for _, value := range list.values {
				if list.have != nil && !slices.Contains(list.have, value) {
					c.fail(r.whenAt, "unknown-value", c.suggest(value, list.have), "the rule %s is for the %s %q, which the app does not have", r.name, list.what, value)
				}
			}
		}
	}
}

// factors notes policies that nobody can satisfy.
func (c *checker) factors() {
	if c.opts.Factors == nil {
		return
	}
	all := echomfa.Factors(c.opts.Factors...)
	for _, r := range c.file.rules {
		if r.kind == Require && !r.policy.Evaluate(all).Satisfied {
			c.fail(r.at, "unsatisfiable", "", "nobody can satisfy the rule %s: it asks for %s, and users can enroll %s", r.name, r.policy, all)
		}
	}
}

// routes compares the rules with the routes of an app.
func (c *checker) routes() {
	met := make(map[*Rule]bool)
	for _, route := range c.opts.Routes {
		onlyDefault := true
		for _, guard := range c.file.Guards(route) {
			for _, r := range guard.Match.chain.rules {
				met[r] = true
				onlyDefault = onlyDefault && r.IsDefault()
			}
		}
		if onlyDefault {
			c.note(c.file.Default().at, "default-only", "%s %s: only the default guards it", route.Method, route.Path)
		}
	}
	for _, r := range c.file.rules {
		if !r.IsDefault() && !met[r] {
			c.fail(r.at, codeNoRoute, c.nearRoute(r), "the rule %s meets no route of the app", r.name)
		}
	}
}

// nearRoute suggests a route that a rule may mean.
func (c *checker) nearRoute(r *Rule) string {
	if c.mistakes.full() {
		return ""
	}
	known := make([]string, 0, len(c.opts.Routes))
	for _, route := range c.opts.Routes {
		known = append(known, route.Path)
	}
	for _, m := range slices.Concat(r.routes, r.under) {
		if suggestion := didYouMean(m.Path, known); suggestion != "" {
			return suggestion
		}
	}
	return ""
}
