package rules

import (
	"slices"
	"time"

	"github.com/echomfa/echomfa"
)

// File is a file of rules that has been read and has no mistake. It does not change, and
// may be used concurrently. The zero File and nil guard everything with an invalid
// policy: the answer is a 500.
type File struct {
	name          string
	hash          string
	rules         []*Rule // in the order of the file, the default last
	onUnavailable OnUnavailable
	compiled      *compiled
	unused        []*named // policies
}

// Parse reads a file of rules. Name is what mistakes and log lines call it. The error is
// a [Mistakes] with all that is wrong. What depends on the time or on the app, such as an
// exemption that has expired, [File.Check] finds.
func Parse(data []byte, name string) (*File, error) { return parse(data, name) }

const defaultName = "default"

// Name returns the name that Parse was given.
func (f *File) Name() string { return f.name }

// Hash returns the SHA-256 of the file's bytes in hexadecimal digits.
func (f *File) Hash() string { return f.hash }

// ShortHash returns the first 12 digits of Hash, as log lines and metrics have it.
func (f *File) ShortHash() string { return f.hash[:min(12, len(f.hash))] }

// Rules returns the rules in the order of the file, the default last. The slice is the
// caller's.
func (f *File) Rules() []*Rule { return slices.Clone(f.rules) }

// Default returns what guards the routes that no rule matches. Its name is "default".
func (f *File) Default() *Rule {
	if len(f.rules) == 0 {
		return &Rule{}
	}
	return f.rules[len(f.rules)-1]
}

// OnUnavailable returns what the file says of requests while lookups fail.
func (f *File) OnUnavailable() OnUnavailable { return f.onUnavailable }

// OnUnavailable is the key on_unavailable. The zero value says that the file does not
// have it.
type OnUnavailable struct {
	// Set reports whether the file has the key.
	Set bool
	// InsecureAllowUntil is the end of InsecureAllow; zero means Refuse.
	InsecureAllowUntil time.Time
	// Line and Column are where the key is.
	Line, Column int
}

// Kind says what a rule does. The zero value requires a policy.
type Kind uint8

// The kinds of rules.
const (
	// Require asks for a policy.
	Require Kind = iota
	// Public is open by design, and stays so.
	Public
	// Exempt is open until a date. From then on the rule does not count, and neither do
	// public and exempt ones after it: the next rule that requires a policy does, at last
	// the default.
	Exempt
)

// String returns the kind as the file spells it, such as "public".
func (k Kind) String() string {
	switch k {
	case Public:
		return "public"
	case Exempt:
		return "exempt"
	case Require:
	}
	return "require"
}

// Rule is one rule of a file, or its default. It does not change.
type Rule struct {
	name           string
	kind           Kind
	policy         echomfa.Policy
	mode           echomfa.Mode
	reason, owner  string
	expires        time.Time
	roles, tenants []string
	routes, under  []matcher
	at, whenAt     place
	index          int // in the file
	requirement    echomfa.Requirement
}

// Name returns the rule's name, or "default".
func (r *Rule) Name() string { return r.name }

// IsDefault reports whether it is the file's default.
func (r *Rule) IsDefault() bool { return r.name == defaultName }

// Kind returns what the rule does.
func (r *Rule) Kind() Kind { return r.kind }

// Policy returns what the rule requires. It is named as in the file, if it has a name
// there. That of a public or exempt rule is [echomfa.Exempt] with the reason.
func (r *Rule) Policy() echomfa.Policy { return r.policy }

// Mode returns whether the rule is enforced.
func (r *Rule) Mode() echomfa.Mode { return r.mode }

// Reason returns why a public or exempt rule is open.
func (r *Rule) Reason() string { return r.reason }

// Owner returns who answers for an exempt rule.
func (r *Rule) Owner() string { return r.owner }

// Expires returns when an exempt rule ends; zero for other rules.
func (r *Rule) Expires() time.Time { return r.expires }

// Expired reports whether the rule is an exempt one that has ended.
func (r *Rule) Expired(at time.Time) bool { return r.kind == Exempt && !at.Before(r.expires) }

// When returns the roles and the tenants that the rule is for. One of each list that is
// not empty must hold. Both are empty for a rule that is for everybody.
func (r *Rule) When() (roles, tenants []string) {
	return slices.Clone(r.roles), slices.Clone(r.tenants)
}

// Conditional reports whether the rule has a when.
func (r *Rule) Conditional() bool { return len(r.roles)+len(r.tenants) > 0 }

// Routes returns the registered routes that the rule names one by one.
func (r *Rule) Routes() []Route {
	routes := make([]Route, 0, len(r.routes))
	for _, m := range r.routes {
		routes = append(routes, m.Route)
	}
	return routes
}

// Under returns the paths whose registered routes, and all below them, the rule matches. If
// it requires a policy, it also matches routes that begin with one of them and a *, such as
// "/admin*": a router passes these all requests for "/admin" and below it.
func (r *Rule) Under() []string {
	paths := make([]string, 0, len(r.under))
	for _, m := range r.under {
		paths = append(paths, m.Path)
	}
	return paths
}

// Position returns where the rule is in the file, from 1.
func (r *Rule) Position() (line, column int) { return r.at.line, r.at.column }

// Requirement returns what the rule asks of a request that it decides about.
func (r *Rule) Requirement() echomfa.Requirement { return r.requirement }
