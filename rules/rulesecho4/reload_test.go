package rulesecho4_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/rulesecho4"
)

// version is a file whose rule v<n> asks everybody for the factor type V<n>, and whose
// other rules stay.
func version(n int) string {
	return fmt.Sprintf("version: 1\npolicies: {p%[1]d: '\"V%[1]d\"'}\ndefault: {require: FACE}\nrules:\n"+
		"  - {name: v%[1]d, require: p%[1]d, routes: ['GET /x']}\n  - {name: public, public: pages, under: [/open]}\n", n)
}

// TestReloadsUnderRequests reads a thousand changed files while ten thousand requests are
// answered: each by one of the files that were in force, as a whole, and by the new one
// after Reload has returned.
func TestReloadsUnderRequests(t *testing.T) {
	t.Parallel()
	const reloads, requests, versions = 1000, 10_000, 5
	e, err := echomfa.New(echomfa.Config{
		Client: echomfa.FactorListerFunc(lister), Namespace: "test", InsecureAnyAudience: true, KeepDecision: true,
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	dir := t.TempDir()
	path := filepath.Join(dir, "rules.yaml")
	write := func(n int) {
		require.NoError(t, os.WriteFile(path+".new", []byte(version(n)), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	write(0)
	// No notification and no poll takes a file: each Reload is the test's.
	file, err := rules.Open(path, rules.Config{Enforcer: e, Poll: time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, file.Close()) })
	set, err := rulesecho4.New(rulesecho4.Config{Rules: file})
	require.NoError(t, err)
	app := echo.New()
	set.Install(app)
	var wrong atomic.Int64
	app.GET("/x", func(c echo.Context) error {
		d, _ := echomfa.DecisionFrom(c.Request().Context())
		if len(d.Rule) != 2 || d.Policy.Name() != "p"+d.Rule[1:] || !d.Enrolled.Has(echomfa.FactorType("V"+d.Rule[1:])) {
			wrong.Add(1)
		}
		return c.String(http.StatusOK, d.Rule)
	})
	app.GET("/open/*", ok)
	app.GET("/closed", ok)

	tokens := make([]string, versions)
	for n := range tokens {
		tokens[n] = fmt.Sprintf("V%d", n)
	}
	send := func(target, token string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		return w
	}
	var (
		workers sync.WaitGroup
		sent    atomic.Int64
		let     atomic.Int64
	)
	for worker := range 4 {
		workers.Go(func() {
			for i := worker; sent.Add(1) <= requests; i++ {
				switch i % 4 {
				case 0:
					if send("/open/page", "nothing").Code != http.StatusOK {
						wrong.Add(1)
					}
				case 1:
					if send("/closed", tokens[i%versions]).Code != http.StatusForbidden {
						wrong.Add(1)
					}
				default:
					if w := send("/x", tokens[i%versions]); w.Code == http.StatusOK {
						if let.Add(1); w.Body.String() != "v"+tokens[i%versions][1:] {
							wrong.Add(1)
						}
					} else if w.Code != http.StatusForbidden {
						wrong.Add(1)
					}
				}
			}
		})
	}
	for i := 1; i <= reloads; i++ {
		n := i % versions
		write(n)
		require.NoError(t, file.Reload())
		w := send("/x", tokens[n])
		assert.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, fmt.Sprintf("v%d", n), w.Body.String())
		assert.Equal(t, http.StatusForbidden, send("/x", tokens[(n+1)%versions]).Code)
	}
	workers.Wait()
	assert.Zero(t, wrong.Load())
	assert.Positive(t, let.Load())
}
