package otelmfa

import (
	"context"
	"errors"
	"fmt"

	"github.com/echomfa/echomfa"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// figure is an instrument that shows one of the figures of S.
type figure[S any] struct {
	name, unit, about string
	kind              kind
	read              func(s *S) int64
}

// kind says which instrument shows a figure.
type kind uint8

const (
	total  kind = iota // since the Enforcer was made
	amount             // now; those of several instances can be added up
	state              // now; several instances have no sum
	moment             // the seconds since 1970, or 0 if there is none: then it is not shown
)

func figures() []figure[echomfa.Stats] {
	return []figure[echomfa.Stats]{
		{"echomfa.lookup.active", "{lookup}", "Lookups under way.", amount, func(s *echomfa.Stats) int64 { return int64(s.InFlight) }},
		{"echomfa.lookup.queued", "{lookup}", "Lookups that wait for their turn.", amount, func(s *echomfa.Stats) int64 { return int64(s.Queued) }},
		{"echomfa.lookup.limited", "{lookup}", "Lookups turned away by the budgets of LookupConfig.", total, func(s *echomfa.Stats) int64 { return count(s.Limited) }},
		{"echomfa.lookup.turned_away", "{lookup}", "Lookups that were not made: by the budgets, the breaker, or because the token is held.", total, func(s *echomfa.Stats) int64 { return count(s.Lookups.TurnedAway) }},
		{"echomfa.lookup.paused", "", "Whether no lookups are made for a while, because GenAuth limits the rate for more than one user.", state, func(s *echomfa.Stats) int64 { return bit(s.Paused) }},

		{"echomfa.breaker.open", "", "Whether lookups are stopped because they kept failing.", state, func(s *echomfa.Stats) int64 { return bit(s.BreakerOpen) }},
		{"echomfa.breaker.cold_start", "", "Whether no lookup has succeeded since the start, and few are tried at once.", state, func(s *echomfa.Stats) int64 { return bit(s.ColdStart) }},
		{"echomfa.breaker.failing_users", "{user}", "Users whose lookups have failed since the last success, up to 4,096.", amount, func(s *echomfa.Stats) int64 { return int64(s.FailingUsers) }},
		{"echomfa.breaker.held_tokens", "{token}", "Tokens without lookups for a while, because GenAuth fails for them and not for others.", amount, func(s *echomfa.Stats) int64 { return int64(s.Held) }},
		{"echomfa.breaker.held_users", "{user}", "Known users without lookups for a while, because GenAuth fails for them and not for others.", amount, func(s *echomfa.Stats) int64 { return int64(s.HeldUsers) }},
		{"echomfa.insecure_allow", "", "Whether OnUnavailable is InsecureAllow.", state, func(s *echomfa.Stats) int64 { return bit(s.InsecureAllow) }},

		{"echomfa.cache.entries", "{token}", "Tokens with a cached factor list.", amount, func(s *echomfa.Stats) int64 { return int64(s.Entries) }},
		{"echomfa.cache.refusals", "{token}", "Tokens that are remembered because they were rejected, or because their lookups failed.", amount, func(s *echomfa.Stats) int64 { return int64(s.Refusals) }},
		{"echomfa.cache.hits", "{decision}", "Decisions made from the cache.", total, func(s *echomfa.Stats) int64 { return count(s.Hits) }},
		{"echomfa.cache.misses", "{decision}", "Decisions that needed a lookup.", total, func(s *echomfa.Stats) int64 { return count(s.Misses) }},

		{"echomfa.store.hits", "{lookup}", "Lookups in the shared store that found a list.", total, func(s *echomfa.Stats) int64 { return count(s.Store.Hits) }},
		{"echomfa.store.misses", "{lookup}", "Lookups in the shared store that found none.", total, func(s *echomfa.Stats) int64 { return count(s.Store.Misses) }},
		{"echomfa.store.rejected", "{lookup}", "Lists in the store that were not believed.", total, func(s *echomfa.Stats) int64 { return count(s.Store.Rejected) }},
		{"echomfa.store.failed", "{call}", "Calls of the store that failed.", total, func(s *echomfa.Stats) int64 { return count(s.Store.Failed) }},
		{"echomfa.store.skipped", "{call}", "Calls of the store that were not made because it kept failing.", total, func(s *echomfa.Stats) int64 { return count(s.Store.Skipped) }},
		{"echomfa.store.open", "", "Whether the store is left alone because it kept failing.", state, func(s *echomfa.Stats) int64 { return bit(s.Store.Open) }},
		{"echomfa.store.deaf", "", "Whether the store has not been heard for a second: invalidations of other instances do not arrive.", state, func(s *echomfa.Stats) int64 { return bit(s.Store.Deaf) }},
		{"echomfa.store.unsent", "{invalidation}", "Invalidations of this instance that the store has not acknowledged.", amount, func(s *echomfa.Stats) int64 { return int64(s.Store.Unsent) }},
		{"echomfa.store.dropped", "{invalidation}", "Invalidations of this instance that were given up because too many waited.", total, func(s *echomfa.Stats) int64 { return count(s.Store.Dropped) }},
		{"echomfa.store.unreadable", "{invalidation}", "Invalidations of the store that cannot be read.", total, func(s *echomfa.Stats) int64 { return count(s.Store.Unreadable) }},
	}
}

func count(n uint64) int64 { return int64(n) } //nolint:gosec // no counter gets there

func bit(on bool) int64 {
	if on {
		return 1
	}
	return 0
}

// Watch shows the figures of an Enforcer until [Telemetry.Close]. A Telemetry watches one
// Enforcer.
func (t *Telemetry) Watch(e *echomfa.Enforcer) error {
	if t.ready() && e == nil {
		return errors.New("otelmfa: Watch: the Enforcer is nil")
	}
	return watch(t, "Watch", figures(), func() (echomfa.Stats, error) { return e.Stats(), nil }, nil)
}

// watch shows figures, which read returns at each collection. Some are shown by an
// attribute: by has their names.
func watch[S any](t *Telemetry, method string, list []figure[S], read func() (S, error), by map[string]func(*S) attribute.KeyValue) error {
	if !t.ready() {
		return errors.New("otelmfa: Telemetry was not made by New")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.watched == nil:
		return fmt.Errorf("otelmfa: %s: this Telemetry is closed", method)
	case t.watched[method] != nil:
		return fmt.Errorf("otelmfa: %s: was called already: make a Telemetry for each Enforcer", method)
	}
	var (
		instruments = make([]metric.Int64Observable, len(list))
		observables = make([]metric.Observable, len(list))
		errs        = make([]error, len(list))
	)
	for i, f := range list {
		instruments[i], errs[i] = instrument(t.meter, f.name, f.unit, f.about, f.kind)
		observables[i] = instruments[i]
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	registered, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s, err := read()
		if err != nil {
			return err
		}
		for i, f := range list {
			options := []metric.ObserveOption{metric.WithAttributes(t.own...)}
			if attribute := by[f.name]; attribute != nil {
				options = append(options, metric.WithAttributes(attribute(&s)))
			}
			if n := f.read(&s); n != 0 || f.kind != moment {
				o.ObserveInt64(instruments[i], n, options...)
			}
		}
		return nil
	}, observables...)
	if err == nil {
		t.watched[method] = registered
	}
	return err
}

// instrument returns the instrument of a figure.
//
//nolint:ireturn // that is what OpenTelemetry has
func instrument(m metric.Meter, name, unit, about string, k kind) (metric.Int64Observable, error) {
	switch k {
	case total:
		return m.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(about))
	case amount:
		return m.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(about))
	case state, moment:
	}
	return m.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(about))
}

// Close ends the metrics, for good. Shut the MeterProvider down before, if it exports by
// itself, so that its last export has the last figures, and close the Enforcer afterwards.
func (t *Telemetry) Close() error {
	if !t.ready() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for _, registered := range t.watched {
		errs = append(errs, registered.Unregister())
	}
	t.watched = nil
	return errors.Join(errs...)
}
