package otelmfa_test

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/echomfa/echomfa/otelmfa"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}

// instrument is a row of the table of docs/metrics.md.
type instrument struct{ name, prometheus, kind, unit, description string }

// documented returns the rows, and the figures of Stats that they name.
func documented(t *testing.T) (rows []instrument, stats []string) {
	t.Helper()
	_, section, found := strings.Cut(read(t, "../docs/metrics.md"), "\n## Instruments\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	for _, row := range regexp.MustCompile("(?m)^\\| `(echomfa[^`]+)` \\| `(\\w+)` \\| (\\w+) \\| (?:`([^`]+)` )?\\| (.*?) ?\\| (.*) \\|$").FindAllStringSubmatch(section, -1) {
		rows = append(rows, instrument{row[1], row[2], row[3], row[4], row[6]})
		for _, name := range regexp.MustCompile("`([A-Z][\\w.]+)`").FindAllStringSubmatch(row[5], -1) {
			stats = append(stats, name[1])
		}
	}
	return rows, stats
}

// all is a rig whose instruments have all been used.
func all(t *testing.T) *rig {
	t.Helper()
	r := newRig(t)
	require.NoError(t, r.telemetry.WatchRules(func() otelmfa.Rules {
		return otelmfa.Rules{Hash: "c0ffee", Read: time.Now(), NextExpiry: time.Now()}
	}))
	r.serve(t, echomfa.HandlerConfig{Policy: otp()}, "token-of-enrolled")
	return r
}

// TestMetricsAreDocumented compares the instruments with the table of docs/metrics.md, both
// ways.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	var made []instrument
	for name, m := range all(t).collected(t) {
		i := instrument{name: name, prometheus: strings.ReplaceAll(name, ".", "_"), unit: m.Unit, description: m.Description}
		switch data := m.Data.(type) {
		case metricdata.Gauge[int64]:
			if i.kind = "gauge"; i.unit == "s" {
				i.prometheus += "_seconds"
			}
		case metricdata.Histogram[float64]:
			i.kind, i.prometheus = "histogram", i.prometheus+"_seconds"
		case metricdata.Sum[int64]:
			if i.kind = "updowncounter"; data.IsMonotonic {
				i.kind, i.prometheus = "counter", i.prometheus+"_total"
			}
		}
		made = append(made, i)
	}
	rows, _ := documented(t)
	assert.ElementsMatch(t, made, rows)
}

// TestEveryFigureIsShown has the figures of Stats: each is named by a row of the table.
func TestEveryFigureIsShown(t *testing.T) {
	t.Parallel()
	var want []string
	var walk func(typ reflect.Type, prefix string)
	walk = func(typ reflect.Type, prefix string) {
		for field := range typ.Fields() {
			if field.Type.Kind() == reflect.Struct && field.Type != reflect.TypeFor[time.Time]() {
				walk(field.Type, prefix+field.Name+".")
				continue
			}
			want = append(want, prefix+field.Name)
		}
	}
	walk(reflect.TypeFor[echomfa.Stats](), "")
	walk(reflect.TypeFor[otelmfa.Rules](), "Rules.")
	_, named := documented(t)
	assert.ElementsMatch(t, want, named)
}

