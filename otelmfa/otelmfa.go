package otelmfa

import (
	"context"
	"sync"

	"github.com/echomfa/echomfa"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// scope names this package to OpenTelemetry.
const scope = "github.com/echomfa/echomfa/otelmfa"

// Config configures a [Telemetry]. The zero value is the default.
type Config struct {
	// MeterProvider makes the instruments. Optional. Default: the global one.
	MeterProvider metric.MeterProvider
	// TracerProvider makes the spans of lookups. Optional. Default: the global one.
	TracerProvider trace.TracerProvider
	// Name tells the Enforcers of a program apart: it is an attribute of all metrics and
	// spans. Without one the gauges of the last Enforcer hide those of the others, and
	// what can be added up is. Optional. Default: none.
	Name string
	// UserRef puts [echomfa.Decision].UserRef, which refusals have if
	// [echomfa.Config].UserRefKey is set, on the span of the request. It is pseudonymous
	// personal data. Optional. Default: spans name no user. Metrics never do.
	UserRef bool
	// Next is told everything, too: an [echomfa.Config] has one Observer. Optional.
	Next echomfa.Observer
}

// Telemetry makes metrics and traces of one [echomfa.Enforcer]. It is an
// [echomfa.LookupObserver]. All methods may be called concurrently. The zero Telemetry
// records nothing.
type Telemetry struct {
	cfg     Config
	meter   metric.Meter
	tracer  trace.Tracer
	own     []attribute.KeyValue // of everything
	series  *series
	lookups metric.Float64Histogram
	results map[string][]metric.RecordOption // by LookupResult.Failure

	mu      sync.Mutex
	watched map[string]metric.Registration // by method; nil after Close; guarded by mu
}

var _ echomfa.LookupObserver = (*Telemetry)(nil)

// New returns a Telemetry. The error is that of the MeterProvider, which could not make
// an instrument.
func New(cfg Config) (*Telemetry, error) {
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	t := &Telemetry{cfg: cfg, meter: cfg.MeterProvider.Meter(scope), tracer: cfg.TracerProvider.Tracer(scope)}
	if cfg.Name != "" {
		t.own = []attribute.KeyValue{attribute.String("echomfa.enforcer", cfg.Name)}
	}
	t.results = results(t.own)
	var err error
	t.lookups, err = t.meter.Float64Histogram("echomfa.lookup.duration", metric.WithUnit("s"),
		metric.WithDescription("How long lookups at GenAuth took, with waiting for their turn, CheckToken and a retry."),
		metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .1, .25, .5, .75, 1, 1.5, 2, 2.5, 5, 10))
	if err != nil {
		return nil, err
	}
	decisions, err := t.meter.Int64ObservableCounter("echomfa.decisions", metric.WithUnit("{decision}"),
		metric.WithDescription("Decisions about requests, by outcome."))
	if err != nil {
		return nil, err
	}
	counts := newSeries(t.own)
	counting, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		counts.show(o, decisions)
		return nil
	}, decisions)
	if err != nil {
		return nil, err
	}
	t.series, t.watched = counts, map[string]metric.Registration{"New": counting}
	return t, nil
}

// ready reports whether the Telemetry was made by New.
func (t *Telemetry) ready() bool { return t != nil && t.series != nil }
