package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/echomfa/echomfa"
)

// Relation compares what is asked for before and after a change.
type Relation uint8

// The relations. The zero value is Incomparable.
const (
	// Incomparable: neither is at least as strict as the other, for one user or for
	// different ones.
	Incomparable Relation = iota
	// Equal: the same factors let the same users through.
	Equal
	// Stricter: everybody who gets through after the change got through before it.
	Stricter
	// Looser: everybody who got through before the change gets through after it.
	Looser
)

// String returns the relation in lower case, such as "stricter".
func (r Relation) String() string {
	switch r {
	case Equal:
		return "equal"
	case Stricter:
		return "stricter"
	case Looser:
		return "looser"
	case Incomparable:
	}
	return "incomparable"
}

// Change is how a new file changes what a route requires.
type Change struct {
	// Methods are those that change in this way: AnyMethod alone if these are all.
	Methods []string
	// Path is the registered path, or "" for requests that no route matches.
	Path string
	// Below says that the change is of the routes below Path that no file names, and not
	// of Path.
	Below bool
	// Before and After are the rules.
	Before, After Match
	// Relation compares them.
	Relation Relation
}

// String returns the change in a line, such as
// "looser: POST /admin/payouts: payout (OTP and FACE) -> admin (OTP)".
func (c Change) String() string {
	path := c.Path
	switch {
	case c.Below:
		path = "below " + path
	case path == "":
		path = "no route"
	}
	if methods := strings.Join(c.Methods, "|"); methods != AnyMethod {
		path = methods + " " + path
	}
	return fmt.Sprintf("%s: %s: %s -> %s", c.Relation, path, describe(c.Before), describe(c.After))
}

func describe(m Match) string {
	var words []string
	for _, r := range m.chain.rules {
		words = append(words, r.String())
	}
	return strings.Join(words, ", else ")
}

// String returns the rule as changes and logs show it, such as "admin (OTP or FACE,
// report-only)".
func (r *Rule) String() string {
	var words []string
	switch r.kind {
	case Public:
		words = append(words, "public")
	case Exempt:
		words = append(words, "exempt until "+stamp(r.expires))
	case Require:
		words = append(words, r.policy.String())
	}
	if r.mode == echomfa.ReportOnly {
		words = append(words, "report-only")
	}
	for _, list := range []struct {
		what   string
		values []string
	}{{"role", r.roles}, {"tenant", r.tenants}} {
		if len(list.values) > 0 {
			words = append(words, list.what+" "+strings.Join(list.values, "|"))
		}
	}
	return r.name + " (" + strings.Join(words, ", ") + ")"
}

// Diff compares two files by what routes require, at a time. Without routes (nil) it
// compares every path that one of the files names, and what is below the paths of under.
// What is the same in both files is left out; what asks for the same by other rules is
// Equal.
func Diff(before, after *File, routes []Route, at time.Time) []Change {
	var changes []Change
	if routes != nil {
		for _, route := range routes {
			changes = append(changes, changesOf(before, after, route, at)...)
		}
		return changes
	}
	for spot := range spots(before.compiled, after.compiled) {
		for _, c := range changesOf(before, after, Route{AnyMethod, spot}, at) {
			if path, below := strings.CutSuffix(spot, "/"+fresh); below {
				c.Below, c.Path = true, path
				if path, _ = withoutHost(path); path == "" || path[0] != '/' {
					c.Path += "/"
				}
			}
			changes = append(changes, c)
		}
	}
	return changes
}

// changesOf compares what two files say of one route.
func changesOf(before, after *File, route Route, at time.Time) []Change {
	type pair struct{ before, after *chain }
	groups := make(map[pair]methodSet)
	var order []pair
	was, is := before.compiled.resolve(route.Path), after.compiled.resolve(route.Path)
	for method := range methods {
		if !registeredMethods(route.Method).has(method) {
			continue
		}
		p := pair{was.chains[method], is.chains[method]}
		if groups[p] == 0 {
			order = append(order, p)
		}
		groups[p] |= 1 << method
	}
	var changes []Change
	for _, p := range order {
		if describe(Match{p.before}) == describe(Match{p.after}) {
			continue
		}
		changes = append(changes, Change{
			Methods: groups[p].names(), Path: route.Path, Before: Match{p.before}, After: Match{p.after}, Relation: relate(p.before, p.after, at),
		})
	}
	return changes
}

// relate compares two chains for all identities.
func relate(before, after *chain, at time.Time) Relation {
	all, ok := identities(before, after)
	if !ok {
		return Incomparable
	}
	stricter, looser := false, false
	for _, who := range all {
		switch relateRules(before.rule(at, &who), after.rule(at, &who)) {
		case Stricter:
			stricter = true
		case Looser:
			looser = true
		case Incomparable:
			return Incomparable
		case Equal:
		}
	}
	switch {
	case stricter && looser:
		return Incomparable
	case stricter:
		return Stricter
	case looser:
		return Looser
	}
	return Equal
}

// relateRules compares what two rules ask for: first who gets through, then what is
// reported.
func relateRules(before, after *Rule) Relation {
	enforced := func(r *Rule) *echomfa.Policy {
		if r.kind != Require || r.mode == echomfa.ReportOnly {
			return nil
		}
		return &r.policy
	}
	reported := func(r *Rule) *echomfa.Policy {
		if r.kind != Require {
			return nil
		}
		return &r.policy
	}
	if r := relatePolicies(enforced(before), enforced(after)); r != Equal {
		return r
	}
	return relatePolicies(reported(before), reported(after))
}

// relatePolicies compares two policies. Nil asks for nothing.
func relatePolicies(before, after *echomfa.Policy) Relation {
	switch {
	case before == nil && after == nil:
		return Equal
	case before == nil:
		return Stricter
	case after == nil:
		return Looser
	}
	stricter, looser := after.Implies(*before), before.Implies(*after)
	switch {
	case stricter && looser:
		return Equal
	case stricter:
		return Stricter
	case looser:
		return Looser
	}
	return Incomparable
}

// maxIdentities bounds what comparing two chains may cost.
const maxIdentities = 10_000

// identities returns users who stand for all there are. A rule's when needs one role and
// one tenant, and a user with more roles only meets more of them: where one rule decides
// before and another one after, a user with a role of each and a tenant shows it.
func identities(before, after *chain) ([]Identity, bool) {
	var roles [2][]string
	tenants := []string{fresh}
	for i, ch := range []*chain{before, after} {
		roles[i] = []string{fresh}
		for _, r := range ch.rules {
			roles[i] = append(roles[i], r.roles...)
			tenants = append(tenants, r.tenants...)
		}
		slices.Sort(roles[i])
		roles[i] = slices.Compact(roles[i])
	}
	slices.Sort(tenants)
	tenants = slices.Compact(tenants)
	if len(roles[0])*len(roles[1])*len(tenants) > maxIdentities {
		return nil, false
	}
	var all []Identity
	for _, first := range roles[0] {
		for _, second := range roles[1] {
			for _, tenant := range tenants {
				all = append(all, Identity{Roles: []string{first, second}, Tenant: tenant})
			}
		}
	}
	return all, true
}
