package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/rules"
)

// builtIn is the file of rules that the portal writes if RULES_FILE names none. Its
// verbs are the policy and the path of the enrollment pages.
const builtIn = `# Which page of the portal needs which MFA factors. The portal follows changes of this
# file while it runs: try mode: report-only.
version: 1
policies:
  admin: %s
default: {require: admin}
rules:
  - name: public
    public: for everybody
    routes: ["GET /", "/login", "POST /logout", "GET /account", "GET /assets*", "GET /healthz", "GET /demo", "/*"]
    under: [%s]
  - name: admin
    require: admin
    under: [/admin, /api/admin]
    mode: enforce
`

// openRules opens the file of the settings, or writes one. The function that is returned
// ends following the file, and removes what was written.
func openRules(s *settings, mfa *echomfa.Enforcer, logger *slog.Logger) (*rules.Set, func(), error) {
	remove := func() {}
	if s.rulesFile == "" {
		dir, err := os.MkdirTemp("", "portal-")
		if err != nil {
			return nil, nil, err
		}
		remove = func() { _ = os.RemoveAll(dir) }
		s.rulesFile = filepath.Join(dir, "rules.yaml")
		text := fmt.Sprintf(builtIn, inYAML(s.policy.String()), inYAML(s.enrollPath()))
		if err := os.WriteFile(s.rulesFile, []byte(text), 0o600); err != nil {
			remove()
			return nil, nil, err
		}
	}
	set, err := rules.Open(s.rulesFile, rules.Config{Enforcer: mfa, Logger: logger})
	if err != nil {
		remove()
		return nil, nil, err
	}
	return set, func() { _ = set.Close(); remove() }, nil
}

// inYAML returns a text as YAML has it.
func inYAML(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// writeMode changes the mode of all rules of a file that name one.
func writeMode(name string, mode string) error {
	was, err := os.ReadFile(name) //nolint:gosec // the operator's own file
	if err != nil {
		return err
	}
	other := map[string]string{"enforce": "report-only", "report-only": "enforce"}[mode]
	is := bytes.ReplaceAll(was, []byte("mode: "+other), []byte("mode: "+mode))
	if bytes.Equal(was, is) {
		return errors.New("no rule has mode: " + other)
	}
	// Who reads the file meanwhile must not get half of it.
	if err := os.WriteFile(name+".new", is, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}
