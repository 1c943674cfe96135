package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/echomfa/echomfa"
)

// Memory is a Store in memory, for tests: several Enforcers of one process may
// share it, and what can happen to a real one is a method. Generations of what was
// invalidated are kept for good, so it grows.
//
// Make one by [NewMemory]. It may be used by several goroutines at once.
type Memory struct {
	mu sync.Mutex
	memory
	aged    uint64        // the last entry that the log has lost by age
	trimmed uint64        // the last entry that it has lost by age or by Trim
	loss    uint64        // how often something was lost
	failing error         // of all calls
	changed chan struct{} // closed when there is something to hear; nil while nobody waits
}

// memory is what can be lost.
type memory struct {
	values      map[echomfa.StoreKey]remembered
	generations map[echomfa.StoreKey]uint64 // how often a key or a user was invalidated
	counts      map[echomfa.StoreKey]count
	log         []entry
	last        uint64 // the number of the last entry
}

type remembered struct {
	facts echomfa.StoredFacts
	until time.Time
	user  uint64 // the user's generation
}

type count struct {
	taken int
	until time.Time
}

// entry is an invalidation in the log.
type entry struct {
	number uint64
	at     time.Time
	event  echomfa.StoreEvent
}

const (
	// logKept is how long an entry is kept.
	logKept = 6 * time.Minute
	// round is how long a watch waits for news before it says that there are none.
	round = 250 * time.Millisecond
)

// NewMemory returns an empty Store.
func NewMemory() *Memory { return &Memory{memory: newMemory()} }

func newMemory() memory {
	return memory{
		values:      make(map[echomfa.StoreKey]remembered),
		generations: make(map[echomfa.StoreKey]uint64),
		counts:      make(map[echomfa.StoreKey]count),
	}
}

// enter begins a call. m.mu is held.
func (m *Memory) enter(ctx context.Context) error {
	if err := errors.Join(ctx.Err(), m.failing); err != nil {
		return fmt.Errorf("storetest: %w", err)
	}
	return nil
}

// Get returns the factor list of a token. Errors are those of ctx and of [Memory.Fail].
func (m *Memory) Get(ctx context.Context, key, user echomfa.StoreKey) (
	facts echomfa.StoredFacts, found bool, version echomfa.StoreVersion, err error,
) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.enter(ctx); err != nil {
		return echomfa.StoredFacts{}, false, "", err
	}
	version = m.version(key, user)
	v, found := m.value(key, user)
	if !found {
		return echomfa.StoredFacts{}, false, version, nil
	}
	facts = v.facts
	facts.Types = slices.Clone(facts.Types)
	return facts, true, version, nil
}

// value returns what is kept of a token, if it counts. m.mu is held.
func (m *Memory) value(key, user echomfa.StoreKey) (remembered, bool) {
	v, found := m.values[key]
	return v, found && v.facts.User == user && v.user == m.generations[user] && time.Now().Before(v.until)
}

func (m *Memory) version(key, user echomfa.StoreKey) echomfa.StoreVersion {
	return echomfa.StoreVersion(strconv.FormatUint(m.generations[key], 10) + "," + strconv.FormatUint(m.generations[user], 10))
}

// Set keeps a list. Errors are those of ctx and of [Memory.Fail], and a version that is
// not of a Memory.
func (m *Memory) Set(ctx context.Context, facts echomfa.StoredFacts, version echomfa.StoreVersion, keep time.Duration) error {
	if !strings.Contains(string(version), ",") {
		return errors.New("storetest: the version is not of this store")
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.enter(ctx); err != nil {
		return err
	}
	if old, found := m.value(facts.Key, facts.User); found && old.facts.Asked.After(facts.Asked) || m.version(facts.Key, facts.User) != version {
		return nil
	}
	facts.Types = slices.Clone(facts.Types)
	m.values[facts.Key] = remembered{facts, time.Now().Add(keep), m.generations[facts.User]}
	return nil
}

// Delete forgets a token. Errors are those of ctx and of [Memory.Fail].
func (m *Memory) Delete(ctx context.Context, key, _ echomfa.StoreKey) error {
	return m.invalidate(ctx, key, echomfa.StoreEvent{Key: key})
}

// DeleteUser forgets all tokens of a user. Errors are those of ctx and of
// [Memory.Fail].
func (m *Memory) DeleteUser(ctx context.Context, user echomfa.StoreKey) error {
	return m.invalidate(ctx, user, echomfa.StoreEvent{User: user})
}

func (m *Memory) invalidate(ctx context.Context, what echomfa.StoreKey, event echomfa.StoreEvent) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.enter(ctx); err != nil {
		return err
	}
	m.generations[what]++
	delete(m.values, what)
	now := time.Now()
	for len(m.log) > 0 && now.Sub(m.log[0].at) > logKept {
		m.aged, m.trimmed, m.log = m.log[0].number, m.log[0].number, m.log[1:]
	}
	m.last++
	m.log = append(m.log, entry{m.last, now, event})
	m.tell()
	return nil
}

