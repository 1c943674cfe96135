package echomfa

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

// slowEnforcer makes an Enforcer whose lookups take a second, in a bubble.
func slowEnforcer(t *testing.T, timeout time.Duration) *Enforcer {
	t.Helper()
	e, err := New(Config{
		Namespace: "n", InsecureAnyAudience: true,
		Client: FactorListerFunc(func(ctx context.Context, _ string) ([]client.Factor, error) {
			select {
			case <-time.After(time.Second):
				return []client.Factor{{ID: "1", Type: OTP}}, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}),
		Cache:  CacheConfig{StaleIfError: 2 * time.Minute},
		Lookup: LookupConfig{Timeout: timeout},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	return e
}

// TestDecisionsAtTheLastInstant has the ends of what may stand in for an own
// lookup, to the nanosecond.
func TestDecisionsAtTheLastInstant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := slowEnforcer(t, 0)
		c, p := e.decider.cache, AnyOf(OTP)
		k := c.keys.Key("token")
		begin := time.Now()
		at := func(d time.Duration) moment { return c.moment(begin.Add(d)) }
		put := func(enrolled FactorType) {
			c.keep(c.shard(k), &flight{
				q: &question{key: k, keep: true}, sent: at(0), facts: facts{enrolled: Factors(enrolled)}, epoch: c.epochNow(),
			})
		}

		put(OTP)
		fresh := c.freshFor(k)
		for age, want := range map[time.Duration]Source{
			fresh: Cached, fresh + 1: Stale, 2 * time.Minute: Stale, 2*time.Minute + 1: NoSource,
		} {
			r, ok := c.standIn(k, p, at(age))
			assert.Equal(t, want != NoSource, ok, age)
			if ok {
				assert.Equal(t, want, r.source, age)
			}
		}
		c.epoch.Add(1)
		_, ok := c.standIn(k, p, at(0))
		assert.False(t, ok, "X8: something may have been invalidated unheard")
		put(SMS)
		_, ok = c.standIn(k, p, at(0))
		assert.False(t, ok, "facts that do not satisfy stand in for nothing")

		c.refuse(c.shard(k), &flight{q: &question{key: k}, sent: at(0), epoch: c.epochNow()}, errNoToken())
		for age, want := range map[time.Duration]bool{5 * time.Second: true, 5*time.Second + 1: false} {
			var r reading
			n := c.read(k, p, at(age), &r)
			assert.Equal(t, want, r.err != nil && n == nothing, age)
		}
	})
}

// TestReportOnlyWaitsLittle shows that a request that is let through anyway waits
// 100 ms for a lookup, and less if Timeout is less.
func TestReportOnlyWaitsLittle(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		timeout  time.Duration
		enforced bool
		waits    time.Duration
		err      error
	}{
		"enforced":                   {0, true, time.Second, nil},
		"report only":                {0, false, 100 * time.Millisecond, errReportWait},
		"report only, short Timeout": {40 * time.Millisecond, false, 40 * time.Millisecond, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := slowEnforcer(t, row.timeout)
				begin := time.Now()
				d := Decision{Enforced: row.enforced, Policy: AnyOf(OTP)}
				err := e.decider.decide(t.Context(), &d, &request{token: "token"})
				require.ErrorIs(t, err, row.err)
				assert.Equal(t, row.waits, time.Since(begin))
			})
		})
	}
}

// TestZeroReadingRefuses shows that a reading nobody has filled in is an error and no
// verdict.
func TestZeroReadingRefuses(t *testing.T) {
	t.Parallel()
	e := slowEnforcer(t, 0)
	d := Decision{Enforced: true, Policy: AnyOf(OTP)}
	require.Error(t, e.decider.conclude(&d, &reading{}))
	assert.Equal(t, InternalError, d.Outcome)
	assert.False(t, d.proceeds())
}

// TestLookupAfterTheEnd has a request come to a source between the end of the
// lookups and that of the budget.
func TestLookupAfterTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := slowEnforcer(t, 0)
		e.decider.running.close()
		d := Decision{Enforced: true, Policy: AnyOf(OTP)}
		require.ErrorIs(t, e.decider.decide(t.Context(), &d, &request{token: "token"}), ErrClosed)
		assert.Equal(t, Unavailable, d.Outcome)
		inFlight, queued, _ := e.decider.genauth.budget.Figures()
		assert.Zero(t, inFlight+queued, "its turn is given back")
	})
}

// TestStoreAfterTheEnd has a request come to the Store after the lookups have ended.
func TestStoreAfterTheEnd(t *testing.T) {
	t.Parallel()
	ended := newRunning()
	ended.close()
	s := &storeSource{}
	s.lookups = lookups{
		cache: newCache(CacheConfig{Size: 64, RefusedSize: 64, FreshFor: time.Minute, DenyFreshFor: time.Second}, "n"),
		table: storeTable, running: ended, timeout: time.Second, start: s.start,
	}
	r, done, err := s.fetch(t.Context(), &question{name: StoreKey{1}}, AnyOf(OTP), reading{})
	require.ErrorIs(t, err, ErrClosed)
	assert.False(t, done || r.known)
}

// TestStoreIsNotAskedForWhatIsKnown has another request learn the answer before this
// one comes to the Store.
func TestStoreIsNotAskedForWhatIsKnown(t *testing.T) {
	t.Parallel()
	c := newCache(CacheConfig{Size: 64, RefusedSize: 64, FreshFor: time.Minute, DenyFreshFor: time.Second}, "n")
	s := &storeSource{lookups: lookups{cache: c, table: storeTable}}
	q := &question{key: c.keys.Key("token"), keep: true, name: StoreKey{1}}
	c.keep(c.shard(q.key), &flight{q: q, sent: c.send(time.Now()), facts: facts{enrolled: Factors(OTP)}})
	r, done, err := s.fetch(t.Context(), q, AnyOf(OTP), reading{})
	require.NoError(t, err)
	assert.True(t, done)
	assert.Equal(t, Cached, r.source)
}

// TestFullListOfPoliciesTakesNoLock has a RequireFunc go on making policies of what
// clients send: their requests must not wait for one another.
func TestFullListOfPoliciesTakesNoLock(t *testing.T) {
	t.Parallel()
	var list policies
	for i := range maxPolicies {
		require.True(t, list.add(Custom(FactorType(fmt.Sprintf("X%d", i)))))
	}
	list.mu.Lock()
	defer list.mu.Unlock()
	assert.False(t, list.add(Custom("Y")), "it would wait for the lock without end")
}
