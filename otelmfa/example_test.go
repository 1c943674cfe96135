package otelmfa_test

import (
	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/echomfa/echomfa/otelmfa"
)

// An Enforcer whose decisions, lookups and figures are seen by OpenTelemetry.
func Example() {
	newEnforcer := func(meters metric.MeterProvider, tracers trace.TracerProvider, host, appID string) (*echomfa.Enforcer, error) {
		telemetry, err := otelmfa.New(otelmfa.Config{MeterProvider: meters, TracerProvider: tracers})
		if err != nil {
			return nil, err
		}
		genauth, err := client.New(client.Config{
			BaseURL: host, AppID: appID,
			WrapTransport: telemetry.Transport, // a span for each call of GenAuth
		})
		if err != nil {
			return nil, err
		}
		mfa, err := echomfa.New(echomfa.Config{
			Client:   genauth,
			Observer: telemetry, // decisions and lookups
		})
		if err != nil {
			return nil, err
		}
		return mfa, telemetry.Watch(mfa) // the figures of Stats
	}
	_ = newEnforcer
	// Output:
}
