// Package hearing knows whether an instance hears its Store: when the last round of
// listening has succeeded, since when none has, and why.
package hearing

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Patience is how long no round may succeed before the instance is deaf.
const Patience = time.Second

// A watch that ends is begun again after a pause that doubles up to the longest.
const firstPause, lastPause = time.Second, 30 * time.Second

var errNoRound = errors.New("the store has said nothing")

// Ear is the hearing of one instance. Make one by [New]. Its methods may be called by
// several goroutines at once.
type Ear struct {
	made time.Time
	// last is when a round succeeded, since made and at least 1; 0 if none has.
	last atomic.Int64
	// current reports that the present watch has succeeded once: it has told all that
	// was invalidated before it began.
	current atomic.Bool
	said    func(deaf bool, cause error)

	mu     sync.Mutex // guards all that follows
	timer  *time.Timer
	cause  error
	failed bool // a round has failed since the last that succeeded
	deaf   bool
	ended  bool
}

// New returns an Ear that has heard nothing. It calls said when the instance has become
// deaf, and when it hears again.
func New(said func(deaf bool, cause error)) *Ear {
	e := &Ear{made: time.Now(), said: said, cause: errNoRound, failed: true}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.timer = time.AfterFunc(Patience, e.silence)
	return e
}

// Heard notes that a round has succeeded, and reports whether the one before had not.
func (e *Ear) Heard() (again bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return false
	}
	e.last.Store(max(1, int64(time.Since(e.made))))
	e.current.Store(true)
	if e.deaf {
		e.said(false, nil)
	}
	again = e.failed
	e.deaf, e.failed, e.cause = false, false, errNoRound
	e.timer.Reset(Patience)
	return again
}

// Failed notes why a round has failed.
func (e *Ear) Failed(cause error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failed = true
	if cause != nil {
		e.cause = cause
	}
}

// silence is called when no round has succeeded for Patience.
func (e *Ear) silence() {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch since := e.since(); {
	case e.deaf, e.ended:
	case since < Patience: // a round has succeeded since
		e.timer.Reset(Patience - since)
	default:
		e.deaf, e.failed = true, true
		e.said(true, e.cause)
	}
}

// since returns how long ago a round succeeded, or the Ear was made.
func (e *Ear) since() time.Duration { return time.Since(e.made) - time.Duration(e.last.Load()) }

// Hears reports whether a round of the present watch has succeeded less than Patience
// ago.
func (e *Ear) Hears() bool { return e.current.Load() && e.since() <= Patience }

// Deaf reports whether no round has succeeded for Patience.
func (e *Ear) Deaf() bool { return e.since() > Patience }

// Unheard reports whether no round has succeeded for a time.
func (e *Ear) Unheard(d time.Duration) bool { return e.last.Load() == 0 || e.since() > d }

// Listen calls watch until ctx ends, again after a pause if it returns. Then it calls
// missed if the watch had heard something: what comes after is not known.
func (e *Ear) Listen(ctx context.Context, watch func(context.Context) error, missed func()) {
	pause := firstPause
	for ctx.Err() == nil {
		err := watch(ctx)
		if ctx.Err() != nil {
			break
		}
		e.Failed(err)
		heard := e.current.Swap(false)
		if heard {
			pause = firstPause
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		if heard {
			missed() // at the end of the pause: what was asked for during it is from before, too
		}
		pause = min(2*pause, lastPause)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	e.timer.Stop()
}
