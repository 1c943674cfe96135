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

// TestRollingDeploy: instances of the release before have another layout. What they keep
// is not found, what they publish is not heard, and nothing of theirs is touched.
func TestRollingDeploy(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	c := rawClient(t, server.Addr)
	before := map[string]string{}
	s := newStore(t, redisstore.Config{Redis: patient(server.Addr)})
	facts := newFacts()
	keep(t, s, facts)
	for _, key := range keysOf(t, c) { // the same names under the layout of before
		if strings.HasSuffix(key, "}:e") || strings.HasSuffix(key, "}:h") {
			continue
		}
		value, err := command(t, c, "GET", key).ToString()
		require.NoError(t, err)
		before[strings.Replace(key, ":v2:", ":v1:", 1)] = "\x01" + value[1:]
		command(t, c, "DEL", key)
	}
	for key, value := range before {
		command(t, c, "SET", key, value, "EX", "60")
	}
	heard := watch(t, s)
	assert.False(t, found(t, s, facts), "it is under the old layout")
	command(t, c, "PUBLISH", "echomfa:v1:invalidate", "\x01"+strings.Repeat("x", 93))
	require.NoError(t, s.DeleteUser(t.Context(), facts.User))
	assert.Equal(t, echomfa.StoreEvent{User: facts.User}, next(t, heard))
	for key, value := range before {
		now, err := command(t, c, "GET", key).ToString()
		require.NoError(t, err)
		assert.Equal(t, value, now, "old instances go on with it")
	}
	assert.Zero(t, s.Stats().Rejected)
	assert.Zero(t, s.Stats().RejectedEvents)
	for _, key := range keysOf(t, c) {
		assert.True(t, strings.HasPrefix(key, "echomfa:v2:") || before[key] != "", key)
	}
}
