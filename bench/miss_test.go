package bench_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/labstack/echo/v4"

	"github.com/echomfa/echomfa/bench/peer"
)

func enforcerOf(tb testing.TB, lister echomfa.FactorLister) *echomfa.Enforcer {
	tb.Helper()
	e, err := echomfa.New(echomfa.Config{
		Client: lister, Namespace: "bench", Audience: []string{peer.AppID},
		Lookup: echomfa.LookupConfig{MaxConcurrent: 1 << 12, MaxPerSecond: 1e7, Timeout: 30 * time.Second},
	})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = e.Close() })
	return e
}

// BenchmarkStampede is 1,000 requests of one user who is not known yet, with a
// GenAuth that takes 20 ms. The peer asks for each of them.
func BenchmarkStampede(b *testing.B) {
	const callers, delay = 1000, 20 * time.Millisecond
	for _, name := range []string{"echomfa", "default client", "client per call"} {
		b.Run("peer="+name, func(b *testing.B) {
			server := peer.NewGenAuth(delay)
			b.Cleanup(server.Close)
			var calls, waits []float64
			for i := 0; b.Loop(); i++ {
				var mu sync.Mutex
				asked := 0
				lister := server.Listers()[map[bool]string{true: "echomfa client", false: name}[name == "echomfa"]]
				counted := echomfa.FactorListerFunc(func(ctx context.Context, token string) ([]client.Factor, error) {
					mu.Lock()
					asked++
					mu.Unlock()
					return lister.ListEnrolledFactors(ctx, token)
				})
				ask := func(token string) error { _, err := counted(context.Background(), token); return err }
				if name == "echomfa" {
					e := enforcerOf(b, counted)
					ask = func(token string) error { _, err := e.Decide(context.Background(), token, peer.Policy()); return err }
				}
				waits = append(waits, atOnce(b, callers, func(int) error { return ask(fmt.Sprintf("%040d", i)) })...)
				calls = append(calls, float64(asked))
			}
			slices.Sort(waits)
			b.ReportMetric(slices.Max(calls), "calls")
			b.ReportMetric(waits[len(waits)*99/100], "p99-ms")
		})
	}
}

// atOnce calls f n times at once and returns how long each call took, in
// milliseconds.
func atOnce(b *testing.B, n int, f func(int) error) []float64 {
	b.Helper()
	start, took := make(chan struct{}), make([]float64, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			begun := time.Now()
			if err := f(i); err != nil {
				b.Error(err)
			}
			took[i] = float64(time.Since(begun).Microseconds()) / 1000
		})
	}
	close(start)
	wg.Wait()
	return took
}

// BenchmarkColdTokens is 200 users at a time who are not known yet.
func BenchmarkColdTokens(b *testing.B) {
	const atATime = 200
	for _, delay := range []time.Duration{0, 20 * time.Millisecond} {
		for _, name := range []string{"echomfa client", "default client", "client per call"} {
			b.Run(fmt.Sprintf("delay=%v/peer=%s", delay, name), func(b *testing.B) {
				server := peer.NewGenAuth(delay)
				b.Cleanup(server.Close)
				e := enforcerOf(b, server.Listers()[name])
				served := 0
				wave := func() {
					atOnce(b, atATime, func(i int) error {
						_, err := e.Decide(context.Background(), fmt.Sprintf("%040d", served+i), peer.Policy())
						return err
					})
					served += atATime
				}
				for range 3 {
					wave() // warm-up
				}
				warm, before := server.Connections.Load(), served
				for b.Loop() {
					for range 10 {
						wave()
					}
				}
				b.ReportMetric(float64(served-before)/b.Elapsed().Seconds(), "lookups/s")
				b.ReportMetric(float64(server.Connections.Load()-warm), "connections")
			})
		}
	}
}

func noOp(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error { return next(c) }
}

// BenchmarkMiss is the middleware's own share of a miss: the call is a function
// that returns at once. The peer is no-op middleware. Many users take turns: so many
// that the cache has forgotten each when its turn comes again and the token is read as
// a new one, or that it remembers facts which are older than FreshFor.
func BenchmarkMiss(b *testing.B) {
	tokens := make([]string, 1024)
	for i := range tokens {
		tokens[i] = peer.NewTokens(strconv.Itoa(i)).RS256
	}
	b.Run("peer=no-op", func(b *testing.B) { run(b, app(noOp), tokens...) })
	for name, rules := range map[string]echomfa.CacheConfig{
		"unknown": {Size: 64},
		"too old": {FreshFor: time.Millisecond, DenyFreshFor: time.Millisecond},
	} {
		b.Run("peer=echomfa, "+name, func(b *testing.B) {
			e, err := echomfa.New(echomfa.Config{
				Client: echomfa.FactorListerFunc(peer.Lister), Namespace: "bench", Audience: []string{peer.AppID},
				Cache: rules, Lookup: echomfa.LookupConfig{MaxConcurrent: 1 << 12, MaxPerSecond: 1e9},
			})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = e.Close() })
			run(b, app(e.Require(peer.Policy())), tokens...)
			if s := e.Stats(); s.Hits > s.Misses/100 {
				b.Fatalf("%d requests were hits, beside %d misses", s.Hits, s.Misses)
			}
		})
	}
}

