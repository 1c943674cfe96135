package redisstore_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/redisstore"
)

// TestMemoryOfAToken holds Redis against the figures of README.md, also those of a rotation.
func TestMemoryOfAToken(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		secrets      [][]byte
		facts, event int64
	}{
		"one secret":  {[][]byte{secretOf(1)}, 240, 170},
		"two secrets": {[][]byte{secretOf(2), secretOf(1)}, 270, 280},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			memoryOfAToken(t, row.secrets, row.facts, row.event)
		})
	}
}

func memoryOfAToken(t *testing.T, secrets [][]byte, value, event int64) {
	t.Helper()
	server := redistest.New(t)
	c := rawClient(t, server.Addr)
	s := newStore(t, redisstore.Config{Redis: patient(server.Addr), Secrets: secrets})
	facts := newFacts(echomfa.OTP, echomfa.SMS)
	keep(t, s, facts)
	require.NoError(t, s.Delete(t.Context(), facts.Key, facts.User))
	keep(t, s, facts)
	const events = 5000
	for range events / 2 { // and what an invalidation adds to the log
		require.NoError(t, s.DeleteUser(t.Context(), facts.User))
		require.NoError(t, s.Delete(t.Context(), facts.Key, facts.User))
	}
	keep(t, s, facts)
	seen := make(map[string]bool)
	limits := map[string]int64{"f": value, "g": 140, "t": 150, "e": event * events, "h": 140}
	for _, key := range keysOf(t, c) {
		size, err := command(t, c, "MEMORY", "USAGE", key).ToInt64()
		require.NoError(t, err)
		kind := key[strings.Index(key, "}:")+2:][:1]
		t.Logf("%s: %d bytes", kind, size)
		assert.LessOrEqual(t, size, limits[kind], kind)
		seen[kind] = true
	}
	assert.Len(t, seen, len(limits))
}

// TestMemoryOfAUser measures what Redis has for its users in all, with all that it needs for
// itself. What is a table in it is as full with so few users as it is with 100,000.
func TestMemoryOfAUser(t *testing.T) {
	t.Parallel()
	const users, before = 3125, 200 // who have buffers grow
	server := redistest.New(t)
	c := rawClient(t, server.Addr)
	used := func() int {
		info, err := command(t, c, "INFO", "memory").ToString()
		require.NoError(t, err)
		figure := func(name string) int {
			_, rest, found := strings.Cut(info, "\r\n"+name+":")
			require.True(t, found, name)
			number, _, _ := strings.Cut(rest, "\r")
			return atoi(number)
		}
		return figure("used_memory") - figure("mem_clients_normal") // whose buffers come and go
	}
	s := newStore(t, redisstore.Config{Redis: patient(server.Addr)})
	all := make([]echomfa.StoredFacts, before+users)
	each := func(first, end, most int, do func(i int)) {
		empty := used()
		var wg sync.WaitGroup
		for worker := range 20 {
			wg.Go(func() {
				for i := first + worker; i < end; i += 20 {
					do(i)
				}
			})
		}
		wg.Wait()
		var bytes int
		eventually(t, func() bool { // a table that grows is there twice for a while
			bytes = (used() - empty) / (end - first)
			return bytes <= most
		}, "it takes more")
		t.Logf("%d bytes for each of %d", bytes, end-first)
	}
	store := func(i int) {
		_, _, v, err := s.Get(t.Context(), all[i].Key, all[i].User)
		assert.NoError(t, err)
		assert.NoError(t, s.Set(t.Context(), all[i], v, patience))
	}
	begin := func(i int) {
		all[i] = newFacts(echomfa.OTP, echomfa.SMS)
		all[i].Expires = time.Now().Add(time.Hour)
		store(i)
	}
	each(0, before, 10_000, begin)
	each(before, len(all), 500, begin)
	each(before, len(all), 450, func(i int) {
		assert.NoError(t, s.Delete(t.Context(), all[i].Key, all[i].User))
		store(i)
	})
}
