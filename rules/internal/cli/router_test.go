package cli_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	echo4 "github.com/labstack/echo/v4"
	echo5 "github.com/labstack/echo/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/internal/cli"
	"github.com/echomfa/echomfa/rules/rulesecho4"
	"github.com/echomfa/echomfa/rules/rulesecho5"
	"github.com/echomfa/echomfa/rules/ruleshttp"
)

// world is an app, by its coverage and by the route that its router takes for a request.
type world struct {
	coverage rules.Coverage
	routeOf  func(r *http.Request) string
}

func ofEcho4(t *testing.T) world {
	t.Helper()
	e, set := echo4.New(), rulesecho4.WithoutRules(rulesecho4.Config{})
	route := ""
	set.Install(e)
	e.Use(func(echo4.HandlerFunc) echo4.HandlerFunc {
		return func(c echo4.Context) error {
			if route = c.Path(); route != "" && c.Echo().Routers()[c.Request().Host] != nil {
				route = strings.ToLower(c.Request().Host) + route
			}
			return nil
		}
	})
	ok := func(echo4.Context) error { return nil }
	e.GET("/", ok)
	e.GET("/users/:id", ok)
	e.POST("/users/new", ok)
	e.GET("/users/new", ok)
	e.GET("/users/:id/files/*", ok)
	e.Any("/any", ok)
	e.POST("/:page", ok)
	e.RouteNotFound("/spa/*", ok)
	e.Group("/group", func(next echo4.HandlerFunc) echo4.HandlerFunc { return next }).GET("/in", ok)
	host := e.Host("api.example")
	host.GET("/users/:name", ok)
	host.GET("/users/:name/zones", ok)
	e.Host("Mixed.example").GET("/users/:name", ok) // a router compares hosts as they are
	e.Host("mixed.example").GET("/users/:login", ok)
	coverage, err := set.Coverage(e)
	require.NoError(t, err)
	return world{coverage, func(r *http.Request) string {
		route = ""
		e.ServeHTTP(httptest.NewRecorder(), r)
		return route
	}}
}

func ofEcho5(t *testing.T) world {
	t.Helper()
	e, set := echo5.New(), rulesecho5.WithoutRules(rulesecho5.Config{})
	route := ""
	set.Install(e)
	e.Use(func(echo5.HandlerFunc) echo5.HandlerFunc {
		return func(c *echo5.Context) error {
			route = c.Path()
			return nil
		}
	})
	ok := func(*echo5.Context) error { return nil }
	e.GET("/", ok)
	e.GET("/users/:id", ok)
	e.POST("/users/new", ok)
	e.GET("/users/new", ok)
	e.GET("/users/:id/files/*", ok)
	e.Any("/any", ok)
	e.POST("/:page", ok)
	e.RouteNotFound("/spa/*", ok)
	e.Group("/group", func(next echo5.HandlerFunc) echo5.HandlerFunc { return next }).GET("/in", ok)
	coverage, err := set.Coverage(e)
	require.NoError(t, err)
	return world{coverage, func(r *http.Request) string {
		route = ""
		e.ServeHTTP(httptest.NewRecorder(), r)
		return route
	}}
}

func ofMux(t *testing.T) world {
	t.Helper()
	var mux ruleshttp.Mux
	set := ruleshttp.WithoutRules(ruleshttp.Config{})
	ok := func(http.ResponseWriter, *http.Request) {}
	for _, pattern := range []string{
		"GET /{$}", "GET /users/{id}", "POST /users/new", "GET /users/new", "GET /users/{id}/files/{rest...}", "/any", "/spa/", "GET /group/in",
		"GET api.example/users/{name}", "/users/{id}/mail", "GET Mixed.example/users/{name}", "GET mixed.example/users/{login}",
	} {
		mux.HandleFunc(pattern, ok)
	}
	set.Guard(&mux)
	coverage, err := set.Coverage(&mux)
	require.NoError(t, err)
	return world{coverage, func(r *http.Request) string {
		_, pattern := mux.Handler(r)
		return strings.ReplaceAll(pattern[strings.IndexByte(pattern, ' ')+1:], "Mixed", "mixed")
	}}
}

