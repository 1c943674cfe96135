package rules_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
)

// TestCheck shows what a check finds that depends on the time and on the app.
func TestCheck(t *testing.T) {
	t.Parallel()
	before := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	rows := map[string]struct {
		given string // small, if it is empty
		opts  rules.CheckOptions
		want  string
	}{
		"nothing":                {"", rules.CheckOptions{At: before}, ""},
		"a second before":        {"", rules.CheckOptions{At: time.Date(2027, 3, 31, 23, 59, 59, 0, time.UTC)}, ""},
		"expired":                {"", rules.CheckOptions{At: time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC)}, "11:5: the exemption legacy-export of billing expired on 2027-04-01T00:00:00Z: its routes are guarded"},
		"pages that are open":    {"", rules.CheckOptions{At: before, Pages: []string{"/mfa", "/mfa/start?a=b", "/login", "https://id.example/login"}}, ""},
		"a guarded page":         {"", rules.CheckOptions{At: before, Pages: []string{"/enroll"}}, `5:1: the rule default guards /enroll, which users without a factor must reach: name it in a public rule: under: ["/enroll"]`},
		"a page for some roles":  {"", rules.CheckOptions{At: before, Pages: []string{"/admin/mfa"}}, `21:5: the rule admin guards /admin/mfa, which users without a factor must reach: name it in a public rule: under: ["/admin/mfa"]`},
		"a page behind a when":   {rule("name: a", "require: OTP and FACE", `under: ["/"]`, "when: {tenant: [x]}") + "  - {name: b, public: c, under: [/mfa]}\n", rules.CheckOptions{At: before, Pages: []string{"/mfa"}}, `4:5: the rule a guards /mfa, which users without a factor must reach: put the rule b before it`},
		"a page by POST only":    {rule("name: a", "public: b", `routes: ["POST /mfa"]`), rules.CheckOptions{At: before, Pages: []string{"/mfa"}}, `2:1: the rule default guards /mfa, which users without a factor must reach: name it in a public rule: under: ["/mfa"]`},
		"a page of a pattern":    {rule("name: a", "public: b", `routes: ["/my/:page", "/your/{page}", "/their/*", "/all/{rest...}"]`), rules.CheckOptions{At: before, Pages: []string{"/my/mfa", "/your/mfa", "/their/a/b", "/all/a/b"}}, ""},
		"a page beside patterns": {rule("name: a", "public: b", `routes: ["/my/:page", "/{$}"]`), rules.CheckOptions{At: before, Pages: []string{"/my/mfa/a"}}, `2:1: the rule default guards /my/mfa/a, which users without a factor must reach: name it in a public rule: under: ["/my/mfa/a"]`},
		"a page of a directory":  {rule("name: a", "public: b", `routes: ["/mfa*"]`), rules.CheckOptions{At: before, Pages: []string{"/mfa", "/mfa/start", "/mfa-start"}}, ""},
		"beside a directory":     {rule("name: a", "public: b", `routes: ["/mfa*"]`), rules.CheckOptions{At: before, Pages: []string{"/mf"}}, `2:1: the rule default guards /mf, which users without a factor must reach: name it in a public rule: under: ["/mf"]`},
		"a route of a directory": {rule("name: a", "require: FACE", `under: ["/admin"]`), rules.CheckOptions{At: before, Routes: []rules.Route{{Method: "GET", Path: "/admin*"}}}, ""},
		"of no directory":        {rule("name: a", "public: b", `under: ["/admin"]`), rules.CheckOptions{At: before, Routes: []rules.Route{{Method: "GET", Path: "/admin*"}}}, "2:1: GET /admin*: only the default guards it\n4:5: the rule a meets no route of the app: did you mean /admin*?"},
		"roles":                  {"", rules.CheckOptions{At: before, Roles: []string{"admin"}, Tenants: []string{}}, ""},
		"an unknown role":        {"", rules.CheckOptions{At: before, Roles: []string{"amdin"}}, `20:5: the rule admin-role is for the role "admin", which the app does not have: did you mean amdin?`},
		"factors":                {"", rules.CheckOptions{At: before, Factors: []echomfa.FactorType{echomfa.OTP, echomfa.Face}}, ""},
		"nobody":                 {"", rules.CheckOptions{At: before, Factors: []echomfa.FactorType{echomfa.OTP}}, "14:5: nobody can satisfy the rule payout: it asks for OTP and FACE, and users can enroll OTP\n17:5: nobody can satisfy the rule admin-role: it asks for OTP and FACE, and users can enroll OTP"},
		"unused":                 {"version: 1\npolicies: {a: OTP, b: FACE}\ndefault: {require: b}\n", rules.CheckOptions{At: before}, "2:12: no rule asks for the policy a"},
		"routes": {"", rules.CheckOptions{At: before, Routes: []rules.Route{
			{Method: "GET", Path: "/"}, {Method: "POST", Path: "/admin/exports"}, {Method: "ANY", Path: "/admin/payouts/:id"}, {Method: "GET", Path: "/other"},
		}}, "5:1: GET /other: only the default guards it\n11:5: the rule legacy-export meets no route of the app: did you mean /admin/exports?"},
		"no routes":         {rule("name: a", "public: b", `routes: ["/a"]`), rules.CheckOptions{At: before, Routes: []rules.Route{}}, "4:5: the rule a meets no route of the app"},
		"allowed for long":  {head + "on_unavailable: {insecure_allow_until: 2026-11-02T00:00:01Z}\n", rules.CheckOptions{At: before}, "3:1: insecure_allow_until is more than 24h0m0s ahead"},
		"no longer allowed": {head + "on_unavailable: {insecure_allow_until: 2026-11-01T00:00:00Z}\n", rules.CheckOptions{At: before}, "3:1: on_unavailable ended on 2026-11-01T00:00:00Z: remove it"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if row.given == "" {
				row.given = small
			}
			found := parse(t, row.given).Check(row.opts)
			assert.Equal(t, row.want, strings.ReplaceAll(found.Error(), "mfa.yaml:", ""))
			for _, m := range found {
				assert.Equal(t, m.Code == "unused-policy" || m.Code == "default-only", m.Note, m)
			}
		})
	}
}

