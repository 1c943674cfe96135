package bench_test

import (
	"crypto/sha256"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/hashicorp/golang-lru/v2"

	"github.com/echomfa/echomfa/bench/peer"
)

// fill makes the first n users known to an Enforcer.
func fill(b *testing.B, e *echomfa.Enforcer, n int) {
	b.Helper()
	for i := range n {
		decide(b, e, i)
	}
}

// decide is a request of a user.
func decide(b *testing.B, e *echomfa.Enforcer, user int) {
	b.Helper()
	if _, err := e.Decide(b.Context(), fmt.Sprintf("%040d", user), peer.Policy()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkMemory is what a cached user costs, with all that an Enforcer of this size
// has, and what a full collection of garbage costs beside them: processor time, the
// least of several.
//
// What a collection costs depends on where in memory things are. A list that is filled
// at once and in order has them in its own order, which no cache has in use. So the
// yardstick is golang-lru in use: each user comes by a lookup, which leaves its garbage
// between what is kept, and then all come back in random order. The list that is filled
// at once is beside it.
func BenchmarkMemory(b *testing.B) {
	for _, users := range []int{100_000, 1_000_000} {
		row := func(history, name string, fill func(b *testing.B) any) {
			b.Run(fmt.Sprintf("users=%d/history=%s/peer=%s", users, history, name), func(b *testing.B) {
				measureMemory(b, users, func() any { return fill(b) })
			})
		}
		row("in use", "echomfa", func(b *testing.B) any {
			b.Helper()
			e := newEnforcer(b, users)
			fill(b, e, users)
			for _, i := range anyOrder(users) {
				decide(b, e, i)
			}
			return e
		})
		row("in use", "golang-lru, 16-byte key", func(b *testing.B) any {
			b.Helper()
			asks := peer.NewEnforcer(1) // the lookups: it keeps nothing of them
			defer func() { _ = asks.Close() }()
			known := fillLRU(users, shortKey, "%040d", func(i int) { decide(b, asks, i) })
			for _, i := range anyOrder(users) {
				known.Get(shortKey(fmt.Sprintf("%040d", i)))
			}
			return known
		})
		nothing := func(int) {}
		row("filled at once", "golang-lru, 16-byte key", func(*testing.B) any { return fillLRU(users, shortKey, "%040d", nothing) })
		row("filled at once", "golang-lru, 32-byte key", func(*testing.B) any {
			return fillLRU(users, func(token string) [32]byte { return sha256.Sum256([]byte(token)) }, "%040d", nothing)
		})
		row("filled at once", "golang-lru, raw token", func(*testing.B) any {
			// A JWT of the usual size.
			return fillLRU(users, func(token string) string { return token }, "%01185d", nothing)
		})
	}
}

func shortKey(token string) [16]byte {
	sum := sha256.Sum256([]byte(token))
	return [16]byte(sum[:])
}

// anyOrder returns the first n users in the same random order each time.
func anyOrder(n int) []int { return rand.New(rand.NewPCG(1, 2)).Perm(n) }

func fillLRU[K comparable](users int, key func(token string) K, format string, before func(user int)) *lru.Cache[K, bool] {
	known, err := lru.New[K, bool](users)
	if err != nil {
		panic(err)
	}
	for i := range users {
		before(i)
		known.Add(key(fmt.Sprintf(format, i)), true)
	}
	return known
}

func measureMemory(b *testing.B, users int, fill func() any) {
	b.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	kept := fill()
	runtime.GC()
	runtime.GC() // the first one has swept what filling has left
	runtime.ReadMemStats(&after)
	least := time.Duration(math.MaxInt64)
	for b.Loop() {
		begun := processorTime()
		runtime.GC()
		least = min(least, processorTime()-begun)
	}
	runtime.KeepAlive(kept)
	b.ReportMetric(float64(least), "gc-nanos")
	b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/float64(users), "B/user")
}

// BenchmarkInvalidation is what it costs to forget a token or a user, by how many are
// cached. The peer is a decision about a user who is known.
func BenchmarkInvalidation(b *testing.B) {
	for _, entries := range []int{1 << 16, 1_000_000} {
		e := newEnforcer(b, entries)
		fill(b, e, entries)
		user := peer.NewTokens("alice").RS256
		if _, err := e.Decide(b.Context(), user, peer.Policy()); err != nil { // one that names a user
			b.Fatal(err)
		}
		tokens := make([]string, 1<<12)
		for i := range tokens {
			tokens[i] = fmt.Sprintf("%040d", i)
		}
		ctx, policy := b.Context(), peer.Policy()
		known := fmt.Sprintf("%040d", entries-1)
		for name, do := range map[string]func(i int) error{
			"a hit":      func(int) error { _, err := e.Decide(ctx, known, policy); return err },
			"Invalidate": func(i int) error { return e.Invalidate(ctx, tokens[i%len(tokens)]) },
			"InvalidateUser": func(i int) error {
				_ = e.InvalidateUser(ctx, tokens[i%len(tokens)]) // ErrUserNotIndexed: the entries name nobody
				return nil
			},
		} {
			b.Run("entries="+strconv.Itoa(entries)+"/peer="+name, func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if err := do(i); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
