package rules

import (
	"math/bits"
	"slices"
	"strings"
	"time"
)

// compiled finds the rules of a route.
type compiled struct {
	exact     map[string]map[string][]entry // by host, "" for all, and path
	under     map[string]*node              // by host
	byDefault *Rule
	learned   *table
}

// matcher is one route or path that a rule names.
type matcher struct {
	Route
	at place
}

// entry is what one matcher of a rule matches.
type entry struct {
	rule    *Rule
	methods methodSet
	by      *matcher // nil if it is met by a * only, which is no reason to keep it
}

// node is an element of the paths that rules match the subtrees of.
type node struct {
	children map[string]*node
	entries  []entry
}

// chain is the rules that may decide about a route, in the order of the file: those with a
// when, exempt ones, and last one that decides in any case. None is in it that nothing is
// left for.
type chain struct {
	rules       []*Rule
	only        *Rule // if there is one rule alone
	conditional bool  // one has a when
	timed       bool  // one is exempt, and ends
}

// compileRules makes it of rules, the default last.
func compileRules(rules []*Rule) *compiled {
	c := &compiled{exact: make(map[string]map[string][]entry), under: make(map[string]*node), byDefault: rules[len(rules)-1], learned: newTable()}
	for _, r := range rules[:len(rules)-1] {
		for i := range r.routes {
			by := &r.routes[i]
			host, path := splitHost(by.Path)
			if c.exact[host] == nil {
				c.exact[host] = make(map[string][]entry)
			}
			c.exact[host][path] = append(c.exact[host][path], entry{r, registeredMethods(by.Method), by})
		}
		for i := range r.under {
			n := c.subtree(r.under[i].Path)
			n.entries = append(n.entries, entry{r, allMethods, &r.under[i]})
		}
	}
	for _, paths := range c.exact {
		for path, entries := range paths {
			paths[path] = effective(entries)
		}
	}
	for _, n := range c.under {
		n.shorten()
	}
	return c
}

func (n *node) shorten() {
	n.entries = effective(n.entries)
	for _, child := range n.children {
		child.shorten()
	}
}

// effective leaves out entries that nothing is left for by the ones before them, so that
// what has to be looked at for a route does not grow with the file. A public one leaves
// later ones that require a policy: an exemption of another line may be before it, and
// then it is no door.
func effective(entries []entry) []entry {
	left, open := allMethods, methodSet(0)
	kept := entries[:0]
	for _, e := range entries {
		methods := e.methods & left
		if e.rule.kind != Require {
			methods &^= open
			open |= methods
		} else if !e.rule.Conditional() {
			left &^= methods
		}
		if methods != 0 {
			kept = append(kept, e)
		}
	}
	return slices.Clip(kept)
}

// subtree returns the node of a path, which it makes if there is none.
func (c *compiled) subtree(route string) *node {
	host, path := splitHost(route)
	n := c.under[host]
	if n == nil {
		n = &node{}
		c.under[host] = n
	}
	if path == "/" {
		return n
	}
	for element := range strings.SplitSeq(path[1:], "/") {
		child := n.children[element]
		if child == nil {
			if n.children == nil {
				n.children = make(map[string]*node)
			}
			child = &node{}
			n.children[element] = child
		}
		n = child
	}
	return n
}

// matching appends what matches a route, in the order of the file.
func (c *compiled) matching(found []entry, host, path string) []entry {
	if path == "" || path[0] != '/' {
		return found
	}
	found = append(c.below(found, "", path), c.exact[""][path]...)
	if host != "" {
		found = append(c.below(found, host, path), c.exact[host][path]...)
	}
	slices.SortStableFunc(found, func(a, b entry) int { return a.rule.index - b.rule.index })
	return found
}

// below appends what matches a path as a part of a subtree.
func (c *compiled) below(found []entry, host, path string) []entry {
	n := c.under[host]
	if n == nil {
		return found
	}
	found = append(found, n.entries...)
	if path == "/" {
		return found
	}
	for element := range strings.SplitSeq(path[1:], "/") {
		found = n.glued(found, element)
		if n = n.children[element]; n == nil {
			break
		}
		found = append(found, n.entries...)
	}
	return found
}

