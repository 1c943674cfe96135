package ruleshttp_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/internal/adaptertest"
	"github.com/echomfa/echomfa/rules/ruleshttp"
	"github.com/echomfa/echomfa/rules/rulestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is an Enforcer that remembers its decisions.
type rig struct{ *adaptertest.Rig }

func newRig(t *testing.T, change ...func(*echomfa.Config)) *rig {
	t.Helper()
	return &rig{adaptertest.NewRig(t, change...)}
}

// set returns a Set of the rules in a text.
func (r *rig) set(t *testing.T, text string) *ruleshttp.Set {
	t.Helper()
	set, err := ruleshttp.New(ruleshttp.Config{Rules: r.Rules(t, text)})
	require.NoError(t, err)
	return set
}

// ask returns the status that a user gets.
func ask(t *testing.T, app http.Handler, method, target, has string) int {
	t.Helper()
	return adaptertest.Ask(t, app, method, target, has).Code
}

func ok(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, r.Pattern) }

const file = `
version: 1
default: {require: OTP}
rules:
  - {name: public, public: pages, routes: ["GET /healthz", "GET /{$}", "GET /any", "api.example.com/open/{id}"], under: [/mfa]}
  - {name: admin, require: FACE, under: [/admin]}
  - {name: rare, require: FACE, routes: ["_OTHER /any", "QUERY /any"]}
`

// TestRequestsFindTheirRule sends requests to a mux with rules: the rule is that of the
// pattern by which the mux chooses, and of the method.
func TestRequestsFindTheirRule(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	for _, pattern := range []string{
		"GET /healthz", "POST  /healthz", "/any", "/{$}", "/mfa/{step...}", "GET /admin/{id}", "/files/", "API.example.com/open/{id}", "/open/{id}",
	} {
		mux.HandleFunc(pattern, ok)
	}
	for name, row := range map[string]struct {
		request, has string
		status       int
		rule         string
	}{
		"public":                   {"GET /healthz", "", 200, "public"},
		"HEAD by GET":              {"HEAD /healthz", "", 200, "public"},
		"another method":           {"POST /healthz", "", 401, "default"},
		"one method of all":        {"GET /any", "", 200, "public"},
		"the others":               {"POST /any", "nothing", 403, "default"},
		"QUERY":                    {"QUERY /any", "OTP", 403, "rare"},
		"a method nobody knows":    {"PURGE /any", "OTP", 403, "rare"},
		"the root alone":           {"GET /", "", 200, "public"},
		"a subtree":                {"POST /mfa/otp/2", "", 200, "public"},
		"a wildcard":               {"GET /admin/7", "OTP", 403, "admin"},
		"a wildcard, allowed":      {"GET /admin/7", "FACE", 200, "admin"},
		"no route of the method":   {"POST /admin/7", "", 401, "default"},
		"no route":                 {"GET /nothing", "", 401, "default"},
		"a path that is cleaned":   {"GET /healthz/../admin/7", "OTP", 403, "admin"},
		"a path to be cleaned":     {"GET /admin//7", "OTP", 403, "admin"},
		"a redirect to a subtree":  {"GET /files", "", 401, "default"},
		"a host's rule":            {"GET http://API.example.com/open/1", "", 200, "public"},
		"not on another host":      {"GET /open/1", "", 401, "default"},
		"a connection for a proxy": {"CONNECT /healthz", "", 401, "default"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			method, target, _ := strings.Cut(row.request, " ")
			assert.Equal(t, row.status, ask(t, r.set(t, file).Guard(mux), method, target, row.has))
			require.Len(t, r.Seen, 1)
			assert.Equal(t, row.rule, r.Seen[0].Rule)
		})
	}
}

// TestRuleAndHandlerBothHold shows that neither a rule nor a handler's own middleware takes
// the place of the other.
func TestRuleAndHandlerBothHold(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	mux := http.NewServeMux()
	mux.Handle("/x", r.Middleware(echomfa.HandlerConfig{Policy: echomfa.AllOf(echomfa.Face)})(http.HandlerFunc(ok)))
	app := r.set(t, file).Guard(mux)
	for has, status := range map[string]int{"OTP+FACE": 200, "OTP": 403, "FACE": 403, "": 401} {
		assert.Equal(t, status, ask(t, app, "GET", "/x", has), has)
	}
}

