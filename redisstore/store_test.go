package redisstore_test

import (
	"crypto/sha256"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/echomfa/echomfa/storetest"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/redisstore"
)

// TestStoreConforms runs the suite on one server and on one node of a cluster,
// with one secret and with two, in either protocol.
func TestStoreConforms(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		args    []string
		secrets [][]byte
		change  func(t *testing.T, o *rueidis.ClientOption)
	}{
		"one secret":  {nil, [][]byte{secretOf(1)}, nil},
		"two secrets": {nil, [][]byte{secretOf(2), secretOf(1)}, nil},
		"RESP2":       {nil, [][]byte{secretOf(1)}, func(_ *testing.T, o *rueidis.ClientOption) { o.AlwaysRESP2 = true }},
		"a cluster":   {[]string{"--cluster-enabled", "yes"}, [][]byte{secretOf(2), secretOf(1)}, nil},
		"no more rights than README.md says": {nil, [][]byte{secretOf(2), secretOf(1)}, func(t *testing.T, o *rueidis.ClientOption) {
			t.Helper()
			admin := rawClient(t, o.InitAddress[0])
			command(t, admin, append([]string{"ACL", "SETUSER", "app", "reset", "on", ">word", "~*:v2:*"}, rightsOf(t)...)...)
			o.Username, o.Password = "app", "word"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.New(t, row.args...)
			if row.args != nil {
				makeCluster(t, server)
			}
			o, happenings := patient(server.Addr), []storetest.Faults{faults(server.Addr)}
			if row.args != nil { // its keys are of several slots: nothing happens to all at once
				happenings = nil
			}
			if row.change != nil {
				row.change(t, &o)
			}
			storetest.Run(t, func(t *testing.T) echomfa.Store {
				t.Helper()
				return newStore(t, redisstore.Config{Redis: o, Secrets: row.secrets, Prefix: prefixOf(t)})
			}, happenings...)
		})
	}
}

// rightsOf returns the commands that README.md says are needed.
func rightsOf(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile("README.md")
	require.NoError(t, err)
	_, rights, found := strings.Cut(string(raw), "`+mget")
	require.True(t, found)
	rights, _, _ = strings.Cut(rights, "`")
	return append([]string{"+mget"}, strings.Fields(rights)...)
}

// makeCluster gives all slots to one node.
func makeCluster(t *testing.T, server *redistest.Server) {
	t.Helper()
	c := rawClient(t, server.Addr)
	command(t, c, "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	eventually(t, func() bool {
		info, err := command(t, c, "CLUSTER", "INFO").ToString()
		return err == nil && strings.Contains(info, "cluster_state:ok")
	}, "the cluster is not up")
}

