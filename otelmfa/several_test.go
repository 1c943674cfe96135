package otelmfa_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/echomfa/echomfa/otelmfa"
)

// share has rigs with one MeterProvider.
func share(t *testing.T) (reader *sdkmetric.ManualReader, change func(name string) func(*otelmfa.Config, *echomfa.Config)) {
	t.Helper()
	reader = sdkmetric.NewManualReader()
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	t.Cleanup(func() { assert.NoError(t, meters.Shutdown(context.Background())) })
	return reader, func(name string) func(*otelmfa.Config, *echomfa.Config) {
		return func(seen *otelmfa.Config, _ *echomfa.Config) { seen.MeterProvider, seen.Name = meters, name }
	}
}

// TestEnforcersHaveNames has two Enforcers in one program: each has its figures, its
// decisions, its lookups and its rules. One is closed, and the other's are still there.
func TestEnforcersHaveNames(t *testing.T) {
	t.Parallel()
	reader, named := share(t)
	one, two := newRig(t, named("one")), newRig(t, named("two"))
	one.reader, two.reader = reader, reader
	require.NoError(t, one.telemetry.WatchRules(func() otelmfa.Rules { return otelmfa.Rules{Hash: "c0ffee"} }))
	require.NoError(t, two.telemetry.WatchRules(func() otelmfa.Rules { return otelmfa.Rules{Hash: "bada55"} }))
	for _, token := range []string{"token-of-enrolled-1", "token-of-enrolled-2"} {
		one.serve(t, echomfa.HandlerConfig{Policy: otp()}, token)
	}
	two.serve(t, echomfa.HandlerConfig{Policy: otp()}, "token-of-nobody")

	assert.Equal(t, map[string]int64{
		"echomfa.enforcer=one echomfa.mode=enforce echomfa.outcome=allowed echomfa.policy=OTP echomfa.source=fetched http.request.method=GET http.route=/people/{id}":  2,
		"echomfa.enforcer=two echomfa.mode=enforce echomfa.outcome=unavailable echomfa.policy=OTP echomfa.source=none http.request.method=GET http.route=/people/{id}": 1,
	}, one.decisions(t))
	counts, _ := one.lookups(t)
	assert.Equal(t, map[string]uint64{"echomfa.enforcer=one": 2, "echomfa.enforcer=two error.type=unavailable": 1}, counts)
	entries, ok := one.collected(t)["echomfa.cache.entries"].Data.(metricdata.Sum[int64])
	require.True(t, ok)
	assert.Len(t, entries.DataPoints, 2)
	points := one.points(t)
	assert.EqualValues(t, 1, points["info echomfa.enforcer=one echomfa.rules=c0ffee"])
	assert.EqualValues(t, 1, points["info echomfa.enforcer=two echomfa.rules=bada55"])
	assert.Contains(t, spelled(one.ended("echomfa.lookup")[0].Attributes), "echomfa.enforcer=one")
	assert.Contains(t, spelled(two.ended("request")[0].Attributes), "echomfa.enforcer=two")

	require.NoError(t, one.telemetry.Close())
	points = one.points(t)
	assert.NotContains(t, points, "stale echomfa.enforcer=one")
	assert.Contains(t, points, "stale echomfa.enforcer=two")
	assert.Len(t, one.decisions(t), 1)
}

// TestEnforcersWithoutNames has two Enforcers that nothing tells apart: what can be added
// up is.
func TestEnforcersWithoutNames(t *testing.T) {
	t.Parallel()
	reader, named := share(t)
	one, two := newRig(t, named("")), newRig(t, named(""))
	one.reader = reader
	one.serve(t, echomfa.HandlerConfig{Policy: otp()}, "token-of-enrolled")
	two.serve(t, echomfa.HandlerConfig{Policy: otp()}, "token-of-enrolled")
	for labels, n := range one.decisions(t) {
		assert.EqualValues(t, 2, n, labels)
	}
	entries, ok := one.collected(t)["echomfa.cache.entries"].Data.(metricdata.Sum[int64])
	require.True(t, ok)
	require.Len(t, entries.DataPoints, 1)
	assert.EqualValues(t, 2, entries.DataPoints[0].Value)
}

// exporter keeps what is exported last.
type exporter struct{ decisions int64 }

func (*exporter) Temporality(sdkmetric.InstrumentKind) metricdata.Temporality {
	return metricdata.CumulativeTemporality
}

func (*exporter) Aggregation(kind sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(kind)
}

func (e *exporter) Export(_ context.Context, all *metricdata.ResourceMetrics) error {
	e.decisions = 0
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "echomfa.decisions" {
				e.decisions = sum.DataPoints[0].Value
			}
		}
	}
	return nil
}

func (*exporter) ForceFlush(context.Context) error { return nil }
func (*exporter) Shutdown(context.Context) error   { return nil }

// TestLastExport has the end of a program as docs/metrics.md says: a decision that was made
// after the last regular export is exported.
func TestLastExport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &exporter{}
		meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(out)))
		telemetry, err := otelmfa.New(otelmfa.Config{MeterProvider: meters})
		require.NoError(t, err)
		mfa, err := echomfa.New(echomfa.Config{
			Client: echomfa.FactorListerFunc(func(context.Context, string) ([]client.Factor, error) { return nil, nil }), Namespace: "test",
			InsecureAnyAudience: true, Observer: telemetry,
		})
		require.NoError(t, err)
		require.NoError(t, telemetry.Watch(mfa))
		_, err = mfa.Decide(t.Context(), "token-of-nothing", otp())
		require.Error(t, err)
		require.Zero(t, out.decisions)

		require.NoError(t, meters.Shutdown(t.Context()))
		assert.EqualValues(t, 1, out.decisions)
		require.NoError(t, telemetry.Close())
		require.NoError(t, telemetry.Close(), "again")
		require.NoError(t, mfa.Close())
		_, err = mfa.Decide(t.Context(), "token-of-nothing", otp())
		require.Error(t, err, "and nothing breaks afterwards")
	})
}
