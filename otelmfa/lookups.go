package otelmfa

import (
	"context"
	"slices"

	"github.com/echomfa/echomfa"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

const errorType = attribute.Key("error.type")

// refused is the failure that is an answer: GenAuth, or CheckToken, rejects the token.
const refused = "refused"

// results returns the options of each result of a lookup, after what all have.
func results(own []attribute.KeyValue) map[string][]metric.RecordOption {
	all := map[string][]metric.RecordOption{"": {metric.WithAttributes(own...)}}
	for _, failure := range []string{refused, "rate_limited", "misconfigured", "unavailable", "malformed", "panicked", "turned_away", other} {
		all[failure] = []metric.RecordOption{metric.WithAttributes(append(slices.Clone(own), errorType.String(failure))...)}
	}
	return all
}

// ObserveLookup begins the span of a lookup: see the package comment.
func (t *Telemetry) ObserveLookup(ctx, request context.Context) (context.Context, func(echomfa.LookupResult)) {
	if !t.ready() {
		return ctx, func(echomfa.LookupResult) {}
	}
	ctx, next := t.tellNext(ctx, request)
	ctx, span := t.tracer.Start(trace.ContextWithSpan(ctx, trace.SpanFromContext(request)), "echomfa.lookup", trace.WithAttributes(t.own...))
	return ctx, func(r echomfa.LookupResult) {
		t.lookups.Record(ctx, r.Duration.Seconds(), t.result(r.Failure)...)
		if span.IsRecording() {
			describeLookup(span, &r) //nolint:contextcheck // the contexts of requests are in r
		}
		span.End()
		next(r)
	}
}

// tellNext tells the app's own Observer that a lookup begins, if it wants to know, and
// returns what tells it the end. A panic is put off until then, when the lookup is measured.
func (t *Telemetry) tellNext(ctx, request context.Context) (within context.Context, next func(echomfa.LookupResult)) {
	within, next = ctx, func(echomfa.LookupResult) {}
	told, ok := t.cfg.Next.(echomfa.LookupObserver)
	if !ok {
		return within, next
	}
	defer func() {
		if v := recover(); v != nil {
			next = func(echomfa.LookupResult) { panic(v) }
		}
	}()
	if ctx, end := told.ObserveLookup(ctx, request); ctx != nil && end != nil {
		within, next = ctx, end
	}
	return within, next
}

func (t *Telemetry) result(failure string) []metric.RecordOption {
	if options, ok := t.results[failure]; ok {
		return options
	}
	return t.results[other]
}

func describeLookup(span trace.Span, r *echomfa.LookupResult) {
	for i, request := range r.Waiting {
		if i > 0 { // the first is the parent
			span.AddLink(trace.LinkFromContext(request))
		}
	}
	if r.Failure != "" {
		span.SetAttributes(errorType.String(r.Failure))
	}
	if r.Failure != "" && r.Failure != refused {
		span.SetStatus(codes.Error, "")
	}
}
