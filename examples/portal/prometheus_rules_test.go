package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rewrite has the operator change the rules file, and returns its hash and what reading it
// says.
func (i *instance) rewrite(t *testing.T, change func(text string) string) (hash string, err error) {
	t.Helper()
	was, err := os.ReadFile(i.ops.file)
	require.NoError(t, err)
	is := change(string(was))
	require.NoError(t, os.WriteFile(i.ops.file, []byte(is), 0o600))
	sum := sha256.Sum256([]byte(is))
	return hex.EncodeToString(sum[:])[:12], i.ops.rules.Reload()
}

// exempt has the operator exempt a route until a time.
func (i *instance) exempt(t *testing.T, until time.Time) (hash string) {
	t.Helper()
	hash, err := i.rewrite(t, func(text string) string {
		return strings.Replace(text, "\n  - name: admin\n", fmt.Sprintf(`
  - name: legacy
    exempt: {reason: moves soon, owner: billing, expires: %s}
    routes: [GET /legacy]
  - name: admin
`, until.UTC().Format(time.RFC3339)), 1)
	})
	require.NoError(t, err)
	return hash
}

// TestAlertsOfRules has an operator change the rules of a running portal: a good file, one
// with a mistake, and the one before again.
func TestAlertsOfRules(t *testing.T) {
	t.Parallel()
	genauth := genauthtest.Start(t)
	i := startInstance(t, genauth, "127.0.0.1:0")
	p := startPrometheus(t, []string{i.at})
	p.waitFor(t, `count(echomfa_rules_stale == 0) and absent(echomfa_rules_expiry_timestamp_seconds)`, 1)
	alert := func(name string) string {
		return fmt.Sprintf(`count(ALERTS{alertname=%q, job="portal"})`, name)
	}
	assert.Zero(t, p.one(t, `count(ALERTS)`))

	hash := i.exempt(t, time.Now().Add(6*24*time.Hour))
	p.waitFor(t, fmt.Sprintf(`count(echomfa_rules_info{echomfa_rules=%q} == 1) and on () count(echomfa_rules_info) == 1`, hash), 1)
	p.waitFor(t, alert("EchomfaExemptionExpiring"), 1)
	assert.InDelta(t, 6*24*60*60, p.one(t, `echomfa_rules_expiry_timestamp_seconds - time()`), 120)
	assert.InDelta(t, 1, p.one(t, `echomfa_rules_reloads_total`), 0)

	var good string
	_, err := i.rewrite(t, func(text string) string { good = text; return text + "no: such key\n" })
	require.Error(t, err)
	p.waitFor(t, alert("EchomfaRulesRejected"), 1)
	assert.GreaterOrEqual(t, p.one(t, `echomfa_rules_rejected_total`), 1.0)
	assert.InDelta(t, 1, p.one(t, fmt.Sprintf(`count(echomfa_rules_info{echomfa_rules=%q})`, hash)), 0, "the rules read last decide")

	_, err = i.rewrite(t, func(string) string { return good })
	require.NoError(t, err)
	p.waitFor(t, `echomfa_rules_stale`, 0)
	p.waitFor(t, alert("EchomfaRulesRejected"), 0)
	assert.Zero(t, p.one(t, alert("EchomfaExemptionExpired")))
}
