package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Registered returns the routes, for [CheckOptions] and [Diff].
func (c *Coverage) Registered() []Route {
	var routes []Route
	for i := range c.Routes {
		if r := &c.Routes[i]; r.Kind != Unmatched {
			routes = append(routes, Route{Method: r.Method, Path: strings.ToLower(r.Host) + r.Path})
		}
	}
	return routes
}

// UnguardedError lists the routes of an app that nothing guards.
type UnguardedError struct{ Routes []CoveredRoute }

// Error returns one line for each route.
func (e *UnguardedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "rules: %d unguarded:", len(e.Routes))
	for i := range e.Routes {
		r := &e.Routes[i]
		fmt.Fprintf(&b, "\n\t%s: %s", r.name(), r.Unguarded)
	}
	return b.String()
}

// Err returns nil if every route has a guard or is open because a policy says so, and
// otherwise an [*UnguardedError].
func (c *Coverage) Err() error {
	var unguarded []CoveredRoute
	for i := range c.Routes {
		if c.Routes[i].Unguarded != "" {
			unguarded = append(unguarded, c.Routes[i])
		}
	}
	if unguarded == nil {
		return nil
	}
	return &UnguardedError{unguarded}
}

// JSON returns the coverage as a document that [ReadCoverage] reads. It ends with a
// newline.
func (c *Coverage) JSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(c); err != nil {
		return nil, fmt.Errorf("rules: coverage: %w", err)
	}
	return b.Bytes(), nil
}

// ReadCoverage reads what [Coverage.JSON] has written.
func ReadCoverage(data []byte) (Coverage, error) {
	var c Coverage
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return Coverage{}, fmt.Errorf("rules: coverage: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return Coverage{}, errors.New("rules: coverage: more than one document")
	}
	if c.Format != coverageFormat {
		return Coverage{}, fmt.Errorf("rules: coverage: format %d, want %d", c.Format, coverageFormat)
	}
	return c, nil
}

// Text returns a line for each route, and one for each thing that cannot be seen. What
// changes with every build is not in it: neither the version nor the hash of the rules.
func (c *Coverage) Text() string {
	var b strings.Builder
	for i := range c.Routes {
		b.WriteString(c.Routes[i].String() + "\n")
	}
	for _, unseen := range c.Unseen {
		fmt.Fprintf(&b, "not seen: %s\n", unseen)
	}
	return b.String()
}

// Markdown returns the coverage as a document for auditors.
func (c *Coverage) Markdown() string {
	var b, exempt strings.Builder
	unguarded := 0
	for i := range c.Routes {
		r := &c.Routes[i]
		if r.Unguarded != "" {
			unguarded++
		}
		for _, by := range r.Guards {
			if by.Exempt != nil {
				exempt.WriteString(row(r.name(), by.Rule, by.Exempt.Reason, by.Exempt.Owner, by.Exempt.Expires.Format(time.RFC3339)))
			}
		}
	}
	fmt.Fprintf(&b, "# MFA coverage of %s\n\n", cell(c.Service))
	b.WriteString("| | |\n| --- | --- |\n" +
		row("Version", c.Version) + row("Revision", c.Revision) + row("Framework", c.Framework) + row("Rules (SHA-256)", c.Rules) +
		row("Routes", strconv.Itoa(len(c.Routes))) + row("Unguarded", strconv.Itoa(unguarded)))
	b.WriteString("\n## Routes\n\n| route | guard |\n| --- | --- |\n")
	for i := range c.Routes {
		b.WriteString(row(c.Routes[i].name(), c.Routes[i].answer()))
	}
	if exempt.Len() > 0 {
		b.WriteString("\n## Exemptions\n\n| route | rule | reason | owner | expires |\n| --- | --- | --- | --- | --- |\n" + exempt.String())
	}
	if len(c.Unseen) > 0 {
		b.WriteString("\n## Not seen\n\n")
		for _, unseen := range c.Unseen {
			fmt.Fprintf(&b, "- %s\n", cell(unseen))
		}
	}
	return b.String()
}

// row returns a row of a table.
func row(cells ...string) string {
	for i, text := range cells {
		cells[i] = cell(text)
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// cell keeps a text from ending its cell, and its line.
func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "*", "\\*", "_", "\\_", "<", "&lt;", "\n", " ").Replace(text)
}

// name is how a route is called in a line.
func (r *CoveredRoute) name() string {
	switch r.Kind {
	case Unmatched:
		return "requests that match no route"
	case GeneratedNotFound:
		return r.Host + r.Path + " (generated 404)"
	case NotFound:
		return r.Host + r.Path + " (the app's 404)"
	case Ordinary:
	}
	return r.Method + " " + r.Host + r.Path
}

// String returns the line of the route in [Coverage.Text].
func (r CoveredRoute) String() string { return r.name() + " -> " + r.answer() }

// answer says what guards the route.
func (r *CoveredRoute) answer() string {
	switch {
	case r.Unguarded != "":
		return "UNGUARDED: " + r.Unguarded
	case len(r.Guards) == 0:
		return "nothing is behind it"
	}
	parts := make([]string, 0, len(r.Guards))
	for i := range r.Guards {
		parts = append(parts, r.Guards[i].String())
	}
	return strings.Join(parts, "; and ")
}

// String returns what the guard asks for, in a line.
func (by CoveredBy) String() string {
	from := "a mount"
	if by.Rule != "" {
		from = "rule " + by.Rule
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", from)
	switch {
	case by.PerRequest:
		b.WriteString("what RequireFunc returns")
	case by.Exempt != nil:
		fmt.Fprintf(&b, "exempt until %s (%s, %s)", by.Exempt.Expires.Format(time.RFC3339), by.Exempt.Owner, by.Exempt.Reason)
	case by.Requires == "":
		fmt.Fprintf(&b, "open (%s)", by.Public)
	case by.Policy != "":
		fmt.Fprintf(&b, "%s (%s)", by.Policy, by.Requires)
	default:
		b.WriteString(by.Requires)
	}
	if by.Mode == "report-only" {
		b.WriteString(", report only")
	}
	for _, s := range by.Stricter {
		fmt.Fprintf(&b, ", for %s %s", users(s.Roles, s.Tenants), s)
	}
	if by.Then != nil {
		fmt.Fprintf(&b, ", then %s", by.Then)
	}
	return b.String()
}

// users says whom a rule with a when is for.
func users(roles, tenants []string) string {
	var parts []string
	if len(roles) > 0 {
		parts = append(parts, "role "+strings.Join(roles, " or "))
	}
	if len(tenants) > 0 {
		parts = append(parts, "tenant "+strings.Join(tenants, " or "))
	}
	return strings.Join(parts, " and ")
}
