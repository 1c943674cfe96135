package otelmfa

import (
	"context"
	"errors"

	"github.com/echomfa/echomfa"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// figure is an instrument that shows one of the figures of [echomfa.Stats].
type figure struct {
	name, unit, about string
	kind              kind
	read              func(s *echomfa.Stats) int64
}

// kind says which instrument shows a figure.
type kind uint8

const (
	total  kind = iota // since the Enforcer was made
	amount             // now; those of several instances can be added up
	state              // now: 1 or 0
)

func figures() []figure {
	return []figure{
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
	switch {
	case !t.ready():
		return errors.New("otelmfa: Telemetry was not made by New")
	case e == nil:
		return errors.New("otelmfa: Watch: the Enforcer is nil")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watched != nil {
		return errors.New("otelmfa: Watch: this Telemetry watches an Enforcer already: make one for each")
	}
	var (
		list        = figures()
		instruments = make([]metric.Int64Observable, len(list))
		observables []metric.Observable
		errs        = make([]error, len(list))
	)
	for i, f := range list {
		instruments[i], errs[i] = t.instrument(&f)
		observables = append(observables, instruments[i])
	}
	rules, err := t.meter.Int64ObservableGauge("echomfa.rules.info",
		metric.WithDescription("1, with the hash of the rules that are in force."))
	if err := errors.Join(append(errs, err)...); err != nil {
		return err
	}
	t.watched, err = t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		stats := e.Stats()
		for i, f := range list {
			o.ObserveInt64(instruments[i], f.read(&stats))
		}
		if t.cfg.RulesHash != nil {
			o.ObserveInt64(rules, 1, metric.WithAttributes(attribute.String("echomfa.rules.hash", t.cfg.RulesHash())))
		}
		return nil
	}, append(observables, rules)...)
	return err
}

// instrument returns the instrument of a figure.
//
//nolint:ireturn // that is what OpenTelemetry has
func (t *Telemetry) instrument(f *figure) (metric.Int64Observable, error) {
	switch f.kind {
	case total:
		return t.meter.Int64ObservableCounter(f.name, metric.WithUnit(f.unit), metric.WithDescription(f.about))
	case amount:
		return t.meter.Int64ObservableUpDownCounter(f.name, metric.WithUnit(f.unit), metric.WithDescription(f.about))
	case state:
	}
	return t.meter.Int64ObservableGauge(f.name, metric.WithUnit(f.unit), metric.WithDescription(f.about))
}

// Close ends what Watch began. Close the Enforcer afterwards, so that the last collection
// has its last figures.
func (t *Telemetry) Close() error {
	if !t.ready() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watched == nil {
		return nil
	}
	err := t.watched.Unregister()
	t.watched = nil
	return err
}
