package breaker_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/internal/breaker"
)

func TestRule8Memory(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	t.Run("the second failure, while others succeed", func(t *testing.T) {
		t.Parallel()
		m := breaker.Memory{}.Fail(now, 7, false)
		assert.Zero(t, m.Rest(now), "the first")
		assert.True(t, m.Failing())
		m = m.Fail(now, 7, false)
		assert.Zero(t, m.Rest(now), "others fail too")
		m = m.Fail(now, 8, false)
		assert.Equal(t, 2*time.Second, m.Rest(now))
		assert.Equal(t, time.Second, m.Rest(now.Add(time.Second)))
		assert.Zero(t, m.Rest(now.Add(2*time.Second)))
		m = m.Fail(now.Add(time.Minute), 8, false)
		assert.Zero(t, m.Rest(now.Add(time.Minute)), "nobody has succeeded since")
	})
	t.Run("twice as long each time", func(t *testing.T) {
		t.Parallel()
		m := breaker.Memory{}
		for i, seconds := range []int{0, 2, 4, 8, 16, 30, 30} {
			want := time.Duration(seconds) * time.Second
			m = m.Fail(now, uint64(i), false)
			assert.Equal(t, want, m.Rest(now), i)
			now := now.Add(m.Rest(now))
			assert.Zero(t, m.Rest(now))
		}
	})
	t.Run("at once if it is certain", func(t *testing.T) {
		t.Parallel()
		m := breaker.Memory{}.Fail(now, 0, true)
		assert.Equal(t, 2*time.Second, m.Rest(now))
		assert.Equal(t, 4*time.Second, m.Fail(now, 0, true).Rest(now))
	})
	t.Run("as long as GenAuth asks", func(t *testing.T) {
		t.Parallel()
		m := breaker.Memory{}.Hold(now, 7*time.Second)
		assert.Equal(t, 7*time.Second, m.Rest(now))
		assert.Equal(t, 7*time.Second, m.Hold(now, time.Second).Rest(now), "not less than it asked before")
		assert.False(t, m.Failing())
	})
	assert.False(t, breaker.Memory{}.Failing())
	assert.Zero(t, breaker.Memory{}.Rest(now))
}

func TestRule11Limits(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	var l breaker.Limits
	assert.Zero(t, l.Met(known(1), time.Minute, now), "one user")
	assert.Zero(t, l.Met(known(1), time.Minute, now), "the same")
	assert.Zero(t, l.Met(known(2), 3*time.Second, now.Add(time.Second+1)), "too long after")
	assert.Equal(t, now.Add(9*time.Second+1), l.Met(known(1), 7*time.Second, now.Add(2*time.Second+1)), "another one")
	assert.Equal(t, now.Add(9*time.Second+1), l.Met(known(2), time.Second, now.Add(2500*time.Millisecond+1)), "the longer counts")
	var zero breaker.Limits
	assert.Zero(t, zero.Met(breaker.Caller{Known: true}, time.Second, time.Time{}), "there is none before")
	var anybody breaker.Limits
	for i := range 10 {
		assert.Zero(t, anybody.Met(unknown(i), time.Minute, now), "anybody can make up a token")
	}
	assert.Zero(t, anybody.Met(known(1), time.Minute, now), "nor are they the first of two")
	assert.Zero(t, anybody.Met(unknown(2), time.Minute, now), "nor the second")
	assert.NotZero(t, anybody.Met(known(2), time.Second, now))
}

func TestRule1Known(t *testing.T) {
	t.Parallel()
	k := breaker.NewKnown(100)
	key := func(place uint16, mark byte) [16]byte {
		return [16]byte{10: byte(place >> 8), 11: byte(place), 15: mark}
	}
	assert.False(t, k.Has([16]byte{}), "not even the empty key")
	k.Add(key(5, 2))
	assert.True(t, k.Has(key(5, 2)))
	assert.False(t, k.Has(key(5, 4)))
	assert.False(t, k.Has(key(6, 2)))
	k.Add(key(5+4096, 4))
	assert.False(t, k.Has(key(5, 2)), "the table has 4,096 places, and forgets")
	large := breaker.NewKnown(4097)
	large.Add(key(5, 2))
	large.Add(key(5+4096, 4))
	assert.True(t, large.Has(key(5, 2)), "this one has more")
}

func TestRow(t *testing.T) {
	t.Parallel()
	var r breaker.Row
	now := time.Unix(1e9, 0)
	try := func(ok bool) bool {
		t.Helper()
		assert.True(t, r.Enter(now))
		return r.Leave(ok, now)
	}
	for range 4 {
		assert.False(t, try(false))
	}
	assert.False(t, try(true))
	for range 4 {
		assert.False(t, try(false))
	}
	assert.False(t, r.Open())
	assert.True(t, try(false))
	assert.True(t, r.Open())
	now = now.Add(time.Second - 1)
	assert.False(t, r.Enter(now))
	now = now.Add(1)
	assert.True(t, r.Enter(now))
	assert.False(t, r.Enter(now), "one at a time")
	assert.False(t, r.Leave(false, now), "nothing new")
	assert.False(t, r.Enter(now))
	now = now.Add(time.Second)
	assert.True(t, try(true))
	assert.False(t, r.Open())
	assert.True(t, r.Enter(now))
	assert.True(t, r.Enter(now))
}
