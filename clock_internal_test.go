package echomfa

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/internal/digest"
)

// TestF39ClockSteps sets the wall clock by an hour, back and forth: entries and
// refusals live no longer than their time.
func TestF39ClockSteps(t *testing.T) {
	t.Parallel()
	rules := CacheConfig{Size: 64, RefusedSize: 64, FreshFor: time.Minute, DenyFreshFor: 2 * time.Second, RefusedFor: 5 * time.Second}
	for name, row := range map[string]struct {
		after, step time.Duration
		satisfied   need // after facts that satisfy
		missing     need // after facts that do not
		refused     bool // whether a refusal is remembered
	}{
		"no step":               {time.Second, 0, nothing, nothing, true},
		"no step, later":        {30 * time.Second, 0, nothing, recheck, false},
		"no step, over":         {61 * time.Second, 0, renewal, recheck, false},
		"an hour back":          {time.Second, -time.Hour, nothing, nothing, true},
		"an hour back, later":   {30 * time.Second, -time.Hour, nothing, recheck, false},
		"an hour back, over":    {61 * time.Second, -time.Hour, renewal, recheck, false},
		"an hour on":            {time.Second, time.Hour, renewal, recheck, false},
		"an hour on, later":     {30 * time.Second, time.Hour, renewal, recheck, false},
		"an hour on, over":      {61 * time.Second, time.Hour, renewal, recheck, false},
		"a suspended machine":   {0, 61 * time.Second, renewal, recheck, false},
		"a second back, recent": {time.Second, -time.Second, nothing, nothing, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCache(rules, "test")
			sent := c.send(time.Now())
			now := c.at(sent.monotonic+int64(row.after), sent.wall+int64(row.after+row.step))
			k := digest.Key{} // without jitter
			f := &flight{q: &question{key: k, keep: true}, sent: sent, facts: facts{enrolled: Factors(OTP)}}
			c.keep(c.shard(k), f)
			assert.Equal(t, row.satisfied, c.read(k, AnyOf(OTP), now, &reading{}))
			assert.Equal(t, row.missing, c.read(k, AnyOf(SMS), now, &reading{}))

			c.refuse(c.shard(k), f, errNoToken())
			var r reading
			n := c.read(k, AnyOf(OTP), now, &r)
			assert.Equal(t, row.refused, n == nothing)
			assert.Equal(t, row.refused, r.err != nil)
			assert.False(t, r.known)
		})
	}
}

// TestF39ClocksDriftUnnoticedForAMillisecond shows how late it is noticed that the
// wall clock was set, or that the machine was suspended, which sets it on.
func TestF39ClocksDriftUnnoticedForAMillisecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c clock
		c.start()
		c.gained.Store(int64(time.Minute)) // counts at once
		for _, step := range []time.Duration{time.Hour, -time.Hour} {
			time.Sleep(time.Second)
			assert.Equal(t, c.moment(time.Now()), c.now(), "the last one was a second ago")
			c.ahead.Add(int64(-step)) // as if the wall clock had been set since
			time.Sleep(time.Millisecond - 1)
			assert.Equal(t, time.Now().UnixNano()-int64(step), c.now().wall, "not yet")
			assert.Equal(t, c.moment(time.Now()).monotonic, c.now().monotonic)
			time.Sleep(time.Nanosecond)
			assert.Equal(t, c.moment(time.Now()), c.now())
			assert.Equal(t, c.moment(time.Now()), c.now(), "from now on")
		}
		c.read.Add(int64(time.Hour)) // another thread has read both since
		c.ahead.Add(1)
		assert.Equal(t, c.moment(time.Now()), c.now())
	})
}

// TestF39TimeIsNeverSetBack follows the cache's own time while the system's clocks go
// apart: it goes with the monotonic one, and on with all that the wall clock gains.
func TestF39TimeIsNeverSetBack(t *testing.T) {
	t.Parallel()
	const s, small = int64(time.Second), int64(19 * time.Millisecond)
	type reading struct{ monotonic, ahead, want int64 }
	for name, list := range map[string][]reading{
		"together":                      {{s, 0, s}, {9 * s, 0, 9 * s}},
		"an hour on":                    {{s, 3600 * s, 3601 * s}, {2 * s, 3600 * s, 3602 * s}},
		"an hour back":                  {{s, -3600 * s, s}, {2 * s, -3600 * s, 2 * s}},
		"back, then suspended":          {{s, -3600 * s, s}, {2 * s, -3590 * s, 12 * s}},
		"on and back":                   {{s, 10 * s, 11 * s}, {2 * s, 0, 12 * s}, {3 * s, 0, 13 * s}},
		"back and on":                   {{s, -10 * s, s}, {2 * s, 0, 12 * s}},
		"a clock that goes in steps":    {{s, small, s}, {2 * s, 0, 2 * s}, {3 * s, small, 3 * s}, {4 * s, -small, 4 * s}},
		"little by little":              {{s, small, s}, {2 * s, 2 * small, 2*s + 2*small}},
		"at the limit":                  {{s, unnoticed - 1, s}, {2 * s, unnoticed, 2*s + unnoticed}},
		"at the limit, back":            {{s, 1 - unnoticed, s}, {2 * s, -unnoticed, 2 * s}, {3 * s, 0, 3*s + unnoticed}},
		"read before a step, and later": {{3 * s, 10 * s, 13 * s}, {2 * s, 0, 12 * s}, {4 * s, 10 * s, 14 * s}},
		"two steps at one time":         {{s, 10 * s, 11 * s}, {s, 20 * s, 21 * s}},
		"an age, after a step":          {{3 * s, 10 * s, 13 * s}, {-5 * s, 10 * s, 5 * s}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c clock
			c.start()
			made := c.made.UnixNano()
			for i, r := range list {
				want := moment{monotonic: r.want, wall: made + r.monotonic + r.ahead}
				assert.Equal(t, want, c.at(r.monotonic, made+r.monotonic+r.ahead), i)
			}
		})
	}
}
