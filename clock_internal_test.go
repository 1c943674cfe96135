package echomfa

import (
	"testing"
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
			now := moment{monotonic: sent.monotonic + int64(row.after), wall: sent.wall + int64(row.after+row.step)}
			k := digest.Key{} // without jitter
			f := &flight{q: &question{key: k, keep: true}, sent: sent, facts: facts{enrolled: Factors(OTP)}}
			c.keep(c.shard(k), f)
			_, satisfied := c.read(k, AnyOf(OTP), now)
			_, missing := c.read(k, AnyOf(SMS), now)
			assert.Equal(t, row.satisfied, satisfied)
			assert.Equal(t, row.missing, missing)

			c.refuse(c.shard(k), f, errNoToken())
			r, n := c.read(k, AnyOf(OTP), now)
			assert.Equal(t, row.refused, n == nothing)
			assert.Equal(t, row.refused, r.err != nil)
			assert.False(t, r.known)
		})
	}
}
