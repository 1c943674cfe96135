// Package cli is the program echomfa.
package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// The exit statuses.
const (
	exitGood    = 0
	exitOther   = 1 // the output cannot be written, or the emulator cannot listen
	exitUsage   = 2 // wrong flags or arguments, and files that cannot be read
	exitInvalid = 3 // the rules, or what was asked about, have a mistake
	exitFailed  = 4 // a test case failed
)

// IO is what the program has of the system.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
	Getenv   func(name string) string
	Now      func() time.Time
}

// System returns the IO of this process.
func System() IO {
	return IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Getenv: os.Getenv, Now: time.Now}
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

// Run runs the program, and returns its exit status.
func Run(ctx context.Context, args []string, system IO) int {
	root := newRoot(system)                   //nolint:contextcheck // a command takes that of ExecuteContextC
	root.SetArgs(append([]string{}, args...)) // nil would mean those of the process
	root.SetIn(system.In)
	root.SetOut(system.Out)
	root.SetErr(system.Err)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitGood
	}
	if f := (*failure)(nil); errors.As(err, &f) {
		if f.err != nil {
			_, _ = fmt.Fprintln(system.Err, "echomfa:", f.err)
		}
		return f.code
	}
	_, _ = fmt.Fprintf(system.Err, "echomfa: %v\nRun '%s --help' for usage.\n", err, command.CommandPath())
	return exitUsage
}

// app is what the commands share.
type app struct {
	IO

	json bool
}

func newRoot(system IO) *cobra.Command {
	a := &app{IO: system}
	root := &cobra.Command{
		Use:   "echomfa",
		Short: "Check, explain, compare and test files of MFA rules",
		Long: `Check, explain, compare and test files of MFA rules.

Exit status: 0 good, 2 wrong use, 3 the rules or the settings have a mistake,
4 a test case failed, 1 anything else.`,
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(root *cobra.Command, _ []string) error {
			var names []string
			for _, command := range root.Commands() {
				names = append(names, command.Name())
			}
			return fmt.Errorf("which command? %s", strings.Join(names, ", "))
		},
	}
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON")
	root.AddCommand(a.checkCommand(), a.explainCommand(), a.diffCommand(), a.testCommand(), a.doctorCommand(), a.emulatorCommand())
	return root
}

// version is what the Go tool has recorded of the binary.
func version() string {
	if build, ok := debug.ReadBuildInfo(); ok && build.Main.Version != "" {
		return build.Main.Version
	}
	return "unknown"
}

// print writes a whole output: value with --json, else text.
func (a *app) print(text string, value any) error {
	if a.json {
		var b bytes.Buffer
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(value); err != nil {
			return &failure{exitOther, err}
		}
		text = b.String()
	}
	if _, err := io.WriteString(a.Out, text); err != nil {
		return &failure{exitOther, fmt.Errorf("the output cannot be written: %w", err)}
	}
	return nil
}

// count returns a number with its noun.
func count(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// indented begins each line of a text with two spaces.
func indented(text string) string {
	return "  " + strings.ReplaceAll(text, "\n", "\n  ")
}
