package rules

import (
	"cmp"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/echomfa/echomfa"
)

// coverageFormat is the format of the JSON document. Another number is another format.
const coverageFormat = 1

// Coverage says which policy guards which registered route of an app. The same app with
// the same rules has the same Coverage, whatever the time is.
type Coverage struct {
	// Format is 1.
	Format int `json:"format"`
	// Service, Version and Revision name the app.
	Service  string `json:"service"`
	Version  string `json:"version"`
	Revision string `json:"revision"`
	// Framework is the one whose routes these are, such as "echo/v4".
	Framework string `json:"framework"`
	// Rules is the hash of the rules' file. It is empty for an app without rules.
	Rules string `json:"rules"`
	// Routes are sorted by host, path and method.
	Routes []CoveredRoute `json:"routes"`
	// Unseen says what is not in Routes, although requests may reach it.
	Unseen []string `json:"unseen"`
}

// RouteKind says what a route is there for.
type RouteKind string

// The kinds of routes.
const (
	// Ordinary routes lead to a handler.
	Ordinary RouteKind = ""
	// NotFound is a handler of the app for addresses that no route matches. It is a door
	// as any other.
	NotFound RouteKind = "not-found"
	// GeneratedNotFound is a route that the framework has added to have the middleware of
	// a group run. It answers 404.
	GeneratedNotFound RouteKind = "generated-not-found"
	// Unmatched stands for all requests that no route matches.
	Unmatched RouteKind = "unmatched"
)

// CoveredRoute is a registered route, for one method or for all.
type CoveredRoute struct {
	// Method is the method, or AnyMethod. A route of all methods has a row for each of
	// them if the rules tell them apart.
	Method string `json:"method"`
	// Host is the host whose router has the route, as it was registered, or empty. Rules
	// name it in lower case.
	Host string `json:"host,omitempty"`
	// Path is the route's path as it was registered.
	Path string `json:"path"`
	// Kind says what the route is there for.
	Kind RouteKind `json:"kind,omitempty"`
	// Unguarded says why nothing guards the route. It is empty for a guarded route, and
	// for one that is open because a policy says so.
	Unguarded string `json:"unguarded,omitempty"`
	// Guards are what guards the route, in the order in which a request meets it. All of
	// them must let it through.
	Guards []CoveredBy `json:"guards"`
}

// CoveredBy is one guard of a route: a rule, or a mount of the middleware.
type CoveredBy struct {
	// Rule names the rule. It is empty for a mount of the middleware.
	Rule string `json:"rule,omitempty"`
	// Policy is the policy's name, if it has one, and Requires its text. Both are empty
	// for a guard that asks for nothing, or that chooses per request.
	Policy   string `json:"policy,omitempty"`
	Requires string `json:"requires,omitempty"`
	// Mode is "enforce" or "report-only".
	Mode string `json:"mode,omitempty"`
	// PerRequest says that a RequireFunc of the app chooses the policy.
	PerRequest bool `json:"per_request,omitempty"`
	// Public is why the route is open by design.
	Public string `json:"public,omitempty"`
	// Exempt is why the route is open, and until when.
	Exempt *Exemption `json:"exempt,omitempty"`
	// Then is what guards the route after the exemption.
	Then *CoveredBy `json:"then,omitempty"`
	// Stricter are rules for some users. They ask for at least as much.
	Stricter []CoveredBy `json:"stricter,omitempty"`
	// Roles and Tenants are the users whom a stricter rule is for.
	Roles   []string `json:"roles,omitempty"`
	Tenants []string `json:"tenants,omitempty"`
}

// Exemption is what an exempt rule says of itself.
type Exemption struct {
	Reason  string    `json:"reason"`
	Owner   string    `json:"owner"`
	Expires time.Time `json:"expires"`
}

// App is what an adapter to a web framework knows of an app.
type App struct {
	// Service, Version and Revision name the app. Optional. Default: as the Go tool has
	// recorded them in the binary.
	Service, Version, Revision string
	// Framework names the framework, such as "echo/v4".
	Framework string
	// Routes are the app's registered routes.
	Routes []Registered
	// Unseen says what is not in Routes, although requests may reach it.
	Unseen []string
}

// Registered is a route as an adapter has found it.
type Registered struct {
	// Method is the method, or what [Route] has for all of them.
	Method string
	// Host is the host whose router has the route, as it was registered, or empty.
	Host string
	// Path is the route's path as it was registered.
	Path string
	// Kind says what the route is there for.
	Kind RouteKind
	// Mounts are the mounts of the middleware on the route and on its groups, in the order
	// in which a request meets them.
	Mounts []echomfa.Mount
}

