package otelmfa_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/echomfa/echomfa/otelmfa"
)

// deaf is an Observer that is not told of lookups.
type deaf struct{ seen *atomic.Int32 }

func (d deaf) ObserveDecision(context.Context, echomfa.Decision, string, string) {
	if d.seen != nil {
		d.seen.Add(1)
	}
}

// lookups returns how many lookups there were of each result, and how long they took.
func (r *rig) lookups(t *testing.T) (counts map[string]uint64, seconds float64) {
	t.Helper()
	counts = make(map[string]uint64)
	histogram, ok := r.collected(t)["echomfa.lookup.duration"].Data.(metricdata.Histogram[float64])
	if !ok {
		return counts, 0
	}
	for _, point := range histogram.DataPoints {
		counts[spelled(point.Attributes.ToSlice())] += point.Count
		seconds += point.Sum
	}
	return counts, seconds
}

// TestLookupsAreMeasured has each result of a lookup, with its span.
func TestLookupsAreMeasured(t *testing.T) {
	t.Parallel()
	for token, row := range map[string]struct {
		want   string
		status codes.Code
	}{
		"token-of-enrolled":      {"", codes.Unset},
		"token-of-nothing":       {"", codes.Unset},
		"token-of-refused":       {"error.type=refused", codes.Unset},
		"token-of-limited":       {"error.type=rate_limited", codes.Error},
		"token-of-misconfigured": {"error.type=misconfigured", codes.Error},
		"token-of-malformed":     {"error.type=malformed", codes.Error},
		"token-of-panics":        {"error.type=panicked", codes.Error},
		"token-of-nobody":        {"error.type=unavailable", codes.Error},
	} {
		t.Run(token, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.serve(t, echomfa.HandlerConfig{Policy: otp()}, token)
			counts, _ := r.lookups(t)
			assert.Equal(t, map[string]uint64{row.want: 1}, counts)
			lookups, requests := r.ended("echomfa.lookup"), r.ended("request")
			require.Len(t, lookups, 1)
			assert.Equal(t, requests[0].SpanContext.SpanID(), lookups[0].Parent.SpanID())
			assert.Equal(t, row.want, spelled(lookups[0].Attributes))
			assert.Equal(t, row.status, lookups[0].Status.Code)
			assert.Empty(t, lookups[0].Status.Description)
			assert.Empty(t, lookups[0].Links)
		})
	}
}

// TestErrorTypesAreFixed has a failure that this version does not know.
func TestErrorTypesAreFixed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, failure := range []string{"made up 1", "made up 2", "refused"} {
		_, ended := r.telemetry.ObserveLookup(t.Context(), t.Context())
		ended(echomfa.LookupResult{Failure: failure})
	}
	counts, _ := r.lookups(t)
	assert.Equal(t, map[string]uint64{"error.type=_OTHER": 2, "error.type=refused": 1}, counts)
}

// TestBuckets has the buckets of latencies: those of the document, and they tell what comes
// in time from what does not: by default a lookup takes 2 s at most, and waits for half a
// second before, and report-only mode waits for 0.1 s.
func TestBuckets(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.serve(t, echomfa.HandlerConfig{Policy: otp()}, "token-of-enrolled")
	histogram, ok := r.collected(t)["echomfa.lookup.duration"].Data.(metricdata.Histogram[float64])
	require.True(t, ok)
	require.Len(t, histogram.DataPoints, 1)
	bounds := histogram.DataPoints[0].Bounds
	assert.InDelta(t, 0.005, bounds[0], 0)
	assert.InDelta(t, 10, bounds[len(bounds)-1], 0)
	assert.Subset(t, bounds, []float64{0.1, 0.5, 2, 2.5})
	var said []string
	for _, bound := range bounds {
		said = append(said, strconv.FormatFloat(bound, 'g', -1, 64))
	}
	assert.Contains(t, strings.Join(strings.Fields(read(t, "../docs/metrics.md")), " "), "at "+strings.Join(said, ", ")+" s")
}

