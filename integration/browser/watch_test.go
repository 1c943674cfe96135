package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestWatch shows that what the other tests rely on is noticed at all.
func TestWatch(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", "script-src 'self' 'nonce-a'; style-src 'self'")
		if r.URL.Path != "/" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = fmt.Fprint(w, `<!doctype html><html lang="en"><title>App</title><link rel="icon" href="data:,">
<img src="http://elsewhere.example/a.png" alt=""><img src="/missing.png" alt=""><p style="color: red">Red
<script>1</script><script nonce="a">console.error("said"); addEventListener("load", () => { throw new Error("thrown") })</script><h1>App</h1>`)
	}))
	t.Cleanup(app.Close)
	tb := newTab(t, app.URL)
	tb.open("/")
	tb.at(200, "App")
	for _, want := range []string{
		"request: http://elsewhere.example/a.png",
		"console: Failed to load resource: the server responded with a status of 418 " + app.URL + "/missing.png",
		"console: error",
		"exception: Uncaught",
		"issue: ContentSecurityPolicyIssue",
		"console: Executing inline script violates",
		"console: Applying inline style violates",
	} {
		tb.until(want, func() bool {
			tb.mu.Lock()
			defer tb.mu.Unlock()
			return strings.Contains(strings.Join(tb.problems, "\n"), want)
		})
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	t.Log(strings.Join(tb.problems, "\n"))
	assert.NotEmpty(t, tb.problems)
	tb.problems = nil // as they should be
}
