package rules_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
)

// parse reads a file that has no mistake.
func parse(tb testing.TB, text string) *rules.File {
	tb.Helper()
	f, err := rules.Parse([]byte(text), "mfa.yaml")
	require.NoError(tb, err)
	return f
}

// small is a file with a bit of everything.
const small = `version: 1
policies:
  authenticator: OTP or FACE
  two-methods: OTP and FACE
default: {require: authenticator}
rules:
  - name: public
    public: sign-in, enrollment, health
    routes: ["GET /", "GET /healthz", "/login"]
    under: ["/mfa"]
  - name: legacy-export
    exempt: {reason: batch client moves in Q1, owner: billing, expires: 2027-03-31}
    routes: ["POST /admin/export"]
  - name: payout
    require: two-methods
    routes: ["POST /admin/payouts/:id"]
  - name: admin-role
    require: two-methods
    under: ["/admin"]
    when: {role: [admin]}
  - name: admin
    require: authenticator
    under: ["/admin"]
    mode: report-only
`