// TestLookupWithoutATurn has a lookup that waits for its turn in vain, and one that
// is turned away before it begins, which is no lookup.
func TestLookupWithoutATurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(_ *otelmfa.Config, cfg *echomfa.Config) {
			cfg.Lookup = echomfa.LookupConfig{MaxConcurrent: 1, MaxWait: time.Second}
			cfg.Client = echomfa.FactorListerFunc(func(ctx context.Context, token string) ([]client.Factor, error) {
				time.Sleep(1500 * time.Millisecond)
				return listed(ctx, token)
			})
		})
		go r.serve(t, echomfa.HandlerConfig{Policy: otp()}, "token-of-enrolled-1")
		synctest.Wait()
		assert.Equal(t, 503, r.serve(t, echomfa.HandlerConfig{Policy: otp()}, "token-of-enrolled-2"))
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		counts, seconds := r.lookups(t)
		assert.Equal(t, map[string]uint64{"": 1, "error.type=turned_away": 1}, counts)
		assert.InDelta(t, 2.5, seconds, 0.001, "1.5 s at GenAuth, and 1 s of waiting")
	})
}

// TestLookupIsLinked has three requests that share one lookup: it belongs to the first,
// and is linked to the others. Its context has nothing of a request.
func TestLookupIsLinked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		answer := make(chan struct{})
		r := newRig(t, func(_ *otelmfa.Config, cfg *echomfa.Config) {
			cfg.Client = echomfa.FactorListerFunc(func(ctx context.Context, token string) ([]client.Factor, error) {
				assert.Nil(t, ctx.Value(key{}))
				<-answer
				return listed(ctx, token)
			})
		})
		ask := func() {
			ctx, span := r.tracer.Start(context.WithValue(t.Context(), key{}, "of the request"), "request")
			defer span.End()
			_, err := r.mfa.Decide(ctx, "token-of-enrolled", otp())
			assert.NoError(t, err)
		}
		for range 3 {
			go ask()
			synctest.Wait()
		}
		close(answer)
		synctest.Wait()
		lookups, requests := r.ended("echomfa.lookup"), r.ended("request")
		require.Len(t, lookups, 1)
		require.Len(t, requests, 3)
		linked := map[string]bool{lookups[0].Parent.SpanID().String(): true}
		assert.Len(t, lookups[0].Links, 2)
		for _, link := range lookups[0].Links {
			linked[link.SpanContext.SpanID().String()] = true
		}
		for _, request := range requests {
			assert.True(t, linked[request.SpanContext.SpanID().String()])
		}
		counts, _ := r.lookups(t)
		assert.Equal(t, map[string]uint64{"": 1}, counts)
	})
}

// TestLinksAreBounded has a hundred requests that wait for one lookup.
func TestLinksAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		r := newRig(t, func(_ *otelmfa.Config, cfg *echomfa.Config) {
			cfg.Client = echomfa.FactorListerFunc(func(ctx context.Context, token string) ([]client.Factor, error) {
				<-answer
				return listed(ctx, token)
			})
		})
		for range 100 {
			go r.serve(t, echomfa.HandlerConfig{Policy: otp()}, "token-of-enrolled")
		}
		synctest.Wait()
		close(answer)
		synctest.Wait()
		require.Len(t, r.ended("echomfa.lookup"), 1)
		assert.Len(t, r.ended("echomfa.lookup")[0].Links, 31)
	})
}

// TestNextIsToldToo has what an app's own Observer is told.
func TestNextIsToldToo(t *testing.T) {
	t.Parallel()
	inner := newRig(t)
	r := newRig(t, func(seen *otelmfa.Config, _ *echomfa.Config) { seen.Next = inner.telemetry })
	r.serve(t, echomfa.HandlerConfig{Policy: otp()}, "token-of-enrolled")
	assert.Equal(t, r.decisions(t), inner.decisions(t))
	want, _ := r.lookups(t)
	got, _ := inner.lookups(t)
	assert.Equal(t, want, got)

	var seen atomic.Int32
	r = newRig(t, func(c *otelmfa.Config, _ *echomfa.Config) { c.Next = deaf{&seen} })
	assert.Equal(t, 200, r.serve(t, echomfa.HandlerConfig{Policy: otp()}, "token-of-enrolled"))
	assert.EqualValues(t, 1, seen.Load())
}

// failing is an Observer of the app that panics when a lookup begins, returns nothing, or
// panics when it ends.
type failing struct {
	deaf
	begin, end bool
}

func (f failing) ObserveLookup(ctx, _ context.Context) (context.Context, func(echomfa.LookupResult)) {
	switch {
	case f.begin:
		panic("begin")
	case f.end:
		return ctx, func(echomfa.LookupResult) { panic("end") }
	}
	return nil, nil
}

