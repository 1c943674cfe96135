package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/echomfa/echomfa/rules"
)

// explainFlags are the flags of explain.
type explainFlags struct {
	route, url, routes, at, tenant string
	have, roles                    []string
}

func (a *app) explainCommand() *cobra.Command {
	var flags explainFlags
	command := &cobra.Command{
		Use:   "explain FILE {--route \"METHOD ROUTE\" | --url URL --routes coverage.json}",
		Short: "Say which rule decides about a request, and what the user gets",
		Long: `Say which rule decides about a request, and what the user gets.

Each rule is a hit, a miss or, if it is for users whose role or tenant is not given,
a may. The last one decides, unless a may before it does.

Without --routes every --route is taken to be one of the app. A request that no route
matches is explained by --url.`,
		Example: `  echomfa explain mfa.yaml --route "POST /admin/users" --have OTP --role admin
  echomfa explain mfa.yaml --url /admin/users --routes coverage.json --have none`,
		Args:              arguments("FILE"),
		ValidArgsFunction: completeFiles(1),
		RunE: func(command *cobra.Command, args []string) error {
			return a.explain(command, args[0], &flags)
		},
	}
	f := command.Flags()
	f.StringVar(&flags.route, "route", "", "the method and the registered `ROUTE`, such as \"POST /admin/users/:id\"")
	f.StringVar(&flags.url, "url", "", "the `URL` or its path, after a method or for GET, such as \"POST /admin/users/7\"; needs --routes")
	f.StringVar(&flags.routes, "routes", "", routesUsage)
	f.StringArrayVar(&flags.have, "have", nil, "the `TYPES` that the user has enrolled, such as OTP,FACE, or none")
	f.StringArrayVar(&flags.roles, "role", nil, "the user's `ROLES`; \"\" for none")
	f.StringVar(&flags.tenant, "tenant", "", "the user's `TENANT`; \"\" for none")
	f.StringVar(&flags.at, "at", "", atUsage)
	complete(command)
	return command
}

func (a *app) explain(command *cobra.Command, name string, flags *explainFlags) error {
	q, err := a.question(command, flags)
	if err != nil {
		return err
	}
	f, err := a.loadRules(name)
	if err != nil {
		return err
	}
	if flags.routes != "" {
		coverage, err := a.loadCoverage(flags.routes)
		if err != nil {
			return err
		}
		if flags.url == "" {
			if why := noRoute(&coverage, q.Method, q.Route); why != "" {
				return fmt.Errorf("--route: %s", why)
			}
		} else if q.Route, err = routeOf(&coverage, q.Method, q.Route); err != nil {
			return ofFlag("--url", err)
		}
		q.Mounts = mountsOf(&coverage, q.Method, q.Route)
	}
	x, err := Explain(f, q)
	if err != nil {
		return invalid(err)
	}
	x.URL = flags.url
	return a.print(x.text(f), x)
}

// question reads the flags. For --url the route is still the URL.
func (a *app) question(command *cobra.Command, flags *explainFlags) (*Question, error) {
	q := &Question{}
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	var err error
	switch {
	case (flags.route == "") == (flags.url == ""):
		fail("give one of --route and --url")
	case flags.url != "":
		if flags.routes == "" {
			fail("--url needs --routes: the routes of the app say which one the URL meets")
		}
		if q.Method, q.Route, err = request(flags.url); err != nil {
			fail("--url: %w", err)
		} else if q.Method == "" {
			q.Method = "GET"
		}
	default:
		switch q.Method, q.Route, err = request(flags.route); {
		case err != nil:
			fail("--route: %w", err)
		case q.Method == "":
			fail("--route: %q has no method: did you mean %q?", flags.route, "GET "+flags.route)
		case strings.Contains(q.Route, "://"):
			fail("--route: %q is a URL: use --url", q.Route)
		case !strings.Contains(q.Route, "/"):
			fail("--route: %q has no path that begins with a slash", flags.route)
		}
	}
	if q.At, err = a.moment(flags.at); err != nil {
		fail("%w", err)
	}
	if command.Flags().Changed("have") {
		have, err := factors(split(flags.have))
		if err != nil {
			fail("--have: %w", err)
		}
		q.Have = &have
	}
	if command.Flags().Changed("role") {
		q.Roles = split(flags.roles)
	}
	if command.Flags().Changed("tenant") {
		q.Tenant = &flags.tenant
	}
	return q, errors.Join(errs...)
}

// text is the explanation for people.
func (x *Explanation) text(f *rules.File) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", x.Method, displayed(x.Route))
	if x.URL != "" {
		fmt.Fprintf(&b, ", for %s", x.URL)
	}
	fmt.Fprintf(&b, "\n")
	for _, step := range x.Rules {
		fmt.Fprintf(&b, "  %-4s  %s:%d  %s\n", step.Result, f.Name(), step.Line, step.line())
	}
	for _, step := range x.Mounts {
		fmt.Fprintf(&b, "  %-4s  %s\n", step.Result, step.line())
	}
	fmt.Fprintf(&b, "answer: %s\n", x.Answer.Text)
	return b.String()
}

func (s *Step) line() string {
	line := s.Rule
	if s.Asks != "" {
		line += ": " + s.Asks
	}
	if s.Why != "" {
		line += " [" + s.Why + "]"
	}
	return line
}

// displayed is how a route is called.
func displayed(route string) string {
	if route == "" {
		return "without a route"
	}
	return route
}
