package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/echomfa/echomfa/rules"
)

// Check is what check answers.
type Check struct {
	File string `json:"file"`
	// Hash is the SHA-256 of the file. It is empty if the file cannot be used.
	Hash string `json:"hash,omitempty"`
	// Rules is how many there are, with the default.
	Rules int `json:"rules"`
	// Good reports whether there is no mistake but notes.
	Good bool `json:"good"`
	// Mistakes has the notes, too.
	Mistakes rules.Mistakes `json:"mistakes"`
	// Open is what public and exempt rules open.
	Open []Opened `json:"open"`
}

// Opened is a route that a public or exempt rule opens.
type Opened struct {
	Methods []string `json:"methods"`
	// Path is the registered path.
	Path string `json:"path"`
	// Below says that it is the routes below Path, too. It is for a check without routes.
	Below   bool      `json:"below,omitempty"`
	Rule    string    `json:"rule"`
	Kind    string    `json:"kind"`
	Reason  string    `json:"reason"`
	Owner   string    `json:"owner,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
}

// checkFlags are the flags of check.
type checkFlags struct {
	routes, at                        string
	pages, roles, tenants, enrollable []string
}

func (a *app) checkCommand() *cobra.Command {
	var flags checkFlags
	command := &cobra.Command{
		Use:   "check FILE",
		Short: "Find what is wrong with a file of rules, and say which routes it opens",
		Long: `Find what is wrong with a file of rules, and say which routes it opens.

With --routes also rules that no route meets, and as notes routes that only the
default guards. Notes do not change the exit status.`,
		Example: `  echomfa check mfa.yaml
  echomfa check mfa.yaml --routes coverage.json --pages /mfa,/login --roles admin,auditor`,
		Args:              arguments("FILE"),
		ValidArgsFunction: completeFiles(1),
		RunE:              func(_ *cobra.Command, args []string) error { return a.check(args[0], &flags) },
	}
	f := command.Flags()
	f.StringVar(&flags.routes, "routes", "", routesUsage)
	f.StringArrayVar(&flags.pages, "pages", nil, "`PATHS` that users without a factor must reach, such as /mfa,/login")
	f.StringArrayVar(&flags.roles, "roles", nil, "the `ROLES` of the app's identities")
	f.StringArrayVar(&flags.tenants, "tenants", nil, "the `TENANTS` of the app's identities")
	f.StringArrayVar(&flags.enrollable, "factors", nil, "the factor `TYPES` that users can enroll, such as OTP,FACE")
	f.StringVar(&flags.at, "at", "", atUsage)
	complete(command)
	return command
}

func (a *app) check(name string, flags *checkFlags) error {
	options, err := a.checkOptions(flags)
	if err != nil {
		return err
	}
	var coverage *rules.Coverage
	if flags.routes != "" {
		read, err := a.loadCoverage(flags.routes)
		if err != nil {
			return err
		}
		coverage = &read
	}
	c := Check{File: nameOf(name), Mistakes: rules.Mistakes{}, Open: []Opened{}}
	f, err := a.readRules(name)
	if !errors.As(err, &c.Mistakes) {
		if err != nil {
			return err
		}
		if c, err = CheckFile(f, coverage, options); err != nil {
			return err
		}
	}
	if err := a.print(c.text(), c); err != nil {
		return err
	}
	if !c.Good {
		return &failure{code: exitInvalid}
	}
	return nil
}

func (a *app) checkOptions(flags *checkFlags) (rules.CheckOptions, error) {
	var errs []error
	options := rules.CheckOptions{Pages: split(flags.pages)}
	var err error
	if options.At, err = a.moment(flags.at); err != nil {
		errs = append(errs, err)
	}
	for _, page := range options.Pages {
		if page[0] != '/' {
			errs = append(errs, fmt.Errorf("--pages: %q does not begin with a slash", page))
		}
	}
	if flags.roles != nil {
		options.Roles = split(flags.roles)
	}
	if flags.tenants != nil {
		options.Tenants = split(flags.tenants)
	}
	if flags.enrollable != nil {
		set, err := factors(split(flags.enrollable))
		if err != nil {
			errs = append(errs, fmt.Errorf("--factors: %w", err))
		}
		options.Factors = append(options.Factors, set.Types()...)
		if len(options.Factors) == 0 && err == nil {
			errs = append(errs, errors.New("--factors: there is no type"))
		}
	}
	return options, errors.Join(errs...)
}

// CheckFile checks a file, for an app whose coverage is known or not (nil).
func CheckFile(f *rules.File, coverage *rules.Coverage, options rules.CheckOptions) (Check, error) {
	pages := options.Pages
	if coverage != nil {
		options.Routes, options.Pages = registered(coverage), nil
	}
	c := Check{File: f.Name(), Hash: f.Hash(), Rules: len(f.Rules()), Mistakes: append(rules.Mistakes{}, f.Check(options)...), Open: []Opened{}}
	if coverage == nil {
		c.openByRules(f, options.At)
	} else {
		for _, route := range options.Routes {
			c.open(f, route, "", false, options.At)
		}
		for _, page := range pages {
			if err := c.page(f, coverage, page, options.At); err != nil {
				return Check{}, ofFlag("--pages", err)
			}
		}
	}
	c.Good = !slices.ContainsFunc(c.Mistakes, func(m rules.Mistake) bool { return !m.Note })
	return c, nil
}

// page notes a page that users without a factor must reach and that is guarded. The app's
// router says which route it is.
func (c *Check) page(f *rules.File, coverage *rules.Coverage, page string, at time.Time) error {
	route, err := routeOf(coverage, "GET", page)
	if err != nil {
		return err
	}
	may := slices.DeleteFunc(f.Match("GET", route).Rules(), func(r *rules.Rule) bool { return r.Expired(at) })
	guard := may[0] // for some users, or for all
	if guard.Kind() != rules.Require {
		return nil
	}
	line, column := guard.Position()
	m := rules.Mistake{
		Code: "guarded-page", File: f.Name(), Line: line, Column: column,
		Message:    fmt.Sprintf("the rule %s guards %s, which users without a factor must reach", guard.Name(), page),
		Suggestion: fmt.Sprintf("name it in a public rule: routes: [%q]", route),
	}
	if route == "" {
		m.Suggestion = "no route of the app matches it"
	}
	c.Mistakes = append(c.Mistakes, m)
	return nil
}

// openByRules lists what the rules open, without the routes of an app.
func (c *Check) openByRules(f *rules.File, at time.Time) {
	for _, r := range f.Rules() {
		if r.Kind() == rules.Require {
			continue
		}
		for _, route := range r.Routes() {
			c.open(f, route, r.Name(), false, at)
		}
		for _, path := range r.Under() {
			c.open(f, rules.Route{Method: rules.AnyMethod, Path: path}, r.Name(), true, at)
		}
	}
}

// open lists what of a route is open, by one rule or by any ("").
func (c *Check) open(f *rules.File, route rules.Route, by string, below bool, at time.Time) {
	for _, guard := range f.Guards(route) {
		r := guard.Match.Weakest(at)
		if r.Kind() == rules.Require || by != "" && r.Name() != by {
			continue
		}
		c.Open = append(c.Open, Opened{
			Methods: guard.Methods, Path: route.Path, Below: below,
			Rule: r.Name(), Kind: r.Kind().String(), Reason: r.Reason(), Owner: r.Owner(), Expires: r.Expires(),
		})
	}
}

// text is the answer for people.
func (c *Check) text() string {
	var b strings.Builder
	mistakes := 0
	for _, m := range c.Mistakes {
		if !m.Note {
			mistakes++
			fmt.Fprintln(&b, m)
		}
	}
	for _, m := range c.Mistakes {
		if m.Note {
			fmt.Fprintf(&b, "note: %s\n", m)
		}
	}
	for _, o := range c.Open {
		path := o.Path
		if o.Below {
			path += " and all below it"
		}
		if methods := strings.Join(o.Methods, "|"); methods != rules.AnyMethod {
			path = methods + " " + path
		}
		fmt.Fprintf(&b, "open: %s: %s: %s", path, o.Rule, o.Reason)
		if !o.Expires.IsZero() {
			fmt.Fprintf(&b, " (until %s, %s)", stamp(o.Expires), o.Owner)
		}
		fmt.Fprintln(&b)
	}
	if mistakes > 0 {
		fmt.Fprintf(&b, "%s: %s\n", c.File, count(mistakes, "mistake"))
	} else {
		fmt.Fprintf(&b, "%s: good, %s\n", c.File, count(c.Rules, "rule"))
	}
	return b.String()
}
