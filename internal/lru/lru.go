// Package lru keeps values by key and forgets those that were used least recently.
//
// The order is golang-lru's. It keeps a node of five pointers' worth for each key, and
// the garbage collector reads all of a node. So the values are not in it but in chunks
// of their own, which the collector does not read if V has no pointers.
package lru

import (
	"iter"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// chunkSize is how many values are allocated at once.
const chunkSize = 32

// Cache keeps up to a number of values. It is not for concurrent use.
type Cache[K comparable, V any] struct {
	order  *simplelru.LRU[K, uint32] // places of values, by key
	chunks [][]V
	used   uint32   // places that were ever taken
	free   []uint32 // of these, which are not any more
	chunk  uint32   // how many values a chunk has
}

// New returns a Cache of a size, or an error if that is not positive.
func New[K comparable, V any](size int) (*Cache[K, V], error) {
	c := &Cache[K, V]{chunk: uint32(min(chunkSize, size+1))} //nolint:gosec // it is small
	order, err := simplelru.NewLRU(size, func(_ K, place uint32) {
		clear(c.chunks[place/c.chunk][place%c.chunk:][:1])
		c.free = append(c.free, place)
	})
	c.order = order
	return c, err
}

func (c *Cache[K, V]) at(place uint32) *V { return &c.chunks[place/c.chunk][place%c.chunk] }

// Get returns the value of a key, which is then the most recently used, or false.
//
//nolint:ireturn // V is no interface
func (c *Cache[K, V]) Get(key K) (value V, ok bool) {
	place, ok := c.order.Get(key)
	if ok {
		value = *c.at(place)
	}
	return value, ok
}

// Peek is Get for what is no use of the value.
//
//nolint:ireturn // V is no interface
func (c *Cache[K, V]) Peek(key K) (value V, ok bool) {
	place, ok := c.order.Peek(key)
	if ok {
		value = *c.at(place)
	}
	return value, ok
}

// Add sets the value of a key, which is then the most recently used. If there are too
// many, it forgets the value that was used least recently.
func (c *Cache[K, V]) Add(key K, value V) {
	place, ok := c.order.Get(key)
	if !ok {
		place = c.take()
		c.order.Add(key, place)
	}
	*c.at(place) = value
}

// take returns a place for a value.
func (c *Cache[K, V]) take() uint32 {
	if last := len(c.free) - 1; last >= 0 {
		place := c.free[last]
		c.free = c.free[:last]
		return place
	}
	if c.used%c.chunk == 0 {
		c.chunks = append(c.chunks, make([]V, c.chunk))
	}
	c.used++
	return c.used - 1
}

// Remove forgets the value of a key.
func (c *Cache[K, V]) Remove(key K) { c.order.Remove(key) }

// Values goes through all values, the least recently used first.
func (c *Cache[K, V]) Values() iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, place := range c.order.Values() {
			if !yield(*c.at(place)) {
				return
			}
		}
	}
}

// Len returns how many values are kept.
func (c *Cache[K, V]) Len() int { return c.order.Len() }
