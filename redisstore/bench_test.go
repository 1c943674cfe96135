package redisstore_test

import (
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/redisstore"
)

// BenchmarkGet compares a Get, 64 at a time, with a bare GET by the same client.
func BenchmarkGet(b *testing.B) {
	server := redistest.New(b)
	options := patient(server.Addr)
	s, err := redisstore.New(redisstore.Config{Redis: options, Secrets: [][]byte{secretOf(1)}})
	require.NoError(b, err)
	defer func() { require.NoError(b, s.Close()) }()
	facts := newFacts(echomfa.OTP, echomfa.SMS)
	_, _, v, err := s.Get(b.Context(), facts.Key, facts.User)
	require.NoError(b, err)
	require.NoError(b, s.Set(b.Context(), facts, v, 1<<40))
	b.Run("store", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, found, _, err := s.Get(b.Context(), facts.Key, facts.User); err != nil || !found {
					b.Error(found, err)
				}
			}
		})
	})
	options.DisableCache, options.ForceSingleClient, options.AlwaysPipelining = true, true, true
	c, err := rueidis.NewClient(options)
	require.NoError(b, err)
	defer c.Close()
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := c.Do(b.Context(), c.B().Get().Key("none").Build()).Error(); !rueidis.IsRedisNil(err) {
					b.Error(err)
				}
			}
		})
	})
}
