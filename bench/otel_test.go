package bench_test

import (
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/otelmfa"
	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/echomfa/echomfa/bench/peer"
)

// BenchmarkOTelHit is the way of a request of a user who is known with metrics by
// OpenTelemetry's SDK and without, and within a span that is recorded.
func BenchmarkOTelHit(b *testing.B) {
	user := peer.NewTokens("alice")
	tracer := trace.NewTracerProvider().Tracer("bench")
	inSpan := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			outer := c.Request()
			ctx, span := tracer.Start(outer.Context(), "request")
			defer span.End()
			c.SetRequest(outer.WithContext(ctx))
			return next(c)
		}
	}
	observed := func() echo.MiddlewareFunc {
		telemetry, err := otelmfa.New(otelmfa.Config{MeterProvider: metric.NewMeterProvider(metric.WithReader(metric.NewManualReader()))})
		if err != nil {
			b.Fatal(err)
		}
		e := peer.NewEnforcer(1<<16, func(c *echomfa.Config) { c.Observer = telemetry })
		b.Cleanup(func() { _ = e.Close() })
		return e.Require(peer.Policy())
	}
	for name, token := range map[string]string{"jwt": user.RS256, "40B": user.Opaque} {
		for _, p := range []struct {
			name string
			mw   []echo.MiddlewareFunc
		}{
			{"bare", nil},
			{"echomfa", []echo.MiddlewareFunc{newEnforcer(b, 1<<16).Require(peer.Policy())}},
			{"echomfa, metrics", []echo.MiddlewareFunc{observed()}},
			{"bare, span", []echo.MiddlewareFunc{inSpan}},
			{"echomfa, metrics, span", []echo.MiddlewareFunc{inSpan, observed()}},
		} {
			b.Run("token="+name+"/peer="+p.name, func(b *testing.B) { run(b, app(p.mw...), token) })
		}
	}
}
