package breaker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/internal/breaker"
)

// cool has five tokens fail since the start.
func (p *play) cool() {
	p.Helper()
	for range 9 {
		p.lookup(unknown(1), breaker.Failed)
	}
	for i := range 3 {
		p.lookup(unknown(2+i), breaker.Failed)
	}
	assert.False(p, p.Figures().ColdStart, "four tokens")
	assert.Equal(p, breaker.Cooled, p.lookup(unknown(5), breaker.Failed))
	assert.Equal(p, breaker.Figures{Users: 5, ColdStart: true}, p.Figures())
}

// comesBack turns a token away, and lets it in when it comes a moment later.
func (p *play) comesBack(token int) *breaker.Pass {
	p.Helper()
	p.turnsAway(unknown(token), breaker.ErrCold)
	p.pass(100*time.Millisecond - 1)
	p.turnsAway(unknown(token), breaker.ErrCold) // as many requests at once
	p.pass(1)
	return p.enter(unknown(token))
}

func TestRule5ColdStart(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	early := make([]*breaker.Pass, 10)
	for i := range early {
		early[i] = p.enter(unknown(100 + i))
	}
	p.cool()
	p.turnsAway(unknown(6), breaker.ErrCold)
	p.enter(known(1))
	for _, pass := range early[:9] {
		p.Leave(pass, breaker.Failed, p.now)
	}
	first := p.enter(unknown(7))
	p.turnsAway(unknown(8), breaker.ErrCold)
	p.Leave(first, breaker.NoEvidence, p.now)
	p.enter(unknown(7))
	p.comesBack(9)
	p.enter(unknown(8)) // it has come before
	p.turnsAway(unknown(10), breaker.ErrCold)
	p.pass(time.Second)
	p.turnsAway(unknown(10), breaker.ErrCold) // four at once
	p.pass(1900*time.Millisecond - 1)
	p.turnsAway(unknown(10), breaker.ErrCold)
	p.pass(1)
	p.turnsAway(unknown(11), breaker.ErrCold)
	p.pass(100 * time.Millisecond)
	p.enter(unknown(12)) // of those before, none may still be under way
	assert.Equal(t, breaker.Warmed, p.lookup(unknown(13), breaker.Success))
	for i := range 1000 {
		p.lookup(unknown(i), breaker.Failed)
		p.enter(unknown(i))
	}
	assert.Equal(t, breaker.Figures{}, p.Figures(), "for good")
}

// TestRule5MadeUpTokensThatHang has them take all places before the cold start is noticed,
// and each that may be of a token that comes for the first time. Who comes back gets in.
func TestRule5MadeUpTokensThatHang(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	for i := range 32 {
		p.enter(unknown(100 + i))
	}
	p.cool()
	p.comesBack(6)
	p.comesBack(7)
	p.turnsAway(unknown(8), breaker.ErrCold)
	p.pass(time.Second)
	p.turnsAway(unknown(8), breaker.ErrCold) // two at once
}

// TestRule5ATokenThatHasFailed shows that it does not take the places of those who come
// back, however often it comes.
func TestRule5ATokenThatHasFailed(t *testing.T) {
	t.Parallel()
	for _, o := range []breaker.Outcome{breaker.Failed, breaker.NoConnection, breaker.Limited} {
		p := newPlay(t)
		p.cool()
		p.enter(unknown(50))
		p.enter(unknown(51))
		p.Leave(p.comesBack(6), o, p.now)
		p.turnsAway(unknown(6), breaker.ErrCold)
		p.pass(time.Second)
		p.turnsAway(unknown(6), breaker.ErrCold)
		p.Leave(p.comesBack(7), breaker.NoEvidence, p.now)
		p.enter(unknown(7)) // that was no failure
	}
}

// TestRule11LimitsAtAColdStart shows that tokens which GenAuth limits before it has answered
// slow unknown ones down: four of them a second.
func TestRule11LimitsAtAColdStart(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	for i := range 5 {
		p.lookup(unknown(i), breaker.Limited)
	}
	assert.True(t, p.Figures().ColdStart)
	calls := 0
	for i := range 10_000 { // ten seconds
		token := unknown(100 + i%200) // each comes again and again
		if pass, err := p.Enter(token, p.now, p.now.Add(time.Minute)); err == nil {
			calls++
			p.Leave(pass, breaker.Limited, p.now)
		}
		p.pass(time.Millisecond)
	}
	assert.InDelta(t, 40, calls, 4)
	assert.Equal(t, breaker.NotOpen, p.Figures().Cause)
	pass := p.enter(known(1))
	change, _ := p.Leave(pass, breaker.Success, p.now)
	assert.Equal(t, breaker.Warmed, change)
	for i := range 100 {
		p.lookup(unknown(i), breaker.Limited)
		p.lookup(unknown(100+i), breaker.Success)
	}
}

// TestRule5WhileOpen has five tokens find no connection and then others fail.
func TestRule5WhileOpen(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	for range 5 {
		p.lookup(unknown(1), breaker.NoConnection)
	}
	for i := range 5 {
		p.turnsAway(unknown(2+i), breaker.ErrOpen)
	}
	p.pass(2 * time.Second)
	for i := range 5 {
		p.lookup(unknown(2+i), breaker.Failed)
		p.pass(500 * time.Millisecond)
	}
	assert.Equal(t, breaker.Figures{Cause: breaker.ByConnection, Users: 1, ColdStart: true}, p.Figures())
}

// TestRule5TheClockIsSetBack shows that who was turned away before that waits from now on.
func TestRule5TheClockIsSetBack(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	p.cool()
	p.enter(unknown(50))
	p.enter(unknown(51))
	p.turnsAway(unknown(6), breaker.ErrCold)
	p.pass(-time.Hour)
	p.comesBack(6)
}
