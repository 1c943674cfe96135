// Package danger keeps a switch that opens something which is otherwise shut: it ends by
// itself, and while it is on, that is said each minute.
package danger

import (
	"sync"
	"time"
)

// each is how often it is said that a switch is on.
const each = time.Minute

// Switch is off by default. Its methods may be called concurrently. The function of New
// is called without a lock, and not after Close has returned.
type Switch struct {
	say func(on bool, until time.Time)

	mu     sync.Mutex
	on     bool
	until  time.Time   // zero: without an end
	wall   time.Time   // until, by the wall clock alone
	timer  *time.Timer // of the next call of say, while it is on
	turn   int         // counts changes: a timer of an earlier one does nothing
	closed bool
	saying sync.WaitGroup
}

// New returns a Switch that is off. Say is called when it is switched on, each minute
// while it is on, and when it ends.
func New(say func(on bool, until time.Time)) *Switch { return &Switch{say: say} }

// On reports whether the switch is on.
func (s *Switch) On() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.on && !s.over()
}

// over reports whether the time has come, by the clock that is there first: one of them
// stands still while a machine is suspended, and the other can be set back.
func (s *Switch) over() bool {
	if s.until.IsZero() {
		return false
	}
	now := time.Now()
	return !now.Before(s.until) || !now.Round(0).Before(s.wall)
}

// Start switches it on until a time, which is zero for no end. It reports false after
// Close: it then stays off.
func (s *Switch) Start(until time.Time) bool { return s.change(true, until) }

// End switches it off.
func (s *Switch) End() { s.change(false, time.Time{}) }

// Close switches it off without a word, and waits for a call of say under way.
func (s *Switch) Close() {
	s.mu.Lock()
	s.closed, s.on = true, false
	s.turn++
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.saying.Wait()
}

func (s *Switch) change(on bool, until time.Time) bool {
	s.mu.Lock()
	if s.closed || !on && !s.on {
		s.mu.Unlock()
		return false
	}
	s.on, s.until, s.wall = on, until, until.Round(0)
	s.turn++
	s.announce()
	return true
}

// announce says what the state is, and sets the timer for the next time. It is called with
// the lock held, and gives it up.
func (s *Switch) announce() {
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.on {
		wait, turn := each, s.turn
		if !s.until.IsZero() {
			wait = min(wait, time.Until(s.until))
		}
		s.timer = time.AfterFunc(wait, func() { s.again(turn) })
	}
	on, until := s.on, s.until
	s.saying.Add(1)
	s.mu.Unlock()
	defer s.saying.Done()
	s.say(on, until)
}

// again is what the timer of a turn does.
func (s *Switch) again(turn int) {
	s.mu.Lock()
	if turn != s.turn {
		s.mu.Unlock()
		return
	}
	if s.on = !s.over(); !s.on {
		s.turn++
	}
	s.announce()
}
