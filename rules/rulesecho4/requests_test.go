package rulesecho4_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/internal/adaptertest"
	"github.com/echomfa/echomfa/rules/rulesecho4"
)

const fileOfRequests = `
version: 1
policies:
  authenticator: OTP
  two-methods: OTP and FACE
default: {require: authenticator}
rules:
  - name: public
    public: health and sign-in
    routes: ["GET /healthz", "/login", "GET /any", "api.example.com/open"]
    under: ["/mfa"]
  - name: trade
    require: two-methods
    routes: ["POST /trades/:id", "_OTHER /cache", "QUERY /search"]
  - name: tried
    require: FACE
    mode: report-only
    under: ["/tried"]
  - name: admin
    require: FACE
    under: ["/admin", "/files", "/group/files"]
`

// appOfRequests is an app with a route for each rule of the file.
func appOfRequests(t *testing.T, r *rig) http.Handler {
	t.Helper()
	e, _ := r.install(t, fileOfRequests)
	e.GET("/healthz", ok)
	e.HEAD("/healthz", ok)
	e.POST("/healthz", ok)
	e.Any("/any", ok)
	e.Any("/login", ok)
	e.GET("/mfa", ok)
	e.POST("/mfa/:step", ok)
	e.POST("/trades/:id", ok)
	e.GET("/trades/:id", ok)
	e.Add("PURGE", "/cache", ok)
	e.Add("QUERY", "/search", ok)
	e.GET("/tried/x", ok)
	admin := e.Group("/admin", func(next echo.HandlerFunc) echo.HandlerFunc { return next })
	admin.GET("/users", ok)
	api := e.Host("api.example.com")
	api.GET("/open", ok)
	api.GET("/admin/users", ok)
	e.GET("/open", ok)
	e.Static("/files", "testdata")
	e.Group("/group").Static("/files", "testdata")
	e.Static("/mfa", "testdata")
	return e
}

// TestRequestsFindTheirRule sends requests to an app with rules: the rule is that of the
// registered route and the method, and no handler runs for a user without what it asks for.
func TestRequestsFindTheirRule(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		request, has string
		status       int
		rule         string
	}{
		"public":                          {"GET /healthz", "", 200, "public"},
		"HEAD by GET":                     {"HEAD /healthz", "", 200, "public"},
		"another method":                  {"POST /healthz", "", 401, "default"},
		"one method of many":              {"GET /any", "", 200, "public"},
		"the others":                      {"POST /any", "nothing", 403, "default"},
		"all methods":                     {"DELETE /login", "", 200, "public"},
		"a subtree":                       {"GET /mfa", "", 200, "public"},
		"below it":                        {"POST /mfa/otp", "", 200, "public"},
		"a sibling of a subtree":          {"GET /mfas", "", 401, "default"},
		"a parameter":                     {"POST /trades/7", "OTP", 403, "trade"},
		"a parameter, allowed":            {"POST /trades/7", "OTP+FACE", 200, "trade"},
		"another method of the parameter": {"GET /trades/7", "OTP", 200, "default"},
		"a method nobody knows":           {"PURGE /cache", "OTP", 403, "trade"},
		"QUERY":                           {"QUERY /search", "OTP", 403, "trade"},
		"report only":                     {"GET /tried/x", "nothing", 200, "tried"},
		"report only, no token":           {"GET /tried/x", "", 200, "tried"},
		"a group":                         {"GET /admin/users", "OTP", 403, "admin"},
		"a group's 404":                   {"GET /admin/nothing", "OTP", 403, "admin"},
		"a group's 404, allowed":          {"GET /admin/nothing", "FACE", 404, "admin"},
		"a directory":                     {"GET /files/mfa-coverage.golden", "OTP", 403, "admin"},
		"a directory, allowed":            {"GET /files/mfa-coverage.golden", "FACE", 200, "admin"},
		"a directory of a group":          {"GET /group/files/mfa-coverage.golden", "OTP", 403, "admin"},
		"what its route has beside it":    {"GET /files-of-others", "OTP", 403, "admin"},
		"beside an open path":             {"GET /mfa-coverage.golden", "", 401, "default"},
		"a directory that is not open":    {"GET /mfa/mfa-coverage.golden", "", 401, "default"},
		"no route":                        {"GET /nothing", "", 401, "default"},
		"no route, allowed":               {"GET /nothing", "OTP", 404, "default"},
		"a path that looks public":        {"GET /healthz/../admin/users", "", 401, "default"},
		"no route of the method":          {"DELETE /healthz", "OTP", 405, "default"},
		"a host's rule":                   {"GET http://api.example.com/open", "", 200, "public"},
		"not on another host":             {"GET /open", "", 401, "default"},
		"a rule for every host":           {"GET http://api.example.com/admin/users", "OTP", 403, "admin"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			method, target, _ := strings.Cut(row.request, " ")
			w := adaptertest.Ask(t, appOfRequests(t, r), method, target, row.has)
			assert.Equal(t, row.status, w.Code)
			require.Len(t, r.Seen, 1)
			assert.Equal(t, row.rule, r.Seen[0].Rule)
		})
	}
}

