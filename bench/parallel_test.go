package bench_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/hashicorp/golang-lru/v2"
	"github.com/labstack/echo/v4"

	"github.com/echomfa/echomfa/bench/peer"
)

// opaqueTokens returns n tokens of 40 bytes.
func opaqueTokens(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%040d", i)
	}
	return list
}

// drawing is the order in which users come: all alike, or a few of them often.
func drawing(distribution string, users int, seed uint64) func() int {
	random := rand.New(rand.NewPCG(seed, 1))
	if distribution == "zipf" {
		zipf := rand.NewZipf(random, 1.0001, 1, uint64(users-1))
		return func() int { return int(zipf.Uint64()) }
	}
	return func() int { return random.IntN(users) }
}

// drawn is a drawing made before it is measured.
func drawn(distribution string, users int, seed uint64) []int32 {
	next, list := drawing(distribution, users, seed), make([]int32, 1<<16)
	for i := range list {
		list[i] = int32(next())
	}
	return list
}

// BenchmarkParallelHit is the same way taken by several threads, with many
// users. "mutex LRU" is one golang-lru with the same keys: a lock around a list.
func BenchmarkParallelHit(b *testing.B) {
	for _, users := range []int{10_000, 100_000} {
		requests := make([]*http.Request, users)
		for i, token := range opaqueTokens(users) {
			requests[i] = request(token)
		}
		guard := newEnforcer(b, 2*users).Middleware(echomfa.HandlerConfig{Policy: peer.Policy()})
		handlers := []struct {
			peer string
			http.Handler
		}{{"bare", app()}, {"echomfa", guard(app())}, {"mutex LRU", app(mutexLRU(b, 2*users))}}
		for _, h := range handlers {
			for _, r := range requests {
				h.ServeHTTP(&discard{header: make(http.Header)}, r)
			}
		}
		for _, distribution := range []string{"zipf", "uniform"} {
			var orders [8][]int32 // one for each thread
			for i := range orders {
				orders[i] = drawn(distribution, users, uint64(i))
			}
			for _, procs := range []int{1, 2, 4, 8} {
				for _, h := range handlers {
					b.Run(fmt.Sprintf("users=%d/dist=%s/procs=%d/peer=%s", users, distribution, procs, h.peer), func(b *testing.B) {
						parallel(b, h, requests, &orders, procs)
					})
				}
			}
		}
	}
}

func mutexLRU(b *testing.B, size int) echo.MiddlewareFunc {
	b.Helper()
	known, err := lru.New[string, bool](size)
	if err != nil {
		b.Fatal(err)
	}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			token := c.Request().Header.Get("Authorization")
			if enrolled, ok := known.Get(token); !ok || !enrolled {
				known.Add(token, true)
			}
			return next(c)
		}
	}
}

func parallel(b *testing.B, h http.Handler, requests []*http.Request, orders *[8][]int32, procs int) {
	b.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
	var thread atomic.Uint64
	b.RunParallel(func(pb *testing.PB) {
		order, w := orders[thread.Add(1)%8], &discard{header: make(http.Header)}
		for i := 0; pb.Next(); i++ {
			h.ServeHTTP(w, requests[order[i&(1<<16-1)]])
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mreq/s")
}

// BenchmarkHitRatio is how many requests of many users a cache for a tenth of
// them answers. One in ten tokens is used once in the second case.
func BenchmarkHitRatio(b *testing.B) {
	const users, requests = 100_000, 1_000_000
	for _, oneOff := range []bool{false, true} {
		name := "oneoff=" + strconv.FormatBool(oneOff) + "/peer="
		sequence := make([]string, requests)
		zipf := drawing("zipf", users, 7)
		for i := range sequence {
			user := zipf()
			if oneOff && i%10 == 0 {
				user = users + i
			}
			sequence[i] = fmt.Sprintf("%040d", user)
		}
		b.Run(name+"echomfa", func(b *testing.B) {
			for b.Loop() {
				e := newEnforcer(b, users/10)
				for _, token := range sequence {
					if _, err := e.Decide(b.Context(), token, peer.Policy()); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(e.Stats().Hits)/requests, "hits/req")
			}
		})
		b.Run(name+"golang-lru", func(b *testing.B) {
			for b.Loop() {
				known, err := lru.New[string, bool](users / 10)
				if err != nil {
					b.Fatal(err)
				}
				hits := 0
				for _, token := range sequence {
					if _, ok := known.Get(token); ok {
						hits++
						continue
					}
					known.Add(token, true)
				}
				b.ReportMetric(float64(hits)/requests, "hits/req")
			}
		})
	}
}
