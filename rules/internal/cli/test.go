package cli

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/internal/spelling"
)

// Result is how a test case went.
type Result struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Name string `json:"name"`
	Good bool   `json:"good"`
	// Why says what is not as expected. It may have several lines.
	Why string `json:"why,omitempty"`
}

func (a *app) testCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test FILE_test.yaml...",
		Short: "Hold a file of rules against a table of cases",
		Long: `Hold a file of rules against a table of cases.

A case has a request, what the user has enrolled, and what is expected: allow, report
or refuse. It may name the rule that decides. docs/rules.md describes the file.`,
		Example:           `  echomfa test mfa_test.yaml admin_test.yaml`,
		Args:              arguments("FILE_test.yaml..."),
		ValidArgsFunction: completeFiles(many),
		RunE:              func(_ *cobra.Command, args []string) error { return a.test(args) },
	}
}

func (a *app) test(names []string) error {
	results := []Result{}
	var wrong []error
	for _, name := range names {
		more, err := a.testFile(name)
		if err != nil {
			wrong = append(wrong, err)
		}
		results = append(results, more...)
	}
	if len(wrong) > 0 {
		return errors.Join(wrong...)
	}
	failed := 0
	var b strings.Builder
	for _, r := range results {
		if r.Good {
			fmt.Fprintf(&b, "ok    %s\n", r.Name)
			continue
		}
		failed++
		fmt.Fprintf(&b, "FAIL  %s\n  %s:%d:\n%s\n", r.Name, r.File, r.Line, indented(indented(r.Why)))
	}
	fmt.Fprintf(&b, "%d of %s failed\n", failed, count(len(results), "case"))
	if err := a.print(b.String(), results); err != nil {
		return err
	}
	if failed > 0 {
		return &failure{code: exitFailed}
	}
	return nil
}

// testFile runs the cases of a file.
func (a *app) testFile(name string) ([]Result, error) {
	data, err := a.readFile(name, maxRules)
	if err != nil {
		return nil, err
	}
	suite, mistakes := readSuite(data, nameOf(name))
	if len(mistakes) > 0 {
		return nil, invalid(fmt.Errorf("the test cases have %s\n%w", count(len(mistakes), "mistake"), mistakes))
	}
	beside := func(other string) string {
		if filepath.IsAbs(other) {
			return other
		}
		return filepath.Join(filepath.Dir(name), other)
	}
	f, err := a.loadRules(beside(suite.rules))
	if err != nil {
		return nil, fmt.Errorf("%s: rules: %w", name, err)
	}
	var coverage *rules.Coverage
	if suite.routes != "" {
		c, err := a.loadCoverage(beside(suite.routes))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		coverage = &c
	}
	results := make([]Result, 0, len(suite.cases))
	for i := range suite.cases {
		c := &suite.cases[i]
		r := Result{File: name, Line: c.line, Name: c.name}
		r.Why, err = c.run(f, coverage)
		if err != nil {
			return nil, invalid(fmt.Errorf("%s:%d: %w", name, c.line, err))
		}
		r.Good = r.Why == ""
		results = append(results, r)
	}
	return results, nil
}

// run returns what is not as expected, or "".
func (c *testCase) run(f *rules.File, coverage *rules.Coverage) (string, error) {
	q := c.question
	if c.url {
		route, err := routeOf(coverage, q.Method, q.Route)
		if err != nil {
			return "", ofFlag("url", err)
		}
		q.Route = route
	}
	var why []string
	if coverage != nil {
		if no := noRoute(coverage, q.Method, q.Route); !c.url && no != "" {
			return "route: " + no, nil // what the rules say of it is of no use
		}
		q.Mounts = mountsOf(coverage, q.Method, q.Route)
	}
	x, err := Explain(f, &q)
	if err != nil {
		return "", err
	}
	decides := x.Rules[len(x.Rules)-1].Rule
	if x.Answer.Outcome != c.expect {
		why = append(why, fmt.Sprintf("expect: want %s, got %s: %s", c.expect, x.Answer.Outcome, x.Answer.Text))
	}
	if cmp.Or(c.rule, decides) != decides {
		why = append(why, fmt.Sprintf("rule: want %s, got %s", c.rule, decides))
		var known []string
		for _, r := range f.Rules() {
			known = append(known, r.Name())
		}
		if !slices.Contains(known, c.rule) {
			why = append(why, strings.TrimSuffix(fmt.Sprintf("there is no rule %s: %s", c.rule, spelling.DidYouMean(c.rule, known)), ": "))
		}
	}
	return strings.Join(why, "\n"), nil
}
