package echomfa

import (
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
)

// steppedBy returns the time d after t by the monotonic clock, at which the wall
// clock has been set on by step. Package time has no way to make one: it is
// what time.Now returns after an administrator, or NTP, has set the clock.
func steppedBy(t time.Time, d, step time.Duration) time.Time {
	t = t.Add(d)
	// A time with a monotonic reading holds the seconds of the wall clock from
	// bit 30 of its first word on, as the comment on time.Time says.
	wall := (*uint64)(unsafe.Pointer(&t))
	*wall = uint64(int64(*wall) + int64(step/time.Second)<<30)
	return t
}

// TestF39ClockSteps sets the wall clock by an hour, back and forth: entries and
// refusals live no longer than their time.
func TestF39ClockSteps(t *testing.T) {
	t.Parallel()
	sent := time.Now()
	for _, step := range []time.Duration{-time.Hour, time.Hour} {
		now := steppedBy(sent, time.Minute, step)
		assert.Equal(t, time.Minute, now.Sub(sent), "the monotonic clock does not step")
		assert.Equal(t, time.Minute+step, now.Round(0).Sub(sent.Round(0)))
	}
	c := newCache(CacheConfig{Size: 64, RefusedSize: 64, FreshFor: time.Minute, DenyFreshFor: 2 * time.Second, RefusedFor: 5 * time.Second}, "test")
	rows := map[string]struct {
		after, step time.Duration
		satisfied   answer // what facts say that satisfy
		missing     answer // what facts say that do not
		refused     bool   // whether a refusal is remembered
	}{
		"no step":               {time.Second, 0, answerAllow, answerRefuse, true},
		"no step, later":        {30 * time.Second, 0, answerAllow, answerAsk, false},
		"no step, over":         {61 * time.Second, 0, answerAsk, answerAsk, false},
		"an hour back":          {time.Second, -time.Hour, answerAllow, answerRefuse, true},
		"an hour back, later":   {30 * time.Second, -time.Hour, answerAllow, answerAsk, false},
		"an hour back, over":    {61 * time.Second, -time.Hour, answerAsk, answerAsk, false},
		"an hour on":            {time.Second, time.Hour, answerAsk, answerAsk, false},
		"an hour on, later":     {30 * time.Second, time.Hour, answerAsk, answerAsk, false},
		"an hour on, over":      {61 * time.Second, time.Hour, answerAsk, answerAsk, false},
		"a suspended machine":   {0, 61 * time.Second, answerAsk, answerAsk, false},
		"a second back, recent": {time.Second, -time.Second, answerAllow, answerRefuse, true},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			now := steppedBy(sent, row.after, row.step)
			e := &entry{sent: c.moment(sent)}
			assert.Equal(t, row.satisfied, c.rely(cacheKey{}, e, true, c.age(e, now))) // a key without jitter
			assert.Equal(t, row.missing, c.rely(cacheKey{}, e, false, c.age(e, now)))

			k := c.key(name)
			f := &flight{key: k, sent: sent}
			s := c.shard(k)
			s.mu.Lock()
			s.flights[k] = f
			s.mu.Unlock()
			s.refuse(f, errNoToken())
			assert.Equal(t, row.refused, c.refusal(k, now) != nil)
		})
	}
}
