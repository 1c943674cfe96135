package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/otelmfa"
	"github.com/echomfa/echomfa/rules"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
)

// metrics are what Prometheus fetches of the portal.
type metrics struct {
	*otelmfa.Telemetry

	provider *metric.MeterProvider
	handler  http.Handler
}

// newMetrics tells the Observer next everything, too.
func newMetrics(next echomfa.Observer) (*metrics, error) {
	registry := prometheus.NewRegistry()
	reader, err := exporter.New(exporter.WithRegisterer(registry))
	if err != nil {
		return nil, err
	}
	m := &metrics{
		provider: metric.NewMeterProvider(metric.WithReader(reader)),
		handler:  promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
	}
	m.Telemetry, err = otelmfa.New(otelmfa.Config{MeterProvider: m.provider, Next: next})
	return m, err
}

// watch shows the figures of the Enforcer and of the rules.
func (m *metrics) watch(mfa *echomfa.Enforcer, set *rules.Set) error {
	return errors.Join(
		m.Watch(mfa),
		m.WatchRules(func() otelmfa.Rules { return otelmfa.Rules(set.Stats()) }),
	)
}

func (m *metrics) close() error {
	return errors.Join(m.provider.Shutdown(context.Background()), m.Close())
}
