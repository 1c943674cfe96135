package breaker

import (
	"sync"
	"time"
)

// Row is the breaker of a source that fails for everybody or for nobody. It opens after
// five failures in a row, and a second later lets one call at a time through until one
// succeeds. The zero Row is closed. Its methods may be called by several goroutines at
// once.
type Row struct {
	mu      sync.Mutex
	failed  int
	from    time.Time // when the next call may be made
	probing bool
}

// Enter reports whether a call may be made. If so, [Row.Leave] must follow.
func (r *Row) Enter(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed >= enough {
		if r.probing || now.Before(r.from) {
			return false
		}
		r.probing = true
	}
	return true
}

// Leave tells the result of a call, and reports whether that opened or closed the row.
func (r *Row) Leave(ok bool, now time.Time) (changed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.failed >= enough
	r.probing = false
	if ok {
		r.failed = 0
		return was
	}
	r.failed = min(r.failed+1, enough)
	if r.failed < enough {
		return false
	}
	r.from = now.Add(pause)
	return !was
}

// Open reports whether the row is open.
func (r *Row) Open() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed >= enough
}
