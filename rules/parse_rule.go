package rules

import (
	"slices"
	"strings"

	"github.com/echomfa/echomfa"
	"go.yaml.in/yaml/v4"
)

// ruleKeys are the keys of a rule.
func ruleKeys() []string {
	return slices.Concat([]string{"name", "require", "public", "exempt", "routes", "under", "mode", "when"}, laterKeys())
}

// laterKeys are keys that a file may not have yet. To leave them out of account would
// weaken what the file asks for.
func laterKeys() []string { return []string{"verified_within", "enforce_from", "grace_period"} }

func (p *parser) parseRules(n *yaml.Node) []*Rule {
	items, ok := p.list(n, "rules")
	if !ok {
		return nil
	}
	if len(items) > maxRules {
		p.fail(at(items[maxRules]), "size", "", "the file has %d rules, which is more than %d", len(items), maxRules)
		return nil
	}
	rules := make([]*Rule, 0, len(items))
	names := make(map[string]place, len(items))
	for i, item := range items {
		r := p.parseRule(item)
		r.index = i
		if first, twice := names[r.name]; twice && r.name != "" {
			p.fail(r.at, "name", "", "the rule %s is there twice, first in line %d", r.name, first.line)
		}
		names[r.name] = r.at
		rules = append(rules, r)
		items[i] = nil // the tree is large
	}
	return rules
}

func (p *parser) parseRule(n *yaml.Node) *Rule {
	r := &Rule{at: at(n)}
	fields, ok := p.mapping(n, "a rule", ruleKeys()...)
	if !ok {
		return r
	}
	for _, key := range laterKeys() {
		if f, ok := fields[key]; ok {
			p.fail(at(f.key), "not-yet", "leave it out", "%s is not supported yet", key)
		}
	}
	p.parseName(r, n, fields)
	p.parseKind(r, n, fields)
	p.parseMatchers(r, n, fields)
	r.mode = p.parseMode(fields)
	if f, ok := fields["when"]; ok {
		p.parseWhen(r, f)
	}
	r.settle()
	return r
}

// settle makes the requirement of a rule that is read.
func (r *Rule) settle() {
	r.requirement = echomfa.Requirement{Policy: r.policy, Mode: r.mode, Rule: r.name}
}

func (p *parser) parseName(r *Rule, n *yaml.Node, fields map[string]field) {
	f, ok := fields["name"]
	if !ok {
		p.fail(at(n), "name", "", "the rule has no name")
		return
	}
	text, ok := p.text(f.value, "a name")
	if !ok {
		return
	}
	if why, suggestion := notAName(text); why != "" {
		p.fail(at(f.value), "name", suggestion, "rule %q: %s", shortened(text), why)
		return
	}
	if text == defaultName {
		p.fail(at(f.value), "name", "", "%s is the name of the file's default", defaultName)
		return
	}
	r.name = text
}

// parseKind reads what a rule does.
func (p *parser) parseKind(r *Rule, n *yaml.Node, fields map[string]field) {
	var present []string
	for _, key := range []string{"require", "public", "exempt"} {
		if _, ok := fields[key]; ok {
			present = append(present, key)
		}
	}
	if len(present) != 1 {
		found := "none"
		if len(present) > 0 {
			found = strings.Join(present, " and ")
		}
		p.fail(at(n), "kind", "", "a rule has one of require, public and exempt, not %s", found)
		return
	}
	f := fields[present[0]]
	switch present[0] {
	case "require":
		r.policy = p.parsePolicy(f.value)
		return
	case "public":
		r.kind = Public
		r.reason = p.sentence(f.value, "the reason of public")
	case "exempt":
		r.kind = Exempt
		p.parseExempt(r, f.value)
	}
	if r.reason != "" {
		r.policy = echomfa.Exempt(r.reason)
	}
	for _, key := range []string{"mode", "when"} {
		if f, ok := fields[key]; ok {
			p.fail(at(f.key), "kind", "leave it out", "a rule with %s has no %s", present[0], key)
			delete(fields, key)
		}
	}
}

func (p *parser) parseExempt(r *Rule, n *yaml.Node) {
	keys := []string{"reason", "owner", "expires"}
	fields, ok := p.mapping(n, "exempt", keys...)
	if !ok {
		return
	}
	for _, key := range keys {
		f, ok := fields[key]
		switch {
		case !ok:
			p.fail(at(n), "exempt", "", "exempt has no %s", key)
		case key == "reason":
			r.reason = p.sentence(f.value, key)
		case key == "owner":
			r.owner = p.sentence(f.value, key)
		default:
			r.expires = p.moment(f.value, key, true)
		}
	}
}

// parseWhen reads whom a rule is for.
func (p *parser) parseWhen(r *Rule, f field) {
	fields, ok := p.mapping(f.value, "when", "role", "tenant")
	if !ok {
		return
	}
	if len(fields) == 0 {
		p.fail(at(f.value), "when", "leave the key out", "when is empty")
	}
	r.whenAt = at(f.key)
	r.roles, r.tenants = p.values(fields, "role"), p.values(fields, "tenant")
}

// values reads a list of texts.
func (p *parser) values(fields map[string]field, key string) []string {
	f, ok := fields[key]
	if !ok {
		return nil
	}
	items, ok := p.list(f.value, key)
	if !ok {
		return nil
	}
	values := make([]string, 0, len(items))
	for _, item := range items {
		text, ok := p.text(item, "a "+key)
		switch {
		case !ok:
		case slices.Contains(values, text):
			p.fail(at(item), "twice", "", "the %s %q is there twice", key, shortened(text))
		case len(values) == maxValuesOfWhen:
			p.fail(at(item), "size", "", "%s has more than %d values", key, maxValuesOfWhen)
			return values
		default:
			values = append(values, text)
		}
	}
	return values
}

const maxValuesOfWhen = 64

// parseMatchers reads the routes of a rule.
func (p *parser) parseMatchers(r *Rule, n *yaml.Node, fields map[string]field) {
	routes, hasRoutes := fields["routes"]
	under, hasUnder := fields["under"]
	if !hasRoutes && !hasUnder {
		p.fail(at(n), "routes", `under: ["/"] is for all of them`, "the rule has neither routes nor under")
		return
	}
	if hasRoutes {
		r.routes = p.matchers(routes.value, "routes", p.parseRoute)
	}
	if hasUnder {
		r.under = p.matchers(under.value, "under", p.parseUnder)
	}
}

func (p *parser) matchers(n *yaml.Node, what string, read func(*yaml.Node, string) (Route, bool)) []matcher {
	items, ok := p.list(n, what)
	if !ok {
		return nil
	}
	seen := make(map[Route]bool, len(items))
	list := make([]matcher, 0, len(items))
	for _, item := range items {
		if p.entries++; p.entries > maxEntries {
			if p.entries == maxEntries+1 {
				p.fail(at(item), "size", "", "the file has more than %d routes", maxEntries)
			}
			return list
		}
		text, ok := p.text(item, "a value of "+what)
		if !ok {
			continue
		}
		route, ok := read(item, text)
		switch {
		case !ok:
		case seen[route]:
			p.fail(at(item), "twice", "", "%q is there twice", text)
		default:
			seen[route] = true
			list = append(list, matcher{route, at(item)})
		}
	}
	return list
}
