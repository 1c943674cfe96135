package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMutatedRulesFail changes the rules in each way that changes what a request gets, and
// shows that the table of cases notices.
func TestMutatedRulesFail(t *testing.T) {
	t.Parallel()
	files := make(map[string]string)
	for _, name := range []string{"mfa.yaml", "mfa_test.yaml", "coverage.json"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(t, err)
		files[name] = string(data)
	}
	runTest := func(t *testing.T, text string) (int, string) {
		t.Helper()
		dir := t.TempDir()
		for name, content := range files {
			if name == "mfa.yaml" {
				content = text
			}
			require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
		}
		code, out, errOut := run(t, "test", filepath.Join(dir, "mfa_test.yaml"))
		return code, out + errOut
	}
	code, out := runTest(t, files["mfa.yaml"])
	require.Zero(t, code, out)
	// From each line on its own, what it is changed to.
	for line, changed := range map[string][]string{
		"  authenticator: OTP or FACE\n":      {"  authenticator: OTP\n", "  authenticator: FACE\n", "  authenticator: OTP or FACE or SMS\n", "  authenticator: OTP and FACE\n"},
		"  two-methods: OTP and FACE\n":       {"  two-methods: OTP or FACE\n", "  two-methods: OTP and FACE and SMS\n"},
		"default: {require: authenticator}\n": {"default: {require: authenticator, mode: report-only}\n", "default: {require: two-methods}\n", "default: {require: SMS}\n"},
		"  - name: public\n":                  {"  - name: open\n"},
		`"GET /", `:                           {"", `"POST /", `},
		`, "GET /healthz"`:                    {"", `, "POST /healthz"`},
		`, "/login"`:                          {"", `, "GET /login"`},
		"    under: [\"/mfa\"]\n":             {"", "    under: [\"/mfa/other\"]\n"},
		"  - name: legacy-export\n":           {"  - name: export\n"},
		"    exempt: {reason: batch client moves in Q1, owner: billing, expires: 2027-03-31}\n":         {"    public: because\n", "    require: authenticator\n", "    exempt: {reason: because, owner: billing, expires: 2026-11-30}\n", "    exempt: {reason: because, owner: billing, expires: 2027-04-30}\n"},
		"    routes: [\"POST /admin/export\"]\n":                                                        {"    routes: [\"GET /admin/export\"]\n", "    routes: [\"POST /admin/exports\"]\n"},
		"    when: {role: [approver]}\n":                                                                {"", "    when: {role: [auditor]}\n", "    when: {role: [approver], tenant: [acme]}\n"},
		"    under: [\"/admin/payouts\"]\n":                                                             {"    under: [\"/admin/pay\"]\n"},
		"    mode: report-only\n":                                                                       {"", "    mode: enforce\n"},
		"    under: [\"/admin\"]\n":                                                                     {"    under: [\"/administration\"]\n", "    routes: [\"/admin\"]\n"},
		"    require: two-methods\n    under: [\"/admin/payouts\"]\n":                                   {"    require: two-methods\n    under: [\"/\"]\n"},
		"  - name: admin\n    require: authenticator\n    under: [\"/admin\"]\n    mode: report-only\n": {""},
	} {
		require.Equal(t, 1, strings.Count(files["mfa.yaml"], line), line)
		for _, text := range changed {
			code, out := runTest(t, strings.Replace(files["mfa.yaml"], line, text, 1))
			assert.Equal(t, 4, code, "%q to %q:\n%s", line, text, out)
		}
	}
}