func TestMistakesOfConfigAreNamed(t *testing.T) {
	t.Parallel()
	good := func() redisstore.Config {
		return redisstore.Config{Redis: rueidis.ClientOption{InitAddress: []string{"127.0.0.1:1"}}, Secrets: [][]byte{secretOf(1)}}
	}
	s, err := redisstore.New(good())
	require.NoError(t, err, "nobody has to be there")
	require.NoError(t, s.Close())
	for name, row := range map[string]struct {
		change func(*redisstore.Config)
		want   []string
	}{
		"zero":            {func(c *redisstore.Config) { *c = redisstore.Config{} }, []string{"Redis: InitAddress", "Secrets: there must be one"}},
		"empty address":   {func(c *redisstore.Config) { c.Redis.InitAddress = []string{"a:1", ""} }, []string{"Redis: InitAddress[1]: it is empty"}},
		"no unit":         {func(c *redisstore.Config) { c.Redis.ConnWriteTimeout = 5 }, []string{"Redis: a timeout of 5ns is below 1ms"}},
		"short secret":    {func(c *redisstore.Config) { c.Secrets[0] = c.Secrets[0][:31] }, []string{"Secrets[0]: 31 bytes"}},
		"short older one": {func(c *redisstore.Config) { c.Secrets = append(c.Secrets, nil) }, []string{"Secrets[1]: 0 bytes"}},
		"the same twice":  {func(c *redisstore.Config) { c.Secrets = append(c.Secrets, secretOf(1)) }, []string{"Secrets[1]: the same"}},
		"three secrets":   {func(c *redisstore.Config) { c.Secrets = append(c.Secrets, secretOf(2), secretOf(3)) }, []string{"Secrets:"}},
		"braces":          {func(c *redisstore.Config) { c.Prefix = "{app}" }, []string{"Prefix:"}},
		"a star":          {func(c *redisstore.Config) { c.Prefix = "*" }, []string{"Prefix:"}},
		"a long prefix":   {func(c *redisstore.Config) { c.Prefix = strings.Repeat("a", 129) }, []string{"Prefix:"}},
		"replicas":        {func(c *redisstore.Config) { c.Redis.ReplicaOnly = true }, []string{"Redis: reading from replicas"}},
		"some replicas":   {func(c *redisstore.Config) { c.Redis.SendToReplicas = func(rueidis.Completed) bool { return true } }, []string{"Redis: reading from replicas"}},
		"no pipelining":   {func(c *redisstore.Config) { c.Redis.DisableAutoPipelining = true }, []string{"Redis: DisableAutoPipelining"}},
		"no timeout":      {func(c *redisstore.Config) { c.Redis.ConnWriteTimeout = -1 }, []string{"Redis: timeouts"}},
		"too many pipes":  {func(c *redisstore.Config) { c.Redis.PipelineMultiplex = 9 }, []string{"Redis: PipelineMultiplex"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := good()
			row.change(&c)
			s, err := redisstore.New(c)
			require.Error(t, err)
			assert.Nil(t, s)
			for _, want := range row.want {
				assert.ErrorContains(t, err, "redisstore: "+want)
			}
			assert.Len(t, strings.Split(err.Error(), "\n"), len(row.want))
			assert.NotContains(t, err.Error(), string(secretOf(1)))
		})
	}
}

// TestT28RedisTellsNothing takes a dump of everything, and listens to everything.
func TestT28RedisTellsNothing(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	c := rawClient(t, server.Addr)
	s := newStore(t, redisstore.Config{Redis: patient(server.Addr), Secrets: [][]byte{secretOf(2), secretOf(1)}})

	const token, user, kind = "eyJhbGciOiJSUzI1NiJ9.payload.signature", "65f0a1b2c3d4e5f607182930", "SECRET-KIND"
	facts := newFacts(kind, echomfa.OTP, echomfa.Passkey)
	facts.Key, facts.User = sha256.Sum256([]byte(token)), sha256.Sum256([]byte(user))
	keep(t, s, facts)
	require.True(t, found(t, s, facts))
	var dump strings.Builder
	copyAll := func() {
		for _, key := range keysOf(t, c) {
			value, err := command(t, c, "DUMP", key).ToString()
			require.NoError(t, err)
			dump.WriteString(key + "\n" + value + "\n")
			if strings.HasSuffix(key, "}:e") {
				log, err := c.Do(t.Context(), c.B().Xrange().Key(key).Start("-").End("+").Build()).AsXRange()
				require.NoError(t, err)
				for _, entry := range log {
					dump.WriteString(entry.FieldValues["p"] + entry.FieldValues["e"] + "\n")
				}
			}
		}
	}
	copyAll()
	require.NoError(t, s.Delete(t.Context(), facts.Key, facts.User))
	require.NoError(t, s.DeleteUser(t.Context(), facts.User))
	copyAll()
	text := dump.String()
	assert.Contains(t, text, "echomfa:v2:{echomfa:log}:e")
	assert.Greater(t, strings.Count(text, "echomfa:v2:{"), 3)
	for _, told := range []string{
		token, user, kind, string(echomfa.OTP), string(echomfa.Passkey),
		string(facts.Key[:]), string(facts.User[:]), string(secretOf(1)[:8]), string(secretOf(2)[:8]),
	} {
		assert.NotContains(t, text, told)
	}
	for _, part := range [][]byte{facts.Key[:8], facts.User[:8]} {
		assert.NotContains(t, text, string(part))
	}
	for _, encoded := range encodings(facts.Key[:12], facts.User[:12]) {
		assert.NotContains(t, strings.ToLower(text), strings.ToLower(encoded))
	}
}

