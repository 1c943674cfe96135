package rules

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/echomfa/echomfa"
)

// fresh is an element of a path that no file has: it stands for all that a file does not
// name.
const fresh = "\x00"

// maxConditional is how many rules with a when one route may meet.
const maxConditional = 16

// spots yields routes that stand for all there are: every path that the rules name, for
// each path of under something below it, and what nothing matches; all of it for each host
// that the rules name, too. Two routes that no spot tells apart meet the same rules.
func spots(files ...*compiled) iter.Seq[string] {
	set := map[string]bool{"": true, "/" + fresh: true}
	hosts := make(map[string]bool)
	for _, c := range files {
		for route := range c.exact {
			set[route] = true
		}
		for host, n := range c.under {
			n.walk(host, func(path string) { set[path], set[strings.TrimSuffix(path, "/")+"/"+fresh] = true, true })
		}
		maps.Copy(hosts, c.hosts())
	}
	delete(hosts, "")
	return func(yield func(string) bool) {
		for _, route := range slices.Sorted(maps.Keys(set)) {
			if !yield(route) {
				return
			}
			if _, hasHost := withoutHost(route); hasHost || route == "" {
				continue
			}
			for _, host := range slices.Sorted(maps.Keys(hosts)) {
				if !set[host+route] && !yield(host+route) {
					return
				}
			}
		}
	}
}

// hosts returns the hosts that rules name.
func (c *compiled) hosts() map[string]bool {
	hosts := make(map[string]bool)
	for route := range c.exact {
		path, _ := withoutHost(route)
		hosts[route[:len(route)-len(path)]] = true
	}
	for host := range c.under {
		hosts[host] = true
	}
	return hosts
}

// walk calls visit with the path of each node that rules match the subtree of.
func (n *node) walk(path string, visit func(path string)) {
	if len(n.entries) > 0 {
		if path == "" || path[len(path)-1] != '/' && !strings.Contains(path, "/") {
			visit(path + "/")
		} else {
			visit(path)
		}
	}
	for element, child := range n.children {
		child.walk(path+"/"+element, visit)
	}
}

// analyze finds rules that can never decide, and rules with a when that ask for less than
// what applies without it.
func (p *parser) analyze(f *File) {
	a := analysis{parser: p, met: make(map[*matcher]bool), judged: make(map[[2]*Rule]bool)}
	for name := range spots(f.compiled) {
		if !a.visit(f.compiled, name) {
			return
		}
	}
	for _, r := range f.rules {
		for _, list := range [][]matcher{r.routes, r.under} {
			for i := range list {
				if m := &list[i]; !a.met[m] {
					a.unreachable(f.compiled, r, m)
				}
			}
		}
	}
}

type analysis struct {
	*parser

	met    map[*matcher]bool
	judged map[[2]*Rule]bool
}

// visit judges the rules of one spot. It reports false if there are too many to go on.
func (a *analysis) visit(c *compiled, name string) bool {
	matching := c.entries(name)
	chains := c.resolveOf(name, matching).chains
	var last *chain
	for _, ch := range chains {
		if ch == last {
			continue
		}
		last = ch
		conditional := 0
		for i, r := range ch.rules {
			if !r.Conditional() {
				continue
			}
			if conditional++; conditional > maxConditional {
				a.fail(r.whenAt, "when", "", "more than %d rules with when match the same routes", maxConditional)
				return false
			}
			for _, other := range ch.rules[i+1:] {
				if !r.meets(other) {
					continue
				}
				a.once(r, other, func() { a.compare(r, other) })
			}
		}
	}
	for method, ch := range chains {
		for _, e := range matching {
			if e.methods.has(method) && !a.met[e.by] && ch.decides(e.rule) {
				a.met[e.by] = true
			}
		}
	}
	return true
}

// meets reports whether a user may be one that two rules are for.
func (r *Rule) meets(other *Rule) bool {
	return r.tenants == nil || other.tenants == nil || slices.ContainsFunc(r.tenants, func(tenant string) bool {
		return slices.Contains(other.tenants, tenant)
	})
}

// decides reports whether there is a user about whom a rule decides: for none of the rules
// before it the when holds.
func (ch *chain) decides(r *Rule) bool {
	place := slices.Index(ch.rules, r)
	if place < 0 {
		return false
	}
	roles, tenants := r.roles, r.tenants
	if roles == nil {
		roles = []string{fresh}
	}
	if tenants == nil {
		tenants = []string{fresh}
	}
	for _, role := range roles {
		for _, tenant := range tenants {
			who := Identity{Roles: []string{role}, Tenant: tenant}
			if !slices.ContainsFunc(ch.rules[:place], func(before *Rule) bool { return before.Conditional() && before.holds(&who) }) {
				return true
			}
		}
	}
	return false
}

func (a *analysis) once(r, other *Rule, judge func()) {
	if pair := [2]*Rule{r, other}; !a.judged[pair] {
		a.judged[pair] = true
		judge()
	}
}

// compare notes a rule with a when that asks for less than a later one which applies where
// the when does not hold.
func (a *analysis) compare(r, other *Rule) {
	if other.kind != Require || r.policy.Err() != nil || other.policy.Err() != nil {
		return
	}
	name := "the rule " + other.name
	if other.IsDefault() {
		name = "the default"
	}
	switch {
	case !r.policy.Implies(other.policy):
		suggestion := "ask for both"
		if other.policy.Implies(r.policy) && other.Conditional() {
			suggestion = "put it behind " + name
		}
		a.fail(r.whenAt, "when", suggestion, "the rule %s asks users for whom its when holds for less than %s in line %d: %s is not at least %s",
			r.name, name, other.at.line, shortened(r.policy.String()), shortened(other.policy.String()))
	case r.mode == echomfa.ReportOnly && other.mode != echomfa.ReportOnly:
		a.fail(r.whenAt, "when", "", "the rule %s lets users for whom its when holds through, and %s in line %d does not: it is report-only", r.name, name, other.at.line)
	}
}

// unreachable notes that nothing meets a line of a rule.
func (a *analysis) unreachable(c *compiled, r *Rule, m *matcher) {
	what := m.Path
	if m.Method != AnyMethod {
		what = m.Method + " " + m.Path
	}
	by := ""
	for method, ch := range c.resolve(m.Path).chains {
		if registeredMethods(m.Method).has(method) {
			by = ch.rules[len(ch.rules)-1].name
			if ch.timed {
				by = ch.rules[0].name
			}
			break
		}
	}
	a.fail(m.at, "unreachable", "put it before that rule, or remove it", "the rule %s is never met by %s: the rule %s is before it", r.name, what, by)
}
