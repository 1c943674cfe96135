package bench_test

import (
	"crypto/sha256"
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/hashicorp/golang-lru/v2"

	"github.com/echomfa/echomfa/bench/peer"
)

// fill makes the first n users known to an Enforcer.
func fill(b *testing.B, e *echomfa.Enforcer, n int) {
	b.Helper()
	for i := range n {
		if _, err := e.Decide(b.Context(), fmt.Sprintf("%040d", i), peer.Policy()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMemory is what a cached user costs, with all that an Enforcer of this size
// has, and what a full collection of garbage costs beside them.
func BenchmarkMemory(b *testing.B) {
	for _, users := range []int{100_000, 1_000_000} {
		b.Run("users="+strconv.Itoa(users)+"/peer=echomfa", func(b *testing.B) {
			var e *echomfa.Enforcer
			measureMemory(b, users, func() {
				e = newEnforcer(b, users)
				fill(b, e, users)
			})
			runtime.KeepAlive(e)
		})
		b.Run("users="+strconv.Itoa(users)+"/peer=golang-lru, 16-byte key", func(b *testing.B) {
			hash := func(token string) [16]byte { sum := sha256.Sum256([]byte(token)); return [16]byte(sum[:]) }
			measureLRU(b, users, hash, "%040d")
		})
		b.Run("users="+strconv.Itoa(users)+"/peer=golang-lru, 32-byte key", func(b *testing.B) {
			measureLRU(b, users, func(token string) [32]byte { return sha256.Sum256([]byte(token)) }, "%040d")
		})
		b.Run("users="+strconv.Itoa(users)+"/peer=golang-lru, raw token", func(b *testing.B) {
			// A JWT of the usual size.
			measureLRU(b, users, func(token string) string { return token }, "%01185d")
		})
	}
}

func measureLRU[K comparable](b *testing.B, users int, key func(token string) K, format string) {
	b.Helper()
	var known *lru.Cache[K, bool]
	measureMemory(b, users, func() {
		var err error
		if known, err = lru.New[K, bool](users); err != nil {
			b.Fatal(err)
		}
		for i := range users {
			known.Add(key(fmt.Sprintf(format, i)), true)
		}
	})
	runtime.KeepAlive(known)
}

func measureMemory(b *testing.B, users int, fill func()) {
	b.Helper()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	fill()
	runtime.GC()
	runtime.ReadMemStats(&after)
	for b.Loop() {
		runtime.GC()
	}
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
			"a hit":          func(int) error { _, err := e.Decide(ctx, known, policy); return err },
			"Invalidate":     func(i int) error { return e.Invalidate(ctx, tokens[i%len(tokens)]) },
			"InvalidateUser": func(i int) error { return e.InvalidateUser(ctx, tokens[i%len(tokens)]) },
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
