package otelmfa

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
)

// Transport returns a transport that makes a span for each call, by package otelhttp. It
// is for [client.Config].WrapTransport. GenAuth is sent no trace context and no baggage:
// it is another party. There are no metrics of calls: the app may have its own, and
// lookups have echomfa.lookup.duration.
func (t *Telemetry) Transport(base http.RoundTripper) http.RoundTripper {
	if !t.ready() {
		return base
	}
	return otelhttp.NewTransport(base,
		otelhttp.WithTracerProvider(discreet{provider: t.cfg.TracerProvider}),
		otelhttp.WithMeterProvider(noop.NewMeterProvider()),
		otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator()),
	)
}

// discreet makes spans that are told no more than what they may show. A transport's error
// quotes what the server has sent, which may be a profile, or the token.
type discreet struct {
	embedded.TracerProvider

	provider trace.TracerProvider
}

//nolint:ireturn // that is what OpenTelemetry has
func (p discreet) Tracer(name string, options ...trace.TracerOption) trace.Tracer {
	return discreetTracer{tracer: p.provider.Tracer(name, options...)}
}

type discreetTracer struct {
	embedded.Tracer

	tracer trace.Tracer
}

//nolint:ireturn // that is what OpenTelemetry has
func (t discreetTracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	ctx, span := t.tracer.Start(ctx, name, options...)
	return ctx, discreetSpan{span}
}

type discreetSpan struct{ trace.Span }

func (s discreetSpan) RecordError(error, ...trace.EventOption) {}

func (s discreetSpan) AddEvent(string, ...trace.EventOption) {}

func (s discreetSpan) SetStatus(code codes.Code, _ string) { s.Span.SetStatus(code, "") }

// shown are the attributes that a call's span may have.
var shown = []attribute.Key{ //nolint:gochecknoglobals // a list
	"error.type", "http.request.method", "http.response.status_code", "network.protocol.name", "network.protocol.version",
	"server.address", "server.port", "url.scheme",
}

func (s discreetSpan) SetAttributes(list ...attribute.KeyValue) {
	kept := make([]attribute.KeyValue, 0, len(list))
	for _, a := range list {
		switch {
		case slices.Contains(shown, a.Key):
			kept = append(kept, a)
		case a.Key == "url.full":
			if address, err := url.Parse(a.Value.AsString()); err == nil {
				// A query has the id of a factor.
				kept = append(kept, a.Key.String((&url.URL{Scheme: address.Scheme, Host: address.Host, Path: address.Path}).String()))
			}
		}
	}
	s.Span.SetAttributes(kept...)
}