// TestNamesAreOfOneSlot shows that a token's keys are on one node of a cluster,
// and that users are spread.
func TestNamesAreOfOneSlot(t *testing.T) {
	t.Parallel()
	server := redistest.New(t, "--cluster-enabled", "yes")
	makeCluster(t, server)
	c := rawClient(t, server.Addr)
	s := newStore(t, redisstore.Config{Redis: patient(server.Addr)})
	slots := make(map[int64]int)
	for i := range 20 {
		facts := newFacts()
		if i%2 == 0 {
			facts.User = echomfa.StoreKey{}
		}
		require.NoError(t, s.Delete(t.Context(), facts.Key, facts.User))
		keep(t, s, facts)
		require.True(t, found(t, s, facts))
	}
	for _, key := range keysOf(t, c) {
		slot, err := command(t, c, "CLUSTER", "KEYSLOT", key).ToInt64()
		require.NoError(t, err)
		slots[slot]++
		ttl, err := command(t, c, "PTTL", key).ToInt64()
		require.NoError(t, err)
		assert.Positive(t, ttl, "everything ends")
		assert.LessOrEqual(t, ttl, time.Hour.Milliseconds())
	}
	assert.Greater(t, len(slots), 15)
	for _, n := range slots { // the log is two keys, too
		assert.GreaterOrEqual(t, n, 2)
	}
}

func TestClosedStoreSaysSo(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	s := newStore(t, redisstore.Config{Redis: patient(server.Addr)})
	facts := newFacts()
	_, _, v, err := s.Get(t.Context(), facts.Key, facts.User)
	require.NoError(t, err)
	watching := make(chan error, 1)
	heard := make(chan echomfa.StoreEvent, 1)
	go func() {
		watching <- s.Watch(t.Context(), func(event echomfa.StoreEvent) { heard <- event })
	}()
	next(t, heard)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	assert.ErrorIs(t, <-watching, redisstore.ErrClosed)
	_, _, _, err = s.Get(t.Context(), facts.Key, facts.User)
	assert.ErrorIs(t, err, redisstore.ErrClosed)
	assert.ErrorIs(t, s.Set(t.Context(), facts, v, time.Minute), redisstore.ErrClosed)
	assert.ErrorIs(t, s.Delete(t.Context(), facts.Key, facts.User), redisstore.ErrClosed)
	assert.ErrorIs(t, s.DeleteUser(t.Context(), facts.User), redisstore.ErrClosed)
	assert.ErrorIs(t, s.Watch(t.Context(), func(echomfa.StoreEvent) {}), redisstore.ErrClosed)
}

func TestSetRefusesWhatItCannotKeep(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	s := newStore(t, redisstore.Config{Redis: patient(server.Addr)})
	facts := newFacts()
	_, _, v, err := s.Get(t.Context(), facts.Key, facts.User)
	require.NoError(t, err)
	require.Error(t, s.Set(t.Context(), facts, "", time.Minute), "no version")
	require.Error(t, s.Set(t.Context(), facts, "1,1", time.Minute), "another store's version")
	require.Error(t, s.Set(t.Context(), facts, "a,b,c,d,e", time.Minute), "another store's version")
	require.Error(t, s.Set(t.Context(), facts, ",,,,other", time.Minute), "another store's version")
	many := facts
	many.Types = make([]echomfa.FactorType, 65)
	require.Error(t, s.Set(t.Context(), many, v, time.Minute))
	long := facts
	long.Types = []echomfa.FactorType{echomfa.FactorType(strings.Repeat("a", 256))}
	require.Error(t, s.Set(t.Context(), long, v, time.Minute))
	require.NoError(t, s.Set(t.Context(), facts, v, 0))
	require.NoError(t, s.Set(t.Context(), facts, v, -time.Second))
	assert.False(t, found(t, s, facts))
}
