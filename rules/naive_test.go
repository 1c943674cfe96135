package rules_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/echomfa/echomfa"
)

// What stands here is the format once more, as its documentation says it, without an idea
// of how it is compiled: rules are tried one after the other.

// expr is a policy: a type, or n of others.
type expr struct {
	factor string
	least  int
	of     []expr
}

func (e expr) text() string {
	if e.factor == "VOICE" {
		return `"VOICE"`
	}
	if e.factor != "" {
		return e.factor
	}
	word := " or "
	if e.least == len(e.of) {
		word = " and "
	}
	parts := make([]string, 0, len(e.of))
	for _, part := range e.of {
		parts = append(parts, part.text())
	}
	if e.least != 1 && e.least != len(e.of) {
		return fmt.Sprintf("%d of (%s)", e.least, strings.Join(parts, ", "))
	}
	return "(" + strings.Join(parts, word) + ")"
}

func (e expr) holds(has map[string]bool) bool {
	if e.factor != "" {
		return has[e.factor]
	}
	count := 0
	for _, part := range e.of {
		if part.holds(has) {
			count++
		}
	}
	return count >= e.least
}

func sixTypes() []string { return []string{"OTP", "SMS", "EMAIL", "FACE", "PASSKEY", "VOICE"} }

// subsets are all sets of the six types.
func subsets() []map[string]bool {
	var all []map[string]bool
	for mask := range 1 << 6 {
		set := make(map[string]bool)
		for i, name := range sixTypes() {
			set[name] = mask&(1<<i) != 0
		}
		all = append(all, set)
	}
	return all
}

func (e expr) implies(other expr, sets []map[string]bool) bool {
	return !slices.ContainsFunc(sets, func(has map[string]bool) bool { return e.holds(has) && !other.holds(has) })
}

// naiveRule is a rule; kind is "require", "public" or "exempt".
type naiveRule struct {
	name           string
	kind           string
	policy         expr
	policyText     string // or a name
	reportOnly     bool
	routes, under  []string
	roles, tenants []string
}

// exemptUntil is when all exemptions end.
func exemptUntil() time.Time { return time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC) }

type naiveFile struct {
	policies  map[string]expr
	rules     []naiveRule
	byDefault naiveRule
}

func (f naiveFile) text() string {
	var b strings.Builder
	b.WriteString("version: 1\n")
	if len(f.policies) > 0 {
		b.WriteString("policies:\n")
		for name, policy := range f.policies {
			fmt.Fprintf(&b, "  %s: '%s'\n", name, policy.text())
		}
	}
	fmt.Fprintf(&b, "default: {require: '%s', mode: %s}\n", f.byDefault.policyText, mode(f.byDefault.reportOnly))
	if len(f.rules) > 0 {
		b.WriteString("rules:\n")
	}
	for _, r := range f.rules {
		fmt.Fprintf(&b, "  - name: %s\n", r.name)
		switch r.kind {
		case "require":
			fmt.Fprintf(&b, "    require: '%s'\n    mode: %s\n", r.policyText, mode(r.reportOnly))
		case "public":
			b.WriteString("    public: because\n")
		case "exempt":
			b.WriteString("    exempt: {reason: because, owner: somebody, expires: 2027-03-31}\n")
		}
		list := func(key string, values []string) {
			if len(values) > 0 {
				fmt.Fprintf(&b, "    %s: [\"%s\"]\n", key, strings.Join(values, `", "`))
			}
		}
		list("routes", r.routes)
		list("under", r.under)
		if len(r.roles)+len(r.tenants) > 0 {
			b.WriteString("    when:\n")
			for key, values := range map[string][]string{"role": r.roles, "tenant": r.tenants} {
				if len(values) > 0 {
					fmt.Fprintf(&b, "      %s: [%s]\n", key, strings.Join(values, ", "))
				}
			}
		}
	}
	return b.String()
}

func mode(reportOnly bool) string {
	if reportOnly {
		return "report-only"
	}
	return "enforce"
}