// TestManyNotes shows that notes leave room for mistakes.
func TestManyNotes(t *testing.T) {
	t.Parallel()
	routes := make([]rules.Route, 0, 250)
	for i := range 250 {
		routes = append(routes, rules.Route{Method: "GET", Path: "/" + strings.Repeat("a", i)})
	}
	found := parse(t, small).Check(rules.CheckOptions{At: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Routes: routes})
	var codes []string
	notes := 0
	for _, m := range found {
		if m.Note {
			notes++
		} else {
			codes = append(codes, m.Code)
		}
	}
	assert.Equal(t, []string{"no-route", "no-route", "no-route", "no-route"}, codes)
	assert.Equal(t, 101, notes)
	assert.Equal(t, "mfa.yaml: and 149 more notes", found[len(found)-1].String())
}

// TestNew shows what a Set refuses.
func TestNew(t *testing.T) {
	t.Parallel()
	pages := newEnforcer(t, func(c *echomfa.Config) { c.EnrollURL, c.LoginURL = "/mfa", "/sign-in" })
	rows := map[string]struct {
		file *rules.File
		cfg  rules.Config
		want string
	}{
		"no file":       {nil, rules.Config{Enforcer: newEnforcer(t)}, "rules: the File was not made by Parse"},
		"the zero file": {&rules.File{}, rules.Config{Enforcer: newEnforcer(t)}, "rules: the File was not made by Parse"},
		"all at once":   {nil, rules.Config{Poll: time.Millisecond, Enforcer: &echomfa.Enforcer{}}, "rules: Enforcer: required, made by echomfa.New\nrules: Poll: 1ms is below 1s"},
		"a guarded page": {
			parse(t, small),
			rules.Config{Enforcer: pages, Roles: []string{"admin"}},
			`mfa.yaml:5:1: the rule default guards /sign-in, which users without a factor must reach: name it in a public rule: under: ["/sign-in"]`,
		},
		"another page": {
			parse(t, small),
			rules.Config{Enforcer: newEnforcer(t), Pages: []string{"/help"}, Roles: []string{"admin"}},
			`mfa.yaml:5:1: the rule default guards /help, which users without a factor must reach: name it in a public rule: under: ["/help"]`,
		},
		"no roles": {parse(t, small), rules.Config{Enforcer: newEnforcer(t)}, `mfa.yaml:20:5: the rule admin-role is for the role "admin", which the app does not have`},
		"factors": {
			parse(t, head),
			rules.Config{Enforcer: newEnforcer(t), Factors: []echomfa.FactorType{echomfa.SMS}},
			"mfa.yaml:2:1: nobody can satisfy the rule default: it asks for OTP, and users can enroll SMS",
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := rules.New(row.file, row.cfg)
			assert.Nil(t, s)
			require.EqualError(t, err, row.want)
		})
	}
}

