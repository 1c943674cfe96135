// Package breaker tells failures of GenAuth from failures that one token causes.
//
// A client can make a lookup fail: a token that is longer than a gateway allows, or a
// user whose record GenAuth cannot show. Such a failure says nothing of other users'
// lookups, and stops none of them. What does stop them:
//
//   - Five failures in a row before there was a connection. The token has not been
//     sent, so it is not the cause.
//   - Five different known users whose lookups failed after the last one that
//     succeeded, if that is a second ago. Known is a token of which there have been
//     facts: nobody can make one up. A user with many tokens is one user.
//
// While it is open, few lookups probe. See [Breaker.Enter] for who may, and
// [Memory] for what becomes of the one token that keeps failing.
//
// Nothing here reads a clock: the caller says what time it is.
package breaker

import (
	"errors"
	"sync"
	"time"
)

// Why a lookup is turned away.
var (
	ErrOpen = errors.New("echomfa: lookups stopped because GenAuth keeps failing")
	ErrCold = errors.New("echomfa: GenAuth has not answered since the start: few lookups are tried at once")
)

// Outcome is what a lookup tells of GenAuth.
type Outcome uint8

const (
	// NoEvidence tells nothing: a limit, an error in the app's own code, a lookup
	// that was given up.
	NoEvidence Outcome = iota
	// Success is an answer that only GenAuth can give: facts, or the refusal of a
	// known token.
	Success
	// NoConnection is a failure before there was a connection.
	NoConnection
	// Failed is a failure after the token was sent.
	Failed
	// Limited is that GenAuth asked not to be asked. It is NoEvidence, but for a cold
	// start.
	Limited
)

// Cause is why lookups are stopped.
type Cause uint8

const (
	// NotOpen is the Cause of a breaker that is closed.
	NotOpen Cause = iota
	// ByConnection is a row of lookups that found no connection.
	ByConnection
	// ByUsers is a number of known users whose lookups failed.
	ByUsers
)

// String names the cause for a log line.
func (c Cause) String() string {
	switch c {
	case ByConnection:
		return "no connection"
	case ByUsers:
		return "known users"
	case NotOpen:
	}
	return ""
}

const (
	enough   = 5           // failures in a row, or users, or tokens at a cold start
	pause    = time.Second // how long it is open before a probe
	reserved = time.Second // how long a probe is for known tokens only
	apart    = time.Second / 2
	grace    = time.Second // for a lookup to end after its deadline

	mostFailing = 1 << 12 // users, or tokens, that are told apart
)

// Caller is whose lookup it is.
type Caller struct {
	User, Token uint64 // short hashes
	Known       bool   // there have been facts about the token
}

// Pass is a lookup that may be made.
type Pass struct {
	caller Caller
	first  bool // of a known user of whom none has failed since the last success
	back   bool // of an unknown token that had been turned away in a cold start
	begun  time.Time
	until  time.Time // from when it counts as over, whatever becomes of it
}

// running reports whether the lookup is under way.
func (p *Pass) running(now time.Time) bool { return p != nil && now.Before(p.until) }

// alone reports whether no other probe may be made beside this one. One that hangs is
// alone for a second: it began before GenAuth could answer again, and may not be told.
func (p *Pass) alone(now time.Time) bool { return p.running(now) && now.Sub(p.begun) < pause }

// Change is what a lookup changed.
type Change uint8

const (
	// Same means that nothing changed.
	Same Change = iota
	// Opened is the begin of an outage.
	Opened
	// Closed is its end.
	Closed
	// Cooled is that tokens keep failing since the start.
	Cooled
	// Warmed is the first answer after that.
	Warmed
)

// Figures are what the breaker shows.
type Figures struct {
	Cause     Cause
	Users     int // whose lookups failed since the last success, at most 4,096
	ColdStart bool
}

// Outage reports whether lookups are stopped, or few of them tried, because they keep
// failing. Its begin and its end are changes: see [Breaker.Leave].
func (f Figures) Outage() bool { return f.Cause != NotOpen || f.ColdStart }

// Breaker decides when lookups stop, and who probes. The zero Breaker is closed. Its
// methods may be called by several goroutines at once, and none blocks.
type Breaker struct {
	mu        sync.Mutex
	successes uint64
	answered  bool      // GenAuth has, once
	last      time.Time // the last success
	row       int       // lookups without a connection since
	users     crowd     // known users whose lookups failed since
	lost      crowd     // users whose lookups found no connection since
	tokens    crowd     // tokens that failed before the first success
	cold      map[*Pass]struct{}
	waiting   waiters // unknown tokens that were turned away, while it is open or in a cold start

	cause Cause
	from  time.Time // when known tokens may probe
	again time.Time // when those of users who have failed already may
	turn  time.Time // when unknown ones may
	spare time.Time // when the next of these may, at the earliest
	probe *Pass     // of a known token
	other *Pass     // of an unknown one
}

// Door reports whether a lookup would be turned away. It costs no place in a queue to
// ask.
func (b *Breaker) Door(c Caller, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.judge(c, now)
}

