package breaker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/internal/breaker"
)

// play is a breaker and its clock.
type play struct {
	*testing.T
	breaker.Breaker
	now time.Time
}

func newPlay(t *testing.T) *play {
	t.Helper()
	return &play{T: t, now: time.Unix(1e9, 0)}
}

func (p *play) pass(d time.Duration) { p.now = p.now.Add(d) }

func known(user int) breaker.Caller {
	return breaker.Caller{User: uint64(user), Token: uint64(user) + 1000, Known: true}
}

func unknown(token int) breaker.Caller {
	return breaker.Caller{User: uint64(token), Token: uint64(token)}
}

// enter lets a lookup begin, or fails the test.
func (p *play) enter(c breaker.Caller) *breaker.Pass {
	p.Helper()
	require.NoError(p, p.Door(c, p.now))
	pass, err := p.Enter(c, p.now, p.now.Add(2*time.Second))
	require.NoError(p, err)
	return pass
}

// lookup makes a lookup that takes no time, and returns what it changed.
func (p *play) lookup(c breaker.Caller, o breaker.Outcome) breaker.Change {
	p.Helper()
	change, _ := p.Leave(p.enter(c), o, p.now)
	return change
}

// turnsAway checks that a lookup may not be made.
func (p *play) turnsAway(c breaker.Caller, why error) {
	p.Helper()
	require.ErrorIs(p, p.Door(c, p.now), why)
	_, err := p.Enter(c, p.now, p.now.Add(time.Second))
	require.ErrorIs(p, err, why)
}

// open opens the breaker, by users.
func (p *play) open() {
	p.Helper()
	for i := range 5 {
		p.lookup(known(i), breaker.Failed)
	}
	assert.Equal(p, breaker.Figures{Cause: breaker.ByUsers, Users: 5}, p.Figures())
}

func TestRule4FiveInARowWithoutAConnection(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	p.lookup(known(0), breaker.Success)
	for range 4 {
		assert.Equal(t, breaker.Same, p.lookup(unknown(1), breaker.NoConnection))
	}
	p.lookup(known(0), breaker.Success)
	for range 4 {
		p.lookup(unknown(1), breaker.NoConnection)
		p.lookup(unknown(2), breaker.Failed)
		p.lookup(unknown(3), breaker.NoEvidence)
	}
	assert.Equal(t, breaker.NotOpen, p.Figures().Cause)
	change, figures := p.Leave(p.enter(unknown(2)), breaker.NoConnection, p.now)
	assert.Equal(t, breaker.Opened, change)
	assert.Equal(t, breaker.Figures{Cause: breaker.ByConnection, Users: 2}, figures)
	assert.Equal(t, "no connection", figures.Cause.String())
	p.turnsAway(known(0), breaker.ErrOpen)
	p.turnsAway(unknown(0), breaker.ErrOpen)
}

func TestRule4FiveKnownUsers(t *testing.T) {
	t.Parallel()
	t.Run("unknown tokens open nothing", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t)
		p.lookup(known(0), breaker.Success)
		p.pass(time.Hour)
		for i := range 1000 {
			p.lookup(unknown(i), breaker.Failed)
		}
		assert.Equal(t, breaker.Figures{}, p.Figures())
	})
	t.Run("one user with many tokens opens nothing", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t)
		for i := range 1000 {
			p.lookup(breaker.Caller{User: uint64(i % 4), Token: uint64(i), Known: true}, breaker.Failed)
		}
		assert.Equal(t, breaker.NotOpen, p.Figures().Cause)
		assert.Empty(t, breaker.NotOpen.String())
	})
	t.Run("not within a second of a success", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t)
		p.lookup(known(9), breaker.Success)
		p.pass(time.Second - 1)
		for i := range 100 {
			p.lookup(known(i), breaker.Failed)
		}
		assert.Equal(t, breaker.Figures{Users: 100}, p.Figures())
		p.pass(1)
		assert.Equal(t, breaker.Opened, p.lookup(known(0), breaker.Failed))
		assert.Equal(t, "known users", p.Figures().Cause.String())
	})
	t.Run("a success ends it", func(t *testing.T) {
		t.Parallel()
		p := newPlay(t)
		for i := range 4 {
			p.lookup(known(i), breaker.Failed)
		}
		p.lookup(unknown(1), breaker.Success)
		p.pass(time.Minute)
		for i := range 4 {
			p.lookup(known(i), breaker.Failed)
		}
		assert.Equal(t, breaker.NotOpen, p.Figures().Cause)
		assert.EqualValues(t, 1, p.Successes())
	})
}

