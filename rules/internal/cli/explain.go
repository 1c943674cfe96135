package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/echomfa/echomfa"

	"github.com/echomfa/echomfa/rules"
)

// Question is what explain is asked: what happens to a request of a user.
type Question struct {
	// Method and Route are the request's, as [rules.File.Match] takes them.
	Method, Route string
	// At is when.
	At time.Time
	// Have is what the user has enrolled. Nil: it is not said.
	Have *echomfa.FactorSet
	// Roles and Tenant are the user's. Nil: it is not said. Empty: none.
	Roles  []string
	Tenant *string
	// Mounts are what guards the route beside the rules.
	Mounts []rules.CoveredBy
}

// The results of a rule.
const (
	Hit  = "hit"  // it decides
	Miss = "miss" // it does not
	May  = "may"  // it decides for some users
)

// Step is what one rule, or one mount, has to do with a request.
type Step struct {
	Rule   string `json:"rule"`
	Line   int    `json:"line,omitempty"`
	Result string `json:"result"`
	// Why says why it does not decide, or for whom.
	Why string `json:"why,omitempty"`
	// Asks is what it asks for: only of a rule that may decide.
	Asks string `json:"asks,omitempty"`
}

// What happens to a request.
const (
	Allow   = "allow"   // it goes through
	Report  = "report"  // it goes through, and the missing factors are reported
	Refuse  = "refuse"  // 403
	Depends = "depends" // on what is not said
)

// Answer is what happens to a request.
type Answer struct {
	Outcome string `json:"outcome"`
	// Missing are the smallest additions that would have changed it.
	Missing [][]echomfa.FactorType `json:"missing,omitempty"`
	// Text says it in a sentence.
	Text string `json:"text"`
}

// Explanation is what explain answers.
type Explanation struct {
	Method string    `json:"method"`
	Route  string    `json:"route"`
	URL    string    `json:"url,omitempty"`
	At     time.Time `json:"at"`
	// Rules are the rules up to the one that decides if none before it does, which is the
	// last.
	Rules []Step `json:"rules"`
	// Mounts are what guards the route beside the rules.
	Mounts []Step `json:"mounts,omitempty"`
	Answer Answer `json:"answer"`
}

// Explain answers a question by a file.
func Explain(f *rules.File, q *Question) (Explanation, error) {
	x := Explanation{Method: q.Method, Route: q.Route, At: q.At}
	var may []Answer
	x.Rules, may = steps(f, q)
	answers := []Answer{oneOf(may)}
	for i := range q.Mounts {
		step, answer, err := mount(&q.Mounts[i], q)
		if err != nil {
			return Explanation{}, err
		}
		x.Mounts, answers = append(x.Mounts, step), append(answers, answer)
	}
	x.Answer = allOf(answers)
	return x, nil
}

// steps goes through the rules, and returns the answers that they may give.
func steps(f *rules.File, q *Question) ([]Step, []Answer) {
	var all []Step
	var may []Answer
	chain := f.Match(q.Method, q.Route).Rules()
	ended := "" // an exemption
	for _, r := range f.Rules() {
		line, _ := r.Position()
		step := Step{Rule: r.Name(), Line: line, Result: Miss}
		roles, tenants := r.When()
		switch holds := both(oneMayHold(roles, q.Roles, q.Roles != nil), oneMayHold(tenants, tenantOf(q), q.Tenant != nil)); {
		case !slices.Contains(chain, r):
			step.Why = "another route or method"
			if ended != "" && r.Kind() != rules.Require {
				step.Why = "it does not come after " + ended + ", which has expired, or is for another route or method"
			}
		case r.Expired(q.At):
			step.Why = "it expired on " + stamp(r.Expires())
			ended = r.Name()
		case holds == no:
			step.Why = "it is for " + users(roles, tenants)
		case holds == maybe:
			step.Result, step.Why, step.Asks = May, "for "+users(roles, tenants), asks(r)
			may = append(may, answerOf(r, q))
		default:
			step.Result, step.Asks = Hit, asks(r)
			return append(all, step), append(may, answerOf(r, q))
		}
		all = append(all, step)
	}
	return all, may // cannot be: the default decides
}

type truth uint8

const (
	no truth = iota
	maybe
	yes
)

func both(a, b truth) truth { return min(a, b) }

// oneMayHold reports whether a user has one of some values.
func oneMayHold(wanted, has []string, said bool) truth {
	switch {
	case len(wanted) == 0:
		return yes
	case !said:
		return maybe
	case slices.ContainsFunc(has, func(value string) bool { return slices.Contains(wanted, value) }):
		return yes
	}
	return no
}

func tenantOf(q *Question) []string {
	if q.Tenant == nil {
		return nil
	}
	return []string{*q.Tenant}
}

