package otelmfa_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/echomfa/echomfa/otelmfa"
)

// rig is an Enforcer with a Telemetry, and what a collector would see of them.
type rig struct {
	mfa       *echomfa.Enforcer
	telemetry *otelmfa.Telemetry
	reader    *sdkmetric.ManualReader
	spans     *tracetest.InMemoryExporter
	tracer    trace.Tracer
}

// newRig has a GenAuth that answers by the text of the token.
func newRig(t *testing.T, changes ...func(*otelmfa.Config, *echomfa.Config)) *rig {
	t.Helper()
	r := &rig{reader: sdkmetric.NewManualReader(), spans: tracetest.NewInMemoryExporter()}
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(r.reader))
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSyncer(r.spans))
	r.tracer = tracers.Tracer("app")
	seen := otelmfa.Config{MeterProvider: meters, TracerProvider: tracers}
	cfg := echomfa.Config{
		Client: echomfa.FactorListerFunc(listed), Namespace: "test", InsecureAnyAudience: true,
		Lookup: echomfa.LookupConfig{MaxConcurrent: 1 << 10, MaxPerSecond: 1e9, Timeout: patience},
	}
	for _, change := range changes {
		change(&seen, &cfg)
	}
	var err error
	r.telemetry, err = otelmfa.New(seen)
	require.NoError(t, err)
	if cfg.Observer == nil {
		cfg.Observer = r.telemetry
	}
	r.mfa, err = echomfa.New(cfg)
	require.NoError(t, err)
	require.NoError(t, r.telemetry.Watch(r.mfa))
	t.Cleanup(func() {
		assert.NoError(t, r.telemetry.Close())
		assert.NoError(t, r.mfa.Close())
		assert.NoError(t, meters.Shutdown(context.Background()))
		assert.NoError(t, tracers.Shutdown(context.Background()))
	})
	return r
}

// listed is GenAuth's answer to a token.
func listed(_ context.Context, token string) ([]client.Factor, error) {
	kind, _, _ := strings.Cut(strings.TrimPrefix(token, "token-of-"), "-")
	switch kind {
	case "enrolled":
		return []client.Factor{{ID: "profile-canary", Type: echomfa.OTP}}, nil
	case "nothing":
		return nil, nil
	case "refused":
		return nil, client.ErrUnauthenticated
	case "limited":
		return nil, client.ErrRateLimited
	case "misconfigured":
		return nil, client.ErrMisconfigured
	case "malformed":
		return nil, client.ErrMalformed
	case "panics":
		panic("lister")
	}
	return nil, client.ErrUnavailable
}

func otp() echomfa.Policy { return echomfa.AnyOf(echomfa.OTP) }

// serve sends one request to a mount of a ServeMux, within the span of a request.
func (r *rig) serve(t *testing.T, cfg echomfa.HandlerConfig, token string) int {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/people/{id}", r.mfa.Middleware(cfg)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	ctx, span := r.tracer.Start(t.Context(), "request")
	defer span.End()
	request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/people/4", nil)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, request)
	return w.Code
}

// collected returns all metrics.
func (r *rig) collected(t *testing.T) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, r.reader.Collect(t.Context(), &all))
	found := make(map[string]metricdata.Metrics)
	for _, scope := range all.ScopeMetrics {
		assert.Equal(t, "github.com/echomfa/echomfa/otelmfa", scope.Scope.Name)
		for _, m := range scope.Metrics {
			found[m.Name] = m
		}
	}
	return found
}

// decisions returns how many there are of each set of attributes, as one text each.
func (r *rig) decisions(t *testing.T) map[string]int64 {
	t.Helper()
	counted := make(map[string]int64)
	sum, ok := r.collected(t)["echomfa.decisions"].Data.(metricdata.Sum[int64])
	if !ok {
		return counted
	}
	for _, point := range sum.DataPoints {
		counted[spelled(point.Attributes.ToSlice())] += point.Value
	}
	return counted
}

func spelled(list []attribute.KeyValue) string {
	var words []string
	for _, a := range list {
		words = append(words, string(a.Key)+"="+a.Value.String())
	}
	return strings.Join(words, " ")
}

// ended returns the spans of a name that have ended.
func (r *rig) ended(name string) tracetest.SpanStubs {
	var found tracetest.SpanStubs
	for _, span := range r.spans.GetSpans() {
		if span.Name == name {
			found = append(found, span)
		}
	}
	return found
}

var errOwn = errors.New("own failure")

const patience = time.Minute
