package rules

import (
	"time"

	"github.com/echomfa/echomfa"
)

// AnyMethod is the Method of a Route that stands for all methods.
const AnyMethod = "ANY"

// Route is a route as it was registered.
type Route struct {
	// Method is the method. GET stands for HEAD, too. AnyMethod, "*", "" and the names
	// that Echo has for routes of all methods and of none ("echo_route_any",
	// "echo_route_not_found") stand for every method. One that is not in RFC 9110, RFC
	// 5789 or RFC 10008 is "_OTHER".
	Method string `json:"method"`
	// Path is the path as it was registered, such as "/admin/:id", or after a host as in
	// "api.example.com/admin/:id" for a router of that host. Rules that name no host
	// match it on every host.
	Path string `json:"path"`
}

// Identity is what the app knows of the user of a request, from a source that it has
// verified. The zero Identity is somebody without a role and a tenant.
type Identity struct {
	Roles  []string
	Tenant string
}

// Match is what a file says of a method and a registered route.
type Match struct{ chain *chain }

// Match finds the rules of a request: method is the request's method, and route the route
// that the router has matched, as in [Route].Path, or "" if it has matched none. It does
// not allocate for a route that it has seen before.
func (f *File) Match(method, route string) Match { return f.match(method, route) }

// Rules returns the rules that may decide, in this order: those with a when, whose users
// are asked for more; then an exempt one, until it ends; and last the one that decides
// about everybody else. The slice is the caller's.
func (m Match) Rules() []*Rule { return m.rules() }

// Rule returns the rule that decides about a user.
func (m Match) Rule(at time.Time, who Identity) *Rule { return m.rule(at, who) }

// Weakest returns the rule that decides about users for whom no when holds: all the other
// rules of the match ask for at least as much.
func (m Match) Weakest(at time.Time) *Rule { return m.rule(at, Identity{}) }

// Conditional reports whether the rule depends on who the user is.
func (m Match) Conditional() bool { return m.conditional() }

// Guard is what a file says of some methods of a registered route.
type Guard struct {
	// Methods are those that the same rules match.
	Methods []string
	// Match has the rules.
	Match Match
}

// Guards returns what the file says of a registered route, once for each group of methods
// that the same rules match.
func (f *File) Guards(route Route) []Guard { return f.guards(route) }

// Requirement returns what a request needs by the rules of a set, for the RequireFunc of a
// mount: c is what that is given, method the request's method and route the registered
// route, as in [File.Match]. Who returns the user's identity, for rules with a when; it is
// not called for other requests, and may be nil if the file has none. Its error, and a
// role or tenant that the [Config] does not know, is a 500.
func Requirement[C any](s *Set, c C, method, route string, who func(c C) (Identity, error)) (echomfa.Requirement, error) {
	m := s.File().match(method, route)
	if !m.conditional() {
		return m.rule(s.now(), Identity{}).requirement, nil
	}
	identity, err := identify(s, c, who)
	if err != nil {
		return echomfa.Requirement{}, err
	}
	return m.rule(s.now(), identity).requirement, nil
}

// Revision names the rules that decide: the hash and when they were read.
type Revision struct {
	Hash string    `json:"hash"`
	File string    `json:"file"`
	Read time.Time `json:"read"`
}
