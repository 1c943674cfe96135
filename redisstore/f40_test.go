package redisstore_test

import (
	"context"
	"net"
	"regexp"
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

// TestF40RedisRefuses: wherever Redis says no, calls are errors or misses that say
// so, none is tried again, and all is well when Redis is.
func TestF40RedisRefuses(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		args         []string
		password     string
		begin        func(t *testing.T, admin rueidis.Client, server *redistest.Server)
		end          []string // a command of the administrator
		reads        bool     // Redis still answers
		says         string
		invalidating bool // Delete and DeleteUser count nevertheless
	}{
		"wrong password": {
			password: "wrong",
			begin: func(t *testing.T, admin rueidis.Client, _ *redistest.Server) {
				t.Helper()
				command(t, admin, "ACL", "SETUSER", "default", ">right", "<wrong")
				command(t, admin, "CLIENT", "KILL", "TYPE", "NORMAL")
			},
			end:  []string{"ACL", "SETUSER", "default", ">wrong"},
			says: "WRONGPASS",
		},
		"no password": {
			begin: func(t *testing.T, admin rueidis.Client, _ *redistest.Server) {
				t.Helper()
				command(t, admin, "CONFIG", "SET", "requirepass", "right")
				command(t, admin, "CLIENT", "KILL", "TYPE", "NORMAL")
			},
			end:  []string{"CONFIG", "SET", "requirepass", ""},
			says: "NOAUTH",
		},
		"out of memory": {
			args: []string{"--maxmemory-policy", "noeviction"},
			begin: func(t *testing.T, admin rueidis.Client, _ *redistest.Server) {
				t.Helper()
				command(t, admin, "CONFIG", "SET", "maxmemory", "1")
			},
			end: []string{"CONFIG", "SET", "maxmemory", "0"}, reads: true, says: "OOM", invalidating: true,
		},
		"read-only replica": {
			begin: func(t *testing.T, admin rueidis.Client, _ *redistest.Server) {
				t.Helper()
				host, port, err := net.SplitHostPort(redistest.New(t).Addr)
				require.NoError(t, err)
				command(t, admin, "REPLICAOF", host, port)
				eventually(t, func() bool {
					info, err := command(t, admin, "INFO", "replication").ToString()
					return err == nil && strings.Contains(info, "master_link_status:up")
				}, "it does not replicate")
			},
			end: []string{"REPLICAOF", "NO", "ONE"}, reads: true, says: "READONLY",
		},
		"may not write": {
			password: "secret",
			begin: func(t *testing.T, admin rueidis.Client, _ *redistest.Server) {
				t.Helper()
				command(t, admin, "ACL", "SETUSER", "default", "-@write")
			},
			end: []string{"ACL", "SETUSER", "default", "+@all"}, reads: true, says: "NOPERM|can't run this command",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if row.password != "" {
				row.args = append(row.args, "--requirepass", row.password, "--user", "admin", "on", ">admin", "~*", "&*", "+@all")
			} else {
				row.args = append(row.args, "--user", "admin", "on", ">admin", "~*", "&*", "+@all")
			}
			server := redistest.New(t, row.args...)
			options := patient(server.Addr)
			options.DisableCache, options.ForceSingleClient = true, true
			options.Username, options.Password = "admin", "admin"
			options.PipelineMultiplex = -1 // one connection, which spares itself
			admin, err := rueidis.NewClient(options)
			require.NoError(t, err)
			t.Cleanup(admin.Close)

			options = patient(server.Addr)
			options.Password = row.password
			options.PipelineMultiplex = -1
			s := newStore(t, redisstore.Config{Redis: options})
			facts, forgotten, left := newFacts(), newFacts(), newFacts()
			for _, facts := range []echomfa.StoredFacts{facts, forgotten, left} {
				keep(t, s, facts)
			}
			set := func(ctx context.Context) error {
				_, _, v, err := s.Get(ctx, facts.Key, facts.User)
				if err != nil {
					return err
				}
				return s.Set(ctx, facts, v, time.Minute)
			}

			row.begin(t, admin, server)
			// The connection that is being cut may still do, or fail in its own way.
			eventually(t, func() bool {
				err := set(t.Context())
				return err != nil && regexp.MustCompile(row.says).MatchString(err.Error())
			}, "nothing is wrong")
			for range 3 {
				err := set(t.Context())
				require.Error(t, err)
				require.Regexp(t, row.says, err.Error())
				got, found, _, err := s.Get(t.Context(), facts.Key, facts.User)
				assert.Equal(t, found, got.Key == facts.Key)
				if row.reads {
					require.NoError(t, err)
				} else {
					require.Error(t, err)
					require.Regexp(t, row.says, err.Error())
				}
				err = s.Delete(t.Context(), forgotten.Key, forgotten.User)
				require.Error(t, err)
				require.Regexp(t, row.says, err.Error())
				err = s.DeleteUser(t.Context(), left.User)
				require.Error(t, err)
				require.Regexp(t, row.says, err.Error())
			}
			if row.invalidating {
				assert.False(t, found(t, s, forgotten))
				assert.False(t, found(t, s, left))
			}

			command(t, admin, row.end...)
			eventually(t, func() bool { return set(t.Context()) == nil }, "it does not work again")
			require.NoError(t, s.DeleteUser(t.Context(), forgotten.User))
			assert.False(t, found(t, s, forgotten))
			keep(t, s, facts)
			assert.True(t, found(t, s, facts))
		})
	}
}

