package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/echomfa/echomfa"
	"go.yaml.in/yaml/v4"
)

// The keys of a file.
func fileKeys() []string {
	return []string{"version", "policies", "default", "rules", "on_unavailable"}
}

func parse(data []byte, name string) (*File, error) {
	p := &parser{decoder: decoder{file: name}, policies: make(map[string]*named), texts: make(map[string]echomfa.Policy), hosts: make(map[string]bool)}
	root := p.load(data)
	if root == nil {
		return nil, p.sorted()
	}
	f := p.parseFile(root)
	if p.failed() {
		return nil, p.sorted()
	}
	f.compiled = compileRules(f.rules)
	p.analyze(f)
	if p.failed() {
		return nil, p.sorted()
	}
	sum := sha256.Sum256(data)
	f.name, f.hash = name, hex.EncodeToString(sum[:])
	for _, r := range f.rules {
		r.requirement.Revision = f.ShortHash()
	}
	return f, nil
}

// parser makes a File of a tree.
type parser struct {
	decoder

	policies map[string]*named
	texts    map[string]echomfa.Policy // of policy texts: the same text is one policy
	entries  int                       // routes and under, in all rules
	hosts    map[string]bool
}

// named is a policy with a name.
type named struct {
	policy echomfa.Policy
	at     place
	used   bool
}

func (p *parser) parseFile(root *yaml.Node) *File {
	f := &File{}
	fields, ok := p.mapping(root, "the file", fileKeys()...)
	if !ok {
		return f
	}
	p.version(root, fields)
	if policies, ok := fields["policies"]; ok {
		p.parsePolicies(policies.value)
	}
	if unavailable, ok := fields["on_unavailable"]; ok {
		f.onUnavailable = p.parseOnUnavailable(unavailable)
	}
	var byDefault *Rule
	if d, ok := fields["default"]; ok {
		byDefault = p.parseDefault(d)
	} else {
		p.fail(at(root), "default", "default: {require: ...} guards all other routes", "the file has no default")
	}
	if rules, ok := fields["rules"]; ok {
		f.rules = p.parseRules(rules.value)
	}
	for _, n := range p.policies {
		if n.used {
			continue
		}
		f.unused = append(f.unused, n)
	}
	slices.SortFunc(f.unused, func(a, b *named) int { return a.at.line - b.at.line })
	if byDefault != nil {
		byDefault.index = len(f.rules)
		f.rules = append(f.rules, byDefault)
	}
	return f
}

func (p *parser) version(root *yaml.Node, fields map[string]field) {
	version, ok := fields["version"]
	switch {
	case !ok:
		p.fail(at(root), "version", "begin with version: 1", "the file has no version")
	case version.value.Kind != yaml.ScalarNode || version.value.Value != "1" || version.value.ShortTag() != "!!int":
		p.fail(at(version.value), "version", "version: 1 is the only one", "the version must be 1, not %s", kindOf(version.value))
	}
}

// parsePolicies reads the policies with names.
func (p *parser) parsePolicies(n *yaml.Node) {
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		p.fail(at(n), "empty-list", "leave the key out", "policies is empty")
		return
	}
	fields, ok := p.mapping(n, "policies")
	if !ok {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		f := fields[name]
		if why, suggestion := notAName(name); why != "" {
			p.fail(at(f.key), "name", suggestion, "policy %q: %s", shortened(name), why)
		} else if isFactorType(name) {
			p.fail(at(f.key), "name", "", "policy %q: a factor type is not a name", name)
			continue
		} else if slices.Contains(words(), name) {
			p.fail(at(f.key), "name", "", "policy %q: a word of policies is not a name", name)
			continue
		}
		text, ok := p.text(f.value, "a policy")
		if !ok {
			p.policies[name] = &named{at: at(f.key)} // it has a name all the same
			continue
		}
		p.policies[name] = &named{policy: p.policyText(f.value, text).Named(name), at: at(f.key)}
	}
}

func words() []string { return []string{"and", "or", "of", "exempt"} }

func isFactorType(name string) bool {
	policy, err := echomfa.ParsePolicy(name)
	return err == nil && len(policy.Types()) == 1
}

// policyText reads a policy's text. The zero Policy stands for a mistake.
func (p *parser) policyText(n *yaml.Node, text string) echomfa.Policy {
	if policy, ok := p.texts[text]; ok {
		return policy
	}
	policy, err := echomfa.ParsePolicy(text)
	if err == nil {
		if _, exempt := policy.IsExempt(); !exempt {
			p.texts[text] = policy
			return policy
		}
		p.fail(at(n), "policy", "use public or exempt in a rule", "an exemption is not a policy here")
		return echomfa.Policy{}
	}
	where, message := at(n), strings.TrimPrefix(err.Error(), echomfa.ErrInvalidPolicy.Error()+": ")
	if syntax := (*echomfa.PolicySyntaxError)(nil); errors.As(err, &syntax) {
		message = syntax.Message
		if n.Style == 0 && !strings.Contains(text, "\n") { // as it stands in the file
			where.column += utf8.RuneCountInString(text[:min(syntax.Offset, len(text))])
		}
	}
	message, suggestion, _ := strings.Cut(message, ": did you mean ")
	if suggestion != "" {
		suggestion = "did you mean " + suggestion
	}
	p.fail(where, "policy", suggestion, "%s", message)
	return echomfa.Policy{}
}

