package redisstore_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/redisstore"
)

// lockedBuffer is a log that several write to.
type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

// unread returns the lines about what cannot be read.
func (b *lockedBuffer) unread() (lines []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.all.String()) {
		if strings.Contains(line, "mfa store: an invalidation cannot be read") {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestInstancesWithDifferentSecretsSayIt: two instances whose secrets have nothing in common
// do not hear each other. Each says so in one line, whatever the number of invalidations, and
// says what to compare. Those of a rotation have one in common, and say nothing.
func TestInstancesWithDifferentSecretsSayIt(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		secrets [2][][]byte
		says    bool
	}{
		"different":            {[2][][]byte{{secretOf(1)}, {secretOf(2)}}, true},
		"a rotation too short": {[2][][]byte{{secretOf(3), secretOf(2)}, {secretOf(1)}}, true},
		"the same":             {[2][][]byte{{secretOf(1)}, {secretOf(1)}}, false},
		"a rotation begins":    {[2][][]byte{{secretOf(1)}, {secretOf(2), secretOf(1)}}, false},
		"a rotation ends":      {[2][][]byte{{secretOf(2), secretOf(1)}, {secretOf(2)}}, false},
		"another order":        {[2][][]byte{{secretOf(2), secretOf(1)}, {secretOf(1), secretOf(2)}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.New(t)
			logs, list := [2]*lockedBuffer{{}, {}}, [2]*echomfa.Enforcer{}
			var stores [2]*redisstore.Store
			for i, secrets := range row.secrets {
				stores[i] = newStore(t, redisstore.Config{Redis: patient(server.Addr), Secrets: secrets, Prefix: "app"})
				e, err := echomfa.New(echomfa.Config{
					Client:    echomfa.FactorListerFunc(func(context.Context, string) ([]client.Factor, error) { return nil, nil }),
					Namespace: "test", InsecureAnyAudience: true, Logger: slog.New(slog.NewTextHandler(logs[i], nil)),
					Cache: echomfa.CacheConfig{Store: stores[i]},
				})
				require.NoError(t, err)
				t.Cleanup(func() { assert.NoError(t, e.Close()) })
				list[i] = e
				watch(t, stores[i]) // both have begun when it hears
			}
			const each = 5
			for range each {
				for _, e := range list {
					eventually(t, func() bool { return e.InvalidateUser(t.Context(), "alice") == nil }, "it cannot be told")
				}
			}
			for i, e := range list {
				if !row.says {
					end := newKey()
					require.NoError(t, stores[1-i].DeleteUser(t.Context(), end))
					heard := watch(t, stores[i])
					require.NoError(t, stores[1-i].DeleteUser(t.Context(), end))
					for event := next(t, heard); event.User != end; event = next(t, heard) {
						assert.NotEqual(t, echomfa.Unreadable, event.Kind)
					}
					assert.Zero(t, e.Stats().Store.Unreadable)
					assert.Empty(t, logs[i].unread())
					continue
				}
				eventually(t, func() bool { return e.Stats().Store.Unreadable >= each }, "it does not count them")
				lines := logs[i].unread()
				require.Len(t, lines, 1)
				assert.Contains(t, lines[0], "level=ERROR")
				assert.Contains(t, lines[0], "compare Secrets of all instances")
			}
		})
	}
}

// TestEntriesOfBeforeARotationAreNotSaid: an instance that begins when the older secret is
// gone meets what was invalidated under it, and nothing is wrong.
func TestEntriesOfBeforeARotationAreNotSaid(t *testing.T) {
	t.Parallel()
	s := newStages(t, redistest.New(t))
	require.NoError(t, s.before.DeleteUser(t.Context(), newKey()))
	h := hear(t, s.after)
	user := newKey()
	require.NoError(t, s.between.DeleteUser(t.Context(), user))
	h.waitFor(t, 0, func(event echomfa.StoreEvent) bool { return event.User == user }, "it is not heard")
	said, n := h.since(0)
	for _, event := range said {
		assert.NotEqual(t, echomfa.Unreadable, event.Kind)
	}
	assert.Equal(t, uint64(1), s.after.Stats().RejectedEvents)
	require.NoError(t, s.before.DeleteUser(t.Context(), user))
	h.waitFor(t, n, func(event echomfa.StoreEvent) bool { return event.Kind == echomfa.Unreadable }, "it is not said")
}
