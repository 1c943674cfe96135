package rules

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
)

// table remembers the routes that requests have met. It is of a fixed size, and reading it
// takes no lock: registered routes are few, and should a router pass on what clients send
// instead, the table is full and the routes are resolved again each time.
type table struct {
	seed  maphash.Seed
	slots [tableSlots]atomic.Pointer[route]
}

const (
	tableSlots  = 1 << 12
	tableTries  = 8
	maxRemember = 512 // bytes of a route
)

func newTable() *table { return &table{seed: maphash.MakeSeed()} }

// find returns a route. One that is met for the first time is resolved.
func (c *compiled) find(name string) *route {
	t := c.learned
	at := maphash.String(t.seed, name)
	for try := range uint64(tableTries) {
		known := t.slots[(at+try)%tableSlots].Load()
		if known == nil {
			break
		}
		if known.name == name {
			return known
		}
	}
	return c.learn(at, name)
}

func (c *compiled) learn(at uint64, name string) *route {
	if len(name) > maxRemember {
		return c.resolve(name)
	}
	made := c.resolve(strings.Clone(name)) // it may be a part of a whole request
	for try := range uint64(tableTries) {
		slot := &c.learned.slots[(at+try)%tableSlots]
		if slot.CompareAndSwap(nil, made) || slot.Load().name == name {
			break
		}
	}
	return made
}
