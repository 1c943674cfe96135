package rules

import (
	"errors"
	"fmt"
	"slices"
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

// Match is what a file says of a method and a registered route. The zero Match is that of
// no file: its rules have an invalid policy.
type Match struct{ chain *chain }

// Match finds the rules of a request: method is the request's method, and route the route
// that the router has matched, as in [Route].Path, or "" if it has matched none. It does
// not allocate for a route that it has met before.
func (f *File) Match(method, route string) Match {
	if f == nil || f.compiled == nil {
		return Match{}
	}
	return Match{f.compiled.find(route).chains[methodOf(method)]}
}

// Rules returns the rules that may decide, in the order of the file: those with a when,
// whose users are asked for more than others; an exempt one, until it ends; and last the
// one that decides in any other case. The slice is the caller's.
func (m Match) Rules() []*Rule {
	if m.chain == nil {
		return nil
	}
	return slices.Clone(m.chain.rules)
}

// Rule returns the rule that decides about a user.
func (m Match) Rule(at time.Time, who Identity) *Rule {
	if m.chain == nil {
		return &Rule{}
	}
	return m.chain.rule(at, &who)
}

// Weakest returns the rule that decides about users for whom no when holds. All the other
// rules that may decide ask for at least as much.
func (m Match) Weakest(at time.Time) *Rule { return m.Rule(at, Identity{}) }

// Conditional reports whether the rule depends on who the user is.
func (m Match) Conditional() bool { return m.chain != nil && m.chain.conditional }

// Guard is what a file says of some methods of a registered route.
type Guard struct {
	// Methods are those that the same rules match: AnyMethod alone if these are all.
	Methods []string
	// Match has the rules.
	Match Match
}

// Guards returns what the file says of a registered route, once for each group of methods
// that the same rules match.
func (f *File) Guards(registered Route) []Guard {
	if f == nil || f.compiled == nil {
		return nil
	}
	var guards []Guard
	resolved, left := f.compiled.resolve(registered.Path), registeredMethods(registered.Method)
	for method := range methods {
		if !left.has(method) {
			continue
		}
		same := methodSet(0)
		for other := method; other < methods; other++ {
			if left.has(other) && slices.Equal(resolved.chains[other].rules, resolved.chains[method].rules) {
				same |= 1 << other
			}
		}
		left &^= same
		guards = append(guards, Guard{same.names(), Match{resolved.chains[method]}})
	}
	return guards
}

// Requirement returns what a request needs by the rules of a set, for the RequireFunc of a
// mount: c is what that is given, method the request's method and route the registered
// route, as in [File.Match]. Who returns the user's identity, for rules with a when; it is
// not called for other requests, and may be nil if no file has such a rule. Its error, and
// a role or tenant that the [Config] does not know, is a 500. It does not allocate for a
// route that it has met before, unless who does.
func Requirement[C any](s *Set, c C, method, route string, who func(c C) (Identity, error)) (echomfa.Requirement, error) {
	m := s.File().Match(method, route)
	if m.chain == nil {
		return echomfa.Requirement{}, errNoRules
	}
	if !m.chain.conditional {
		return m.chain.everybody(), nil
	}
	if who == nil {
		return echomfa.Requirement{}, errNoIdentity
	}
	identity, err := who(c)
	if err != nil {
		// Not %w: whatever the app's own call failed by says nothing of the user's token.
		return echomfa.Requirement{}, fmt.Errorf("rules: identity: %v", err) //nolint:errorlint // as above
	}
	if err := s.known(&identity); err != nil {
		return echomfa.Requirement{}, err
	}
	return m.chain.rule(time.Now(), &identity).requirement, nil
}

var (
	errNoRules    = errors.New("rules: the Set was not made by Open or New")
	errNoIdentity = errors.New("rules: a rule has a when, and there is no function that returns the user's identity")
)

// everybody returns what a chain without a when requires.
func (ch *chain) everybody() echomfa.Requirement {
	if !ch.timed {
		return ch.rules[0].requirement
	}
	return ch.rule(time.Now(), &Identity{}).requirement
}

// Revision names the rules that decide.
type Revision struct {
	// File is the name of the file.
	File string `json:"file"`
	// Hash is the SHA-256 of its bytes.
	Hash string `json:"hash"`
	// Read is when it was read.
	Read time.Time `json:"read"`
}
