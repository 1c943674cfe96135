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
	"strconv"
	"strings"
	"time"
	"unicode"

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

// Run runs the program, and returns its exit status.
func Run(ctx context.Context, args []string, system IO) int {
	root := newRoot(system)                   //nolint:contextcheck // a command takes that of ExecuteContextC
	root.SetArgs(append([]string{}, args...)) // nil would mean those of the process
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitGood
	}
	return report(system.Err, command, err, wantsJSON(args))
}

// app is what the commands share.
type app struct {
	IO

	json      bool
	stdinRead bool
}

func newRoot(system IO) *cobra.Command {
	a := &app{IO: system}
	root := &cobra.Command{
		Use:   "echomfa",
		Short: "Check, explain, compare and test files of MFA rules",
		Long: `Check, explain, compare and test files of MFA rules, and look after the settings for
GenAuth. A file named - is standard input.

With --json each command prints one JSON value, and what keeps it from answering is one
JSON object on standard error.

Exit status: 0 good, 2 wrong use, 3 the rules or the settings have a mistake,
4 a test case failed, 1 anything else.`,
		Example: `  echomfa check mfa.yaml
  echomfa explain mfa.yaml --route "POST /admin/users" --have OTP`,
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
	root.SetFlagErrorFunc(flagError)
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON, errors too")
	root.AddCommand(a.checkCommand(), a.explainCommand(), a.diffCommand(), a.testCommand(), a.doctorCommand(), a.emulatorCommand())
	root.SetIn(system.In)
	root.SetOut(system.Out)
	root.SetErr(system.Err)
	refuseUnknown(root)
	return root
}

// refuseUnknown has the commands that cobra adds fail for what they do not know.
func refuseUnknown(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, command := range root.Commands() {
		switch command.Name() {
		case "help":
			command.Args = func(_ *cobra.Command, args []string) error {
				_, rest, err := root.Find(args)
				if err == nil && len(rest) > 0 {
					err = fmt.Errorf("unknown command %q", rest[0])
				}
				return err
			}
		case "completion":
			command.RunE = func(*cobra.Command, []string) error {
				return errors.New("which shell? bash, fish, powershell, zsh")
			}
		}
	}
}

// version is what the Go tool has recorded of the binary.
func version() string {
	build, ok := debug.ReadBuildInfo()
	if !ok || build.Main.Version == "" {
		return "unknown"
	}
	parts := []string{build.Main.Version}
	for _, setting := range build.Settings {
		switch {
		case setting.Key == "vcs.revision":
			parts = append(parts, "revision "+setting.Value)
		case setting.Key == "vcs.modified" && setting.Value == "true":
			parts = append(parts, "changed")
		}
	}
	return strings.Join(append(parts, build.GoVersion), ", ")
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
	} else {
		text = printable(text)
	}
	if _, err := io.WriteString(a.Out, text); err != nil {
		return &failure{exitOther, fmt.Errorf("the output cannot be written: %w", err)}
	}
	return nil
}

// printable returns a text without what a terminal obeys: it may be of files that others
// have written.
func printable(text string) string {
	odd := func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }
	if strings.IndexFunc(text, odd) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if odd(r) {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
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
