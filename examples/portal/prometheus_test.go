package main

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFourInstancesAndARestart has four portals that Prometheus fetches from. One of them
// restarts, and its counters begin again. No alert fires, and the totals are right.
func TestFourInstancesAndARestart(t *testing.T) {
	t.Parallel()
	genauth := genauthtest.Start(t)
	addDemoUsers(genauth)
	var instances []*instance
	var targets []string
	for range 4 {
		i := startInstance(t, genauth, "127.0.0.1:0")
		instances, targets = append(instances, i), append(targets, i.at)
	}
	p := startPrometheus(t, targets)
	p.waitFor(t, `count(echomfa_insecure_allow == 0)`, 4)
	alice, bob := genauth.AccessToken("alice-id"), genauth.AccessToken("bob-id")
	// Each counter gets to two at least: Prometheus tells a restart by a smaller number.
	for _, user := range []string{"alice-id", "bob-id"} {
		for _, i := range instances {
			i.ask(t, 1, map[string]int{"alice-id": http.StatusOK, "bob-id": http.StatusForbidden}[user], genauth.AccessToken(user))
		}
	}
	p.waitFor(t, `sum(echomfa_decisions_total)`, 4*2)
	for _, i := range instances {
		i.ask(t, 18, http.StatusOK, alice)
		i.ask(t, 3, http.StatusForbidden, bob)
		i.ask(t, 2, http.StatusUnauthorized, "")
	}
	p.waitFor(t, `sum(echomfa_decisions_total)`, 4*25)

	old := instances[2]
	old.stop()
	p.waitFor(t, `count(up{job="portal"} == 1)`, 3)
	instances[2] = startInstance(t, genauth, old.at)
	for _, i := range instances {
		i.ask(t, 10, http.StatusOK, alice)
		i.ask(t, 1, http.StatusForbidden, bob)
	}
	p.waitFor(t, `sum(echomfa_decisions_total)`, 3*36+11)
	p.waitFor(t, fmt.Sprintf(`sum(echomfa_decisions_total{instance=%q})`, old.at), 11)

	total, resets := 0.0, 0
	for _, series := range p.query(t, `echomfa_decisions_total[1h]`) {
		last := 0.0
		for _, v := range series.Values {
			now := number(t, v[1])
			if now < last {
				resets, last = resets+1, 0
			}
			total, last = total+now-last, now
		}
	}
	assert.InDelta(t, 4*36, total, 0)
	assert.Positive(t, resets, "the counters of one have begun again")
	for _, rate := range p.query(t, `rate(echomfa_decisions_total[5m])`) {
		assert.GreaterOrEqual(t, number(t, rate.Value[1]), 0.0)
	}

	var groups struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	evaluated := func() bool {
		p.get(t, "rules", nil, &groups)
		for _, rule := range groups.Groups[0].Rules {
			if rule.Health == "unknown" {
				return false
			}
		}
		return true
	}
	eventually(t, evaluated, func() string { return "the rules are not evaluated" })
	assert.Len(t, groups.Groups[0].Rules, 9)
	for _, rule := range groups.Groups[0].Rules {
		assert.Equal(t, "ok", rule.Health, "%s: %s", rule.Name, rule.LastError)
	}
	assert.Empty(t, p.query(t, `count_over_time(ALERTS[1h])`), "no alert was pending or firing")

	// An alert does fire where there is a reason.
	require.NoError(t, instances[0].mfa.SetOnUnavailable(echomfa.InsecureAllow, time.Hour))
	p.waitFor(t, fmt.Sprintf(`count(ALERTS{alertname="EchomfaInsecureAllow", alertstate="firing", instance=%q})`, instances[0].at), 1)
}

