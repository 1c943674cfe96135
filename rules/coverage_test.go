package rules_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
)

// coverageOf is the coverage of some routes by coverageFile.
func coverageOf(t *testing.T, routes ...rules.Registered) rules.Coverage {
	t.Helper()
	f, err := rules.Parse([]byte(coverageFile), "rules.yaml")
	require.NoError(t, err)
	return rules.Cover(f, rules.App{Service: "shop", Version: "1.2.3", Revision: "abc", Framework: "test", Routes: routes, Unseen: []string{"what | is * not seen"}})
}

const coverageFile = `
version: 1
policies: {authenticator: OTP or FACE, two: OTP and FACE}
default: {require: authenticator}
rules:
  - {name: vip, require: two, routes: ["/export"], when: {role: [admin, root], tenant: [acme]}}
  - {name: legacy, exempt: {reason: "moves | in Q1", owner: billing, expires: 2031-03-31}, routes: ["POST /export"]}
  - {name: open, public: health, routes: ["GET /any"]}
  - {name: purge, require: FACE, mode: report-only, routes: ["_OTHER /any"]}
`

// TestCoverageSaysWhatRulesSay shows the lines of routes on which rules differ by method, by
// user and by time. What is said does not depend on the time.
func TestCoverageSaysWhatRulesSay(t *testing.T) {
	t.Parallel()
	c := coverageOf(t,
		rules.Registered{Method: "POST", Path: "/export"},
		rules.Registered{Method: "GET", Path: "/export"},
		rules.Registered{Method: "ANY", Path: "/any"},
		rules.Registered{Method: "POST", Path: "/any", Mounts: []echomfa.Mount{{Policy: echomfa.AllOf(echomfa.OTP)}}},
		rules.Registered{Method: "PURGE", Path: "/any"},
		rules.Registered{Method: "ANY", Path: "/x/*", Kind: rules.GeneratedNotFound},
	)
	vip := "for role admin or root and tenant acme rule vip: two (OTP and FACE)"
	want := []string{
		"requests that match no route -> rule default: authenticator (OTP or FACE)",
		"CONNECT /any -> rule default: authenticator (OTP or FACE)",
		"DELETE /any -> rule default: authenticator (OTP or FACE)",
		"GET /any -> rule open: open (health)",
		"HEAD /any -> rule open: open (health)",
		"OPTIONS /any -> rule default: authenticator (OTP or FACE)",
		"PATCH /any -> rule default: authenticator (OTP or FACE)",
		"POST /any -> rule default: authenticator (OTP or FACE); and a mount: OTP",
		"PURGE /any -> rule purge: FACE, report only",
		"PUT /any -> rule default: authenticator (OTP or FACE)",
		"QUERY /any -> rule default: authenticator (OTP or FACE)",
		"TRACE /any -> rule default: authenticator (OTP or FACE)",
		"_OTHER /any -> rule purge: FACE, report only",
		"GET /export -> rule default: authenticator (OTP or FACE), " + vip,
		"POST /export -> rule legacy: exempt until 2031-04-01T00:00:00Z (billing, moves | in Q1), " + vip + ", then rule default: authenticator (OTP or FACE)",
		"/x/* (generated 404) -> rule default: authenticator (OTP or FACE)",
		"not seen: what | is * not seen",
	}
	assert.Equal(t, strings.Join(want, "\n")+"\n", c.Text())
	assert.NoError(t, c.Err())
}

// TestCoverageAsMarkdown shows the document for an auditor: texts of a file or of a route
// break no table.
func TestCoverageAsMarkdown(t *testing.T) {
	t.Parallel()
	c := coverageOf(t, rules.Registered{Method: "POST", Path: "/export"}, rules.Registered{Method: "GET", Path: "/a_b/*"})
	assert.Equal(t, `# MFA coverage of shop

| | |
| --- | --- |
| Version | 1.2.3 |
| Revision | abc |
| Framework | test |
| Rules (SHA-256) | `+c.Rules+` |
| Routes | 3 |
| Unguarded | 0 |

## Routes

| route | guard |
| --- | --- |
| requests that match no route | rule default: authenticator (OTP or FACE) |
| GET /a\_b/\* | rule default: authenticator (OTP or FACE) |
| POST /export | rule legacy: exempt until 2031-04-01T00:00:00Z (billing, moves \| in Q1), for role admin or root and tenant acme rule vip: two (OTP and FACE), then rule default: authenticator (OTP or FACE) |

## Exemptions

| route | rule | reason | owner | expires |
| --- | --- | --- | --- | --- |
| POST /export | legacy | moves \| in Q1 | billing | 2031-04-01T00:00:00Z |

## Not seen

- what \| is \* not seen
`, c.Markdown())
}

// TestCoverageIsReproducible reads what it has written, and writes the same bytes, in
// whatever order the routes were registered.
func TestCoverageIsReproducible(t *testing.T) {
	t.Parallel()
	a, b := rules.Registered{Method: "POST", Path: "/export"}, rules.Registered{Method: "GET", Path: "/<a>&"}
	first, second := coverageOf(t, a, b, b), coverageOf(t, b, a)
	data, err := first.JSON()
	require.NoError(t, err)
	other, err := second.JSON()
	require.NoError(t, err)
	assert.Equal(t, string(data), string(other))
	read, err := rules.ReadCoverage(data)
	require.NoError(t, err)
	assert.Equal(t, first, read)
	assert.Equal(t, []rules.Route{{Method: "GET", Path: "/<a>&"}, {Method: "POST", Path: "/export"}}, read.Registered())

	for name, bad := range map[string]string{
		"no JSON": "x", "two documents": string(data) + "{}", "an unknown key": `{"format": 1, "x": 1}`, "another format": `{"format": 2}`, "nothing": "",
	} {
		_, err := rules.ReadCoverage([]byte(bad))
		assert.Error(t, err, name)
	}
	assert.True(t, json.Valid(data))
}
