package redisstore_test

import (
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/redisstore"
)

// TestMemoryOfAToken holds Redis against the figures of README.md.
func TestMemoryOfAToken(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	c := rawClient(t, server.Addr)
	s := newStore(t, redisstore.Config{Redis: patient(server.Addr)})
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
	limits := map[string]int64{"f": 240, "g": 140, "t": 150, "e": 250 * events, "h": 140}
	for _, key := range keysOf(t, c) {
		size, err := command(t, c, "MEMORY", "USAGE", key).ToInt64()
		require.NoError(t, err)
		kind := key[strings.Index(key, "}:")+2:][:1]
		t.Logf("%s: %d bytes", kind, size)
		assert.LessOrEqual(t, size, limits[kind], kind)
		delete(limits, kind)
	}
	assert.Empty(t, limits)
}
