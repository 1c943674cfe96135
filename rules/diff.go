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
	// different ones. So are rules for so many roles and tenants that comparing them would
	// take too long.
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
	// of Path. For a Path that ends with a * these are the routes that begin with it.
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

// Diff compares two files by what routes require, at a time and after the end of each
// exemption. Without routes (nil) it compares every path that one of the files names, and
// what the paths of under stand for beside themselves: what is below them and, where that
// changes in another way, routes that begin with them and a *.
// What is the same in both files is left out; what asks for the same by other rules is
// Equal.
func Diff(before, after *File, routes []Route, at time.Time) []Change {
	var changes []Change
	d := newDiffer(before, after, at)
	if routes == nil {
		d.spots(func(c *change) { changes = append(changes, c.public()) })
		return changes
	}
	for _, route := range routes {
		host, path := splitHost(route.Path)
		for _, c := range d.changes(spot{host, path}, registeredMethods(route.Method)) {
			changes = append(changes, c.public())
		}
	}
	return changes
}

// change is a Change as the differ finds it. The chains are the differ's.
type change struct {
	at       spot
	methods  methodSet
	was, is  *chain
	relation Relation
}

func (c *change) public() Change {
	path, below := strings.CutSuffix(c.at.path, fresh)
	if below && path != "/" {
		path = strings.TrimSuffix(path, "/")
	}
	return Change{Methods: c.methods.names(), Path: c.at.host + path, Below: below, Before: Match{c.was.kept()}, After: Match{c.is.kept()}, Relation: c.relation}
}

// differ compares two files, one route after the other in the same memory.
type differ struct {
	before, after *File
	at            time.Time
	same          map[*Rule]*Rule // rules of both files that do not differ
	now, below    [2]resolver     // of a route, and of those below a path
	found         []change        // of a route
	left          int             // what comparing may still cost

	last struct { // what was compared last
		before, after []*Rule
		relation      Relation
	}
	roles        [2][]string
	tenants, who []string
	ends         []time.Time
}

func newDiffer(before, after *File, at time.Time) *differ {
	d := &differ{before: before, after: after, at: at, same: make(map[*Rule]*Rule), left: maxCompared}
	named := make(map[string]*Rule, len(after.rules))
	for _, r := range after.rules {
		named[r.name] = r
	}
	for _, r := range before.rules {
		if other := named[r.name]; other != nil && r.String() == other.String() {
			d.same[r] = other
		}
	}
	return d
}

// spots calls visit with the changes of all routes.
func (d *differ) spots(visit func(c *change)) {
	for at := range spots(d.before.compiled, d.after.compiled) {
		changes := d.changes(at, allMethods)
		for i := range changes {
			if !d.asBelow(&changes[i]) {
				visit(&changes[i])
			}
		}
	}
}

// asBelow reports whether no file names the route of a path and a *, and it changes as the
// routes below the path do.
func (d *differ) asBelow(c *change) bool {
	path, wildcard := strings.CutSuffix(c.at.path, "*")
	if !wildcard || path == "" || path[len(path)-1] == '/' {
		return false
	}
	for i, f := range []*File{d.before, d.after} {
		if len(f.compiled.exact[""][c.at.path])+len(f.compiled.exact[c.at.host][c.at.path]) > 0 {
			return false
		}
		d.below[i].resolve(f.compiled, c.at.host, path+"/"+fresh)
	}
	for method := range methods {
		same := slices.Equal(d.below[0].chains[method].rules, c.was.rules) && slices.Equal(d.below[1].chains[method].rules, c.is.rules)
		if c.methods.has(method) && !same {
			return false
		}
	}
	return true
}

// changes compares what two files say of one route. What it returns is as it is until the
// next call.
func (d *differ) changes(at spot, of methodSet) []change {
	d.now[0].resolve(d.before.compiled, at.host, at.path)
	d.now[1].resolve(d.after.compiled, at.host, at.path)
	d.found = d.found[:0]
	for i, was := range d.now[0].made {
		for j, is := range d.now[1].made {
			if both := d.now[0].same[i] & d.now[1].same[j] & of; both != 0 && !d.equal(was, is) {
				d.found = append(d.found, change{at, both, was, is, d.relate(was, is)})
			}
		}
	}
	return d.found
}

// equal reports whether two chains have the same rules in the same order.
func (d *differ) equal(before, after *chain) bool {
	return slices.EqualFunc(before.rules, after.rules, func(was, is *Rule) bool { return d.same[was] == is })
}

// relate compares two chains, if they are not those that were compared last: many routes
// change in the same way as the one before.
func (d *differ) relate(before, after *chain) Relation {
	if !slices.Equal(d.last.before, before.rules) || !slices.Equal(d.last.after, after.rules) {
		d.last.before, d.last.after = append(d.last.before[:0], before.rules...), append(d.last.after[:0], after.rules...)
		d.last.relation = d.relateAll(before, after)
	}
	return d.last.relation
}

// relateAll compares two chains for all identities, now and from the end of each exemption.
// What takes too long to compare is Incomparable.
func (d *differ) relateAll(before, after *chain) Relation {
	d.identities(before, after)
	first, second := d.roles[0], d.roles[1]
	count := len(first) * len(second) * len(d.tenants)
	if count > min(maxIdentities, d.left) {
		return Incomparable
	}
	d.left -= count
	stricter, looser := false, false
	for _, now := range d.times(before, after) {
		for i := range count {
			d.who = append(d.who[:0], first[i%len(first)], second[i/len(first)%len(second)])
			who := Identity{Roles: d.who, Tenant: d.tenants[i/len(first)/len(second)]}
			switch relateRules(before.rule(now, &who), after.rule(now, &who)) {
			case Stricter:
				stricter = true
			case Looser:
				looser = true
			case Incomparable:
				return Incomparable
			case Equal:
			}
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

// times returns when to compare chains: now, and when their exemptions end.
func (d *differ) times(before, after *chain) []time.Time {
	d.ends = append(d.ends[:0], d.at)
	for _, ch := range []*chain{before, after} {
		for _, r := range ch.rules {
			if r.kind == Exempt && d.at.Before(r.expires) {
				d.ends = append(d.ends, r.expires)
			}
		}
	}
	return d.ends
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

const (
	// maxIdentities bounds what comparing two chains may cost.
	maxIdentities = 10_000
	// maxCompared bounds what comparing two files may cost, in identities.
	maxCompared = 2_000_000
)

// identities finds roles and tenants of users who stand for all there are. A rule's when
// needs one role and one tenant, and a user with more roles only meets more of them: where
// one rule decides before and another one after, a user with a role of each and a tenant
// shows it.
func (d *differ) identities(before, after *chain) {
	d.tenants = append(d.tenants[:0], fresh)
	for i, ch := range []*chain{before, after} {
		d.roles[i] = append(d.roles[i][:0], fresh)
		for _, r := range ch.rules {
			d.roles[i], d.tenants = append(d.roles[i], r.roles...), append(d.tenants, r.tenants...)
		}
		slices.Sort(d.roles[i])
		d.roles[i] = slices.Compact(d.roles[i])
	}
	slices.Sort(d.tenants)
	d.tenants = slices.Compact(d.tenants)
}