// matchesRoute reports whether a value of routes matches.
func matchesRoute(value, method, route string) bool {
	wanted, path, hasMethod := strings.Cut(value, " ")
	if !hasMethod {
		wanted, path = "", value
	}
	if !slices.Contains([]string{"GET", "HEAD", "POST", "DELETE"}, method) {
		method = "_OTHER"
	}
	return (wanted == "" || wanted == method || wanted == "GET" && method == "HEAD") && onHost(path, route, func(path, route string) bool { return path == route })
}

// matchesUnder reports whether a value of under matches.
func matchesUnder(path, route string) bool {
	return onHost(path, route, func(path, route string) bool {
		return path == "/" && strings.HasPrefix(route, "/") || path == route || strings.HasPrefix(route, path+"/")
	})
}

// onHost compares paths. One without a host is for every host.
func onHost(path, route string, same func(path, route string) bool) bool {
	split := func(s string) (string, string) {
		if i := strings.Index(s, "/"); i >= 0 {
			return s[:i], s[i:]
		}
		return "", s
	}
	wantHost, wantPath := split(path)
	host, rest := split(route)
	return (wantHost == "" || wantHost == host) && same(wantPath, rest)
}

// matchesWildcard reports whether a route is that of a path of under and all below it, and
// more: only what is guarded is matched by it.
func matchesWildcard(path, route string) bool {
	return onHost(path, route, func(path, route string) bool { return path != "/" && strings.HasPrefix(route, path+"*") })
}

func (r naiveRule) matches(method, route string) bool {
	return slices.ContainsFunc(r.routes, func(value string) bool { return matchesRoute(value, method, route) }) ||
		slices.ContainsFunc(r.under, func(path string) bool {
			return matchesUnder(path, route) || r.kind == "require" && matchesWildcard(path, route)
		})
}

type naiveUser struct {
	roles  []string
	tenant string
}

func (r naiveRule) isFor(u naiveUser) bool {
	return (len(r.roles) == 0 || slices.ContainsFunc(r.roles, func(role string) bool { return slices.Contains(u.roles, role) })) &&
		(len(r.tenants) == 0 || slices.Contains(r.tenants, u.tenant))
}

// matching returns the rules that match a route, for applying.
func (f naiveFile) matching(method, route string) naiveFile {
	some := naiveFile{byDefault: f.byDefault}
	for _, r := range f.rules {
		if r.matches(method, route) {
			some.rules = append(some.rules, r)
		}
	}
	return some
}

// decide returns the rule that decides about a request, of those that match its route.
func (f naiveFile) decide(u naiveUser, at time.Time) naiveRule { return f.applying(u, at)[0] }

// applying returns the rules that would decide, each if those before it were not there.
func (f naiveFile) applying(u naiveUser, at time.Time) []naiveRule {
	var found []naiveRule
	ended := false // an exemption
	for _, r := range f.rules {
		switch {
		case !r.isFor(u), ended && r.kind != "require":
			continue
		case r.kind == "exempt" && !at.Before(exemptUntil()):
			ended = true
			continue
		}
		if found = append(found, r); len(r.roles)+len(r.tenants) == 0 {
			return found
		}
	}
	return append(found, f.byDefault)
}

// allowed reports whether a request goes through by a rule.
func (r naiveRule) allowed(has map[string]bool) bool {
	return r.kind != "require" || r.reportOnly || r.policy.holds(has)
}

// The world that random files are of.
func pathsOfWorld() []string {
	return []string{"/", "/a", "/a/:id", "/a/b", "/a/b/*", "/a*", "/c", "h.example/a", "h.example/a/:id"}
}