// users says whom a rule is for.
func users(roles, tenants []string) string {
	var parts []string
	if len(roles) > 0 {
		parts = append(parts, "the role "+strings.Join(roles, " or "))
	}
	if len(tenants) > 0 {
		parts = append(parts, "the tenant "+strings.Join(tenants, " or "))
	}
	return strings.Join(parts, " and ")
}

// asks says what a rule asks for.
func asks(r *rules.Rule) string {
	switch r.Kind() {
	case rules.Public:
		return "public: " + r.Reason()
	case rules.Exempt:
		return fmt.Sprintf("exempt until %s: %s (%s)", stamp(r.Expires()), r.Reason(), r.Owner())
	case rules.Require:
	}
	return asksFor(r.Policy(), r.Mode())
}

func asksFor(p echomfa.Policy, mode echomfa.Mode) string {
	text := p.String()
	if p.Name() != "" {
		text = fmt.Sprintf("%s (%s)", p.Name(), text)
	}
	if mode == echomfa.ReportOnly {
		text += ", report-only"
	}
	return text
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// answerOf returns what happens if a rule decides.
func answerOf(r *rules.Rule, q *Question) Answer {
	if r.Kind() != rules.Require {
		return Answer{Outcome: Allow, Text: fmt.Sprintf("the request goes through: the rule %s is %s", r.Name(), r.Kind())}
	}
	return answerTo("the rule "+r.Name(), r.Policy(), r.Mode(), q)
}

func answerTo(who string, p echomfa.Policy, mode echomfa.Mode, q *Question) Answer {
	if q.Have == nil {
		if mode == echomfa.ReportOnly {
			return Answer{Outcome: Depends, Text: fmt.Sprintf("the request goes through, and %s reports users who do not have %s", who, p)}
		}
		return Answer{Outcome: Depends, Text: fmt.Sprintf("%s lets users through who have %s; the others get a 403", who, p)}
	}
	e := p.Evaluate(*q.Have)
	switch {
	case e.Satisfied:
		return Answer{Outcome: Allow, Text: fmt.Sprintf("the request goes through: the user has what %s asks for", who)}
	case mode == echomfa.ReportOnly:
		return Answer{Outcome: Report, Missing: e.Missing, Text: fmt.Sprintf("the request goes through, and %s reports it: the user does not have %s", who, missing(e.Missing))}
	}
	return Answer{Outcome: Refuse, Missing: e.Missing, Text: fmt.Sprintf("403 by %s: the user does not have %s", who, missing(e.Missing))}
}

// missing lists alternatives.
func missing(alternatives [][]echomfa.FactorType) string {
	parts := make([]string, 0, len(alternatives))
	for _, types := range alternatives {
		names := make([]string, 0, len(types))
		for _, t := range types {
			names = append(names, string(t))
		}
		parts = append(parts, strings.Join(names, " and "))
	}
	return strings.Join(parts, ", or ")
}

// oneOf returns what happens if one of some answers is given, and it is not known which.
// The last one is the weakest: what misses in it misses in all of them.
func oneOf(answers []Answer) Answer {
	one := answers[len(answers)-1]
	var texts []string
	for _, a := range answers {
		if a.Outcome != one.Outcome {
			one.Outcome, one.Missing = Depends, nil
		}
		if !slices.Contains(texts, a.Text) {
			texts = append(texts, a.Text)
		}
	}
	one.Text = strings.Join(texts, "; or ")
	return one
}

// allOf returns what happens if each of some guards must let a request through.
func allOf(answers []Answer) Answer {
	severity := func(a Answer) int { return slices.Index([]string{Allow, Report, Depends, Refuse}, a.Outcome) }
	worst := slices.MaxFunc(answers, func(a, b Answer) int { return cmp.Compare(severity(a), severity(b)) })
	if worst.Outcome != Depends {
		return worst
	}
	var texts []string
	for _, a := range answers {
		if a.Outcome == Depends {
			texts = append(texts, a.Text)
		}
	}
	return Answer{Outcome: Depends, Text: strings.Join(texts, "; and ")}
}

// mount explains a guard beside the rules.
func mount(by *rules.CoveredBy, q *Question) (Step, Answer, error) {
	step := Step{Rule: "a mount", Result: Hit}
	switch {
	case by.PerRequest:
		step.Result, step.Why = May, "its RequireFunc chooses the policy"
		return step, Answer{Outcome: Depends, Text: "a mount asks for what its RequireFunc returns"}, nil
	case by.Requires == "":
		step.Asks = "open: " + by.Public
		return step, Answer{Outcome: Allow, Text: "the request goes through: a mount is open"}, nil
	}
	policy, err := echomfa.ParsePolicy(by.Requires)
	if err != nil {
		return Step{}, Answer{}, fmt.Errorf("--routes: the policy of a mount: %w", err)
	}
	mode := echomfa.Enforce
	if by.Mode == "report-only" {
		mode = echomfa.ReportOnly
	}
	step.Asks = asksFor(policy.Named(by.Policy), mode)
	return step, answerTo("a mount", policy, mode, q), nil
}
