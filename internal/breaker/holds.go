package breaker

import (
	"sync"
	"time"
)

// Holds counts the tokens that are held, by when that ends. To look at all that is
// remembered would take longer the more made-up tokens there are. A token that is forgotten
// or invalidated counts until its end, unless GenAuth is asked about it before. The zero
// Holds counts none. Its methods may be called by several goroutines at once.
type Holds struct {
	mu    sync.Mutex
	until [ends]ending
}

// ending is how many tokens are held until one step.
type ending struct {
	end int64 // in steps since 1970
	n   int
}

func (h *Holds) at(end int64) *ending { return &h.until[end&(ends-1)] }

const (
	ends = 256 // a power of two: there are 240 steps in a minute, and nothing is held for longer
	step = int64(time.Second / 4)
)

// end returns the step at whose begin a memory holds no more.
func (m Memory) end() int64 { return (m.until.UnixNano() + step - 1) / step }

// Change counts what is remembered of a token in place of what was before.
func (h *Holds) Change(before, after Memory, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at := h.at(before.end()); before.Rest(now) > 0 && at.end == before.end() {
		at.n--
	}
	if after.Rest(now) <= 0 {
		return
	}
	at := h.at(after.end())
	if at.end != after.end() {
		at.end, at.n = after.end(), 0
	}
	at.n++
}

// Count returns how many tokens are held.
func (h *Holds) Count(now time.Time) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, at := range h.until {
		// Beyond that the wall clock was set back.
		if rest := at.end*step - now.UnixNano(); rest > 0 && rest <= ends*step {
			n += at.n
		}
	}
	return n
}
