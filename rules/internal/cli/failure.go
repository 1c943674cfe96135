package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/internal/spelling"
)

// Failure is what the program prints on standard error with --json if it has no answer.
type Failure struct {
	// Error is "usage", "invalid" or "other", as ExitStatus has it.
	Error      string `json:"error"`
	ExitStatus int    `json:"exit_status"`
	// Messages say what is wrong, one for each thing, but for Mistakes.
	Messages []string `json:"messages"`
	// Mistakes are those of the files.
	Mistakes rules.Mistakes `json:"mistakes,omitempty"`
	// Help is the command that says how it is done right.
	Help string `json:"help,omitempty"`
}

// failure is an error with its exit status. An error without one is a usage error: it is
// cobra's, or one about a flag.
type failure struct {
	code int
	err  error // nil: the output says it
}

func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit status %d", f.code)
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

func invalid(err error) error { return &failure{exitInvalid, err} }

// ofFlag names the flag of an error, unless it is a failure, which names its own.
func ofFlag(name string, err error) error {
	if f := (*failure)(nil); errors.As(err, &f) {
		return err
	}
	return fmt.Errorf("%s: %w", name, err)
}

// report prints an error, unless the output has said it, and returns the exit status.
func report(out io.Writer, command *cobra.Command, err error, asJSON bool) int {
	told := Failure{Error: "usage", ExitStatus: exitUsage, Messages: []string{}, Help: command.CommandPath() + " --help"}
	if f := (*failure)(nil); errors.As(err, &f) {
		if f.err == nil {
			return f.code
		}
		told.Error, told.ExitStatus, told.Help = "other", f.code, ""
		if f.code == exitInvalid {
			told.Error = "invalid"
		}
	}
	if asJSON {
		told.add(err)
		encoder := json.NewEncoder(out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(told) // there is nowhere else to say it
		return told.ExitStatus
	}
	text := fmt.Sprintf("echomfa: %v\n", err)
	if told.Help != "" {
		text += fmt.Sprintf("Run '%s' for usage.\n", told.Help)
	}
	_, _ = io.WriteString(out, printable(text))
	return told.ExitStatus
}

// add adds an error: each of those that are joined, and the mistakes of files as such.
func (f *Failure) add(err error) {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range all.Unwrap() {
			f.add(one)
		}
		return
	}
	text := err.Error()
	if m := rules.Mistakes(nil); errors.As(err, &m) {
		f.Mistakes = append(f.Mistakes, m...)
		text = strings.TrimSuffix(text, "\n"+m.Error())
	}
	f.Messages = append(f.Messages, strings.TrimSpace(text))
}

// wantsJSON reports whether arguments ask for JSON, also those that cannot be read to
// their end.
func wantsJSON(args []string) bool {
	wants := false
	for _, arg := range args {
		if arg == "--" {
			break
		}
		if arg == "--json" {
			wants = true
		}
		if text, ok := strings.CutPrefix(arg, "--json="); ok {
			wants, _ = strconv.ParseBool(text)
		}
	}
	return wants
}

// flagError says what is wrong with a flag without the words of Go, and which one may be
// meant.
func flagError(command *cobra.Command, err error) error {
	var (
		unknown *pflag.NotExistError
		alone   *pflag.ValueRequiredError
		wrong   *pflag.InvalidValueError
	)
	switch {
	case errors.As(err, &alone):
		return fmt.Errorf("--%s: its value is missing", alone.GetSpecifiedName())
	case errors.As(err, &wrong) && wrong.GetFlag().Value.Type() == "bool":
		return fmt.Errorf("--%s: %q is not true or false", wrong.GetFlag().Name, wrong.GetValue())
	case errors.As(err, &wrong) && wrong.GetFlag().Value.Type() == "duration":
		return fmt.Errorf("--%s: %q is not a duration, such as 90m", wrong.GetFlag().Name, wrong.GetValue())
	case !errors.As(err, &unknown):
		return err
	}
	name, written := unknown.GetSpecifiedName(), "--"+unknown.GetSpecifiedName()
	if short := unknown.GetSpecifiedShortnames(); short != "" {
		name, written = short, "-"+short
	}
	if near := nearestFlag(command, name); near != "" {
		return fmt.Errorf("unknown flag %s: did you mean --%s?", written, near)
	}
	return fmt.Errorf("unknown flag %s", written)
}

// nearestFlag returns the flag that may be meant, or "".
func nearestFlag(command *cobra.Command, name string) string {
	var known []string
	visit := func(f *pflag.Flag) { known = append(known, f.Name) }
	command.Flags().VisitAll(visit)
	command.InheritedFlags().VisitAll(visit)
	name, _, _ = strings.Cut(name, "=")
	if slices.Contains(known, name) {
		return name // with one dash
	}
	near, _ := spelling.Nearest(name, known)
	return near
}

// arguments are what a command takes, by their names. More of the last one may follow if
// its name ends with "...".
func arguments(names ...string) cobra.PositionalArgs {
	more := strings.HasSuffix(names[len(names)-1], "...")
	return func(command *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return fmt.Errorf("%s is missing: %s", strings.TrimSuffix(names[len(args)], "..."), command.UseLine())
		case len(args) > len(names) && !more:
			return fmt.Errorf("unexpected argument %q: %s", args[len(names)], command.UseLine())
		}
		return nil
	}
}