// Cover says what guards the routes of an app: the rules of a file, and what is mounted
// beside them. Without a file (nil) it is the mounts alone.
func Cover(f *File, app App) Coverage {
	c := Coverage{
		Format: coverageFormat, Service: app.Service, Version: app.Version, Revision: app.Revision,
		Framework: app.Framework, Routes: []CoveredRoute{}, Unseen: append([]string{}, app.Unseen...),
	}
	c.nameByBuild()
	routes := app.Routes
	if f != nil {
		c.Rules = f.Hash()
		routes = append(slices.Clone(routes), Registered{Method: AnyMethod, Kind: Unmatched})
	}
	registered := make(map[[3]string]bool)
	for i := range routes {
		r := &routes[i]
		registered[[3]string{r.Method, r.Host, r.Path}] = true
	}
	for i := range routes {
		r := &routes[i]
		for _, row := range rowsOf(f, r) {
			// A method that has a route of its own does not reach the one of all methods.
			if row.Method == r.label() || !registered[[3]string{row.Method, r.Host, r.Path}] {
				c.Routes = append(c.Routes, row)
			}
		}
	}
	slices.SortStableFunc(c.Routes, func(a, b CoveredRoute) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method), cmp.Compare(a.Kind, b.Kind))
	})
	c.Routes = slices.CompactFunc(c.Routes, func(a, b CoveredRoute) bool { return reflect.DeepEqual(a, b) })
	return c
}

// nameByBuild fills in what the Go tool has recorded of the binary.
func (c *Coverage) nameByBuild() {
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	c.Service = cmp.Or(c.Service, build.Main.Path)
	c.Version = cmp.Or(c.Version, build.Main.Version)
	for _, setting := range build.Settings {
		if setting.Key == "vcs.revision" {
			c.Revision = cmp.Or(c.Revision, setting.Value)
		}
	}
}

// label is the registered method as a row names it.
func (r *Registered) label() string {
	if registeredMethods(r.Method) == allMethods {
		return AnyMethod
	}
	return r.Method
}

// rowsOf returns a row for each group of methods that the same rules guard.
func rowsOf(f *File, r *Registered) []CoveredRoute {
	mounts, why := mountsOf(r)
	row := CoveredRoute{Method: r.label(), Host: r.Host, Path: r.Path, Kind: r.Kind, Guards: mounts}
	if f == nil {
		if len(mounts) == 0 && r.Kind != GeneratedNotFound {
			row.Unguarded = why
		}
		return []CoveredRoute{row}
	}
	var rows []CoveredRoute
	groups := f.Guards(Route{Method: r.Method, Path: strings.ToLower(r.Host) + r.Path})
	for _, group := range groups {
		row.Guards = slices.Concat([]CoveredBy{coveredByRules(group.Match.Rules())}, mounts)
		if len(groups) == 1 {
			return append(rows, row)
		}
		for _, row.Method = range group.Methods {
			rows = append(rows, row)
		}
	}
	return rows
}

// mountsOf returns the mounts that requests of a route cannot go by, or why there is none.
func mountsOf(r *Registered) (mounts []CoveredBy, why string) {
	mounts, why = []CoveredBy{}, "no guard"
	for _, m := range r.Mounts {
		if m.Skips != nil {
			skips, known := m.Skips(r.Path)
			if !known {
				why = "its guard has a Skipper of the app, which is not asked"
			} else if skips {
				why = "its guard skips it"
			}
			if skips || !known {
				continue
			}
		}
		by := CoveredBy{PerRequest: m.PerRequest}
		if !m.PerRequest {
			by.requires(m.Policy, m.Mode)
		}
		mounts = append(mounts, by)
	}
	return mounts, why
}

// requires fills in what a policy asks for.
func (by *CoveredBy) requires(p echomfa.Policy, mode echomfa.Mode) {
	if reason, exempt := p.IsExempt(); exempt {
		by.Public = reason
		return
	}
	by.Policy, by.Requires, by.Mode = p.Name(), p.String(), "enforce"
	if mode == echomfa.ReportOnly {
		by.Mode = "report-only"
	}
}

// coveredByRules says what the rules that may decide ask for. The last one decides if no
// other does; an exempt one decides before it until it ends.
func coveredByRules(rules []*Rule) CoveredBy {
	last := len(rules) - 1
	by := coveredByRule(rules[last])
	var stricter []CoveredBy
	for _, r := range slices.Backward(rules[:last]) {
		if r.Kind() == Exempt {
			// What comes after it in the file decides from its end on.
			slices.Reverse(stricter)
			by.Stricter = stricter
			then := by
			by, stricter = coveredByRule(r), nil
			by.Then = &then
			continue
		}
		stricter = append(stricter, coveredByRule(r))
	}
	slices.Reverse(stricter)
	by.Stricter = stricter
	return by
}

func coveredByRule(r *Rule) CoveredBy {
	by := CoveredBy{Rule: r.Name()}
	by.Roles, by.Tenants = r.When()
	switch r.Kind() {
	case Public:
		by.Public = r.Reason()
	case Exempt:
		by.Exempt = &Exemption{Reason: r.Reason(), Owner: r.Owner(), Expires: r.Expires().UTC()}
	case Require:
		by.requires(r.Policy(), r.Mode())
	}
	return by
}
