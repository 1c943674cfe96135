package breaker

import "time"

const (
	coldTries = 4 // lookups of unknown tokens at once in a cold start
	coldFirst = 2 // of these, of tokens that come for the first time
	places    = 1 << 12
	// A browser makes several requests with one token at once: these are one coming.
	comeBack = time.Second / 10
)

// coldStart reports whether lookups of unknown tokens are few, because GenAuth has
// not answered yet. b.mu is held.
func (b *Breaker) coldStart() bool { return !b.answered && len(b.tokens) >= enough }

// hasPlace reports whether a lookup of an unknown token may be made in a cold start. Half
// of the places are for tokens that had been turned away and have not failed: those that
// somebody makes up come once, and may hang. In the moment after the start of the cold
// start, when many are under way that began before, they have their places too. b.mu is
// held.
func (b *Breaker) hasPlace(c Caller, now time.Time) bool {
	n, back := 0, 0
	for p := range b.cold {
		switch {
		case !p.running(now):
			delete(b.cold, p)
			continue
		case p.back:
			back++
		}
		n++
	}
	if b.comesBack(c.Token, now) {
		return n < coldTries || back < coldTries-coldFirst
	}
	return n < coldFirst
}

// comesBack reports whether a token was turned away before. b.mu is held.
func (b *Breaker) comesBack(token uint64, now time.Time) bool {
	since := b.waiting.since(token)
	return since != 0 && now.UnixNano()-since >= int64(comeBack)
}

// enterCold notes a lookup of an unknown token before the first success. b.mu is held.
func (b *Breaker) enterCold(p *Pass) {
	if b.cold == nil {
		b.cold = make(map[*Pass]struct{})
	}
	p.back = b.comesBack(p.caller.Token, p.begun)
	b.cold[p] = struct{}{}
}

// leaveCold notes its end. If GenAuth limits the rate, its place stays taken for a second
// from its begin: that is how unknown tokens, whose limits pause nobody, slow down. b.mu is
// held.
func (b *Breaker) leaveCold(p *Pass, o Outcome) {
	if _, ok := b.cold[p]; !ok {
		return
	}
	cold := b.coldStart() && b.cause == NotOpen
	if cold && o != NoEvidence {
		b.waiting.failed(p.caller.Token)
	}
	if cold && o == Limited {
		p.until = p.begun.Add(pause)
		return
	}
	delete(b.cold, p)
}

// waiters are unknown tokens that were turned away, by hash. One that is pushed out comes
// for the first time again. Nil waiters are none.
type waiters []waiter

// waiter is a token that was turned away, and since when it comes.
type waiter struct {
	token uint64
	since int64 // in Unix nanoseconds, or zero if it has failed since
}

func newWaiters() waiters { return make(waiters, places) }

// since returns since when a token waits, and zero if it does not.
func (w waiters) since(token uint64) int64 {
	if w == nil || w[token%places].token != token {
		return 0
	}
	return w[token%places].since
}

// note notes that a token was turned away. There must be places. A wall clock may be set
// back: a token does not wait from later on.
func (w waiters) note(token uint64, now time.Time) {
	if at := &w[token%places]; at.token != token || at.since > now.UnixNano() {
		*at = waiter{token, now.UnixNano()}
	}
}

// failed notes that a token has failed: it waits no more, however often it comes.
func (w waiters) failed(token uint64) {
	if w != nil {
		w[token%places] = waiter{token: token}
	}
}

// forget notes that a token has had its turn. There must be places.
func (w waiters) forget(token uint64) { w[token%places] = waiter{} }
