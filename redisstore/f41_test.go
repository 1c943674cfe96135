package redisstore_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/redisstore"
)

// TestF41OtherValuesAreNotFound writes to Redis what no store would have written
// there. Whatever it is, it is a miss and is counted, and the next Set repairs it.
func TestF41OtherValuesAreNotFound(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	type values struct {
		mine, sibling, stranger, nobody, app, rotated string // keys in Redis
	}
	get := func(t *testing.T, c rueidis.Client, key string) string {
		t.Helper()
		value, err := command(t, c, "GET", key).ToString()
		require.NoError(t, err)
		return value
	}
	// header is what is before the sealed part: format, length, generation, when asked.
	const header, asked = 2 + 17 + 16, 16
	for name, spoil := range map[string]func(t *testing.T, value string, c rueidis.Client, v values) string{
		"the value of another token of the user": func(t *testing.T, _ string, c rueidis.Client, v values) string {
			t.Helper()
			return get(t, c, v.sibling)
		},
		"another user's, as it is": func(t *testing.T, _ string, c rueidis.Client, v values) string {
			t.Helper()
			return get(t, c, v.stranger)
		},
		"another user's, with the right generation": func(t *testing.T, value string, c rueidis.Client, v values) string {
			t.Helper()
			return value[:header] + get(t, c, v.stranger)[header:]
		},
		"of a token of nobody": func(t *testing.T, value string, c rueidis.Client, v values) string {
			t.Helper()
			return value[:header] + get(t, c, v.nobody)[2+asked:]
		},
		"another app's": func(t *testing.T, value string, c rueidis.Client, v values) string {
			t.Helper()
			return value[:header] + get(t, c, v.app)[header:]
		},
		"under another secret": func(t *testing.T, value string, c rueidis.Client, v values) string {
			t.Helper()
			return value[:header] + get(t, c, v.rotated)[header:]
		},
		"one bit flipped": func(_ *testing.T, value string, _ rueidis.Client, _ values) string {
			return value[:len(value)-20] + string(value[len(value)-20]^1) + value[len(value)-19:]
		},
		"truncated":          func(_ *testing.T, value string, _ rueidis.Client, _ values) string { return value[:len(value)-1] },
		"only the header":    func(_ *testing.T, value string, _ rueidis.Client, _ values) string { return value[:header] },
		"half a header":      func(_ *testing.T, value string, _ rueidis.Client, _ values) string { return value[:5] },
		"an unknown format":  func(_ *testing.T, value string, _ rueidis.Client, _ values) string { return "\x01" + value[1:] },
		"something appended": func(_ *testing.T, value string, _ rueidis.Client, _ values) string { return value + "\x00" },
		"newer, as it says": func(_ *testing.T, value string, _ rueidis.Client, _ values) string {
			return value[:19] + strings.Repeat("9", asked) + value[header:len(value)-1] + "?"
		},
		"JSON": func(*testing.T, string, rueidis.Client, values) string { return `{"types":["OTP"]}` },
		"huge": func(_ *testing.T, value string, _ rueidis.Client, _ values) string {
			return value + string(make([]byte, 1<<20))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := rawClient(t, server.Addr)
			config := redisstore.Config{Redis: patient(server.Addr), Prefix: prefixOf(t)}
			s := newStore(t, config)
			config.Prefix += "-other"
			app := newStore(t, config)
			config.Prefix, config.Secrets = prefixOf(t), [][]byte{secretOf(9)}
			rotated := newStore(t, config)

			var known []string
			place := func(s echomfa.Store, facts echomfa.StoredFacts) string {
				keep(t, s, facts)
				key := valueKey(t, c, prefixOf(t), known...)
				known = append(known, key)
				return key
			}
			facts, sibling, stranger, nobody := newFacts("MINE"), newFacts("SIBLING"), newFacts("STRANGER"), newFacts("NOBODY")
			sibling.User, nobody.User = facts.User, echomfa.StoreKey{}
			v := values{mine: place(s, facts), sibling: place(s, sibling), stranger: place(s, stranger), nobody: place(s, nobody)}
			v.app, v.rotated = place(app, facts), place(rotated, facts)
			require.True(t, found(t, s, facts))
			require.Zero(t, s.Stats().Rejected)

			command(t, c, "SET", v.mine, spoil(t, get(t, c, v.mine), c, v), "KEEPTTL")
			assert.False(t, found(t, s, facts))
			assert.EqualValues(t, 1, s.Stats().Rejected)
			assert.True(t, found(t, s, sibling))
			keep(t, s, facts)
			assert.True(t, found(t, s, facts))
		})
	}
}