// TestOpenWithoutAPath shows that an empty path, such as that of a variable that is not set,
// is a mistake, and not a Set without rules.
func TestOpenWithoutAPath(t *testing.T) {
	t.Parallel()
	s, err := rules.Open("", rules.Config{Poll: time.Millisecond, Enforcer: newEnforcer(t)})
	assert.Nil(t, s)
	require.EqualError(t, err, "rules: the path of the file is empty\nrules: Poll: 1ms is below 1s")
}

// TestIdentity shows when the app is asked who a user is, and what its answers make.
func TestIdentity(t *testing.T) {
	t.Parallel()
	s, err := rules.New(parse(t, head+`rules:
  - name: acme-admins
    require: OTP and FACE and PASSKEY
    under: ["/admin"]
    when: {role: [admin], tenant: [acme]}
  - name: admins
    require: OTP and FACE
    under: ["/admin"]
    when: {role: [admin, owner]}
`), rules.Config{Enforcer: newEnforcer(t), Roles: []string{"admin", "owner", "user"}, Tenants: []string{"acme", "beta"}})
	require.NoError(t, err)
	rows := map[string]struct {
		route string
		who   func(int) (rules.Identity, error)
		want  string
		err   string
	}{
		"nobody":         {"/admin", is(rules.Identity{}), "default", ""},
		"a user":         {"/admin", is(rules.Identity{Roles: []string{"user"}, Tenant: "acme"}), "default", ""},
		"an admin":       {"/admin", is(rules.Identity{Roles: []string{"user", "admin"}}), "admins", ""},
		"an owner":       {"/admin", is(rules.Identity{Roles: []string{"owner"}, Tenant: "acme"}), "admins", ""},
		"of acme":        {"/admin", is(rules.Identity{Roles: []string{"admin"}, Tenant: "acme"}), "acme-admins", ""},
		"of beta":        {"/admin", is(rules.Identity{Roles: []string{"admin"}, Tenant: "beta"}), "admins", ""},
		"unknown role":   {"/admin", is(rules.Identity{Roles: []string{"user", "root"}}), "", `rules: identity: unknown role "root"`},
		"unknown tenant": {"/admin", is(rules.Identity{Tenant: "gamma"}), "", `rules: identity: unknown tenant "gamma"`},
		"an error": {"/admin", func(int) (rules.Identity, error) {
			return rules.Identity{}, errors.Join(echomfa.ErrUnauthenticated, errors.New("away"))
		}, "", "rules: identity: " + echomfa.ErrUnauthenticated.Error() + "\naway"},
		"no function":   {"/admin", nil, "", "rules: a rule has a when, and there is no function that returns the user's identity"},
		"another route": {"/", func(int) (rules.Identity, error) { panic("it is not called") }, "default", ""},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			required, err := rules.Requirement(s, 0, "GET", row.route, row.who)
			assert.Equal(t, row.want, required.Rule)
			if row.err == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, row.err)
			assert.NotErrorIs(t, err, echomfa.ErrUnauthenticated, "it would be a 401")
			assert.Error(t, required.Policy.Err())
		})
	}
}

func is(who rules.Identity) func(int) (rules.Identity, error) {
	return func(int) (rules.Identity, error) { return who, nil }
}

// TestZeroValuesRefuse shows what nothing was made of.
func TestZeroValuesRefuse(t *testing.T) {
	t.Parallel()
	for _, s := range []*rules.Set{nil, {}} {
		required, err := rules.Requirement(s, 0, "GET", "/", nil)
		require.Error(t, err)
		assert.Error(t, required.Policy.Err())
		assert.NoError(t, s.Reload())
		assert.NoError(t, s.Close())
		assert.Zero(t, s.Stats())
		assert.Zero(t, s.Revision())
		assert.Error(t, s.File().Default().Policy().Err())
	}
	var m rules.Match
	assert.Error(t, m.Weakest(time.Time{}).Policy().Err())
	assert.Empty(t, m.Rules())
	assert.False(t, m.Conditional())
	assert.Empty(t, (&rules.File{}).Guards(rules.Route{}))
}
