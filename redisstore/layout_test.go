package redisstore_test

import (
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/redisstore"
)

// oldInstance does to Redis what an instance of the release before does: its keys begin with
// PREFIX:v1:, and it publishes what it invalidates.
type oldInstance struct {
	t     *testing.T
	c     rueidis.Client
	heard <-chan string
}

const oldChannel = "echomfa:v1:invalidate"

func newOldInstance(t *testing.T, addr string) *oldInstance {
	t.Helper()
	c, heard, subscribed := rawClient(t, addr), make(chan string, 100), make(chan struct{})
	dedicated, release := c.Dedicate()
	t.Cleanup(release)
	dedicated.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage:      func(m rueidis.PubSubMessage) { heard <- m.Message },
		OnSubscription: func(rueidis.PubSubSubscription) { close(subscribed) },
	})
	require.NoError(t, dedicated.Do(t.Context(), c.B().Subscribe().Channel(oldChannel).Build()).Error())
	<-subscribed
	return &oldInstance{t, c, heard}
}

// old is the name of a key in the layout before.
func old(key string) string { return strings.Replace(key, ":v2:", ":v1:", 1) }

func (o *oldInstance) set(key, value string) { command(o.t, o.c, "SET", old(key), value, "EX", "60") }

func (o *oldInstance) get(key string) string {
	value, err := command(o.t, o.c, "GET", old(key)).ToString()
	require.NoError(o.t, err)
	return value
}

// invalidate forgets a user, of whom it has a generation under a key.
func (o *oldInstance) invalidate(generation, message string) {
	o.set(generation, "dAAAAAAAAAAAAAAAA")
	command(o.t, o.c, "PUBLISH", oldChannel, message)
}

// TestRollingDeploy: two instances of this release and two of the one before, which have
// another layout, run on one Redis. Each pair shares facts and invalidations, and neither
// knows or touches anything of the other's.
func TestRollingDeploy(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	c := rawClient(t, server.Addr)
	a, b := newStore(t, redisstore.Config{Redis: patient(server.Addr)}), newStore(t, redisstore.Config{Redis: patient(server.Addr)})
	ofA, ofB := watch(t, a), watch(t, b)
	one, two := newOldInstance(t, server.Addr), newOldInstance(t, server.Addr)

	facts := newFacts()
	keep(t, a, facts)
	var names []string // of its value and the user's generation, in either layout
	var generation string
	for _, key := range keysOf(t, c) {
		if !strings.HasSuffix(key, "}:e") && !strings.HasSuffix(key, "}:h") {
			names = append(names, key)
			value, err := command(t, c, "GET", key).ToString()
			require.NoError(t, err)
			one.set(key, "\x01"+value[1:])
			if strings.HasSuffix(key, "}:g") {
				generation = key
			}
		}
	}
	require.Len(t, names, 2)
	assert.True(t, found(t, b, facts))

	before := map[string]string{}
	for _, key := range names {
		before[key] = two.get(key)
	}
	require.NoError(t, a.DeleteUser(t.Context(), facts.User))
	for _, heard := range []<-chan echomfa.StoreEvent{ofA, ofB} {
		assert.Equal(t, echomfa.StoreEvent{User: facts.User}, next(t, heard))
	}
	assert.False(t, found(t, b, facts), "what the old instances have is not found")
	for key, value := range before {
		assert.Equal(t, value, two.get(key), "the old instances go on with it")
	}
	keep(t, b, facts)

	one.invalidate(generation, "of the old layout")
	assert.Equal(t, "of the old layout", <-two.heard, "and of nothing before")
	assert.True(t, found(t, a, facts), "until the deploy is over, an old instance's invalidation is not known here")
	marker := newKey()
	require.NoError(t, b.DeleteUser(t.Context(), marker))
	for _, heard := range []<-chan echomfa.StoreEvent{ofA, ofB} {
		assert.Equal(t, echomfa.StoreEvent{User: marker}, next(t, heard), "and of nothing before")
	}
	for _, s := range []*redisstore.Store{a, b} {
		assert.Equal(t, redisstore.Stats{}, s.Stats())
	}
	for _, key := range keysOf(t, c) {
		assert.True(t, strings.HasPrefix(key, "echomfa:v2:") || before[strings.Replace(key, ":v1:", ":v2:", 1)] != "", key)
	}
}