func TestRule5KnownUsersOpenAtAColdStart(t *testing.T) {
	t.Parallel()
	newPlay(t).open() // by what a Store knew
}

func TestRule6ProbesOfKnownTokens(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	p.open()
	p.pass(time.Second - 1)
	p.turnsAway(known(1), breaker.ErrOpen)
	p.pass(1)
	p.turnsAway(unknown(1), breaker.ErrOpen)
	p.turnsAway(known(1), breaker.ErrOpen) // its user has failed already
	probe := p.enter(known(11))
	p.turnsAway(known(12), breaker.ErrOpen)
	p.pass(time.Second / 2)
	p.turnsAway(known(12), breaker.ErrOpen)
	p.Leave(probe, breaker.Failed, p.now)
	p.pass(time.Second/2 - 1)
	p.turnsAway(known(12), breaker.ErrOpen)
	p.pass(1)
	for i, nothing := range []breaker.Outcome{breaker.NoEvidence, breaker.Limited} {
		assert.Equal(t, breaker.Same, p.lookup(known(12+i), nothing))
		p.pass(500*time.Millisecond - 1)
		p.turnsAway(known(14), breaker.ErrOpen)
		p.pass(1)
	}
	assert.Equal(t, breaker.Closed, p.lookup(known(14), breaker.Success))
	assert.Equal(t, breaker.Figures{}, p.Figures())
	p.enter(known(1))
	p.enter(unknown(1))
}

// TestRule6AProbeThatHangs shows that one that began before GenAuth was there again does
// not keep the breaker open until it ends, and that its late word does not count. So it is
// with a lister that never returns.
func TestRule6AProbeThatHangs(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	p.open()
	p.pass(time.Second)
	stuck := p.enter(known(11))
	p.pass(time.Second - 1)
	p.turnsAway(known(12), breaker.ErrOpen)
	p.pass(1)
	second := p.enter(known(12))
	p.Leave(stuck, breaker.Failed, p.now)
	p.turnsAway(known(13), breaker.ErrOpen)
	p.pass(2 * time.Second)
	p.Leave(second, breaker.NoConnection, p.now)
	third := p.enter(known(13)) // it is a second since the second one began
	p.turnsAway(known(14), breaker.ErrOpen)
	p.Leave(third, breaker.Success, p.now)
	p.enter(known(14))
}

// TestRule6AUserWhoKeepsFailing has one user with many tokens who probes whenever it is
// allowed: others get their turn when they would without.
func TestRule6AUserWhoKeepsFailing(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		other   breaker.Caller
		probes  int           // in two seconds
		latency time.Duration // of each
	}{
		"known":   {known(11), 1, time.Millisecond},
		"unknown": {unknown(1), 1, time.Millisecond},
		"hanging": {unknown(1), 1, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlay(t)
			p.open()
			p.turnsAway(unknown(1), breaker.ErrOpen) // it has come
			var under []*breaker.Pass
			probes := 0
			for range 200 { // two seconds
				if pass, err := p.Enter(known(1), p.now, p.now.Add(2*time.Second)); err == nil {
					probes++
					under = append(under, pass)
				}
				p.pass(10 * time.Millisecond)
				for len(under) > 0 && p.now.Sub(time.Unix(1e9, 0)) > row.latency && row.latency < time.Second {
					p.Leave(under[0], breaker.Failed, p.now)
					under = under[1:]
				}
			}
			assert.Equal(t, row.probes, probes)
			assert.Equal(t, breaker.Closed, p.lookup(row.other, breaker.Success))
		})
	}
}

// TestRule6AUserWhoseProbesHang shows that one who would take each turn leaves half a
// second between two of them to others.
func TestRule6AUserWhoseProbesHang(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	p.open()
	p.pass(1500 * time.Millisecond)
	p.enter(known(1))
	for range 5 {
		p.pass(time.Second)
		p.turnsAway(known(2), breaker.ErrOpen) // it has failed already
		p.pass(time.Second/2 - 1)
		p.turnsAway(known(2), breaker.ErrOpen)
		p.pass(1)
		p.enter(known(2))
		p.turnsAway(known(11), breaker.ErrOpen)
	}
	p.pass(time.Second)
	assert.Equal(t, breaker.Closed, p.lookup(known(11), breaker.Success))
}

