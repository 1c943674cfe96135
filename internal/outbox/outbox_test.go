package outbox_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/internal/outbox"
)

var errAway = errors.New("away")

// post is where a Box sends to. It writes down what comes, and when.
type post struct {
	mu   sync.Mutex
	made time.Time
	err  error
	hang bool
	sent []int
	at   []time.Duration
}

func (p *post) send(ctx context.Context, name int) error {
	p.mu.Lock()
	p.sent, p.at = append(p.sent, name), append(p.at, time.Since(p.made))
	err, hang := p.err, p.hang
	p.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

func (p *post) is(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *post) since() (sent []int, at []time.Duration) {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	sent, at = p.sent, p.at
	p.sent, p.at = nil, nil
	return sent, at
}

// play gives a Box whose entries are retried for a minute.
func play(t *testing.T, do func(t *testing.T, b *outbox.Box[int, int], p *post)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &post{made: time.Now()}
		b := outbox.New[int](time.Minute, p.send)
		do(t, b, p)
		b.Close()
	})
}

func pass(d time.Duration) { <-time.After(d); synctest.Wait() }

// put notes an invalidation that the caller has sent itself.
func put(b *outbox.Box[int, int], name int, err error) (lost bool) {
	ticket, lost := b.Add(name, name)
	b.Done(ticket, err)
	return lost
}

func TestFailureIsSentAgain(t *testing.T) {
	play(t, func(t *testing.T, b *outbox.Box[int, int], p *post) {
		t.Helper()
		p.is(errAway)
		put(b, 1, errAway)
		pass(4 * time.Second)
		sent, at := p.since()
		assert.Equal(t, []int{1, 1, 1, 1}, sent)
		assert.Equal(t, []time.Duration{200, 600, 1400, 3000}, []time.Duration{at[0] / 1e6, at[1] / 1e6, at[2] / 1e6, at[3] / 1e6})
		p.is(nil)
		b.Hurry()
		sent, _ = p.since()
		assert.Equal(t, []int{1}, sent, "at once, since the store answers")
		pass(time.Minute)
		sent, _ = p.since()
		assert.Empty(t, sent, "it was acknowledged")
		waiting, dropped := b.Figures()
		assert.Zero(t, waiting)
		assert.Zero(t, dropped)
	})
}

func TestFailureIsGivenUpWhenFactsHaveExpired(t *testing.T) {
	play(t, func(t *testing.T, b *outbox.Box[int, int], p *post) {
		t.Helper()
		p.is(errAway)
		put(b, 1, errAway)
		pass(59 * time.Second)
		sent, _ := p.since()
		assert.Greater(t, len(sent), 25)
		pass(4 * time.Second)
		p.since()
		pass(time.Hour)
		sent, _ = p.since()
		assert.Empty(t, sent)
		waiting, _ := b.Figures()
		assert.Zero(t, waiting)
	})
}

// TestRewindSendsAgain: what is at most 6 minutes old is sent again, at most 200 a
// second, and what is older is not.
func TestRewindSendsAgain(t *testing.T) {
	play(t, func(t *testing.T, b *outbox.Box[int, int], p *post) {
		t.Helper()
		put(b, 1, nil)
		pass(2 * time.Minute)
		for name := 2; name <= 402; name++ {
			put(b, name, nil)
		}
		pass(4*time.Minute + time.Second)
		begun := time.Since(p.made)
		b.Again()
		pass(time.Second)
		sent, at := p.since()
		assert.NotContains(t, sent, 1)
		assert.InDelta(t, 200, len(sent), 2)
		assert.Equal(t, begun, at[0])
		pass(2 * time.Second)
		rest, _ := p.since()
		assert.Len(t, append(sent, rest...), 401)
		b.Again()
		pass(3 * time.Second)
		again, _ := p.since()
		assert.Len(t, again, 401, "each time")
		pass(6 * time.Minute)
		b.Again()
		pass(3 * time.Second)
		again, _ = p.since()
		assert.Empty(t, again, "they are too old")
	})
}

// TestRewindSendsTheLatestFirst: a Store that was a little behind has lost the latest. The
// oldest are still the first that have no place.
func TestRewindSendsTheLatestFirst(t *testing.T) {
	play(t, func(t *testing.T, b *outbox.Box[int, int], p *post) {
		t.Helper()
		const first = 500
		for name := range first {
			put(b, name, nil)
			pass(time.Millisecond)
		}
		b.Again()
		pass(time.Second)
		sent, _ := p.since()
		for i := range 200 {
			assert.Equal(t, first-1-i, sent[i])
		}
		pass(time.Minute)
		rest, _ := p.since()
		assert.Len(t, append(sent, rest...), first)
		for name := first; name < outbox.Max+10; name++ {
			put(b, name, nil)
		}
		b.Again()
		pass(time.Minute)
		sent, _ = p.since()
		assert.Len(t, sent, outbox.Max)
		for name := range 10 {
			assert.NotContains(t, sent, name, "the oldest")
		}
	})
}

