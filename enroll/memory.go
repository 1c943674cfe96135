package enroll

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// How long the pages remember an answer of GenAuth.
const (
	nameFor    = time.Hour       // whose a token is
	failureFor = 5 * time.Second // that GenAuth does not say
	offeredFor = 5 * time.Second // what the app offers to a user
)

// memory remembers answers of GenAuth about tokens. It may be used by several goroutines at
// once.
type memory[V any] struct {
	mu   sync.Mutex
	kept *simplelru.LRU[string, remembered[V]] // by digest of the token
}

type remembered[V any] struct {
	value V
	until time.Time
}

func newMemory[V any]() *memory[V] { return &memory[V]{kept: newLRU[remembered[V]]()} }

//nolint:ireturn // V is what it remembers
func (m *memory[V]) get(token string) (value V, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found, ok := m.kept.Get(string(digestOf(token)))
	if !ok || !time.Now().Before(found.until) {
		return value, false
	}
	return found.value, true
}

func (m *memory[V]) set(token string, value V, keep time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept.Add(string(digestOf(token)), remembered[V]{value, time.Now().Add(keep)})
}

// getOrSet returns what is remembered, or remembers a value that is new.
//
//nolint:ireturn // V is what it remembers
func (m *memory[V]) getOrSet(token string, value V, keep time.Duration) (kept V, isNew bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key, now := string(digestOf(token)), time.Now()
	if found, ok := m.kept.Get(key); ok && now.Before(found.until) {
		return found.value, false
	}
	m.kept.Add(key, remembered[V]{value, now.Add(keep)})
	return value, true
}

func (m *memory[V]) forget(token string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept.Remove(string(digestOf(token)))
}