// BenchmarkDecode is GenAuth's answer, from the socket to the list.
func BenchmarkDecode(b *testing.B) {
	transport := roundTrip(func(*http.Request) *http.Response {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.WriteString(peer.ThreeFactors)
		return w.Result()
	})
	c, err := client.New(client.Config{BaseURL: "https://genauth.example", AppID: peer.AppID, HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		b.Fatal(err)
	}
	plain := &http.Client{Transport: transport}
	for name, list := range map[string]func() ([]client.Factor, error){
		"echomfa client": func() ([]client.Factor, error) { return c.ListEnrolledFactors(b.Context(), "token") },
		"encoding∕json": func() ([]client.Factor, error) {
			return peer.Get(b.Context(), plain, "https://genauth.example", "token")
		},
	} {
		b.Run("peer="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if list, err := list(); err != nil || len(list) != 3 {
					b.Fatal(err)
				}
			}
		})
	}
}

type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

// BenchmarkPolicy is the evaluation of a policy.
func BenchmarkPolicy(b *testing.B) {
	enrolled := echomfa.Factors(echomfa.OTP, echomfa.Email)
	for name, p := range map[string]echomfa.Policy{
		"one of two":          peer.Policy(),
		"two of five":         echomfa.AtLeast(2, echomfa.OTP, echomfa.SMS, echomfa.Email, echomfa.Face, echomfa.Passkey),
		"with a type unnamed": echomfa.AnyOf(echomfa.OTP).Or(echomfa.Custom("VOICE")),
		"AND of two ORs":      echomfa.AnyOf(echomfa.OTP, echomfa.Face).And(echomfa.AnyOf(echomfa.SMS, echomfa.Email)),
	} {
		b.Run("policy="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !p.Evaluate(enrolled).Satisfied {
					b.Fatal(name)
				}
			}
		})
	}
}

// BenchmarkDenial is a refusal by facts that are known. The peer is Echo's own
// refusal of a request.
func BenchmarkDenial(b *testing.B) {
	e, err := echomfa.New(echomfa.Config{
		Client:    echomfa.FactorListerFunc(func(context.Context, string) ([]client.Factor, error) { return []client.Factor{}, nil }),
		Namespace: "bench", Audience: []string{peer.AppID}, EnrollURL: "/mfa",
		Cache: echomfa.CacheConfig{FreshFor: 5 * time.Minute, DenyFreshFor: 5 * time.Minute},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.Close() })
	user := peer.NewTokens("bob")
	deny := func(b *testing.B, mode string, middleware echo.MiddlewareFunc) {
		b.Helper()
		h := app(middleware)
		r := request(user.RS256)
		r.Header.Set("Sec-Fetch-Mode", mode)
		b.ReportAllocs()
		for b.Loop() {
			w := &discard{header: make(http.Header, 8)}
			h.ServeHTTP(w, r)
			if w.status == http.StatusOK {
				b.Fatal("not refused")
			}
		}
	}
	b.Run("answer=problem/peer=echomfa", func(b *testing.B) { deny(b, "cors", e.Require(peer.Policy())) })
	b.Run("answer=redirect/peer=echomfa", func(b *testing.B) { deny(b, "navigate", e.Require(peer.Policy())) })
	b.Run("answer=problem/peer=echo error", func(b *testing.B) {
		deny(b, "cors", func(echo.HandlerFunc) echo.HandlerFunc { return func(echo.Context) error { return echo.ErrForbidden } })
	})
}

// BenchmarkClose leaves no goroutine behind, which the peers' caches do.
func BenchmarkClose(b *testing.B) {
	for b.Loop() {
		e := enforcerOf(b, echomfa.FactorListerFunc(peer.Lister))
		if _, err := e.Decide(b.Context(), "token", peer.Policy()); err != nil {
			b.Fatal(err)
		}
		_ = e.Close()
	}
}