// Enter lets a lookup be made, whose [Breaker.Leave] must follow. Until is its deadline:
// a second later it counts as over even if its lister does not return.
//
// While the breaker is open, one probe a second is made for known tokens, and one at a
// time unless it hangs: what begins before GenAuth is there again may never end, and must
// not keep those waiting who come after. The first probe comes after a second, and during
// the next second no other is made: what becomes of an unknown token says little. After
// that unknown tokens may probe beside known ones, at most twice a second. A user whose
// lookups keep failing, who may be the only one, leaves half a second between two probes to
// all others and delays nobody's.
//
// Of unknown tokens those go first who have been turned away before, a second ago or more:
// made-up tokens need not come back. It is not the one of them that has waited longest.
// Nobody waits here: the request was answered, and to keep the probe for one token is to
// have no probe if that was made up. And an attacker who makes up tokens, and sends each
// twice, fills a queue: behind 4,096 of them a user's turn would come after half an hour.
// Without a queue the probe goes to the first who comes when it is free.
func (b *Breaker) Enter(c Caller, now, until time.Time) (*Pass, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.judge(c, now); err != nil {
		return nil, err
	}
	p := &Pass{caller: c, first: c.Known && !b.users.has(c.User), begun: now, until: until.Add(grace)}
	switch {
	case b.cause == NotOpen:
	case c.Known:
		b.probe = p
		if !p.first {
			b.again = now.Add(pause + apart)
		}
	default:
		b.other, b.spare = p, now.Add(apart)
		b.waiting.forget(c.Token)
	}
	if !c.Known && !b.answered {
		b.enterCold(p)
	}
	return p, nil
}

// judge reports why a lookup is turned away, if it is. b.mu is held.
func (b *Breaker) judge(c Caller, now time.Time) error {
	var err error
	switch {
	case b.cause != NotOpen && !b.mayProbe(c, now):
		err = ErrOpen
	case b.cause == NotOpen && !c.Known && b.coldStart() && !b.hasPlace(c, now):
		err = ErrCold
	}
	if err != nil && !c.Known {
		b.waiting.note(c.Token, now)
	}
	return err
}

// mayProbe reports whether the next probe may be of this caller. b.mu is held.
func (b *Breaker) mayProbe(c Caller, now time.Time) bool {
	if c.Known {
		return !b.probe.alone(now) && !now.Before(b.from) && (!b.users.has(c.User) || !now.Before(b.again))
	}
	if b.other.alone(now) {
		return false
	}
	first, again := b.turn, b.spare
	if since := b.waiting.since(c.Token); since == 0 || now.UnixNano()-since < int64(pause) {
		// It comes for the first time. Who heeds a Retry-After comes within a second.
		first, again = first.Add(apart), again.Add(pause)
	}
	return !now.Before(first) && !now.Before(again)
}

// Leave tells the result of a lookup.
func (b *Breaker) Leave(p *Pass, o Outcome, now time.Time) (Change, Figures) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o == Success {
		change := b.succeeded(now)
		return change, b.figures()
	}
	wasCold := b.coldStart()
	b.failed(p.caller, o)
	b.leaveCold(p, o)
	if b.probe == p {
		b.probe = nil
		switch {
		case o == NoEvidence, o == Limited:
			b.from = now.Add(apart) // it was none
		case o == NoConnection, p.first:
			b.restart(p.begun)
		default:
			b.again = now.Add(pause)
		}
	}
	if b.other == p {
		b.other = nil
		if o == NoConnection {
			b.restart(p.begun)
		}
	}
	if b.cause == NotOpen {
		switch {
		case b.row >= enough:
			b.cause = ByConnection
		case len(b.users) >= enough && now.Sub(b.last) >= pause:
			b.cause = ByUsers
		}
		if b.cause != NotOpen {
			b.restart(now)
			b.waiting = newWaiters()
			return Opened, b.figures()
		}
	}
	if !wasCold && b.coldStart() {
		if b.waiting == nil {
			b.waiting = newWaiters()
		}
		return Cooled, b.figures()
	}
	return Same, b.figures()
}

// restart lets nobody probe for a second. b.mu is held.
func (b *Breaker) restart(from time.Time) {
	b.from = from.Add(pause)
	b.again = b.from.Add(apart)
	b.turn = b.from.Add(reserved)
}

// failed counts a failure. b.mu is held.
func (b *Breaker) failed(c Caller, o Outcome) {
	switch {
	case o == NoConnection:
		b.row++
		b.lost.add(c.User)
	case o == Failed && c.Known:
		b.users.add(c.User)
	}
	if o != NoEvidence && !c.Known && !b.answered {
		b.tokens.add(c.Token)
	}
}

// succeeded ends whatever there is. b.mu is held.
func (b *Breaker) succeeded(now time.Time) Change {
	change := Same
	switch {
	case b.cause != NotOpen:
		change = Closed
	case b.coldStart():
		change = Warmed
	}
	b.successes++
	b.answered, b.last, b.row = true, now, 0
	b.users, b.lost, b.tokens = nil, nil, nil
	b.cause, b.probe, b.other, b.cold, b.waiting = NotOpen, nil, nil, nil, nil
	return change
}

// figures is Figures for a caller that holds b.mu.
func (b *Breaker) figures() Figures {
	f := Figures{Cause: b.cause, Users: len(b.users), ColdStart: b.coldStart()}
	switch {
	case b.cause == ByConnection:
		f.Users = len(b.lost)
	case b.cause == NotOpen && f.ColdStart:
		f.Users = len(b.tokens)
	}
	return f
}

// Figures returns what the breaker shows.
func (b *Breaker) Figures() Figures {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.figures()
}

// Successes returns how many lookups have succeeded.
func (b *Breaker) Successes() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.successes
}

// crowd are different users, as many as are told apart: in a larger crowd those who keep
// failing would take the turns of those who have not failed.
type crowd map[uint64]struct{}

// has reports whether a user is one of the crowd, or may be: it is full.
func (c crowd) has(id uint64) bool {
	_, ok := c[id]
	return ok || len(c) == mostFailing
}

func (c *crowd) add(id uint64) {
	if *c == nil {
		*c = make(crowd)
	}
	if !c.has(id) {
		(*c)[id] = struct{}{}
	}
}
