package adaptertest

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
)

// file is a Set that reads its file when the test says.
type file struct {
	*rules.Set

	tb   testing.TB
	path string
	log  logbook
}

// logbook keeps log lines that the follower of a file writes, too.
type logbook struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (l *logbook) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(line)
}

// unmet returns the last line about rules that meet no route, or "".
func (l *logbook) unmet() (last string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.lines.String()) {
		if strings.Contains(line, `"event":"rules_without_route"`) {
			last = line
		}
	}
	return last
}

func open(tb testing.TB, e *echomfa.Enforcer, text string) *file {
	tb.Helper()
	f := &file{tb: tb, path: filepath.Join(tb.TempDir(), "rules.yaml")}
	f.write(text)
	// No notification and no poll takes a file: it is not there by then.
	var err error
	f.Set, err = rules.Open(f.path, rules.Config{
		Enforcer: e, Poll: time.Hour, Roles: []string{"admin"}, Logger: slog.New(slog.NewJSONHandler(&f.log, nil)),
	})
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, f.Close()) })
	return f
}

func (f *file) write(text string) {
	f.tb.Helper()
	require.NoError(f.tb, os.WriteFile(f.path+".new", []byte(text), 0o600))
	require.NoError(f.tb, os.Rename(f.path+".new", f.path))
}

// App is an app that has mounted rules.
type App struct {
	http.Handler

	// CheckCoverage is the one of the package that has mounted them.
	CheckCoverage func() error
}

