package otelmfa_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/echomfa/echomfa/otelmfa"
)

// points returns the values of the instruments of rules, each after its name and its
// attributes.
func (r *rig) points(t *testing.T) map[string]int64 {
	t.Helper()
	found := make(map[string]int64)
	for name, m := range r.collected(t) {
		var points []metricdata.DataPoint[int64]
		switch data := m.Data.(type) {
		case metricdata.Gauge[int64]:
			points = data.DataPoints
		case metricdata.Sum[int64]:
			points = data.DataPoints
		}
		for _, point := range points {
			if short, ok := strings.CutPrefix(name, "echomfa.rules."); ok {
				found[strings.TrimSpace(short+" "+spelled(point.Attributes.ToSlice()))] = point.Value
			}
		}
	}
	return found
}

// TestRulesAreShown has rules that change, then a file with a mistake, then an exemption
// that ends. One hash is shown at a time.
func TestRulesAreShown(t *testing.T) {
	t.Parallel()
	r, now := newRig(t), otelmfa.Rules{}
	require.NoError(t, r.telemetry.WatchRules(func() otelmfa.Rules { return now }))
	for _, row := range []struct {
		is   otelmfa.Rules
		want map[string]int64
	}{
		{
			otelmfa.Rules{Hash: "old", Rules: 3, Read: time.Unix(1000, 5), NextExpiry: time.Unix(9000, 0)},
			map[string]int64{"info echomfa.rules=old": 1, "active": 3, "read.timestamp": 1000, "reloads": 0, "rejected": 0, "stale": 0, "expired": 0, "expiry.timestamp": 9000},
		},
		{
			otelmfa.Rules{Hash: "new", Rules: 4, Read: time.Unix(2000, 0), NextExpiry: time.Unix(9000, 0), Reloads: 1},
			map[string]int64{"info echomfa.rules=new": 1, "active": 4, "read.timestamp": 2000, "reloads": 1, "rejected": 0, "stale": 0, "expired": 0, "expiry.timestamp": 9000},
		},
		{
			otelmfa.Rules{Hash: "new", Rules: 4, Read: time.Unix(2000, 0), Reloads: 1, Failed: 7, Stale: true, Expired: 1},
			map[string]int64{"info echomfa.rules=new": 1, "active": 4, "read.timestamp": 2000, "reloads": 1, "rejected": 7, "stale": 1, "expired": 1},
		},
		{ // such as a Set that is not there yet
			otelmfa.Rules{},
			map[string]int64{"info echomfa.rules=": 1, "active": 0, "reloads": 0, "rejected": 0, "stale": 0, "expired": 0},
		},
	} {
		now = row.is
		assert.Equal(t, row.want, r.points(t))
	}
	require.NoError(t, r.telemetry.Close())
	assert.Empty(t, r.points(t), "nothing is watched any more")
}

// TestWatchRules has what it refuses, and a function that panics, which ends nothing else.
func TestWatchRules(t *testing.T) {
	t.Parallel()
	var none otelmfa.Telemetry
	rules := func() otelmfa.Rules { return otelmfa.Rules{Hash: "c0ffee"} }
	require.ErrorContains(t, none.WatchRules(rules), "not made by New")
	r := newRig(t)
	require.ErrorContains(t, r.telemetry.WatchRules(nil), "nil")
	require.NoError(t, r.telemetry.WatchRules(rules))
	require.ErrorContains(t, r.telemetry.WatchRules(rules), "already")
	assert.EqualValues(t, 1, r.points(t)["info echomfa.rules=c0ffee"])
	require.NoError(t, r.telemetry.Close())
	require.ErrorContains(t, r.telemetry.WatchRules(rules), "closed")

	r = newRig(t)
	require.NoError(t, r.telemetry.WatchRules(func() otelmfa.Rules { panic("of the app") }))
	var all metricdata.ResourceMetrics
	require.ErrorContains(t, r.reader.Collect(t.Context(), &all), "of the app")
	require.Len(t, all.ScopeMetrics, 1)
	assert.NotEmpty(t, all.ScopeMetrics[0].Metrics, "the Enforcer's figures are there")
}
