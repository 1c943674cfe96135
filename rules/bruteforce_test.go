package rules_test

import (
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
)

// world is what every random file is tried with.
type world struct {
	users []naiveUser
	times []time.Time
	sets  []map[string]bool // of factor types
}

// each yields every method and route, with the rules that match it.
func (f naiveFile) each(visit func(method, route string, matching naiveFile)) {
	for _, method := range methodsOfWorld() {
		for _, route := range routesOfWorld() {
			visit(method, route, f.matching(method, route))
		}
	}
}

// wrong returns the names of rules by which a file is refused: those of which one line is
// never met, and those with a when that ask for less than a later rule.
func (f naiveFile) wrong(w world) (never, weaker []string) {
	met, isWeaker, judged := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	f.each(func(method, route string, matching naiveFile) {
		decides := make(map[string]bool)
		for _, u := range w.users {
			for _, at := range w.times {
				applying := matching.applying(u, at)
				decides[applying[0].name] = true
				for i, r := range applying {
					for _, other := range applying[i+1:] {
						// The last one has no when.
						if pair := r.name + " " + other.name; !judged[pair] {
							judged[pair] = true
							isWeaker[r.name] = isWeaker[r.name] || other.kind == "require" && (!r.policy.implies(other.policy, w.sets) || r.reportOnly && !other.reportOnly)
						}
					}
				}
			}
		}
		for _, r := range matching.rules {
			for _, value := range r.routes {
				met[r.name+value] = met[r.name+value] || decides[r.name] && matchesRoute(value, method, route)
			}
			for _, path := range r.under {
				met[r.name+"under "+path] = met[r.name+"under "+path] || decides[r.name] && matchesUnder(path, route)
			}
		}
	})
	for _, r := range f.rules {
		if slices.ContainsFunc(r.routes, func(value string) bool { return !met[r.name+value] }) ||
			slices.ContainsFunc(r.under, func(path string) bool { return !met[r.name+"under "+path] }) {
			never = append(never, r.name)
		}
		if isWeaker[r.name] {
			weaker = append(weaker, r.name)
		}
	}
	return never, weaker
}

// TestBruteForce compares 1,000 random files with rules that are tried one after the other:
// which files are refused; for every route, method, time and user, which rule decides; and
// which of all sets of six factor types satisfy it. Then it compares who gets through the
// middleware.
func TestBruteForce(t *testing.T) {
	t.Parallel()
	g := generator{rand.New(rand.NewPCG(21, 0))}
	w := world{usersOfWorld(), timesOfWorld(), subsets()}
	var good []goodFile
	refused := 0
	for len(good) < randomFiles {
		naive := g.file()
		never, weaker := naive.wrong(w)
		f, err := rules.Parse([]byte(naive.text()), "mfa.yaml")
		if len(never)+len(weaker) > 0 {
			refused++
			requireRefused(t, naive, err, never, weaker)
			continue
		}
		require.NoError(t, err, naive.text())
		good = append(good, goodFile{naive, f})
		compareRules(t, naive, f, w)
		comparePolicies(t, naive, f, w)
	}
	assert.Greater(t, refused, 100)
	synctest.Test(t, func(t *testing.T) { compareMiddleware(t, g, good, w) })
}

type goodFile struct {
	naive naiveFile
	file  *rules.File
}

func requireRefused(t *testing.T, naive naiveFile, err error, never, weaker []string) {
	t.Helper()
	var mistakes rules.Mistakes
	require.ErrorAs(t, err, &mistakes, naive.text())
	got := make(map[string][]string)
	for _, m := range mistakes {
		got[m.Code] = append(got[m.Code], strings.Fields(m.Message)[2])
	}
	for code, names := range got {
		slices.Sort(names)
		got[code] = slices.Compact(names)
	}
	want := map[string][]string{"unreachable": never, "when": weaker}
	for code, names := range want {
		if names == nil {
			delete(want, code)
		}
	}
	require.Equal(t, want, got, naive.text())
}

func compareRules(t *testing.T, naive naiveFile, f *rules.File, w world) {
	t.Helper()
	naive.each(func(method, route string, matching naiveFile) {
		m := f.Match(method, route)
		for _, u := range w.users {
			for _, at := range w.times {
				want, got := matching.decide(u, at), m.Rule(at, rules.Identity{Roles: u.roles, Tenant: u.tenant})
				if want.name != got.Name() {
					t.Fatalf("%s %s, %v at %v: %s, not %s\n%s", method, route, u, at, got.Name(), want.name, naive.text())
				}
			}
		}
	})
}

func comparePolicies(t *testing.T, naive naiveFile, f *rules.File, w world) {
	t.Helper()
	for _, r := range f.Rules() {
		want := naive.byDefault
		if !r.IsDefault() {
			want = naive.rules[slices.IndexFunc(naive.rules, func(n naiveRule) bool { return n.name == r.Name() })]
		}
		require.Equal(t, want.kind, r.Kind().String())
		for _, has := range w.sets {
			satisfied := r.Policy().Evaluate(factorsOf(has)).Satisfied
			if want := want.kind != "require" || want.policy.holds(has); want != satisfied {
				t.Fatalf("%s with %v: %v, not %v\n%s", r.Name(), has, satisfied, want, naive.text())
			}
		}
	}
}

// compareMiddleware sends requests of users with each set of factors to two routes of
// each file, before and after its exemptions have ended. The clock is that of a bubble.
func compareMiddleware(t *testing.T, g generator, files []goodFile, w world) {
	t.Helper()
	e := newEnforcer(t, func(c *echomfa.Config) { c.Cache.FreshFor, c.Cache.DenyFreshFor = 5*time.Minute, 5*time.Minute })
	served := http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) { out.WriteHeader(http.StatusNoContent) })
	counts := make(map[int]int)
	for _, at := range w.times {
		time.Sleep(time.Until(at))
		for _, file := range files {
			s, err := rules.New(file.file, rules.Config{Enforcer: e, Roles: []string{"admin", "staff"}})
			require.NoError(t, err)
			u := w.users[g.IntN(len(w.users))]
			handler := e.Middleware(echomfa.HandlerConfig{RequireFunc: func(r *http.Request) (echomfa.Requirement, error) {
				return rules.Requirement(s, r, r.Method, r.Pattern, func(*http.Request) (rules.Identity, error) {
					return rules.Identity{Roles: u.roles, Tenant: u.tenant}, nil
				})
			}})(served)
			for range 2 {
				method, route := methodsOfWorld()[g.IntN(5)], routesOfWorld()[g.IntN(len(routesOfWorld()))]
				decides := file.naive.matching(method, route).decide(u, at)
				for _, has := range w.sets {
					r := httptest.NewRequestWithContext(t.Context(), method, "/", nil)
					r.Pattern = route
					r.Header.Set("Authorization", "Bearer token-of-user-"+strings.ReplaceAll(factorsOf(has).String(), ",", "-"))
					answer := httptest.NewRecorder()
					handler.ServeHTTP(answer, r)
					want := http.StatusForbidden
					if decides.allowed(has) {
						want = http.StatusNoContent
					}
					counts[want]++
					if answer.Code != want {
						t.Fatalf("%s %s, %v with %v at %v: %d, not %d by %s\n%s", method, route, u, has, at, answer.Code, want, decides.name, file.naive.text())
					}
				}
			}
		}
	}
	assert.Greater(t, counts[http.StatusForbidden], 10_000)
	assert.Greater(t, counts[http.StatusNoContent], 10_000)
}