// TestEverySeriesAndQuery drives every outcome of the portal, and then 10,000 users
// with odd methods and unknown routes. Every query of the dashboard has an answer, and
// the labels stay few.
func TestEverySeriesAndQuery(t *testing.T) {
	t.Parallel()
	genauth := genauthtest.Start(t)
	addDemoUsers(genauth)
	i := startInstance(t, genauth, "127.0.0.1:0")
	p := startPrometheus(t, []string{i.at})
	p.waitFor(t, `count(echomfa_insecure_allow == 0)`, 1)
	i.exempt(t, time.Now().Add(30*24*time.Hour))
	count := 0.0
	for range 2 { // a rate needs two fetches
		count += driveOutcomes(t, genauth, i)
		p.waitFor(t, `sum(echomfa_decisions_total)`, count)
	}
	outcomes := map[string]bool{}
	for _, s := range p.query(t, `sum by (echomfa_outcome, echomfa_mode) (echomfa_decisions_total)`) {
		outcomes[s.Metric["echomfa_outcome"]+" "+s.Metric["echomfa_mode"]] = true
	}
	assert.Equal(t, map[string]bool{
		"allowed enforce": true, "not_enrolled enforce": true, "unauthenticated enforce": true, "unavailable enforce": true,
		"exempt enforce": true, "internal_error enforce": true, "unavailable insecure_allow": true,
		"allowed report_only": true, "not_enrolled report_only": true, "unauthenticated report_only": true, "unavailable report_only": true,
	}, outcomes)

	for _, query := range dashboardQueries(t) {
		samples := p.query(t, query)
		assert.True(t, slices.ContainsFunc(samples, func(s sample) bool { return !math.IsNaN(number(t, s.Value[1])) }), "%s: %v", query, samples)
	}

	// Names are as documented.
	docs, err := os.ReadFile("../../docs/metrics.md")
	require.NoError(t, err)
	var want, got []string
	for _, row := range regexp.MustCompile("(?m)^\\| `echomfa[^`]+` \\| `(\\w+)` \\|").FindAllStringSubmatch(string(docs), -1) {
		want = append(want, row[1])
	}
	for _, s := range p.query(t, `count by (__name__) ({__name__=~"echomfa_.*", __name__!~".*_(sum|count)"})`) {
		got = append(got, strings.TrimSuffix(s.Metric["__name__"], "_bucket"))
	}
	assert.ElementsMatch(t, want, got)

	count += driveCrowd(t, i)
	p.waitFor(t, `sum(echomfa_decisions_total)`, count)
	assert.LessOrEqual(t, p.one(t, `count(echomfa_decisions_total)`), 60.0)
	var labels, routes, methods []string
	p.get(t, "labels", url.Values{"match[]": {`{__name__=~"echomfa_.*"}`}}, &labels)
	assert.ElementsMatch(t, []string{
		"__name__", "instance", "job", "otel_scope_name", "le", "error_type",
		"echomfa_outcome", "echomfa_mode", "echomfa_policy", "echomfa_rule", "echomfa_rules", "echomfa_source", "http_route", "http_request_method",
	}, labels)
	p.get(t, "label/http_route/values", nil, &routes)
	assert.ElementsMatch(t, []string{"/api/admin", "/open", "/broken", "/people/:id", "/people/*"}, routes)
	p.get(t, "label/http_request_method/values", nil, &methods)
	assert.ElementsMatch(t, []string{"GET", "POST", "_OTHER"}, methods)

	text := i.scraped(t)
	assert.NotContains(t, text, "crowd")
	assert.Equal(t, 1, strings.Count(text, "\nechomfa_rules_info{"), "the hash of the rules that decide, and no other")
	check := exec.CommandContext(t.Context(), "promtool", "check", "metrics")
	check.Stdin = strings.NewReader(text)
	said, err := check.CombinedOutput()
	require.NoError(t, err, "%s", said)
	assert.Empty(t, string(said))
}

// driveOutcomes sends what makes each outcome in each mode, by users that are new each
// time, and returns how many requests that were.
func driveOutcomes(t *testing.T, genauth *genauthtest.Server, i *instance) (requests float64) {
	t.Helper()
	fresh := func(user string) string { return genauth.Mint(genauthtest.Token{UserID: user, Opaque: true}) }
	ask := func(n, status int, token string) {
		i.ask(t, n, status, token)
		requests += float64(n)
	}
	out := func(n, status int) {
		genauth.SetFault(genauthtest.Fault{Change: genauthtest.HTTPStatus(http.StatusBadGateway, "")})
		ask(n, status, fresh("alice-id"))
		genauth.ClearFaults()
	}
	known := func(user string) string {
		token := fresh(user)
		_, err := i.mfa.EnrolledFactors(t.Context(), token) // report-only waits 100 ms only
		require.NoError(t, err)
		return token
	}
	all := func(status map[string]int) {
		ask(2, http.StatusOK, fresh("alice-id"))
		ask(2, http.StatusOK, known("alice-id"))
		ask(2, status["not enrolled"], known("bob-id"))
		ask(1, status["no token"], "")
		ask(1, status["no token"], "made-up-"+fresh("bob-id"))
		out(1, status["unavailable"])
	}
	all(map[string]int{"not enrolled": 403, "no token": 401, "unavailable": 503})
	require.NoError(t, i.ops.setMode("report-only"))
	all(map[string]int{"not enrolled": 200, "no token": 200, "unavailable": 200})
	require.NoError(t, i.ops.setMode("enforce"))
	require.NoError(t, i.mfa.SetOnUnavailable(echomfa.InsecureAllow, time.Hour))
	out(1, http.StatusOK)
	require.NoError(t, i.mfa.SetOnUnavailable(echomfa.Refuse, 0))

	// The portal has no exempt route, and no error of its own.
	more := echo.New()
	ok := func(c echo.Context) error { return c.NoContent(http.StatusOK) }
	more.GET("/open", ok, i.mfa.Require(echomfa.Exempt("health check")))
	more.GET("/broken", ok, echomfa.WithConfig(echomfa.MiddlewareConfig{Enforcer: i.mfa, RequireFunc: func(echo.Context) (echomfa.Requirement, error) {
		return echomfa.Requirement{}, nil
	}}))
	assert.Equal(t, http.StatusOK, get(t, more, "/open").Code)
	assert.Equal(t, http.StatusInternalServerError, get(t, more, "/broken").Code)
	return requests + 2
}

