package rules

import (
	"slices"

	"github.com/echomfa/echomfa"
)

const (
	// maxConditional is how many rules with a when one route may meet.
	maxConditional = 16
	// maxPairs is how many pairs of a rule with a when and a later one that meets the same
	// route a file may have: each is compared.
	maxPairs = 50_000
)

// analyze finds rules that can never decide, and rules with a when that ask for less than
// what applies without it.
func (p *parser) analyze(f *File) {
	a := analysis{parser: p, met: make(map[*matcher]bool), pairs: make(map[[2]*Rule]overlap)}
	for at := range spots(f.compiled) {
		if a.resolver.resolve(f.compiled, at.host, at.path); !a.visit() {
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

	resolver resolver // of the spot
	met      map[*matcher]bool
	pairs    map[[2]*Rule]overlap // of a rule with a when and a later one
}

// overlap says for which of the roles and tenants of a rule the when of an earlier one
// holds: a bit for each.
type overlap struct{ roles, tenants uint64 }

// visit judges the rules of one spot. It reports false if there are too many to go on.
func (a *analysis) visit() bool {
	for i, ch := range a.resolver.made {
		if ch.conditional && !a.judge(ch) {
			return false
		}
		for _, e := range a.resolver.matching {
			if e.by != nil && e.methods&a.resolver.same[i] != 0 && !a.met[e.by] && a.decides(ch, e.rule) {
				a.met[e.by] = true
			}
		}
	}
	return true
}

// judge compares the rules of a chain, those with a when with all after them.
func (a *analysis) judge(ch *chain) bool {
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
			pair := [2]*Rule{r, other}
			if _, known := a.pairs[pair]; known {
				continue
			}
			if len(a.pairs) == maxPairs {
				a.fail(r.whenAt, "size", "", "the rules with when meet the routes of more than %d others", maxPairs)
				return false
			}
			a.pairs[pair] = r.overlap(other)
			if r.meets(other) {
				a.compare(r, other)
			}
		}
	}
	return true
}

// overlap returns where the when of a rule holds for another one. There are at most
// maxValuesOfWhen values in each list.
func (r *Rule) overlap(other *Rule) overlap {
	bits := func(has, of []string) uint64 {
		if has == nil {
			return ^uint64(0)
		}
		set := uint64(0) // also of a rule for everybody
		for i, value := range of {
			if slices.Contains(has, value) {
				set |= 1 << i
			}
		}
		return set
	}
	return overlap{bits(r.roles, other.roles), bits(r.tenants, other.tenants)}
}

// meets reports whether a user may be one that two rules are for.
func (r *Rule) meets(other *Rule) bool {
	return r.tenants == nil || other.tenants == nil || slices.ContainsFunc(r.tenants, func(tenant string) bool {
		return slices.Contains(other.tenants, tenant)
	})
}

// decides reports whether there is a user about whom a rule decides: for none of the rules
// before it the when holds.
func (a *analysis) decides(ch *chain, r *Rule) bool {
	place := slices.Index(ch.rules, r)
	if place < 0 {
		return false
	}
	all := ^uint64(0) >> (64 - max(len(r.tenants), 1))
	for role := range max(len(r.roles), 1) {
		held := uint64(0) // tenants that rules before it are for
		for _, before := range ch.rules[:place] {
			if before.Conditional() {
				if o := a.pairs[[2]*Rule{before, r}]; o.roles&(1<<role) != 0 {
					held |= o.tenants
				}
			}
		}
		if held&all != all {
			return true
		}
	}
	return false
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
