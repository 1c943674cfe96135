package bench_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/labstack/echo/v4"

	"github.com/echomfa/echomfa/bench/peer"
)

// discard is a ResponseWriter that costs nothing.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header       { return d.header }
func (*discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)    { d.status = status }

func request(token string) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// run serves one request over and over: all but the first are hits.
func run(b *testing.B, h http.Handler, tokens ...string) {
	b.Helper()
	requests, w := make([]*http.Request, len(tokens)), &discard{header: make(http.Header)}
	for i, token := range tokens {
		requests[i] = request(token)
		h.ServeHTTP(w, requests[i])
		if w.status != http.StatusOK {
			b.Fatalf("status %d", w.status)
		}
	}
	b.ReportAllocs()
	before := processorTime()
	for i := 0; b.Loop(); i++ {
		h.ServeHTTP(w, requests[i%len(requests)])
	}
	b.ReportMetric(float64(processorTime()-before)/float64(b.N), "cpu-nanos/op")
}

// processorTime is what this process has had of the processors. On a machine that has
// other work, it says more than the time that has passed.
func processorTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// app is an Echo app whose handler does nothing but set the status.
func app(middleware ...echo.MiddlewareFunc) *echo.Echo {
	e := echo.New()
	e.GET("/", func(c echo.Context) error { c.Response().WriteHeader(http.StatusOK); return nil })
	e.Use(middleware...)
	return e
}

// BenchmarkHit is the way of a request of a user who is known, in one thread.
// "bare" is what all others are divided by.
func BenchmarkHit(b *testing.B) {
	user := peer.NewTokens("alice")
	b.Run("token=jwt/peer=bare", func(b *testing.B) { run(b, app(), user.RS256) })
	b.Run("token=40B/peer=bare", func(b *testing.B) { run(b, app(), user.Opaque) })
	for _, p := range slices.Concat(peer.Any(), peer.Verifiers(), peer.Uncached()) {
		b.Run("token=jwt/peer="+p.Name, func(b *testing.B) { run(b, app(p.New()), p.Token(user)) })
	}
	for _, p := range peer.Any() {
		b.Run("token=40B/peer="+p.Name, func(b *testing.B) { run(b, app(p.New()), user.Opaque) })
	}
	for name, token := range map[string]string{"jwt": user.RS256, "40B": user.Opaque} {
		b.Run("token="+name+"/peer=echomfa in net∕http", func(b *testing.B) {
			guard := newEnforcer(b, 1<<16).Middleware(echomfa.HandlerConfig{Policy: peer.Policy()})
			run(b, guard(app()), token)
		})
	}
}

// newEnforcer returns an Enforcer that ends with the benchmark.
func newEnforcer(b *testing.B, size int) *echomfa.Enforcer {
	b.Helper()
	e := peer.NewEnforcer(size)
	b.Cleanup(func() { _ = e.Close() })
	return e
}
