package otelmfa

import (
	"context"
	"maps"
	"strings"
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
	t.series.of(labels{
		outcome: d.Outcome, mode: d.Mode, source: d.Source,
		policy: d.Policy.Label(), rule: d.Rule, route: route, method: method,
	}).n.Add(1)
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
	about := labels{outcome: d.Outcome, mode: d.Mode, source: d.Source, policy: d.Policy.Label(), rule: d.Rule}.attributes(t.own)
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

// usual is how many attributes a decision has at most, on a metric, or on a span if it is let in.
const usual = 8

// attributes returns the labels as OpenTelemetry has them, after those that all have. What
// is empty is left out: it is not known, or there is none.
func (l labels) attributes(own []attribute.KeyValue) []attribute.KeyValue {
	list := append(make([]attribute.KeyValue, 0, usual), own...)
	list = append(list,
		attribute.String("echomfa.outcome", l.outcome.String()),
		attribute.String("echomfa.mode", l.mode.String()),
		attribute.String("echomfa.source", l.source.String()),
	)
	for _, label := range [...]struct {
		key   attribute.Key
		value string
	}{{"echomfa.policy", l.policy}, {"echomfa.rule", l.rule}, {"http.route", l.route}, {"http.request.method", l.method}} {
		if label.value != "" {
			// One label that is no text would have a collector reject all.
			list = append(list, label.key.String(strings.ToValidUTF8(label.value, "\uFFFD")))
		}
	}
	return list
}

// mostSeries is how many sets of labels are told apart. The SDK stops at 2,000 by default,
// and then takes all labels away, also the outcome. What is left out here leaves 90 more:
// outcomes, modes and sources.
const mostSeries = 1900

// tally counts the decisions of one set of labels.
type tally struct {
	n  atomic.Int64
	by []metric.ObserveOption
}

// series counts decisions. The instrument of OpenTelemetry reads the counts when it is
// collected: to count by its own takes five times as long, for it looks at each attribute
// of each decision again. Policies and rules may be made of requests by a RequireFunc, and
// an adapter may hand on a path for a route: there is a limit.
type series struct {
	own   []attribute.KeyValue
	known atomic.Pointer[map[labels]*tally] // replaced, never changed
	mu    sync.Mutex                        // held by who adds
}

func newSeries(own []attribute.KeyValue) *series {
	s := &series{own: own}
	s.known.Store(&map[labels]*tally{})
	return s
}

// of returns the tally of a set of labels.
func (s *series) of(l labels) *tally {
	if found := s.find(&l); found != nil {
		return found
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.find(&l); found != nil {
		return found
	}
	longer := maps.Clone(*s.known.Load())
	added := &tally{by: []metric.ObserveOption{metric.WithAttributeSet(attribute.NewSet(l.attributes(s.own)...))}}
	longer[l] = added
	s.known.Store(&longer)
	return added
}

// find returns the tally of a set of labels, or nil. If there are too many sets, it turns
// this one into what is left of it.
func (s *series) find(l *labels) *tally {
	known := *s.known.Load()
	if found := known[*l]; found != nil || len(known) < mostSeries {
		return found
	}
	l.policy, l.rule, l.route, l.method = other, other, other, other
	return known[*l]
}

// show has the instrument read the counts.
func (s *series) show(o metric.Observer, decisions metric.Int64Observable) {
	for _, t := range *s.known.Load() {
		o.ObserveInt64(decisions, t.n.Load(), t.by...)
	}
}