// TestF41FactsOfTheFutureAreNotBelieved: whichever clock is ahead, facts are as old as Redis has
// them, at least.
func TestF41FactsOfTheFutureAreNotBelieved(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	s := newStore(t, redisstore.Config{Redis: patient(server.Addr)})
	for _, ahead := range []time.Duration{time.Second, time.Minute, 100 * 365 * 24 * time.Hour} {
		facts := newFacts()
		facts.Asked = time.Now().Add(ahead)
		begun := time.Now()
		keep(t, s, facts)
		got, found, _, err := s.Get(t.Context(), facts.Key, facts.User)
		require.NoError(t, err)
		require.True(t, found, ahead)
		assert.WithinRange(t, got.Asked, begun.Add(-time.Second), time.Now(), ahead)
	}
	assert.Zero(t, s.Stats().Rejected)
}

// TestF41OddGenerationsAreNotFound: generations are Redis' own, and may be
// anything.
func TestF41OddGenerationsAreNotFound(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	c := rawClient(t, server.Addr)
	for i, odd := range []string{"garbage", "s", "sAAAAAAAAAAAAAAAA", "xAAAAAAAAAAAAAAAA", "dAAAAAAAAAAAAAAAA", ",,,", string(make([]byte, 300))} {
		prefix := "odd" + strconv.Itoa(i)
		s := newStore(t, redisstore.Config{Redis: patient(server.Addr), Prefix: prefix})
		facts := newFacts()
		keep(t, s, facts)
		for _, key := range keysOf(t, c) {
			if key[:len(prefix)] == prefix && key[len(key)-3:] == "}:g" {
				command(t, c, "SET", key, odd)
			}
		}
		assert.False(t, found(t, s, facts), odd)
		require.NoError(t, s.DeleteUser(t.Context(), facts.User))
		keep(t, s, facts)
		assert.True(t, found(t, s, facts), odd)
	}
}

// TestLostGenerationsForget: what Redis has evicted does not bring back what was
// invalidated.
func TestLostGenerationsForget(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	c := rawClient(t, server.Addr)
	s := newStore(t, redisstore.Config{Redis: patient(server.Addr)})
	facts := newFacts()
	keep(t, s, facts)
	_, _, before, err := s.Get(t.Context(), facts.Key, facts.User)
	require.NoError(t, err)
	require.NoError(t, s.DeleteUser(t.Context(), facts.User))
	for _, key := range keysOf(t, c) {
		if key[len(key)-3:] == "}:g" {
			command(t, c, "DEL", key)
		}
	}
	assert.False(t, found(t, s, facts), "its value is still there")
	require.NoError(t, s.Set(t.Context(), facts, before, time.Minute))
	assert.False(t, found(t, s, facts), "asked for before the invalidation")
	keep(t, s, facts)
	assert.True(t, found(t, s, facts))
	assert.Zero(t, s.Stats().Rejected)
}

// TestF41OtherEntriesAreNotHeard appends to the log what no store would have appended.
func TestF41OtherEntriesAreNotHeard(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	c := rawClient(t, server.Addr)
	config := redisstore.Config{Redis: patient(server.Addr)}
	s := newStore(t, config)
	heard := watch(t, s)
	config.Secrets = [][]byte{secretOf(9)}
	foreign := newStore(t, config)
	require.NoError(t, foreign.Delete(t.Context(), newKey(), newKey()))
	odd := []string{"", "\x01", "\x02", "hello", string(make([]byte, 100)), "\x01" + string(make([]byte, 93)), string(make([]byte, 1<<20))}
	for _, event := range odd {
		command(t, c, "XADD", "echomfa:v2:{echomfa:log}:e", "*", "p", "0-0", "e", event)
	}
	command(t, c, "XADD", "echomfa:v2:{echomfa:log}:e", "*", "other", "fields")
	key := newKey()
	require.NoError(t, s.Delete(t.Context(), key, echomfa.StoreKey{}))
	for event := next(t, heard); event.Key != key; event = next(t, heard) {
		assert.Equal(t, echomfa.StoreKey{}, event.Key)
	}
	assert.GreaterOrEqual(t, s.Stats().RejectedEvents, uint64(2), "it says that something was lost, and nothing else")
}
