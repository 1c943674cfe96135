package rules_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
)

// wrong returns the names of rules by which a file is refused: those of which one line is
// never met, and those with a when that ask for less than a later rule.
func (f naiveFile) wrong() (never, weaker []string) {
	for i, r := range f.rules {
		met := make(map[string]bool)
		for _, method := range methodsOfWorld() {
			for _, route := range routesOfWorld() {
				if !r.matches(method, route) {
					continue
				}
				decides := slices.ContainsFunc(timesOfWorld(), func(at time.Time) bool {
					return slices.ContainsFunc(usersOfWorld(), func(u naiveUser) bool { return f.decide(method, route, u, at).name == r.name })
				})
				for _, value := range r.routes {
					met[value] = met[value] || decides && matchesRoute(value, method, route)
				}
				for _, path := range r.under {
					met["under "+path] = met["under "+path] || decides && matchesUnder(path, route)
				}
			}
		}
		for _, is := range met {
			if !is && !slices.Contains(never, r.name) {
				never = append(never, r.name)
			}
		}
		if f.isWeaker(i) {
			weaker = append(weaker, r.name)
		}
	}
	return never, weaker
}

func (f naiveFile) isWeaker(i int) bool {
	r := f.rules[i]
	if len(r.roles)+len(r.tenants) == 0 {
		return false
	}
	for _, method := range methodsOfWorld() {
		for _, route := range routesOfWorld() {
			for _, u := range usersOfWorld() {
				for _, at := range timesOfWorld() {
					applying := f.applying(method, route, u, at)
					place := slices.IndexFunc(applying, func(other naiveRule) bool { return other.name == r.name })
					if place < 0 {
						continue
					}
					for _, other := range applying[place+1:] {
						if other.kind == "require" && (!r.policy.implies(other.policy) || r.reportOnly && !other.reportOnly) {
							return true
						}
					}
				}
			}
		}
	}
	return false
}

// TestBruteForce compares 1,000 random files with rules that are tried one after the other:
// which files are refused, and for every route, method, time, user and set of six factor
// types, who gets through.
func TestBruteForce(t *testing.T) {
	t.Parallel()
	g := generator{rand.New(rand.NewPCG(21, 0))}
	sets := subsets()
	files, refused := 0, 0
	for files < 1000 {
		naive := g.file()
		never, weaker := naive.wrong()
		f, err := rules.Parse([]byte(naive.text()), "mfa.yaml")
		if len(never)+len(weaker) > 0 {
			refused++
			var mistakes rules.Mistakes
			require.True(t, errors.As(err, &mistakes), naive.text())
			var gotNever, gotWeaker []string
			for _, m := range mistakes {
				switch name := strings.Fields(m.Message)[2]; m.Code {
				case "unreachable":
					gotNever = append(gotNever, name)
				case "when":
					gotWeaker = append(gotWeaker, name)
				default:
					t.Fatal(m, naive.text())
				}
			}
			slices.Sort(gotNever)
			slices.Sort(gotWeaker)
			require.Equal(t, never, slices.Compact(gotNever), naive.text())
			require.Equal(t, weaker, slices.Compact(gotWeaker), naive.text())
			continue
		}
		require.NoError(t, err, naive.text())
		files++
		for _, method := range methodsOfWorld() {
			for _, route := range routesOfWorld() {
				m := f.Match(method, route)
				for _, u := range usersOfWorld() {
					for _, at := range timesOfWorld() {
						want := naive.decide(method, route, u, at)
						got := m.Rule(at, rules.Identity{Roles: u.roles, Tenant: u.tenant})
						if want.name != got.Name() {
							t.Fatalf("%s %s, %v at %v: %s, not %s\n%s", method, route, u, at, got.Name(), want.name, naive.text())
						}
					}
				}
			}
		}
		for _, r := range f.Rules() {
			want := naive.byDefault
			if !r.IsDefault() {
				want = naive.rules[slices.IndexFunc(naive.rules, func(n naiveRule) bool { return n.name == r.Name() })]
			}
			assert.Equal(t, want.kind, r.Kind().String())
			for _, has := range sets {
				satisfied := r.Policy().Evaluate(factorsOf(has)).Satisfied
				if want := want.kind != "require" || want.policy.holds(has); want != satisfied {
					t.Fatalf("%s with %v: %v, not %v\n%s", r.Name(), has, satisfied, want, naive.text())
				}
			}
		}
	}
	assert.Greater(t, refused, 100)
}
