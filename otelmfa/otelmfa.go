package otelmfa

import (
	"errors"
	"sync"

	"github.com/echomfa/echomfa"
	"go.opentelemetry.io/otel"
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
	cfg       Config
	meter     metric.Meter
	tracer    trace.Tracer
	decisions metric.Int64Counter
	series    series
	lookups   metric.Float64Histogram
	results   map[string][]metric.RecordOption // by LookupResult.Failure

	mu      sync.Mutex
	watched map[string]metric.Registration // by method; guarded by mu
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
	var errs [2]error
	t.decisions, errs[0] = t.meter.Int64Counter("echomfa.decisions", metric.WithUnit("{decision}"),
		metric.WithDescription("Decisions about requests, by outcome."))
	t.lookups, errs[1] = t.meter.Float64Histogram("echomfa.lookup.duration", metric.WithUnit("s"),
		metric.WithDescription("How long lookups at GenAuth took, with waiting for their turn, CheckToken and a retry."),
		metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .1, .25, .5, .75, 1, 1.5, 2, 2.5, 5, 10))
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	t.results, t.watched = results(), make(map[string]metric.Registration)
	return t, nil
}

// ready reports whether the Telemetry was made by New.
func (t *Telemetry) ready() bool { return t != nil && t.decisions != nil }