// TestRule6ManyUsersWhoKeepFailing shows that none of them is taken for one who has not
// failed, nor the other way around, as long as they can be told apart.
func TestRule6ManyUsersWhoKeepFailing(t *testing.T) {
	t.Parallel()
	for users, first := range map[int]bool{1000: true, 5000: false} {
		p := newPlay(t)
		failed := make([]*breaker.Pass, users)
		for i := range failed {
			failed[i] = p.enter(known(i))
		}
		for _, pass := range failed {
			p.Leave(pass, breaker.Failed, p.now)
		}
		assert.Equal(t, breaker.Figures{Cause: breaker.ByUsers, Users: min(users, 4096)}, p.Figures())
		p.pass(time.Second)
		p.turnsAway(known(1), breaker.ErrOpen)
		p.turnsAway(known(900), breaker.ErrOpen)
		if !first {
			p.turnsAway(known(9999), breaker.ErrOpen)
			p.pass(time.Second / 2)
		}
		p.enter(known(9999))
	}
}

// TestRule6AnUnknownProbeThatHangs shows that it is in no known user's way, and in the way
// of the next unknown one for a second.
func TestRule6AnUnknownProbeThatHangs(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	p.open()
	for i := range 2 {
		p.turnsAway(unknown(1+i), breaker.ErrOpen)
	}
	p.pass(2 * time.Second)
	p.enter(unknown(1))
	p.pass(time.Second - 1)
	p.turnsAway(unknown(2), breaker.ErrOpen)
	p.pass(1)
	p.enter(unknown(2))
	assert.Equal(t, breaker.Closed, p.lookup(known(1), breaker.Success))
}

func TestRule6ProbesOfUnknownTokens(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	p.open()
	p.pass(time.Second)
	p.turnsAway(unknown(1), breaker.ErrOpen)
	p.turnsAway(unknown(2), breaker.ErrOpen)
	p.pass(time.Second - 1)
	p.turnsAway(unknown(1), breaker.ErrOpen)
	p.pass(1)
	p.turnsAway(unknown(3), breaker.ErrOpen) // it comes for the first time
	p.lookup(unknown(1), breaker.Failed)
	p.turnsAway(unknown(1), breaker.ErrOpen) // again: it has had its turn
	p.pass(500*time.Millisecond - 1)
	p.turnsAway(unknown(2), breaker.ErrOpen)
	p.pass(1)
	p.lookup(unknown(2), breaker.NoEvidence)
	p.lookup(known(11), breaker.NoEvidence) // an unknown one is not in its way
	p.pass(time.Second + 500*time.Millisecond - 1)
	p.turnsAway(unknown(4), breaker.ErrOpen)
	p.pass(1)
	p.lookup(unknown(3), breaker.Failed) // it has waited
	p.pass(time.Second)
	p.turnsAway(unknown(5), breaker.ErrOpen)
	p.pass(500 * time.Millisecond)
	assert.Equal(t, breaker.Closed, p.lookup(unknown(6), breaker.Success), "for every caller")
}

// TestRule6MadeUpTokensProbeTwiceASecond has 200 of them a second, for a minute.
func TestRule6MadeUpTokensProbeTwiceASecond(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	p.open()
	probes, honest := 0, 0
	for i := range 60 * 200 {
		p.pass(5 * time.Millisecond)
		if pass, err := p.Enter(unknown(1000+i), p.now, p.now.Add(time.Second)); err == nil {
			probes++
			p.Leave(pass, breaker.Failed, p.now)
		}
		if i%210 == 0 { // a user heeds the Retry-After
			if pass, err := p.Enter(unknown(7), p.now, p.now.Add(time.Second)); err == nil {
				honest++
				p.Leave(pass, breaker.NoEvidence, p.now)
			}
		}
	}
	assert.InDelta(t, 60, probes+honest, 61, "at most two a second")
	assert.Greater(t, honest, 10, "of 57 tries: made-up tokens do not come back, and wait longer")
	assert.Equal(t, breaker.ByUsers, p.Figures().Cause)
}

// TestRule6AnUnknownTokenWithoutAConnection shows that this is evidence for every caller.
func TestRule6AnUnknownTokenWithoutAConnection(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	for i := range 5 {
		p.lookup(unknown(i), breaker.NoConnection)
	}
	p.pass(3 * time.Second)
	p.lookup(unknown(9), breaker.NoConnection)
	p.pass(time.Second - 1)
	p.turnsAway(known(1), breaker.ErrOpen)
	p.pass(1)
	p.enter(known(1))
}

// TestRule3AnySuccessCloses has one that was under way before.
func TestRule3AnySuccessCloses(t *testing.T) {
	t.Parallel()
	p := newPlay(t)
	slow := p.enter(unknown(1))
	p.open()
	change, _ := p.Leave(slow, breaker.Success, p.now)
	assert.Equal(t, breaker.Closed, change)
}
