package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/echomfa/echomfa"
)

// Memory is a Store in memory, for tests: several Enforcers of one process may
// share it. It is never cleared of invalidations, so it grows.
//
// Make one by [NewMemory]. It may be used by several goroutines at once.
type Memory struct {
	mu          sync.Mutex
	values      map[echomfa.StoreKey]remembered
	generations map[echomfa.StoreKey]uint64 // how often a key or a user was invalidated
	watchers    map[*watcher]struct{}
}

type remembered struct {
	facts echomfa.StoredFacts
	until time.Time
	user  uint64 // the user's generation
}

// watcher is a queue of what is still to be heard, so that nobody who
// invalidates waits for who hears.
type watcher struct {
	queue []echomfa.StoreEvent
	ready chan struct{} // holds one if the queue is not empty
}

// NewMemory returns an empty Store.
func NewMemory() *Memory {
	return &Memory{
		values:      make(map[echomfa.StoreKey]remembered),
		generations: make(map[echomfa.StoreKey]uint64),
		watchers:    make(map[*watcher]struct{}),
	}
}

// Get returns the facts of a token. The only error is that of ctx.
func (m *Memory) Get(ctx context.Context, key, user echomfa.StoreKey) (
	facts echomfa.StoredFacts, found bool, version echomfa.StoreVersion, err error,
) {
	if err := ctx.Err(); err != nil {
		return echomfa.StoredFacts{}, false, "", fmt.Errorf("storetest: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	version = m.version(key, user)
	v, found := m.values[key]
	if !found || v.facts.User != user || v.user != m.generations[user] || !time.Now().Before(v.until) {
		return echomfa.StoredFacts{}, false, version, nil
	}
	facts = v.facts
	facts.Types = slices.Clone(facts.Types)
	return facts, true, version, nil
}

func (m *Memory) version(key, user echomfa.StoreKey) echomfa.StoreVersion {
	return echomfa.StoreVersion(strconv.FormatUint(m.generations[key], 10) + "," + strconv.FormatUint(m.generations[user], 10))
}

// Set keeps facts. Errors are those of ctx, and a version that is not of a
// Memory.
func (m *Memory) Set(ctx context.Context, facts echomfa.StoredFacts, version echomfa.StoreVersion, keep time.Duration) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("storetest: %w", err)
	}
	if !strings.Contains(string(version), ",") {
		return errors.New("storetest: the version is not of this store")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.version(facts.Key, facts.User) != version {
		return nil
	}
	facts.Types = slices.Clone(facts.Types)
	m.values[facts.Key] = remembered{facts, time.Now().Add(keep), m.generations[facts.User]}
	return nil
}

// Delete forgets a token. The only error is that of ctx.
func (m *Memory) Delete(ctx context.Context, key, _ echomfa.StoreKey) error {
	return m.invalidate(ctx, key, echomfa.StoreEvent{Key: key})
}

// DeleteUser forgets all tokens of a user. The only error is that of ctx.
func (m *Memory) DeleteUser(ctx context.Context, user echomfa.StoreKey) error {
	return m.invalidate(ctx, user, echomfa.StoreEvent{User: user})
}

func (m *Memory) invalidate(ctx context.Context, what echomfa.StoreKey, event echomfa.StoreEvent) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("storetest: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.generations[what]++
	delete(m.values, what)
	for w := range m.watchers {
		w.queue = append(w.queue, event)
		select {
		case w.ready <- struct{}{}:
		default:
		}
	}
	return nil
}

// Watch calls hear for every invalidation, until ctx ends. It returns nil.
func (m *Memory) Watch(ctx context.Context, hear func(echomfa.StoreEvent)) error {
	w := &watcher{ready: make(chan struct{}, 1)}
	m.mu.Lock()
	m.watchers[w] = struct{}{}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.watchers, w)
		m.mu.Unlock()
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.ready:
		}
		m.mu.Lock()
		events := w.queue
		w.queue = nil
		m.mu.Unlock()
		for _, event := range events {
			if ctx.Err() != nil {
				return nil
			}
			hear(event)
		}
	}
}
