package otelmfa

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/echomfa/echomfa"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// other stands for what there are too many of, as the semantic conventions of
// OpenTelemetry have it for methods.
const other = "_OTHER"

// ObserveDecision counts a decision, and describes it on the span of the request, if that
// is recording.
func (t *Telemetry) ObserveDecision(ctx context.Context, d echomfa.Decision, route, method string) {
	if !t.ready() {
		return
	}
	t.decisions.Add(ctx, 1, t.series.of(labels{
		outcome: d.Outcome, mode: d.Mode, source: d.Source,
		policy: d.Policy.Label(), rule: d.Rule, route: route, method: method,
	})...)
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(t.described(&d)...)
	}
	if t.cfg.Next != nil {
		t.cfg.Next.ObserveDecision(ctx, d, route, method)
	}
}

// described returns what the span of a request is told of a decision. The
// instrumentation that made the span has put the route and the method there.
func (t *Telemetry) described(d *echomfa.Decision) []attribute.KeyValue {
	about := labels{outcome: d.Outcome, mode: d.Mode, source: d.Source, policy: d.Policy.Label(), rule: d.Rule}.attributes()
	if d.Source != echomfa.NoSource {
		about = append(about, attribute.Float64("echomfa.age", d.Age.Seconds()))
	}
	if d.Revision != "" {
		about = append(about, rulesHash.String(d.Revision))
	}
	if d.ID != "" {
		about = append(about, attribute.String("echomfa.decision_id", d.ID))
	}
	if t.cfg.UserRef && d.UserRef != "" {
		about = append(about, attribute.String("echomfa.user_ref", d.UserRef))
	}
	return about
}

// labels are what a decision is counted by.
type labels struct {
	policy, rule, route, method string
	outcome                     echomfa.Outcome
	mode                        echomfa.Mode
	source                      echomfa.Source
}

// attributes returns the labels as OpenTelemetry has them. What is empty is left out: it
// is not known, or there is none.
func (l labels) attributes() []attribute.KeyValue {
	list := []attribute.KeyValue{
		attribute.String("echomfa.outcome", l.outcome.String()),
		attribute.String("echomfa.mode", l.mode.String()),
		attribute.String("echomfa.source", l.source.String()),
	}
	for _, label := range [...]struct {
		key   attribute.Key
		value string
	}{{"echomfa.policy", l.policy}, {"echomfa.rule", l.rule}, {"http.route", l.route}, {"http.request.method", l.method}} {
		if label.value != "" {
			list = append(list, label.key.String(label.value))
		}
	}
	return list
}

// mostSeries is how many sets of labels are told apart. The SDK stops at 2,000 by default,
// and then takes all labels away, also the outcome. What is left out here leaves 90 more:
// outcomes, modes and sources.
const mostSeries = 1900

// series keeps the options of each set of labels, so that to count a decision costs no
// allocation. Policies and rules may be made of requests by a RequireFunc, and an
// adapter may hand on a path for a route: there is a limit.
type series struct {
	known atomic.Pointer[map[labels][]metric.AddOption] // replaced, never changed
	mu    sync.Mutex                                    // held by who adds
}

func (s *series) of(l labels) []metric.AddOption {
	known := s.known.Load()
	if known == nil {
		return s.add(l)
	}
	if options, ok := (*known)[l]; ok {
		return options
	}
	if len(*known) >= mostSeries {
		l.policy, l.rule, l.route, l.method = other, other, other, other
		if options, ok := (*known)[l]; ok {
			return options
		}
	}
	return s.add(l)
}

func (s *series) add(l labels) []metric.AddOption {
	s.mu.Lock()
	defer s.mu.Unlock()
	longer := make(map[labels][]metric.AddOption)
	if known := s.known.Load(); known != nil {
		if len(*known) >= mostSeries {
			l.policy, l.rule, l.route, l.method = other, other, other, other
		}
		if options, ok := (*known)[l]; ok {
			return options
		}
		maps.Copy(longer, *known)
	}
	options := []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(l.attributes()...))}
	longer[l] = options
	s.known.Store(&longer)
	return options
}