// TestF40RedisIsNotThereYet: an app starts before its Redis does.
func TestF40RedisIsNotThereYet(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	server.Stop(t)
	s := newStore(t, redisstore.Config{Redis: rueidis.ClientOption{InitAddress: []string{server.Addr}}})
	heard := make(chan echomfa.StoreEvent, 10_000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Watch(ctx, func(event echomfa.StoreEvent) { heard <- event })
	}()
	deaf := next(t, heard)
	assert.Equal(t, echomfa.Deaf, deaf.Kind)
	require.Error(t, deaf.Cause)
	for range 3 {
		_, _, _, err := s.Get(t.Context(), newKey(), newKey())
		require.Error(t, err)
		require.Error(t, s.Delete(t.Context(), newKey(), newKey()))
	}
	server.Start(t)
	for event := next(t, heard); event.Kind != echomfa.Hearing; event = next(t, heard) {
		assert.Equal(t, echomfa.Deaf, event.Kind)
	}
	eventually(t, func() bool {
		_, _, _, err := s.Get(t.Context(), newKey(), newKey())
		return err == nil
	}, "it does not work")
	cancel()
	assert.NoError(t, <-done)
}

// TestF40RedisRestarts: a watcher is told that it has missed something, and
// what was asked for before the restart is not kept after it.
func TestF40RedisRestarts(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	config := redisstore.Config{Redis: patient(server.Addr)}
	s, second := newStore(t, config), newStore(t, config)
	heard, alsoHeard := watch(t, s), watch(t, second)
	facts := newFacts()
	keep(t, s, facts)
	_, _, before, err := s.Get(t.Context(), facts.Key, facts.User)
	require.NoError(t, err)
	for range 2 {
		server.Stop(t)
		require.Error(t, s.DeleteUser(t.Context(), facts.User), "nobody is told")
		_, _, _, err := s.Get(t.Context(), facts.Key, facts.User)
		require.Error(t, err, "and it is not tried until it works")
		server.Start(t)
		assert.Equal(t, echomfa.StoreEvent{Kind: echomfa.Rewound}, next(t, heard))
		assert.Equal(t, echomfa.StoreEvent{Kind: echomfa.Rewound}, next(t, alsoHeard))
		eventually(t, func() bool { return s.Set(t.Context(), facts, before, time.Minute) == nil }, "it does not work again")
		eventually(t, func() bool {
			_, _, _, err := second.Get(t.Context(), facts.Key, facts.User)
			return err == nil
		}, "it does not work again")
		assert.False(t, found(t, second, facts))
		key := newKey()
		require.NoError(t, s.Delete(t.Context(), key, facts.User))
		assert.Equal(t, echomfa.StoreEvent{Key: key}, next(t, heard))
		assert.Equal(t, echomfa.StoreEvent{Key: key}, next(t, alsoHeard))
	}
}

// TestX3ConnectionsAreCut: a Watch goes on where it was. Nothing is lost, and
// nothing is said.
func TestX3ConnectionsAreCut(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	c := rawClient(t, server.Addr)
	s := newStore(t, redisstore.Config{Redis: patient(server.Addr)})
	heard, told := watch(t, s), make(map[echomfa.StoreKey]bool)
	for range 3 {
		command(t, c, "CLIENT", "KILL", "TYPE", "PUBSUB")
		command(t, c, "CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES")
		user := newKey()
		eventually(t, func() bool { return s.DeleteUser(t.Context(), user) == nil }, "it does not work again")
		told[user] = true
		event := next(t, heard)
		for ; event.User != user && told[event.User]; event = next(t, heard) { // twice, after an answer that was cut off
		}
		assert.Equal(t, echomfa.StoreEvent{User: user}, event)
	}
	assert.Zero(t, s.Stats().Rewound)
}

// TestF40RedisIsEmptied: nothing is left, not even the script.
func TestF40RedisIsEmptied(t *testing.T) {
	t.Parallel()
	server := redistest.New(t)
	c := rawClient(t, server.Addr)
	s := newStore(t, redisstore.Config{Redis: patient(server.Addr)})
	facts := newFacts()
	for range 2 {
		keep(t, s, facts)
		require.True(t, found(t, s, facts))
		command(t, c, "FLUSHALL")
		command(t, c, "SCRIPT", "FLUSH")
		require.False(t, found(t, s, facts))
	}
}