// TestNextFails has an Observer of the app that fails in every way: the lookup is measured
// all the same, its span has ended, the user is let in, and the log has the panic once.
func TestNextFails(t *testing.T) {
	t.Parallel()
	for _, next := range []failing{{begin: true}, {end: true}, {}} {
		var log bytes.Buffer
		r := newRig(t, func(seen *otelmfa.Config, cfg *echomfa.Config) {
			seen.Next, cfg.Logger = next, slog.New(slog.NewTextHandler(&log, nil))
		})
		assert.Equal(t, 200, r.serve(t, echomfa.HandlerConfig{Policy: otp()}, "token-of-enrolled"))
		counts, _ := r.lookups(t)
		assert.Equal(t, map[string]uint64{"": 1}, counts)
		assert.Len(t, r.ended("echomfa.lookup"), 1)
		want := 0
		if next.begin || next.end {
			want = 1
		}
		assert.Equal(t, want, strings.Count(log.String(), "event=lookup_panicked"))
	}
}

// panicking is an Observer of the app that panics with each decision.
type panicking struct{}

func (panicking) ObserveDecision(context.Context, echomfa.Decision, string, string) { panic("next") }

// TestNextPanics has each decision counted once, also where the app's own Observer panics
// afterwards and the answer is a 500.
func TestNextPanics(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(seen *otelmfa.Config, _ *echomfa.Config) { seen.Next = panicking{} })
	assert.Equal(t, 500, r.serve(t, echomfa.HandlerConfig{Policy: otp()}, "token-of-enrolled"))
	assert.Equal(t, 500, r.serve(t, echomfa.HandlerConfig{Policy: otp(), Token: func(*http.Request) (string, error) { panic("token") }}, ""))
	total := int64(0)
	for _, n := range r.decisions(t) {
		total += n
	}
	assert.EqualValues(t, 2, total)
}

// TestZeroTelemetry records nothing and stands in nobody's way.
func TestZeroTelemetry(t *testing.T) {
	t.Parallel()
	var none otelmfa.Telemetry
	assert.Error(t, none.Watch(nil))
	assert.NoError(t, none.Close())
	assert.Nil(t, none.Transport(nil))
	r := newRig(t, func(_ *otelmfa.Config, cfg *echomfa.Config) { cfg.Observer = &none })
	assert.Equal(t, 200, r.serve(t, echomfa.HandlerConfig{Policy: otp()}, "token-of-enrolled"))
	assert.Empty(t, r.decisions(t))
	assert.ErrorContains(t, r.telemetry.Watch(nil), "nil")
	assert.ErrorContains(t, r.telemetry.Watch(r.mfa), "already")
	require.NoError(t, r.telemetry.Close())
	assert.Empty(t, r.collected(t), "nothing is watched any more")
	assert.ErrorContains(t, r.telemetry.Watch(r.mfa), "closed")
}

// TestGlobalProviders has a Telemetry without a configuration, in a program that sets its
// SDK up afterwards: nothing is recorded until then, and no decision is lost.
func TestGlobalProviders(t *testing.T) {
	t.Parallel()
	telemetry, err := otelmfa.New(otelmfa.Config{})
	require.NoError(t, err)
	r := newRig(t, func(_ *otelmfa.Config, cfg *echomfa.Config) { cfg.Observer = telemetry })
	assert.Equal(t, 200, r.serve(t, echomfa.HandlerConfig{Policy: otp()}, "token-of-enrolled"))
	require.NoError(t, telemetry.Watch(r.mfa))

	r.reader = sdkmetric.NewManualReader()
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader))
	otel.SetMeterProvider(meters)
	defer otel.SetMeterProvider(noop.NewMeterProvider())
	assert.Equal(t, 200, r.serve(t, echomfa.HandlerConfig{Policy: otp()}, "token-of-enrolled"))
	total := int64(0)
	for _, n := range r.decisions(t) {
		total += n
	}
	assert.EqualValues(t, 2, total)
	assert.Contains(t, r.collected(t), "echomfa.cache.entries")
	require.NoError(t, telemetry.Close())
	assert.Empty(t, r.decisions(t))
	require.NoError(t, meters.Shutdown(t.Context()))
}
