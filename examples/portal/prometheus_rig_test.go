package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/echomfa/echomfa/internal/child"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// prometheus is Debian's, on a free port, with its data in a temporary folder. It fetches
// from the instances and evaluates the alert rules.
type prometheusServer struct{ url string }

// startPrometheus starts it, and ends it with the test, by its process.
func startPrometheus(t *testing.T, targets []string) *prometheusServer {
	t.Helper()
	dir := t.TempDir()
	rules, err := filepath.Abs("../../otelmfa/alerts/echomfa.yml")
	require.NoError(t, err)
	list, err := json.Marshal(targets)
	require.NoError(t, err)
	config := filepath.Join(dir, "prometheus.yml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [%q]
scrape_configs:
  - {job_name: portal, static_configs: [{targets: %s}]}
`, rules, list), 0o600))
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "prometheus",
		"--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0")
	child.EndWithParent(cmd, syscall.SIGKILL)
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var said bytes.Buffer
	found, over := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(over)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			_, _ = said.WriteString(lines.Text() + "\n")
			if at := regexp.MustCompile(`msg="Listening on" address=(\S+)`).FindStringSubmatch(lines.Text()); at != nil {
				found <- at[1]
			}
		}
	}()
	t.Cleanup(func() {
		assert.NoError(t, cmd.Process.Kill())
		<-over
		_ = cmd.Wait()
	})
	p := &prometheusServer{}
	select {
	case at := <-found:
		p.url = "http://" + at
	case <-over:
		t.Fatalf("prometheus has ended:\n%s", said.String())
	case <-time.After(time.Minute):
		t.Fatal("prometheus does not listen")
	}
	eventually(t, func() bool { status, _ := p.fetch(t, "/-/ready"); return status == http.StatusOK }, func() string { return "prometheus is not ready" })
	return p
}

func (p *prometheusServer) fetch(t *testing.T, target string) (status int, body []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+target, nil)
	require.NoError(t, err)
	w, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = w.Body.Close() }()
	body, err = io.ReadAll(w.Body)
	require.NoError(t, err)
	return w.StatusCode, body
}

// get calls the API, and reads data from its answer.
func (p *prometheusServer) get(t *testing.T, path string, query url.Values, data any) {
	t.Helper()
	status, raw := p.fetch(t, "/api/v1/"+path+"?"+query.Encode())
	require.Equal(t, http.StatusOK, status, "%s: %s", query, raw)
	require.NoError(t, json.Unmarshal(raw, &struct{ Data any }{data}))
}

// sample is a value with its labels.
type sample struct {
	Metric map[string]string
	Value  [2]any   // when, and what
	Values [][2]any // of a range
}

func number(t *testing.T, v any) float64 {
	t.Helper()
	text, ok := v.(string)
	require.True(t, ok)
	n, err := strconv.ParseFloat(text, 64)
	require.NoError(t, err)
	return n
}

func (p *prometheusServer) query(t *testing.T, expr string) []sample {
	t.Helper()
	var data struct{ Result []sample }
	p.get(t, "query", url.Values{"query": {expr}}, &data)
	return data.Result
}

// one returns the value of an expression that has one, or 0.
func (p *prometheusServer) one(t *testing.T, expr string) float64 {
	t.Helper()
	samples := p.query(t, expr)
	if len(samples) == 0 {
		return 0
	}
	require.Len(t, samples, 1)
	return number(t, samples[0].Value[1])
}

// waitFor waits until an expression has a value: what was counted has been fetched.
func (p *prometheusServer) waitFor(t *testing.T, expr string, want float64) {
	t.Helper()
	got := math.NaN()
	eventually(t, func() bool { got = p.one(t, expr); return got == want }, func() string {
		return fmt.Sprintf("%s is %v, not %v", expr, got, want)
	})
}

// eventually tries until it is so, and gives up after a minute.
func eventually(t *testing.T, is func() bool, otherwise func() string) {
	t.Helper()
	again, end := time.NewTicker(100*time.Millisecond), time.After(time.Minute)
	defer again.Stop()
	for !is() {
		select {
		case <-again.C:
		case <-end:
			t.Fatal(otherwise())
		}
	}
}

// instance is a portal with what Prometheus fetches on a real port.
type instance struct {
	*portal

	at     string
	app    http.Handler
	server *httptest.Server
}

// startInstance starts a portal whose operator's listener is at an address.
func startInstance(t *testing.T, genauth *genauthtest.Server, at string) *instance {
	t.Helper()
	s, err := readSettings(env("GENAUTH_HOST", genauth.URL(), "GENAUTH_APP_ID", genauth.AppID()))
	require.NoError(t, err)
	i := &instance{}
	i.portal, err = newPortal(s, nil)
	require.NoError(t, err)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", at)
	require.NoError(t, err)
	i.at, i.app = listener.Addr().String(), i.handler()
	i.server = httptest.NewUnstartedServer(i.ops.handler())
	_ = i.server.Listener.Close()
	i.server.Listener = listener
	i.server.Start()
	t.Cleanup(i.stop)
	return i
}

// stop ends it. It may be called again.
func (i *instance) stop() {
	if i.server != nil {
		i.server.Close()
		i.close()
		i.server = nil
	}
}

// ask sends n requests for the admin API, and expects a status.
func (i *instance) ask(t *testing.T, n, status int, token string) {
	t.Helper()
	for range n {
		var headers []string
		if token != "" {
			headers = []string{"Authorization: Bearer " + token}
		}
		require.Equal(t, status, get(t, i.app, "/api/admin", headers...).Code)
	}
}

// scraped returns what Prometheus fetches.
func (i *instance) scraped(t *testing.T) string {
	t.Helper()
	w := get(t, i.ops.handler(), "http://"+i.at+"/metrics")
	require.Equal(t, http.StatusOK, w.Code)
	return w.Body.String()
}

// dashboardQueries returns the queries of the dashboard, as Grafana sends them.
func dashboardQueries(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile("../../otelmfa/grafana/echomfa.json")
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	require.NoError(t, json.Unmarshal(raw, &dashboard))
	var queries []string
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			queries = append(queries, strings.NewReplacer("$job", "portal", "$instance", ".*", "$__rate_interval", "5m").Replace(target.Expr))
		}
	}
	require.Greater(t, len(queries), 30)
	return queries
}