// TestToldIsSentSeldom: an attempt fails, but the Store has told of it.
func TestToldIsSentSeldom(t *testing.T) {
	play(t, func(t *testing.T, b *outbox.Box[int, int], p *post) {
		t.Helper()
		p.is(errAway)
		before, _ := b.Add(1, 1)
		b.Told(1)
		b.Done(before, errAway)
		put(b, 2, errAway)
		b.Told(2)
		b.Told(3)
		pass(10*time.Second - 1)
		sent, _ := p.since()
		assert.Empty(t, sent)
		pass(10 * time.Millisecond)
		sent, _ = p.since()
		assert.ElementsMatch(t, []int{1, 2}, sent, "it is not acknowledged")
		pass(time.Second)
		sent, _ = p.since()
		assert.GreaterOrEqual(t, len(sent), 3, "what is not told any more is sent as before")
		b.Told(1)
		b.Told(2)
		b.Again()
		pass(10 * time.Millisecond)
		sent, _ = p.since()
		assert.ElementsMatch(t, []int{1, 2}, sent, "what was told may be lost")
		pass(time.Second)
		p.is(nil)
		pass(time.Minute)
		p.since()
		b.Told(1)
		pass(time.Minute)
		sent, _ = p.since()
		assert.Empty(t, sent, "it is acknowledged")
	})
}

// TestToldAfterARewind: what is told before an invalidation is sent again is an older one of
// the same name, which the Store has not lost.
func TestToldAfterARewind(t *testing.T) {
	play(t, func(t *testing.T, b *outbox.Box[int, int], p *post) {
		t.Helper()
		put(b, 1, nil)
		pass(time.Second)
		put(b, 2, nil)
		b.Again()
		b.Told(1)
		pass(10 * time.Millisecond)
		sent, _ := p.since()
		assert.Equal(t, []int{2, 1}, sent)
	})
}

// TestRewindMeanwhile: an attempt that is under way while the history is lost may have
// been made before.
func TestRewindMeanwhile(t *testing.T) {
	play(t, func(t *testing.T, b *outbox.Box[int, int], p *post) {
		t.Helper()
		ticket, _ := b.Add(1, 1)
		b.Again()
		b.Done(ticket, nil)
		sent, _ := p.since()
		assert.Equal(t, []int{1}, sent)
	})
}

func TestLaterInvalidationTakesThePlace(t *testing.T) {
	play(t, func(t *testing.T, b *outbox.Box[int, int], p *post) {
		t.Helper()
		first, _ := b.Add(1, 1)
		second, _ := b.Add(1, 1)
		b.Done(first, nil)
		waiting, _ := b.Figures()
		assert.Equal(t, 1, waiting, "the second is under way")
		b.Done(second, errAway)
		pass(time.Second)
		sent, _ := p.since()
		assert.Equal(t, []int{1}, sent)
	})
}

// TestOverflow drops what was acknowledged before what was not.
func TestOverflow(t *testing.T) {
	play(t, func(t *testing.T, b *outbox.Box[int, int], p *post) {
		t.Helper()
		p.is(errAway)
		p.hang = true
		assert.False(t, put(b, -1, errAway))
		for name := range outbox.Max {
			assert.False(t, put(b, name, nil))
		}
		waiting, dropped := b.Figures()
		assert.Equal(t, 1, waiting)
		assert.Zero(t, dropped)
		for name := range outbox.Max - 1 {
			assert.False(t, put(b, -2-name, errAway))
		}
		assert.True(t, put(b, 1_000_000, errAway))
		waiting, dropped = b.Figures()
		assert.Equal(t, outbox.Max, waiting)
		assert.Equal(t, uint64(1), dropped)
	})
}

// TestClose tries once more, for a second at most.
func TestClose(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		err  error
		hang bool
		want time.Duration
	}{"works": {}, "fails": {err: errAway}, "is silent": {hang: true, want: 900 * time.Millisecond}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &post{made: time.Now(), err: row.err, hang: row.hang}
				b := outbox.New[int](time.Minute, p.send)
				for name := range 20 {
					put(b, name, errAway)
				}
				begun := time.Now()
				b.Close()
				assert.Equal(t, row.want, time.Since(begun))
				sent, _ := p.since()
				if !row.hang {
					assert.Len(t, sent, 20)
				}
				assert.NotEmpty(t, sent)
				put(b, 99, errAway)
				pass(time.Hour)
				sent, _ = p.since()
				assert.Empty(t, sent)
			})
		})
	}
}