// TestCoverageOfAMux tells our guard from others, and rules from handlers.
func TestCoverageOfAMux(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *echomfa.Config) { c.EnrollURL = "/mfa/start" })
	guard := r.Middleware(echomfa.HandlerConfig{Policy: echomfa.AllOf(echomfa.OTP)})
	fill := func(mux *ruleshttp.Mux) {
		mux.Handle("GET /guarded", guard(http.HandlerFunc(ok)))
		mux.Handle("GET /wrapped", http.StripPrefix("/wrapped", guard(http.HandlerFunc(ok))))
		mux.Handle("/skipper", r.Middleware(echomfa.HandlerConfig{
			Policy: echomfa.AllOf(echomfa.OTP), Skipper: func(*http.Request) bool { panic("called") },
		})(http.HandlerFunc(ok)))
		mux.HandleFunc("GET /healthz", ok)
		mux.HandleFunc("/any", ok)
		mux.HandleFunc("POST /any", ok)
		mux.HandleFunc("/mfa/{step...}", ok)
		mux.HandleFunc("API.example.com/open/{id}", ok)
	}
	var mux ruleshttp.Mux
	fill(&mux)
	set := r.set(t, file)
	assert.ErrorContains(t, set.CheckCoverage(&mux), "not installed: call Guard")
	set.Guard(&mux)
	rulestest.AssertCoverage(t, &mux, set, "testdata/mfa-coverage.golden")

	own := ruleshttp.WithoutRules(ruleshttp.Config{})
	assert.Equal(t, http.StatusOK, ask(t, own.Guard(&mux), "GET", "/healthz", ""))
	var open *rules.UnguardedError
	require.ErrorAs(t, own.CheckCoverage(&mux), &open)
	var names []string
	for _, route := range open.Routes {
		names = append(names, route.Method+" "+route.Host+route.Path)
	}
	assert.ElementsMatch(t, []string{
		"GET /wrapped", "ANY /skipper", "GET /healthz", "ANY /any", "POST /any", "ANY /mfa/{step...}", "ANY API.example.com/open/{id}",
	}, names)
}

// TestPagesForEverybodyMustBeOpen asks the mux which pattern leads to the enrollment page.
func TestPagesForEverybodyMustBeOpen(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(c *echomfa.Config) { c.EnrollURL = "/mfa/start" })
	set := r.set(t, "version: 1\ndefault: {require: OTP}\nrules: [{name: public, public: pages, routes: ['/mfa/{step}']}]\n")
	var mux ruleshttp.Mux
	mux.HandleFunc("/mfa/{step}", ok)
	set.Guard(&mux)
	require.NoError(t, set.CheckCoverage(&mux))
	mux.HandleFunc("api.example/", ok) // another pattern of a host
	require.NoError(t, set.CheckCoverage(&mux))
	mux.HandleFunc("GET Partners.example/mfa/start", ok)
	require.ErrorContains(t, set.CheckCoverage(&mux), "/mfa/start, which users without a factor must reach, is guarded: GET Partners.example/mfa/start -> rule default: OTP")
	mux.HandleFunc("GET /mfa/start", ok)
	assert.ErrorContains(t, set.CheckCoverage(&mux), "/mfa/start, which users without a factor must reach, is guarded: GET /mfa/start -> rule default: OTP")
}

// routers is a Router that cannot be compared.
type routers []ruleshttp.Router

func (r routers) Handler(req *http.Request) (http.Handler, string)   { return r[0].Handler(req) }
func (r routers) ServeHTTP(w http.ResponseWriter, req *http.Request) { r[0].ServeHTTP(w, req) }

// TestRouterOfAnyType guards one that is no key of a map.
func TestRouterOfAnyType(t *testing.T) {
	t.Parallel()
	var mux ruleshttp.Mux
	mux.HandleFunc("/admin/{id}", ok)
	guarded := newRig(t).set(t, file).Guard(routers{&mux})
	assert.Equal(t, http.StatusForbidden, ask(t, guarded, "GET", "/admin/7", "OTP"))
	assert.Equal(t, http.StatusOK, ask(t, guarded, "GET", "/admin/7", "FACE"))
}

// TestZeroSetRefuses shows what an app gets that forgot New.
func TestZeroSetRefuses(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("/", ok)
	assert.Equal(t, http.StatusInternalServerError, ask(t, new(ruleshttp.Set).Guard(mux), "GET", "/", "OTP"))

	_, err := ruleshttp.New(ruleshttp.Config{})
	require.ErrorContains(t, err, "Rules")
	_, err = ruleshttp.New(ruleshttp.Config{Rules: new(rules.Set)})
	require.ErrorContains(t, err, "Enforcer")
}