// TestRuleIsNamedInAnswerAndLog shows the rule where somebody looks for why.
func TestRuleIsNamedInAnswerAndLog(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	e, _ := r.install(t, fileOfRequests)
	e.GET("/admin/users", ok)
	w := adaptertest.Ask(t, e, "GET", "/admin/users", "OTP")
	var problem, line map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &problem))
	assert.Equal(t, "admin", problem["rule"])
	require.NoError(t, json.Unmarshal(r.Log.Bytes(), &line), "one line: %s", r.Log.String())
	assert.Equal(t, "admin", line["rule"])
}

// TestRuleAndMountBothHold shows that neither a rule nor a mount's own Require takes the
// place of the other: each lets through or not in its own mode, and each refusal is said
// once.
func TestRuleAndMountBothHold(t *testing.T) {
	t.Parallel()
	type refusal struct {
		rule     string
		enforced bool
	}
	for name, row := range map[string]struct {
		mode       string
		mountMode  echomfa.Mode
		has        string
		status     int
		wantLogged []refusal
	}{
		"both let through":                {"enforce", echomfa.Enforce, "OTP+FACE", 200, nil},
		"the rule refuses":                {"enforce", echomfa.Enforce, "FACE", 403, []refusal{{"default", true}}},
		"the mount refuses":               {"enforce", echomfa.Enforce, "OTP", 403, []refusal{{"", true}}},
		"both would refuse":               {"enforce", echomfa.Enforce, "nothing", 403, []refusal{{"default", true}}},
		"the rule reports only":           {"report-only", echomfa.Enforce, "FACE", 200, []refusal{{"default", false}}},
		"the mount reports only":          {"enforce", echomfa.ReportOnly, "OTP", 200, []refusal{{"", false}}},
		"the rule reports, mount refuses": {"report-only", echomfa.Enforce, "nothing", 403, []refusal{{"default", false}, {"", true}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			e, _ := r.install(t, "version: 1\ndefault: {require: OTP, mode: "+row.mode+"}\n")
			e.GET("/x", ok, echomfa.WithConfig(echomfa.MiddlewareConfig{Enforcer: r.Enforcer, Policy: echomfa.AllOf(echomfa.Face), Mode: row.mountMode}))
			assert.Equal(t, row.status, adaptertest.Ask(t, e, "GET", "/x", row.has).Code)
			var logged []refusal
			for text := range strings.Lines(r.Log.String()) {
				var line struct {
					Event, Rule string
					Enforced    bool
				}
				require.NoError(t, json.Unmarshal([]byte(text), &line))
				if line.Event == "refused" {
					logged = append(logged, refusal{line.Rule, line.Enforced})
				}
			}
			assert.Equal(t, row.wantLogged, logged)
		})
	}
}

// TestRulesAskWhoTheUserIs has rules for a role.
func TestRulesAskWhoTheUserIs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const text = "version: 1\ndefault: {require: OTP}\nrules:\n" +
		"  - {name: admins, require: OTP and FACE, under: [/x], when: {role: [admin]}}\n"
	for name, row := range map[string]struct {
		identity func(c echo.Context) (rules.Identity, error)
		status   int
	}{
		"the role":        {func(echo.Context) (rules.Identity, error) { return rules.Identity{Roles: []string{"admin"}}, nil }, 403},
		"another role":    {func(echo.Context) (rules.Identity, error) { return rules.Identity{Roles: []string{"clerk"}}, nil }, 200},
		"an unknown role": {func(echo.Context) (rules.Identity, error) { return rules.Identity{Roles: []string{"root"}}, nil }, 500},
		"an error":        {func(echo.Context) (rules.Identity, error) { return rules.Identity{}, echomfa.ErrUnauthenticated }, 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, err := rulesecho4.New(rulesecho4.Config{Rules: r.Rules(t, text), Identity: row.identity})
			require.NoError(t, err)
			e := echo.New()
			set.Install(e)
			e.GET("/x", ok)
			assert.Equal(t, row.status, adaptertest.Ask(t, e, "GET", "/x", "OTP").Code)
		})
	}
}

// TestZeroSetRefuses shows what an app gets that forgot New.
func TestZeroSetRefuses(t *testing.T) {
	t.Parallel()
	e := echo.New()
	new(rulesecho4.Set).Install(e)
	e.GET("/x", ok)
	assert.Equal(t, http.StatusInternalServerError, adaptertest.Ask(t, e, "GET", "/x", "OTP").Code)

	_, err := rulesecho4.New(rulesecho4.Config{})
	require.ErrorContains(t, err, "Rules")
	_, err = rulesecho4.New(rulesecho4.Config{Rules: new(rules.Set)})
	require.ErrorContains(t, err, "Enforcer")
}

// TestHookOfTheAppIsCalled shows that Install takes no hook away.
func TestHookOfTheAppIsCalled(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	set, err := rulesecho4.New(rulesecho4.Config{Rules: r.Rules(t, fileOfRequests)})
	require.NoError(t, err)
	e := echo.New()
	var added []string
	e.OnAddRouteHandler = func(_ string, route echo.Route, _ echo.HandlerFunc, _ []echo.MiddlewareFunc) {
		added = append(added, route.Path)
	}
	set.Install(e)
	e.GET("/x", ok)
	assert.Equal(t, []string{"/x"}, added)
	assert.NoError(t, set.CheckCoverage(e))
}
