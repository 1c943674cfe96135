package redisstore_test

import (
	"context"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/redisstore"
)

// hearer is a Watch, and what it says.
type hearer struct {
	mu  sync.Mutex
	all []echomfa.StoreEvent
}

// hear watches a Store until the test is over.
func hear(t *testing.T, s echomfa.Store) *hearer {
	t.Helper()
	h, done := &hearer{}, make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		done <- s.Watch(ctx, func(event echomfa.StoreEvent) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.all = append(h.all, event)
		})
	}()
	t.Cleanup(func() { cancel(); assert.NoError(t, <-done) })
	return h
}

// since returns what was said since an event, and how much was said.
func (h *hearer) since(n int) ([]echomfa.StoreEvent, int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]echomfa.StoreEvent(nil), h.all[n:]...), len(h.all)
}

// waitFor waits until something is said after n events.
func (h *hearer) waitFor(t *testing.T, n int, is func(echomfa.StoreEvent) bool, otherwise string) {
	t.Helper()
	eventually(t, func() bool {
		said, _ := h.since(n)
		return slices.ContainsFunc(said, is)
	}, otherwise)
}

// TestR4DeafAndWhy: Redis answers, or does not, and in no case an instance hears. It says
// why, an invalidation is an error, and later the Watch goes on where it was. Only what was
// lost is told.
func TestR4DeafAndWhy(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		begin, end []string // of the administrator
		hung       bool
		says       string
		lost       bool
	}{
		"an isolated master": {
			begin: []string{"CONFIG", "SET", "min-replicas-to-write", "1"}, end: []string{"CONFIG", "SET", "min-replicas-to-write", "0"},
			says: "NOREPLICAS",
		},
		"a hung server":             {hung: true, says: "deadline|timeout|not answer"},
		"something else is the log": {begin: []string{"SET", logOf("app"), "x"}, end: []string{"DEL", logOf("app")}, says: "WRONGTYPE", lost: true},
		"something else is beside the log": {
			begin: []string{"EVAL", "redis.call('DEL', KEYS[1]) redis.call('LPUSH', KEYS[1], 'x')", "1", "app:v2:{app:log}:h"},
			end:   []string{"DEL", "app:v2:{app:log}:h"}, says: "WRONGTYPE", lost: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.New(t)
			admin := rawClient(t, server.Addr)
			s := newStore(t, redisstore.Config{Prefix: "app", Redis: rueidis.ClientOption{InitAddress: []string{server.Addr}}})
			h := hear(t, s)
			heard := func(user echomfa.StoreKey) func(echomfa.StoreEvent) bool {
				return func(event echomfa.StoreEvent) bool { return event.User == user }
			}
			before, meanwhile, after := newKey(), newKey(), newKey()
			eventually(t, func() bool { return s.DeleteUser(t.Context(), before) == nil }, "it does not work")
			h.waitFor(t, 0, heard(before), "it is not heard")

			if row.hung {
				server.Pause(t)
			} else {
				command(t, admin, row.begin...)
			}
			_, n := h.since(0)
			h.waitFor(t, n, func(event echomfa.StoreEvent) bool {
				return event.Kind == echomfa.Deaf && event.Cause != nil && regexp.MustCompile(row.says).MatchString(event.Cause.Error())
			}, "it is not deaf")
			_, n = h.since(0)
			require.Error(t, s.DeleteUser(t.Context(), meanwhile))
			said, _ := h.since(n)
			assert.NotContains(t, said, echomfa.StoreEvent{Kind: echomfa.Hearing})

			if row.hung {
				server.Continue(t)
			} else {
				command(t, admin, row.end...)
			}
			_, n = h.since(0)
			eventually(t, func() bool { return s.DeleteUser(t.Context(), after) == nil }, "it does not work again")
			h.waitFor(t, n, heard(after), "it is not heard again")
			if row.lost {
				assert.NotZero(t, s.Stats().Rewound)
			} else {
				assert.Zero(t, s.Stats().Rewound)
			}
		})
	}
}

// TestR8DeadNodeInInitAddress: a node that is dead is asked nothing, not even by an
// instance that has just begun.
func TestR8DeadNodeInInitAddress(t *testing.T) {
	t.Parallel()
	server, dead := redistest.New(t, "--cluster-enabled", "yes"), redistest.New(t)
	makeCluster(t, server)
	dead.Stop(t)
	option := patient(server.Addr)
	option.InitAddress = append(option.InitAddress, dead.Addr)
	for range 8 {
		s := newStore(t, redisstore.Config{Redis: option})
		facts := newFacts()
		keep(t, s, facts)
		require.NoError(t, s.DeleteUser(t.Context(), facts.User))
		within, err := s.Take(t.Context(), newKey(), 1, patience)
		require.NoError(t, err)
		assert.True(t, within)
	}
}