// glued appends what requires a policy of a child that an element of a route begins with,
// if a * comes next: a router passes "/admin*" all requests for /admin and below it. It also
// passes it those for /administration, so that what opens /admin does not open "/admin*".
func (n *node) glued(found []entry, element string) []entry {
	for i := 1; i < min(len(element), maxPath); i++ {
		if element[i] != '*' {
			continue
		}
		if child := n.children[element[:i]]; child != nil {
			for _, e := range child.entries {
				if e.rule.kind == Require {
					found = append(found, entry{e.rule, e.methods, nil})
				}
			}
		}
	}
	return found
}

// fill makes the chain of a method from what matches its route.
func (ch *chain) fill(method int, matching []entry, byDefault *Rule) {
	*ch = chain{rules: ch.rules[:0]}
	for _, e := range matching {
		r := e.rule
		switch {
		case !e.methods.has(method):
			continue
		case len(ch.rules) > 0 && ch.rules[len(ch.rules)-1] == r:
			continue // another line of the same rule
		case ch.timed && r.kind != Require:
			continue // an exemption that has expired is no door
		}
		ch.rules = append(ch.rules, r)
		ch.conditional = ch.conditional || r.Conditional()
		ch.timed = ch.timed || r.kind == Exempt
		if ch.ends() {
			break
		}
	}
	if len(ch.rules) == 0 || !ch.ends() {
		ch.rules = append(ch.rules, byDefault)
	}
	if len(ch.rules) == 1 {
		ch.only = ch.rules[0]
	}
}

// ends reports whether the last rule decides in any case.
func (ch *chain) ends() bool {
	last := ch.rules[len(ch.rules)-1]
	return last.kind != Exempt && !last.Conditional()
}

// kept returns a chain that stays as it is.
func (ch *chain) kept() *chain {
	same := *ch
	same.rules = slices.Clone(ch.rules)
	return &same
}

// rule returns the rule that decides.
func (ch *chain) rule(at time.Time, who *Identity) *Rule {
	for _, r := range ch.rules {
		if r.holds(who) && !r.Expired(at) {
			return r
		}
	}
	return nil // cannot be: the last one decides
}

// holds reports whether the rule is for a user.
func (r *Rule) holds(who *Identity) bool {
	return (r.roles == nil || slices.ContainsFunc(r.roles, func(role string) bool { return slices.Contains(who.Roles, role) })) &&
		(r.tenants == nil || slices.Contains(r.tenants, who.Tenant))
}

// route is what is known of a registered route: a chain for each method.
type route struct {
	name   string
	chains [methods]*chain
}

// resolve makes the chains of a route.
func (c *compiled) resolve(name string) *route {
	var r resolver
	host, path := splitHost(name)
	r.resolve(c, host, path)
	return &route{name, r.chains}
}

// resolver makes the chains of one route after the other, in the same memory.
type resolver struct {
	matching []entry
	chains   [methods]*chain
	made     []*chain    // those that are not the same
	same     []methodSet // whose they are
	unused   []*chain
}

// resolve makes the chains of a route. Methods that the same rules match share one.
func (r *resolver) resolve(c *compiled, host, path string) {
	r.matching = c.matching(r.matching[:0], host, path)
	r.unused = append(r.unused, r.made...)
	r.made, r.same = r.made[:0], r.same[:0]
	done := methodSet(0)
	for method := range methods {
		if done.has(method) {
			continue
		}
		same := allMethods &^ done
		for _, e := range r.matching {
			if e.methods.has(method) {
				same &= e.methods
			} else {
				same &^= e.methods
			}
		}
		ch := r.next()
		ch.fill(method, r.matching, c.byDefault)
		for left := same; left != 0; left &= left - 1 {
			r.chains[bits.TrailingZeros16(uint16(left))] = ch
		}
		r.made, r.same = append(r.made, ch), append(r.same, same)
		done |= same
	}
}

func (r *resolver) next() *chain {
	last := len(r.unused) - 1
	if last < 0 {
		return &chain{}
	}
	ch := r.unused[last]
	r.unused = r.unused[:last]
	return ch
}
