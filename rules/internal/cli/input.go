package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/echomfa/echomfa"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/internal/spelling"
)

const maxRules = 1 << 20 // as Parse has it

// What flags of several commands are.
const (
	atUsage     = "the `TIME` to judge by, such as 2026-12-20T09:00:00+08:00 (default now)"
	routesUsage = "the `FILE` with the coverage of the app as JSON, which has its routes"
)

// stdin is the name of a file that stands for standard input.
const stdin = "-"

// nameOf is how messages call a file.
func nameOf(file string) string {
	if file == stdin {
		return "<stdin>"
	}
	return file
}

// readFile reads a file that may be too large, or none.
func (a *app) readFile(name string, most int64) ([]byte, error) {
	in := a.In
	if name == stdin {
		if a.stdinRead {
			return nil, errors.New("only one file can be standard input")
		}
		a.stdinRead = true
	} else {
		f, err := os.Open(name) //nolint:gosec // the user names it
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s has more than %d bytes", nameOf(name), most)
	}
	return data, err
}

// readRules reads a file of rules. Its mistakes are a [rules.Mistakes].
func (a *app) readRules(name string) (*rules.File, error) {
	data, err := a.readFile(name, maxRules)
	if err != nil {
		return nil, err
	}
	return rules.Parse(data, nameOf(name))
}

// loadRules is readRules with the exit status of its error.
func (a *app) loadRules(name string) (*rules.File, error) {
	f, err := a.readRules(name)
	if mistakes := rules.Mistakes(nil); errors.As(err, &mistakes) {
		return nil, invalid(fmt.Errorf("the rules have %s\n%w", count(len(mistakes), "mistake"), err))
	}
	return f, err
}

// moment reads the flag --at. Without it, it is now.
func (a *app) moment(text string) (time.Time, error) {
	if text == "" {
		return a.Now(), nil
	}
	t, err := parseTime(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("--at: %w", err)
	}
	return t, nil
}

// parseTime reads a time with its offset.
func parseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err == nil {
		return t, nil
	}
	if wrong := (*time.ParseError)(nil); errors.As(err, &wrong) && strings.HasSuffix(wrong.Message, " out of range") {
		return time.Time{}, fmt.Errorf("%q%s", text, wrong.Message)
	}
	suggestion := ""
	for layout, rest := range map[string]string{time.DateOnly: "T00:00:00Z", "2006-01-02T15:04": ":00Z", "2006-01-02T15:04:05": "Z"} {
		near := strings.Replace(text, " ", "T", 1)
		if _, err := time.Parse(layout, near); err == nil {
			suggestion = ": did you mean " + near + rest + "?"
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time with its offset, such as 2026-12-20T09:00:00+08:00%s", text, suggestion)
}

// split returns the parts of values that have commas between them.
func split(values []string) []string {
	parts := []string{}
	for _, value := range values {
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.TrimSpace(part); part != "" {
				parts = append(parts, part)
			}
		}
	}
	return parts
}

// none stands for no factor at all.
const none = "none"

// factorTypes are those that have a constant.
func factorTypes() []echomfa.FactorType {
	return []echomfa.FactorType{echomfa.OTP, echomfa.SMS, echomfa.Email, echomfa.Face, echomfa.Passkey}
}

// factors reads a list of factor types. A type without a constant is in quotes, as in
// policies, so that a misspelled one is an error.
func factors(names []string) (echomfa.FactorSet, error) {
	types := make([]echomfa.FactorType, 0, len(names))
	for _, name := range names {
		if strings.EqualFold(name, none) && len(names) > 1 {
			return echomfa.FactorSet{}, fmt.Errorf("%q stands alone: it is a user without a factor", none)
		}
		policy, err := echomfa.ParsePolicy(name)
		if err != nil || len(policy.Types()) != 1 || strings.ContainsAny(name, " ()") {
			if strings.EqualFold(name, none) && len(names) == 1 {
				return echomfa.FactorSet{}, nil
			}
			if syntax := (*echomfa.PolicySyntaxError)(nil); errors.As(err, &syntax) {
				return echomfa.FactorSet{}, errors.New(syntax.Message)
			}
			return echomfa.FactorSet{}, fmt.Errorf("%q is not one factor type, such as OTP, and not %s alone", name, none)
		}
		types = append(types, policy.Types()...)
	}
	return echomfa.Factors(types...), nil
}

// request reads a method and what stands after it.
func request(text string) (method, rest string, err error) {
	method, rest, ok := strings.Cut(text, " ")
	if !ok {
		return "", text, nil
	}
	switch {
	case method != strings.ToUpper(method):
		return "", "", fmt.Errorf("%q: a method is in upper case: did you mean %q?", text, strings.ToUpper(method)+" "+rest)
	case method == "", strings.ContainsAny(rest, " \t"):
		return "", "", fmt.Errorf("%q is not a method and a path with one space between them", text)
	case method == rules.AnyMethod, method == "*":
		return "", "", fmt.Errorf("%q: a request has one method, such as GET", text)
	}
	if near, misspelled := spelling.Nearest(method, knownMethods()); misspelled && near != method {
		return "", "", fmt.Errorf("%q: unknown method: did you mean %q?", text, near+" "+rest)
	}
	return method, rest, nil
}