// driveCrowd sends 10,000 users to routes that exist and that do not, by methods that
// exist and that do not, and returns how many requests that were. Nothing is looked up
// over a network.
func driveCrowd(t *testing.T, i *instance) float64 {
	t.Helper()
	lister := echomfa.FactorListerFunc(func(_ context.Context, token string) ([]client.Factor, error) {
		if strings.HasSuffix(token, "0") {
			return nil, nil
		}
		return []client.Factor{{ID: "1", Type: echomfa.OTP}}, nil
	})
	mfa, err := echomfa.New(echomfa.Config{
		Client: lister, Namespace: "crowd", InsecureAnyAudience: true, Observer: i.metrics,
		Lookup: echomfa.LookupConfig{MaxConcurrent: 1 << 10, MaxPerSecond: 1e9},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, mfa.Close()) })
	app := echo.New()
	people := app.Group("/people", mfa.Require(echomfa.AnyOf(echomfa.OTP)))
	for _, method := range []string{http.MethodGet, "BREW"} {
		people.Add(method, "/:id", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	}
	people.RouteNotFound("/*", func(echo.Context) error { return echo.ErrNotFound })
	const users = 10_000
	for n := range users {
		method := []string{http.MethodGet, "BREW", http.MethodPost}[n%3]
		path := []string{"/people/%d", "/people/%d/nothing"}[n/3%2]
		r := httptest.NewRequestWithContext(t.Context(), method, fmt.Sprintf(path, n), nil)
		r.Header.Set("Authorization", fmt.Sprintf("Bearer crowd-of-users-%d", n))
		app.ServeHTTP(httptest.NewRecorder(), r)
		r.URL.Path = fmt.Sprintf("/elsewhere/%d", n)
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		require.Equal(t, http.StatusNotFound, w.Code)
	}
	return users
}

// TestOneRefusalIsOneCount walks a user who is refused once through the enrollment pages,
// and back to the page that was wanted: one refusal is counted and logged, and one request
// that is let in.
func TestOneRefusalIsOneCount(t *testing.T) {
	t.Parallel()
	genauth := genauthtest.Start(t)
	addDemoUsers(genauth)
	i := startInstance(t, genauth, "127.0.0.1:0")
	bob := "Authorization: Bearer " + genauth.AccessToken("bob-id")
	const browser = "Sec-Fetch-Mode: navigate"
	w := get(t, i.app, "/admin?page=2", bob, browser)
	require.Equal(t, http.StatusFound, w.Code)
	post := func(target string, form url.Values) {
		w = httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		key, value, _ := strings.Cut(bob, ": ")
		r.Header.Set(key, value)
		i.app.ServeHTTP(w, r)
		require.Equal(t, http.StatusSeeOther, w.Code, target)
		get(t, i.app, w.Header().Get("Location"), bob, browser)
	}
	for _, page := range []string{w.Header().Get("Location"), "/mfa", "/account"} {
		require.Equal(t, http.StatusOK, get(t, i.app, page, bob, browser).Code, page)
	}
	post("/mfa/begin", url.Values{"type": {"OTP"}, "return_to": {"/admin?page=2"}})
	genauth.Enroll("bob-id", genauthtest.OTP)
	post("/mfa/check", url.Values{"return_to": {"/admin?page=2"}})
	require.Equal(t, http.StatusOK, get(t, i.app, "/admin?page=2", bob, browser).Code)

	counted := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^echomfa_decisions_total\{.*echomfa_outcome="(\w+)".*\} (\d+)$`).FindAllStringSubmatch(i.scraped(t), -1) {
		counted[line[1]] = line[2]
	}
	delete(counted, "exempt") // the pages that the rules have as public
	assert.Equal(t, map[string]string{"not_enrolled": "1", "allowed": "1"}, counted)
	assert.Len(t, i.ops.log("event=refused"), 1, "and one line")
}