// TestReloadsUnderRequests reads changed files while requests are answered: each by one of
// the files that were in force, as a whole, and by the new one after Reload has returned.
// The app's routes are "GET /x", which answers by Versioned, and "GET /open/page" and
// "GET /closed", which answer 200.
func TestReloadsUnderRequests(t *testing.T, reloads, requests int, mount func(*rules.Set) http.Handler) {
	t.Helper()
	const versions = 5
	e, err := echomfa.New(echomfa.Config{
		Client: echomfa.FactorListerFunc(Lister), Namespace: "test", InsecureAnyAudience: true, KeepDecision: true,
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	f := open(t, e, version(0))
	app := mount(f.Set)
	send := func(target string, n int) (int, string) {
		w := Ask(t, app, http.MethodGet, target, fmt.Sprintf("V%d", n%versions))
		return w.Code, w.Body.String()
	}
	var (
		workers          sync.WaitGroup
		sent, let, wrong atomic.Int64
	)
	for worker := range 4 {
		workers.Go(func() {
			for i := worker; sent.Add(1) <= int64(requests); i++ {
				var good bool
				switch i % 4 {
				case 0:
					code, _ := send("/open/page", i)
					good = code == http.StatusOK
				case 1:
					code, _ := send("/closed", i)
					good = code == http.StatusForbidden
				default:
					code, body := send("/x", i)
					if good = code == http.StatusForbidden; code == http.StatusOK {
						good = body == fmt.Sprintf("v%d", i%versions)
						let.Add(1)
					}
				}
				if !good {
					wrong.Add(1)
				}
			}
		})
	}
	for n := 1; n <= reloads; n++ {
		f.write(version(n % versions))
		require.NoError(t, f.Reload())
		code, body := send("/x", n)
		assert.Equal(t, http.StatusOK, code)
		assert.Equal(t, fmt.Sprintf("v%d", n%versions), body)
		code, _ = send("/x", n+1)
		assert.Equal(t, http.StatusForbidden, code)
	}
	workers.Wait()
	assert.Zero(t, wrong.Load())
	assert.Positive(t, let.Load())
}

// version is a file whose rule v<n> asks everybody for the factor type V<n>, and whose
// other rules stay.
func version(n int) string {
	return fmt.Sprintf("version: 1\npolicies: {p%[1]d: '\"V%[1]d\"'}\ndefault: {require: FACE}\nrules:\n"+
		"  - {name: v%[1]d, require: p%[1]d, routes: [/x]}\n  - {name: public, public: pages, under: [/open]}\n", n)
}

// Versioned is what /x answers: the rule that decided, if the decision is of one file.
func Versioned(d echomfa.Decision) string {
	if len(d.Rule) != 2 || d.Policy.Name() != "p"+d.Rule[1:] || !d.Enrolled.Has(echomfa.FactorType("V"+d.Rule[1:])) {
		return "wrong"
	}
	return d.Rule
}

const (
	openPages = "version: 1\ndefault: {require: OTP}\nrules:\n  - {name: pages, public: pages, routes: [/login], under: [/mfa]}\n"
	// By the text of the file /mfa/start is open, and it is by the app's router that it is not.
	guardedRoute = "version: 1\ndefault: {require: OTP}\nrules:\n  - {name: pages, public: pages, routes: [/login, /mfa/start]}\n  - {name: steps, require: FACE, under: [/mfa]}\n"
	exemptRoute  = "version: 1\ndefault: {require: OTP}\nrules:\n  - {name: pages, public: pages, routes: [/login, /mfa/start]}\n" +
		"  - {name: steps, exempt: {reason: a, owner: b, expires: 2199-01-01}, under: [/mfa]}\n"
	forRoles = openPages + "  - {name: admins, require: OTP and FACE, under: [/x], when: {role: [admin]}}\n"
)

// TestFilesAreHeldAgainstTheApp shows which files an app refuses that has no function for
// the identity of its users, and whose router chooses a route with a parameter for the page
// /mfa/start; it has /login, too. Such a file changes nothing. A rule that meets no route is
// a line in the log.
func TestFilesAreHeldAgainstTheApp(t *testing.T, mount func(*rules.Set) (App, error)) {
	t.Helper()
	e := NewRig(t, func(c *echomfa.Config) {
		c.EnrollURL, c.LoginURL, c.TokenLookup = "/mfa/start", "/login", "cookie:session"
	}).Enforcer
	_, err := mount(open(t, e, forRoles).Set)
	require.ErrorContains(t, err, "Identity: required for these rules:")
	require.ErrorContains(t, err, "rules.yaml:5:56: the rule admins has a when, and the app does not say who its users are: set Identity")

	f := open(t, e, openPages)
	app, err := mount(f.Set)
	require.NoError(t, err)
	refused := func(text, why string) {
		t.Helper()
		before := f.Revision().Hash
		f.write(text)
		require.ErrorContains(t, f.Reload(), why)
		assert.Equal(t, before, f.Revision().Hash)
		assert.True(t, f.Stats().Stale)
	}
	refused(forRoles, "the rule admins has a when")

	f.write(guardedRoute) // before the app is complete nobody knows which route leads to the page
	require.NoError(t, f.Reload())
	require.ErrorContains(t, app.CheckCoverage(), "/mfa/start, which users without a factor must reach, is guarded")
	f.write(openPages)
	require.NoError(t, f.Reload())
	require.NoError(t, app.CheckCoverage())
	refused(guardedRoute, "the rule steps guards the route of /mfa/start, which users without a factor must reach: name the route in a public rule that comes first: routes: [\"/mfa/")
	refused(exemptRoute, "the rule steps opens for a time only the route of /mfa/start")
	f.write(openPages + "# once more\n")
	require.NoError(t, f.Reload())
	assert.False(t, f.Stats().Stale)

	assert.Empty(t, f.log.unmet())
	f.write(openPages + "  - {name: payout, require: FACE, routes: [/loginn]}\n") // a route is misspelled
	require.NoError(t, f.Reload())
	assert.Contains(t, f.log.unmet(), `"level":"WARN"`)
	assert.Contains(t, f.log.unmet(), "rules.yaml:5:5: the rule payout meets no route of the app")

	f = open(t, e, openPages+"  - {name: payout, require: FACE, routes: [/loginn]}\n")
	app, err = mount(f.Set)
	require.NoError(t, err)
	assert.Empty(t, f.log.unmet(), "it is not known which routes there are")
	require.NoError(t, app.CheckCoverage())
	assert.Contains(t, f.log.unmet(), "the rule payout meets no route of the app")
}
