// Package otelmfa makes OpenTelemetry metrics and traces of what package
// [github.com/echomfa/echomfa] decides and looks up.
//
//	telemetry, err := otelmfa.New(otelmfa.Config{})
//	...
//	genauth, err := client.New(client.Config{
//		BaseURL: host, AppID: appID,
//		WrapTransport: telemetry.Transport, // a span for each call
//	})
//	...
//	mfa, err := echomfa.New(echomfa.Config{
//		Client:   genauth,
//		Observer: telemetry, // decisions and lookups
//	})
//	...
//	err = telemetry.Watch(mfa) // the figures of Enforcer.Stats
//	err = telemetry.WatchRules(func() otelmfa.Rules { return otelmfa.Rules(set.Stats()) })
//
// It uses the API of OpenTelemetry and not its SDK: without one in the program,
// nothing is recorded. It needs Go 1.26, as the API does.
//
// # Metrics
//
// docs/metrics.md lists the instruments and their attributes, the folder grafana has a
// dashboard, and the folder alerts has Prometheus alert rules. Attributes have the words
// of the log. None of them names a user or a token. There are at most 1,990 different
// sets of them: beyond that, policy, rule, route and method are "_OTHER".
//
// # Traces
//
// A decision is described by attributes on the span of the request, if that is
// recording. A lookup has a span of its own, "echomfa.lookup": a child of the request's
// that it was begun for, linked to those of the other requests that wait for it. The
// spans of its calls are children of it.
//
// No span has a token, a user or a profile, but [Config].UserRef. GenAuth is sent no
// trace context.
package otelmfa
