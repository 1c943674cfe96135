package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/echomfa/echomfa/rules"
)

// Difference is what diff answers: how one route changes.
type Difference struct {
	// Relation is "stricter", "looser", "equal" or "incomparable".
	Relation string   `json:"relation"`
	Methods  []string `json:"methods"`
	// Path is the registered path, or empty for requests that no route matches.
	Path string `json:"path"`
	// Below says that it is the routes below Path that no file names, and not Path.
	Below bool `json:"below,omitempty"`
	// Before and After are the rules that may decide, in their order.
	Before []string `json:"before"`
	After  []string `json:"after"`
}

// Diff is what diff answers.
type Diff struct {
	Before      string         `json:"before"`
	After       string         `json:"after"`
	Differences []Difference   `json:"differences"`
	Unavailable *Unavailable   `json:"on_unavailable,omitempty"`
	Count       map[string]int `json:"count"`
	changes     []rules.Change
}

// Unavailable is how on_unavailable changes.
type Unavailable struct {
	Relation string `json:"relation"`
	Before   string `json:"before"`
	After    string `json:"after"`
}

func (a *app) diffCommand() *cobra.Command {
	var coverage, at string
	command := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say for which routes new rules are stricter, looser, equal or incomparable",
		Long: `Say for which routes new rules are stricter, looser, equal or incomparable.

What is compared is what a user needs to get through, not the text: a route whose
rules are the same is left out, one that asks for the same by another rule is equal.
Without --routes all paths that one of the files names are compared.`,
		Example: `  echomfa diff mfa.old.yaml mfa.yaml --routes coverage.json
  git show HEAD:mfa.yaml | echomfa diff - mfa.yaml`,
		Args:              arguments("OLD", "NEW"),
		ValidArgsFunction: completeFiles(2),
		RunE:              func(_ *cobra.Command, args []string) error { return a.diff(args[0], args[1], coverage, at) },
	}
	f := command.Flags()
	f.StringVar(&coverage, "routes", "", routesUsage)
	f.StringVar(&at, "at", "", atUsage)
	complete(command)
	return command
}

func (a *app) diff(before, after, coverage, at string) error {
	when, err := a.moment(at)
	if err != nil {
		return err
	}
	var routes []rules.Route
	if coverage != "" {
		c, err := a.loadCoverage(coverage)
		if err != nil {
			return err
		}
		routes = registered(&c)
		routes = append(routes, rules.Route{Method: rules.AnyMethod}) // requests that match none
	}
	was, err := a.loadRules(before)
	if err != nil {
		return err
	}
	is, err := a.loadRules(after)
	if err != nil {
		return err
	}
	d := DiffFiles(was, is, routes, when)
	return a.print(d.text(), d)
}

// DiffFiles compares two files.
func DiffFiles(before, after *rules.File, routes []rules.Route, at time.Time) Diff {
	d := Diff{Before: before.Name(), After: after.Name(), Differences: []Difference{}, Count: make(map[string]int)}
	for _, relation := range []rules.Relation{rules.Stricter, rules.Looser, rules.Incomparable, rules.Equal} {
		d.Count[relation.String()] = 0
	}
	d.changes = rules.Diff(before, after, routes, at)
	for i := range d.changes {
		c := &d.changes[i]
		d.Count[c.Relation.String()]++
		d.Differences = append(d.Differences, Difference{
			Relation: c.Relation.String(), Methods: c.Methods, Path: c.Path, Below: c.Below, Before: names(c.Before), After: names(c.After),
		})
	}
	d.Unavailable = unavailable(before.OnUnavailable(), after.OnUnavailable(), at)
	return d
}

func names(m rules.Match) []string {
	var list []string
	for _, r := range m.Rules() {
		list = append(list, r.String())
	}
	return list
}

// unavailable compares what two files say of failing lookups, or returns nil if they say
// the same. A file that says nothing means refuse.
func unavailable(before, after rules.OnUnavailable, at time.Time) *Unavailable {
	until := func(u rules.OnUnavailable) time.Time {
		if u.InsecureAllowUntil.After(at) {
			return u.InsecureAllowUntil
		}
		return time.Time{}
	}
	name := func(t time.Time) string {
		if t.IsZero() {
			return "refuse"
		}
		return "insecure_allow_until " + stamp(t)
	}
	was, is := until(before), until(after)
	if was.Equal(is) {
		return nil
	}
	u := &Unavailable{rules.Stricter.String(), name(was), name(is)}
	if is.After(was) {
		u.Relation = rules.Looser.String()
	}
	return u
}

// text is the answer for people.
func (d *Diff) text() string {
	var b strings.Builder
	for i := range d.changes {
		fmt.Fprintln(&b, d.changes[i])
	}
	if u := d.Unavailable; u != nil {
		fmt.Fprintf(&b, "%s: on_unavailable: %s -> %s\n", u.Relation, u.Before, u.After)
	}
	if b.Len() == 0 {
		return "no route requires anything else than before\n"
	}
	fmt.Fprintf(&b, "%d stricter, %d looser, %d incomparable, %d equal\n", d.Count["stricter"], d.Count["looser"], d.Count["incomparable"], d.Count["equal"])
	return b.String()
}
