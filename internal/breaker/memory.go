package breaker

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
)

const (
	firstHold = 2 * time.Second
	lastHold  = 30 * time.Second
	together  = time.Second // within it, two known users who are limited speak for all
)

// Memory is what is remembered of a token whose lookups fail while others succeed. The
// token is held: nobody is asked about it, for 2 s at first and, as long as it keeps
// failing, for twice as long each time, up to 30 s. The zero Memory holds nothing.
type Memory struct {
	failed bool
	since  uint64        // how many lookups had succeeded when the row of failures began
	held   time.Duration // the last time
	until  time.Time
	most   time.Duration // from when it was held to until
}

// Fail is the memory after one more failure. Successes is how many lookups have
// succeeded so far, of other tokens: one of this token has ended the memory. Certain is
// a failure that no other lookup has to confirm.
func (m Memory) Fail(now time.Time, successes uint64, certain bool) Memory {
	switch {
	case certain, m.failed && successes > m.since:
		m.held = min(max(2*m.held, firstHold), lastHold)
		m.until, m.most = now.Add(m.held), m.held
		m.since = successes
	case !m.failed:
		m.since = successes
	}
	m.failed = true
	return m
}

// Hold is the memory of a token that GenAuth asked not to be asked about for a time.
func (m Memory) Hold(now time.Time, d time.Duration) Memory {
	if until := now.Add(d); until.After(m.until) {
		m.until, m.most = until, d
	}
	return m
}

// Failing reports whether the latest lookups of the token have failed.
func (m Memory) Failing() bool { return m.failed }

// Rest returns how long the token is still held. A caller may have read the clock before
// the one who held it, and is not told a longer time for that.
func (m Memory) Rest(now time.Time) time.Duration { return min(max(0, m.until.Sub(now)), m.most) }

// Limits tells a limit on one user from a limit on all. The zero Limits has met none.
// It may be used by several goroutines at once.
type Limits struct {
	mu        sync.Mutex
	met       bool
	user      uint64
	at, until time.Time
}

// Met notes that GenAuth asked not to be asked for a time, when it was asked about a
// caller. It returns until when all lookups must pause: the zero Time, unless the caller is
// known and it has said so about another known user within the last second. What becomes of
// tokens that anybody can make up stops nobody else's lookups: a cold start slows them down.
func (l *Limits) Met(c Caller, d time.Duration, now time.Time) time.Time {
	if !c.Known {
		return time.Time{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.met && l.user != c.User && now.Sub(l.at) <= together
	until := now.Add(d)
	if all && l.until.After(until) {
		until = l.until
	}
	l.met, l.user, l.at, l.until = true, c.User, now, until
	if !all {
		return time.Time{}
	}
	return until
}

// Known is a table of the tokens of which there have been facts. It has a fixed size
// and forgets: then a token counts as unknown, which is the safe side. A made-up token
// passes for a known one by a chance of one in 2^31. Its methods may be called by
// several goroutines at once.
type Known struct{ prints []atomic.Uint32 }

// NewKnown returns a table with a place for each of size tokens, or more.
func NewKnown(size int) Known {
	n := 1 << 12 // so that few tokens do not meet in one place
	for n < size {
		n *= 2
	}
	return Known{make([]atomic.Uint32, n)}
}

// place returns where a token stands, and its fingerprint. A key is as good as random.
func (k Known) place(key [16]byte) (*atomic.Uint32, uint32) {
	at := binary.BigEndian.Uint32(key[8:]) & uint32(len(k.prints)-1) //nolint:gosec // a small number
	return &k.prints[at], binary.BigEndian.Uint32(key[12:]) | 1
}

// Add notes that there are facts about a token.
func (k Known) Add(key [16]byte) {
	at, mark := k.place(key)
	at.Store(mark)
}

// Has reports whether there have been facts about a token.
func (k Known) Has(key [16]byte) bool {
	at, mark := k.place(key)
	return at.Load() == mark
}