// TestAttributesAreDocumented compares the attributes with the table, both ways, and their
// log keys with docs/log.schema.md.
func TestAttributesAreDocumented(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(seen *otelmfa.Config, cfg *echomfa.Config) {
		seen.Name, seen.UserRef, cfg.UserRefKey = "one", true, make([]byte, 16)
	})
	r.serve(t, echomfa.HandlerConfig{Policy: otp()}, "token-of-enrolled")
	r.serve(t, echomfa.HandlerConfig{Policy: otp()}, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJub2JvZHktMSJ9.c2ln")
	r.serve(t, echomfa.HandlerConfig{RequireFunc: func(*http.Request) (echomfa.Requirement, error) {
		return echomfa.Requirement{Policy: otp(), Rule: "payout", Revision: "c0ffee"}, nil
	}}, "token-of-enrolled")
	require.NoError(t, r.telemetry.WatchRules(func() otelmfa.Rules { return otelmfa.Rules{Hash: "c0ffee"} }))
	made := make(map[string]bool)
	for _, m := range r.collected(t) {
		switch data := m.Data.(type) {
		case metricdata.Gauge[int64]:
			for _, point := range data.DataPoints {
				for _, a := range point.Attributes.ToSlice() {
					made[string(a.Key)] = true
				}
			}
		case metricdata.Sum[int64]:
			for _, point := range data.DataPoints {
				for _, a := range point.Attributes.ToSlice() {
					made[string(a.Key)] = true
				}
			}
		}
	}
	for _, span := range r.spans.GetSpans() {
		for _, a := range span.Attributes {
			made[string(a.Key)] = true
		}
	}
	_, section, _ := strings.Cut(read(t, "../docs/metrics.md"), "\n## Attributes\n")
	section, _, _ = strings.Cut(section, "\n## ")
	log, rows := read(t, "../docs/log.schema.md"), map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| .*? \\| (?:`(\\w+)`|none) \\| (.*) \\|$").FindAllStringSubmatch(section, -1) {
		rows[row[1]] = true
		if row[2] == "" {
			continue
		}
		assert.Contains(t, log, "\n| `"+row[2]+"` | ", row[1])
		if _, key, ours := strings.Cut(row[1], "echomfa."); ours {
			assert.Equal(t, key, row[2], "one vocabulary")
		}
		// The log has lines of refusals only.
		for _, value := range regexp.MustCompile("(?m)^\\| `"+row[2]+"` \\| `([^`]+)` \\|").FindAllStringSubmatch(log, -1) {
			assert.Contains(t, row[3], "`"+value[1]+"`", row[1])
		}
	}
	assert.Equal(t, made, rows)
}

// TestVocabulary has the words of outcomes, modes and sources: each is in the documents.
func TestVocabulary(t *testing.T) {
	t.Parallel()
	text := read(t, "../docs/metrics.md")
	for n := range uint8(8) {
		for _, word := range []string{echomfa.Outcome(n).String(), echomfa.Mode(n).String(), echomfa.Source(n).String()} {
			assert.Contains(t, text, "`"+word+"`")
		}
	}
	for _, failure := range []string{"refused", "rate_limited", "misconfigured", "unavailable", "malformed", "panicked", "turned_away"} {
		assert.Contains(t, text, "`"+failure+"`")
	}
}

// promtool runs Debian's promtool.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// TestAlerts has promtool check the alert rules, and test each: alerts/echomfa_test.yml.
func TestAlerts(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", "alerts/echomfa.yml")
	promtool(t, "test", "rules", "alerts/echomfa_test.yml")

	rules, tests, docs, runbook := read(t, "alerts/echomfa.yml"), read(t, "alerts/echomfa_test.yml"), read(t, "../docs/metrics.md"), read(t, "../docs/runbook.md")
	var names []string
	for _, alert := range regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(rules, -1) {
		names = append(names, alert[1])
		assert.Regexp(t, `alertname: `+alert[1]+`\n +exp_alerts:`, tests, "no test has it fire")
		assert.Regexp(t, `alertname: `+alert[1]+`\}`, tests, "no test has it not fire")
		assert.Contains(t, docs, "| `"+alert[1]+"` |")
	}
	assert.Len(t, names, strings.Count(docs, "| `Echomfa"))
	for _, link := range regexp.MustCompile(`runbook: docs/runbook.md#(\S+)`).FindAllStringSubmatch(rules, -1) {
		heading := strings.ReplaceAll(link[1], "-", "[ -]")
		assert.Regexp(t, "(?mi)^## "+heading+"$", runbook)
	}
	assert.Subset(t, prometheusNames(t), namesIn(rules))
}

// panel is a panel of the dashboard.
type panel struct {
	ID          int
	Type, Title string
	GridPos     struct{ H, W, X, Y int }
	Datasource  struct{ Type, UID string }
	FieldConfig struct{ Defaults struct{ Unit string } }
	Targets     []struct {
		RefID, Expr string
		Datasource  struct{ Type, UID string }
	}
}

