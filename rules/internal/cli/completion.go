package cli

import (
	"math"
	"strings"

	"github.com/spf13/cobra"

	"github.com/echomfa/echomfa/rules"
)

// many files may be named.
const many = math.MaxInt

// completeFiles completes the names of so many files of rules.
func completeFiles(most int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return []cobra.Completion{"yaml", "yml", "json"}, cobra.ShellCompDirectiveFilterFileExt
	}
}

// complete completes the values of the flags that commands share.
func complete(command *cobra.Command) {
	register := func(name string, values cobra.CompletionFunc) {
		if command.Flags().Lookup(name) != nil {
			_ = command.RegisterFlagCompletionFunc(name, values) // fails for a flag that is not there
		}
	}
	register("routes", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return []cobra.Completion{"json"}, cobra.ShellCompDirectiveFilterFileExt
	})
	for _, name := range []string{"at", "url", "pages", "roles", "tenants", "host", "app-id", "app-id-header", "addr", "token-lifetime", "user"} {
		register(name, cobra.NoFileCompletions) // they name no file
	}
	types := func(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		before := begun[:strings.LastIndexByte(begun, ',')+1]
		var list []cobra.Completion
		for _, t := range factorTypes() {
			list = append(list, before+string(t))
		}
		return list, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	register("have", types)
	register("factors", types)
	register("enrolled", types)
	register("route", ofRoutes(ofRules(func(r *rules.Rule) []string {
		var routes []string
		for _, route := range r.Routes() {
			if route.Method != rules.AnyMethod {
				routes = append(routes, route.Method+" "+route.Path)
			}
		}
		return routes
	})))
	register("role", ofRules(func(r *rules.Rule) []string {
		roles, _ := r.When()
		return roles
	}))
	register("tenant", ofRules(func(r *rules.Rule) []string {
		_, tenants := r.When()
		return tenants
	}))
}

// ofRoutes completes by the routes of the app, if --routes has them.
func ofRoutes(others cobra.CompletionFunc) cobra.CompletionFunc {
	return func(command *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		name, _ := command.Flags().GetString("routes")
		if name == "" || name == stdin {
			return others(command, args, begun)
		}
		coverage, err := (&app{}).loadCoverage(name)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var list []cobra.Completion
		for _, route := range coverage.Registered() {
			if route.Method != rules.AnyMethod {
				list = append(list, route.Method+" "+route.Path)
			}
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// ofRules completes by what the rules of the file have that is named before.
func ofRules(values func(r *rules.Rule) []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) == 0 || args[0] == stdin {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		f, err := (&app{}).readRules(args[0])
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var list []cobra.Completion
		for _, r := range f.Rules() {
			list = append(list, values(r)...)
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}