// tell wakes those who watch. m.mu is held.
func (m *Memory) tell() {
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}

// Take counts. Errors are those of ctx and of [Memory.Fail].
func (m *Memory) Take(ctx context.Context, name echomfa.StoreKey, limit int, per time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.enter(ctx); err != nil {
		return false, err
	}
	now := time.Now()
	c := m.counts[name]
	if !now.Before(c.until) {
		c = count{until: now.Add(per)}
	}
	if c.taken >= limit {
		return false, nil
	}
	c.taken++
	m.counts[name] = c
	return true, nil
}

// Watch calls hear for every invalidation, until ctx ends. It returns nil.
func (m *Memory) Watch(ctx context.Context, hear func(echomfa.StoreEvent)) error {
	m.mu.Lock()
	w := watcher{m: m, loss: m.loss, cursor: m.aged}
	m.mu.Unlock()
	ticker := time.NewTicker(round)
	defer ticker.Stop()
	for {
		events, changed := w.round()
		for _, e := range events {
			if ctx.Err() != nil {
				return nil
			}
			hear(e)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-ticker.C:
		}
	}
}

// watcher is how far a watch has heard the log.
type watcher struct {
	m            *Memory
	loss, cursor uint64
}

// round returns what is new, and a channel that is closed when there is more.
func (w *watcher) round() (events []echomfa.StoreEvent, more <-chan struct{}) {
	m := w.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.changed == nil { // made by who waits: the Memory may be of outside a test's bubble
		m.changed = make(chan struct{})
	}
	if m.failing != nil {
		return []echomfa.StoreEvent{{Kind: echomfa.Deaf, Cause: m.failing}}, m.changed
	}
	switch {
	case w.loss != m.loss:
		events = append(events, echomfa.StoreEvent{Kind: echomfa.Rewound})
		w.loss, w.cursor = m.loss, 0
	case w.cursor < m.trimmed:
		events = append(events, echomfa.StoreEvent{Kind: echomfa.Resumed})
	}
	for _, e := range m.log {
		if e.number > w.cursor {
			events = append(events, e.event)
		}
	}
	w.cursor = m.last
	return append(events, echomfa.StoreEvent{Kind: echomfa.Hearing}), m.changed
}

// Fail makes all calls fail with an error, as a Redis that is away does, until it is
// called with nil.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing = err
	m.tell()
}

// Lose loses everything, as FLUSHALL does.
func (m *Memory) Lose() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.memory, m.aged, m.trimmed = newMemory(), 0, 0
	m.loss++
	m.tell()
}

// Back notes what there is. The function that it returns brings that back, as a
// failover to a replica that lags does.
func (m *Memory) Back() (restore func()) {
	clone := func(from memory) memory {
		from.values, from.generations = maps.Clone(from.values), maps.Clone(from.generations)
		from.counts, from.log = maps.Clone(from.counts), slices.Clone(from.log)
		return from
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	before, aged, trimmed := clone(m.memory), m.aged, m.trimmed
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.memory, m.aged, m.trimmed = clone(before), aged, trimmed
		m.loss++
		m.tell()
	}
}

// Trim loses the log, and nothing else: a watcher that has not read it, or that starts
// now, is told that something was missed.
func (m *Memory) Trim() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.trimmed, m.log = m.last, nil
	m.tell()
}