// TestDashboard has what an import into Grafana needs. What its queries return is tested
// with the portal, against a scrape.
func TestDashboard(t *testing.T) {
	t.Parallel()
	text := read(t, "grafana/echomfa.json")
	var dashboard struct {
		ID            *int
		UID, Title    string
		SchemaVersion int
		Templating    struct {
			List []struct {
				Name, Type string
				Query      any
				Datasource struct{ UID string }
			}
		}
		Panels []panel
	}
	require.NoError(t, json.Unmarshal([]byte(text), &dashboard))
	assert.Equal(t, "echomfa", dashboard.UID)
	assert.NotEmpty(t, dashboard.Title)
	assert.Nil(t, dashboard.ID, "an id belongs to one Grafana")
	assert.GreaterOrEqual(t, dashboard.SchemaVersion, 36, "from there on a data source is an object")
	require.NotEmpty(t, dashboard.Templating.List)
	for i, variable := range dashboard.Templating.List {
		if i == 0 {
			assert.Equal(t, []any{"datasource", "datasource", "prometheus"}, []any{variable.Name, variable.Type, variable.Query})
			continue
		}
		assert.Equal(t, "${datasource}", variable.Datasource.UID, variable.Name)
	}
	for _, uid := range regexp.MustCompile(`"uid": "([^"]*)"`).FindAllStringSubmatch(text, -1) {
		assert.Contains(t, []string{"echomfa", "${datasource}"}, uid[1], "no data source of one Grafana")
	}
	var rows []string
	ids, taken := make(map[int]bool), make(map[[2]int]string)
	for _, panel := range dashboard.Panels {
		assert.False(t, ids[panel.ID], "an id is there twice")
		ids[panel.ID] = true
		at := panel.GridPos
		assert.LessOrEqual(t, at.X+at.W, 24, panel.Title)
		for x := range at.W {
			for y := range at.H {
				cell := [2]int{at.X + x, at.Y + y}
				require.Empty(t, taken[cell], "%s lies there, too", panel.Title)
				taken[cell] = panel.Title
			}
		}
		if panel.Type == "row" {
			rows = append(rows, panel.Title)
			continue
		}
		assertPanel(t, &panel)
	}
	assert.Equal(t, []string{"Outcomes by rule", "Would block", "Lookups", "Latency", "Breaker", "Cache", "Store", "Rules"}, rows)
	assert.ElementsMatch(t, prometheusNames(t), namesIn(text), "the dashboard shows every metric")
}

func assertPanel(t *testing.T, panel *panel) {
	t.Helper()
	assert.Contains(t, []string{"timeseries", "stat"}, panel.Type, panel.Title)
	assert.NotEmpty(t, panel.Title)
	assert.Equal(t, "${datasource}", panel.Datasource.UID, panel.Title)
	assert.NotEmpty(t, panel.FieldConfig.Defaults.Unit, panel.Title)
	assert.NotEmpty(t, panel.Targets, panel.Title)
	refs := make(map[string]bool)
	for _, target := range panel.Targets {
		assert.False(t, refs[target.RefID], panel.Title)
		refs[target.RefID] = true
		assert.Equal(t, "prometheus", target.Datasource.Type, panel.Title)
		assert.Equal(t, "${datasource}", target.Datasource.UID, panel.Title)
		selectors := regexp.MustCompile(`echomfa_\w+\{([^}]*)\}`).FindAllStringSubmatch(target.Expr, -1)
		assert.NotEmpty(t, selectors, panel.Title)
		for _, selector := range selectors {
			assert.Contains(t, selector[1], `job="$job", instance=~"$instance"`, panel.Title)
		}
		assert.NotRegexp(t, `(rate|increase)\(echomfa_\w+\{[^}]*\}\[[^$]`, target.Expr, "a range is $__rate_interval")
	}
}

// prometheusNames returns the names of the metrics in Prometheus.
func prometheusNames(t *testing.T) []string {
	t.Helper()
	rows, _ := documented(t)
	names := make([]string, 0, len(rows))
	for _, row := range rows {
		names = append(names, row.prometheus)
	}
	return names
}

// namesIn returns the metrics that a text names, each once.
func namesIn(text string) []string {
	var names []string
	for _, match := range regexp.MustCompile(`\b(echomfa_\w+?)(?:_bucket|_sum|_count)?\b[{)]`).FindAllStringSubmatch(text, -1) {
		labels := []string{"echomfa_outcome", "echomfa_source", "echomfa_policy", "echomfa_rule", "echomfa_rules", "echomfa_mode"}
		if !slices.Contains(names, match[1]) && !slices.Contains(labels, match[1]) {
			names = append(names, match[1])
		}
	}
	return names
}