func routesOfWorld() []string {
	return append(pathsOfWorld(), "", "/z", "/a/z", "/a/b/z", "/ab", "/c/z", "h.example/z", "h.example/a/z", "h.example/a/b/z", "h.example/c", "i.example/a",
		"h.example/", "h.example/a/b", "h.example/a/b/*", "h.example/c/z",
		"/a/b*", "/a*z", "/a**", "/a*/b*", "/z*", "/c*/z", "h.example/a*", "h.example/a*z", "h.example/c*", "i.example/a*")
}

func methodsOfWorld() []string { return []string{"GET", "HEAD", "POST", "DELETE", "PURGE"} }

func usersOfWorld() []naiveUser {
	var users []naiveUser
	for _, roles := range [][]string{nil, {"admin"}, {"staff"}, {"admin", "staff"}} {
		for _, tenant := range []string{"", "acme", "beta"} {
			users = append(users, naiveUser{roles, tenant})
		}
	}
	return users
}

func timesOfWorld() []time.Time {
	return []time.Time{exemptUntil().Add(-time.Second), exemptUntil()}
}

// generator makes random files.
type generator struct{ *rand.Rand }

func (g generator) some(from []string, most int) []string {
	list := slices.Clone(from)
	g.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:g.IntN(most+1)]
}

func (g generator) policy(depth int) expr {
	if depth == 0 || g.IntN(3) == 0 {
		return expr{factor: sixTypes()[g.IntN(6)]}
	}
	n := 2 + g.IntN(2)
	e := expr{least: 1 + g.IntN(n)}
	for _, name := range g.some(sixTypes(), 6) {
		if len(e.of) < n {
			e.of = append(e.of, expr{factor: name})
		}
	}
	for len(e.of) < n {
		e.of = append(e.of, g.policy(depth-1))
	}
	if slices.ContainsFunc(e.of, func(part expr) bool { return part.factor == "" }) || hasTwice(e.of) {
		e.least = []int{1, n}[g.IntN(2)] // only types are counted
	}
	return e
}

func hasTwice(of []expr) bool {
	seen := make(map[string]bool)
	for _, e := range of {
		if seen[e.factor] {
			return true
		}
		seen[e.factor] = true
	}
	return false
}

func (g generator) file() naiveFile {
	f := naiveFile{policies: make(map[string]expr)}
	for i := range g.IntN(3) {
		f.policies[fmt.Sprintf("p%d", i)] = g.policy(1)
	}
	require := func(r *naiveRule) {
		r.kind, r.reportOnly = "require", g.IntN(4) == 0
		if len(f.policies) > 0 && g.IntN(2) == 0 {
			r.policyText = fmt.Sprintf("p%d", g.IntN(len(f.policies)))
			r.policy = f.policies[r.policyText]
			return
		}
		r.policy = g.policy(2)
		r.policyText = r.policy.text()
	}
	require(&f.byDefault)
	f.byDefault.name = "default"
	for i := range 1 + g.IntN(5) {
		r := naiveRule{name: fmt.Sprintf("r%d", i)}
		for _, path := range g.some(pathsOfWorld(), 2) {
			if g.IntN(2) == 0 {
				path = []string{"GET ", "HEAD ", "POST ", "_OTHER "}[g.IntN(4)] + path
			}
			r.routes = append(r.routes, path)
		}
		r.under = g.some([]string{"/", "/a", "/a/b", "/a*", "/c", "h.example/a"}, 1)
		if len(r.routes)+len(r.under) == 0 {
			continue
		}
		switch g.IntN(6) {
		case 0:
			r.kind = "public"
		case 1:
			r.kind = "exempt"
		case 2, 3:
			require(&r)
			r.roles = g.some([]string{"admin", "staff"}, 2)
			r.tenants = g.some([]string{"acme", "beta"}, 1)
		default:
			require(&r)
		}
		f.rules = append(f.rules, r)
	}
	return f
}

// factorsOf makes the set for the library.
func factorsOf(has map[string]bool) echomfa.FactorSet {
	var types []echomfa.FactorType
	for name, is := range has {
		if is {
			types = append(types, echomfa.FactorType(name))
		}
	}
	return echomfa.Factors(types...)
}
