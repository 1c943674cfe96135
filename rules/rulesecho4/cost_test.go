package rulesecho4_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header       { return d.header }
func (*discard) Write(b []byte) (int, error) { return len(b), nil }
func (*discard) WriteHeader(int)             {}

// manyRules is a file of a thousand rules, of which the last one decides about /admin/:id.
func manyRules() string {
	var b strings.Builder
	b.WriteString("version: 1\ndefault: {require: OTP}\nrules:\n")
	for i := range 999 {
		fmt.Fprintf(&b, "  - {name: r%d, require: OTP and FACE, routes: [/r%d/:id], under: [/tree/r%d]}\n", i, i, i)
	}
	b.WriteString("  - {name: admin, require: OTP or FACE, under: [/admin]}\n")
	return b.String()
}

// hits are apps that let the same request through from the cache.
func hits(tb testing.TB) map[string]*echo.Echo {
	tb.Helper()
	r := newRig(tb, func(c *echomfa.Config) { c.Observer = nil })
	own := echo.New()
	own.GET("/admin/:id", done, r.Require(echomfa.AnyOf(echomfa.OTP, echomfa.Face)))
	few, _ := r.install(tb, "version: 1\ndefault: {require: OTP}\nrules: [{name: admin, require: OTP or FACE, under: [/admin]}]\n")
	few.GET("/admin/:id", done)
	many, _ := r.install(tb, manyRules())
	many.GET("/admin/:id", done)
	return map[string]*echo.Echo{"own": own, "few": few, "many": many}
}

func done(echo.Context) error { return nil }

func hit(tb testing.TB) (*discard, *http.Request) {
	tb.Helper()
	req := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/admin/7", nil)
	req.Header.Set("Authorization", "Bearer OTP")
	return &discard{header: make(http.Header)}, req
}

// TestHitBehindRulesDoesNotAllocate compares a request that is let through from the cache
// with one behind a mount's own Require, for which Echo allocates as often.
func TestHitBehindRulesDoesNotAllocate(t *testing.T) {
	apps := hits(t)
	allocated := make(map[string]float64)
	for name, app := range apps {
		w, req := hit(t)
		allocated[name] = testing.AllocsPerRun(200, func() { app.ServeHTTP(w, req) })
	}
	assert.LessOrEqual(t, allocated["few"], allocated["own"])
	assert.LessOrEqual(t, allocated["many"], allocated["own"])
}

// BenchmarkHit is a request that is let through from the cache: behind a mount's own
// Require, behind the rules of a small file, and behind a thousand rules.
func BenchmarkHit(b *testing.B) {
	for _, name := range []string{"own", "few", "many"} {
		b.Run(name, func(b *testing.B) {
			app := hits(b)[name]
			w, req := hit(b)
			b.ReportAllocs()
			for b.Loop() {
				app.ServeHTTP(w, req)
			}
		})
	}
}