// TestURLFindsTheRouteOfTheRouter compares the route that explain finds for an address with
// the one that the app's own router takes, for each framework.
func TestURLFindsTheRouteOfTheRouter(t *testing.T) {
	t.Parallel()
	for framework, of := range map[string]func(*testing.T) world{"echo4": ofEcho4, "echo5": ofEcho5, "mux": ofMux} {
		t.Run(framework, func(t *testing.T) {
			t.Parallel()
			w := of(t)
			data, err := w.coverage.JSON()
			require.NoError(t, err)
			file := filepath.Join(t.TempDir(), "coverage.json")
			require.NoError(t, os.WriteFile(file, data, 0o600))
			seen := make(map[string]bool)
			for _, url := range []string{
				"/", "/users/7", "/users/new", "/users/7/files/a/b", "/users/7/files/", "/users/7/files", "/users/7/mail", "/users/", "/users", "/any", "/anything",
				"/spa/x/y", "/spa", "/group/in", "/group/out", "/group", "/nowhere", "/users/a%2Fb", "/users/%6Eew", "http://api.example/users/7", "http://api.example/users/7/zones", "http://api.example/any", "http://API.example/users/7",
				"http://Mixed.example/users/7", "http://mixed.example/users/7", "http://MIXED.example/users/7",
			} {
				for _, method := range []string{"GET", "HEAD", "POST", "DELETE", "PROPFIND", "PURGE"} {
					r := httptest.NewRequestWithContext(t.Context(), method, url, http.NoBody)
					if url[0] == '/' {
						r.Host = ""
					}
					want := w.routeOf(r)
					code, out, errOut := run(t, "explain", "testdata/mfa.yaml", "--url", method+" "+url, "--routes", file, "--json")
					require.Zero(t, code, errOut)
					var x cli.Explanation
					require.NoError(t, json.Unmarshal([]byte(out), &x))
					assert.Equal(t, want, x.Route, "%s %s", method, url)
					seen[want] = true
				}
			}
			assert.Greater(t, len(seen), 7)
		})
	}
}

// TestMountsOfARoute shows which row of the coverage a request meets: that of its method,
// before that of all methods.
func TestMountsOfARoute(t *testing.T) {
	t.Parallel()
	row := func(method, path, kind, requires string) string {
		return fmt.Sprintf(`{"method": %q, "path": %q, "kind": %q, "guards": [{"rule": "default", "requires": "OTP"}, {"requires": %q, "mode": "enforce"}]}`, method, path, kind, requires)
	}
	file := filepath.Join(t.TempDir(), "coverage.json")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, `{"format": 1, "framework": "net/http", "routes": [%s]}`, strings.Join([]string{
		row("ANY", "/a", "", "SMS"), row("GET", "/a", "", "EMAIL"), row("_OTHER", "/a", "", "FACE"), row("HEAD", "/b", "", "SMS"), row("GET", "/b", "", "EMAIL"),
		row("ANY", "/c", "not-found", "SMS"), row("POST", "/c", "", "FACE"), row("ANY", "", "unmatched", "PASSKEY"),
		`{"method": "GET", "path": "/d", "guards": [{"per_request": true}]}`, `{"method": "GET", "path": "/e", "guards": [{"public": "health"}]}`,
		`{"method": "GET", "path": "/f", "guards": [{"requires": "SMS", "mode": "report-only", "policy": "message"}]}`,
	}, ", ")), 0o600))
	for request, row := range map[string]struct{ asks, outcome string }{
		"GET /a":    {"EMAIL", cli.Refuse},
		"HEAD /a":   {"EMAIL", cli.Refuse},
		"POST /a":   {"SMS", cli.Refuse},
		"PURGE /a":  {"FACE", cli.Refuse},
		"HEAD /b":   {"SMS", cli.Refuse},
		"POST /c":   {"FACE", cli.Refuse},
		"DELETE /c": {"SMS", cli.Refuse},
		"GET /d":    {"", cli.Depends},
		"GET /e":    {"open: health", cli.Allow},
		"GET /f":    {"message (SMS), report-only", cli.Report},
	} {
		code, out, errOut := run(t, "explain", "testdata/mfa.yaml", "--route", request, "--routes", file, "--have", "OTP", "--json")
		require.Zero(t, code, errOut)
		var x cli.Explanation
		require.NoError(t, json.Unmarshal([]byte(out), &x))
		asks := "none"
		if len(x.Mounts) > 0 {
			asks = x.Mounts[0].Asks
		}
		assert.Equal(t, row.asks, asks, request)
		assert.Equal(t, row.outcome, x.Answer.Outcome, request)
	}
	for request, want := range map[string]string{
		"POST /f": `the app has no route "POST /f": it has the path for GET`,
		"GET /z":  `the app has no route "GET /z": a request that matches no route gets what the default asks for`,
	} {
		code, _, errOut := run(t, "explain", "testdata/mfa.yaml", "--route", request, "--routes", file)
		assert.Equal(t, 2, code)
		assert.Contains(t, errOut, want)
	}
}

// TestPageBehindARule is a mistake also if the rule is for some users only, and the page is
// open for all others.
func TestPageBehindARule(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, routes := filepath.Join(dir, "mfa.yaml"), filepath.Join(dir, "coverage.json")
	require.NoError(t, os.WriteFile(routes, []byte(`{"format": 1, "framework": "echo/v4", "routes": [{"method": "GET", "path": "/mfa", "guards": []}]}`), 0o600))
	require.NoError(t, os.WriteFile(file, []byte("version: 1\ndefault: {require: OTP}\nrules:\n"+
		"  - {name: admins, require: OTP and FACE, under: [/], when: {role: [admin]}}\n  - {name: pages, public: pages, under: [/mfa]}\n"), 0o600))
	code, out, _ := run(t, "check", file, "--pages", "/mfa", "--routes", routes)
	assert.Equal(t, 3, code)
	assert.Contains(t, out, "the rule admins guards /mfa, which users without a factor must reach")
}