// parsePolicy reads what a rule requires: the name of a policy, or its text.
func (p *parser) parsePolicy(n *yaml.Node) echomfa.Policy {
	text, ok := p.text(n, "require")
	if !ok {
		return echomfa.Policy{}
	}
	if known, ok := p.policies[text]; ok {
		known.used = true
		return known.policy
	}
	if policy, ok := p.texts[text]; ok {
		return policy
	}
	if why, _ := notAName(text); why == "" && !isFactorType(text) && !p.mistakes.full() {
		if suggestion := didYouMean(text, slices.Sorted(maps.Keys(p.policies))); suggestion != "" {
			p.fail(at(n), "policy", suggestion, "unknown policy %q", text)
			return echomfa.Policy{}
		}
	}
	return p.policyText(n, text)
}

// parseMode reads the mode of a rule.
func (p *parser) parseMode(fields map[string]field) echomfa.Mode {
	f, ok := fields["mode"]
	if !ok {
		return echomfa.Enforce
	}
	text, ok := p.text(f.value, "mode")
	switch {
	case !ok, text == "enforce":
		return echomfa.Enforce
	case text == "report-only":
		return echomfa.ReportOnly
	}
	suggestion := didYouMean(strings.ReplaceAll(strings.ToLower(text), "_", "-"), []string{"enforce", "report-only"})
	p.fail(at(f.value), "mode", suggestion, "the mode must be enforce or report-only, not %s", kindOf(f.value))
	return echomfa.Enforce
}

// parseDefault reads what guards all other routes.
func (p *parser) parseDefault(f field) *Rule {
	r := &Rule{name: defaultName, at: at(f.key)}
	fields, ok := p.mapping(f.value, "default", "require", "mode")
	if !ok {
		return r
	}
	if required, ok := fields["require"]; ok {
		r.policy = p.parsePolicy(required.value)
	} else {
		p.fail(at(f.value), "require", "", "default has no require")
	}
	r.mode = p.parseMode(fields)
	r.settle()
	return r
}

// parseOnUnavailable reads what happens while lookups fail.
func (p *parser) parseOnUnavailable(f field) OnUnavailable {
	u := OnUnavailable{Set: true, Line: f.key.Line, Column: f.key.Column}
	if f.value.Kind == yaml.ScalarNode {
		if text, ok := p.text(f.value, "on_unavailable"); ok && text != "refuse" {
			p.fail(at(f.value), "on-unavailable", "{insecure_allow_until: 2026-01-31T12:00:00Z} lets users through until then",
				"on_unavailable must be refuse or a mapping, not %s", kindOf(f.value))
		}
		return u
	}
	fields, ok := p.mapping(f.value, "on_unavailable", "insecure_allow_until")
	if !ok {
		return u
	}
	until, ok := fields["insecure_allow_until"]
	if !ok {
		p.fail(at(f.value), "on-unavailable", "", "on_unavailable has no insecure_allow_until")
		return u
	}
	u.InsecureAllowUntil = p.moment(until.value, "insecure_allow_until", false)
	return u
}

// moment reads a time with an offset, or where that is allowed a date, which ends at
// 24:00 UTC.
func (p *parser) moment(n *yaml.Node, what string, dates bool) time.Time {
	if !p.plain(n) {
		return time.Time{}
	}
	if n.Kind == yaml.ScalarNode {
		if t, err := time.Parse(time.RFC3339, n.Value); err == nil && isStrict(n.Value, t) {
			return t
		}
		if day, err := time.Parse(time.DateOnly, n.Value); err == nil && dates {
			return day.AddDate(0, 0, 1)
		}
	}
	want := "a time with its offset, such as 2026-03-31T18:00:00+08:00"
	if dates {
		want = "a date, such as 2026-03-31, or " + want
	}
	suggestion := ""
	if _, err := time.Parse("2006-01-02T15:04:05", strings.Replace(n.Value, " ", "T", 1)); err == nil {
		suggestion = "add the offset, such as " + strings.Replace(n.Value, " ", "T", 1) + "Z"
	}
	p.fail(at(n), "time", suggestion, "%s must be %s, not %s", what, want, kindOf(n))
	return time.Time{}
}

// isStrict reports whether a time is written as RFC 3339 has it. [time.Parse] also takes an
// hour of one digit, a comma, and an offset of a day.
func isStrict(text string, t time.Time) bool {
	_, offset := t.Zone()
	return strings.HasPrefix(text, t.Format("2006-01-02T15:04:05")) && !strings.Contains(text, ",") && max(offset, -offset) < 24*60*60
}

// notAName says why a text is no name of a rule or a policy, and what could be one.
func notAName(text string) (why, suggestion string) {
	const most = 64
	if len(text) > most {
		return fmt.Sprintf("a name has at most %d letters", most), ""
	}
	isName := func(name string) bool {
		return name != "" && name[0] >= 'a' && name[0] <= 'z' && !strings.ContainsFunc(name, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-'
		})
	}
	if isName(text) {
		return "", ""
	}
	if better := strings.NewReplacer("_", "-", " ", "-", ".", "-").Replace(strings.ToLower(text)); isName(better) {
		suggestion = "did you mean " + better + "?"
	}
	return "a name has lower-case letters, digits and hyphens, and begins with a letter", suggestion
}
