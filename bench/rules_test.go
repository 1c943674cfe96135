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
	}
	for name, token := range map[string]string{"jwt": user.RS256, "40B": user.Opaque} {
		for _, p := range peers {
			b.Run("token="+name+"/peer="+p.name, func(b *testing.B) { run(b, p.app, token) })
		}
	}
}

// appWithRules is the app behind a file whose last rule decides.
func appWithRules(b *testing.B, e *echomfa.Enforcer, n int) *echo.Echo {
	b.Helper()
	var text strings.Builder
	text.WriteString("version: 1\ndefault: {require: FACE}\nrules:\n")
	for i := range n - 1 {
		fmt.Fprintf(&text, "  - {name: r%d, require: FACE, routes: [/r%d/:id], under: [/tree/r%d]}\n", i, i, i)
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
	set, err := rulesecho4.New(rulesecho4.Config{Rules: held})
	if err != nil {
		b.Fatal(err)
	}
	guarded := echo.New()
	set.Install(guarded)
	guarded.GET("/", func(c echo.Context) error { c.Response().WriteHeader(http.StatusOK); return nil })
	return guarded
}
