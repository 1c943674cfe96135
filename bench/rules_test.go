package bench_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/rulesecho4"
	"github.com/labstack/echo/v4"

	"github.com/echomfa/echomfa/bench/peer"
)

// BenchmarkRulesHit is the way of a request of a user who is known behind the rules of a
// file, beside that behind a mount's own Require.
func BenchmarkRulesHit(b *testing.B) {
	user := peer.NewTokens("alice")
	e := newEnforcer(b, 1<<16)
	peers := []struct {
		name string
		app  *echo.Echo
	}{
		{"own Require", app(e.Require(peer.Policy()))},
		{"rules", appWithRules(b, e, 1)},
		{"1,000 rules", appWithRules(b, e, 1000)},
		{"60 policies", appWithPolicies(b, e, user.Opaque)},
	}
	for name, token := range map[string]string{"jwt": user.RS256, "40B": user.Opaque} {
		for _, p := range peers {
			b.Run("token="+name+"/peer="+p.name, func(b *testing.B) { run(b, p.app, token) })
		}
	}
}

// BenchmarkRulesFind is the part of that which finds the rule: at most a tenth of a hit
// behind a mount's own Require.
func BenchmarkRulesFind(b *testing.B) {
	e := newEnforcer(b, 1<<16)
	for name, n := range map[string]int{"rules": 1, "1,000 rules": 1000} {
		held := holdRules(b, e, n)
		b.Run("peer="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := rules.Requirement(held, b, http.MethodGet, "/", nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// appWithRules is the app behind a file whose last rule decides.
func appWithRules(b *testing.B, e *echomfa.Enforcer, n int) *echo.Echo {
	b.Helper()
	return install(b, holdRules(b, e, n))
}

func install(b *testing.B, held *rules.Set) *echo.Echo {
	b.Helper()
	set, err := rulesecho4.New(rulesecho4.Config{Rules: held})
	if err != nil {
		b.Fatal(err)
	}
	guarded := echo.New()
	set.Install(guarded)
	guarded.GET("/", func(c echo.Context) error { c.Response().WriteHeader(http.StatusOK); return nil })
	return guarded
}

func holdRules(b *testing.B, e *echomfa.Enforcer, n int) *rules.Set {
	b.Helper()
	return hold(b, e, n-1, func(i int) string {
		return fmt.Sprintf("  - {name: r%d, require: FACE, routes: [/r%d/:id], under: [/tree/r%d]}\n", i, i, i)
	})
}

// appWithPolicies is the app behind a file of 60 policies, each of which a request has
// needed before.
func appWithPolicies(b *testing.B, e *echomfa.Enforcer, token string) *echo.Echo {
	b.Helper()
	const n = 60
	guarded := install(b, hold(b, e, n, func(i int) string {
		return fmt.Sprintf("  - {name: r%d, require: '\"X%d\" or OTP', routes: [/r%d]}\n", i, i, i)
	}))
	for i := range n {
		guarded.GET(fmt.Sprintf("/r%d", i), func(c echo.Context) error { return c.NoContent(http.StatusOK) })
		r := request(token)
		r.URL.Path = fmt.Sprintf("/r%d", i)
		guarded.ServeHTTP(&discard{header: make(http.Header)}, r)
	}
	return guarded
}

// hold returns the rules of a file with n rules, and one more that decides.
func hold(b *testing.B, e *echomfa.Enforcer, n int, rule func(i int) string) *rules.Set {
	b.Helper()
	var text strings.Builder
	text.WriteString("version: 1\ndefault: {require: FACE}\nrules:\n")
	for i := range n {
		text.WriteString(rule(i))
	}
	fmt.Fprintf(&text, "  - {name: last, require: %s, routes: [/]}\n", peer.Policy())
	file, err := rules.Parse([]byte(text.String()), "rules.yaml")
	if err != nil {
		b.Fatal(err)
	}
	held, err := rules.New(file, rules.Config{Enforcer: e})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = held.Close() })
	return held
}
