package integration_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestF25Flapping has GenAuth come and go, each time until each caller has noticed.
// It runs alone: nobody else shall take the port while it is free.
func TestF25Flapping(t *testing.T) {
	r := newRig(t, func(s *setup) { s.enforcer.Cache.FreshFor = 100 * time.Millisecond })
	over := make(chan struct{})
	var wg sync.WaitGroup
	var answers [4]struct{ right, later atomic.Int64 }
	for i, c := range callers() {
		wg.Go(func() {
			for {
				got := r.ask(c)
				if got.status == http.StatusServiceUnavailable {
					r.refused(got, http.StatusServiceUnavailable)
					answers[i].later.Add(1)
				} else {
					if c.has {
						r.granted(got)
					} else {
						r.sentToEnroll(got)
					}
					answers[i].right.Add(1)
				}
				select {
				case <-over:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		})
	}
	notice := func(of func(i int) int64) {
		var before [4]int64
		for i := range answers {
			before[i] = of(i)
		}
		r.eventually("it is not noticed", func() bool {
			for i := range answers {
				if of(i) == before[i] {
					return false
				}
			}
			return true
		})
	}
	for range 3 {
		notice(func(i int) int64 { return answers[i].right.Load() })
		r.front.refuse()
		notice(func(i int) int64 { return answers[i].later.Load() })
		r.front.listen()
	}
	close(over)
	wg.Wait()
	r.warmUp(append(callers(),
		caller{has: true, token: tokenWith("afterwards")}, caller{has: false, token: tokenWithout("afterwards")}))
}

// TestF26LongOutage is ten minutes: facts are used to their end, or to the end of
// StaleIfError, and no longer. GenAuth is tried once a second, and a second after
// it is back all is well.
func TestF26LongOutage(t *testing.T) {
	t.Parallel()
	const freshFor, denyFreshFor, outage = time.Minute, 2 * time.Second, 10 * time.Minute
	for _, staleIfError := range []time.Duration{0, 2 * time.Minute} {
		t.Run(fmt.Sprintf("StaleIfError %v", staleIfError), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var gone atomic.Bool
				var tries atomic.Int64
				r := newClockRig(t, func(_ context.Context, token string) ([]client.Factor, error) {
					if gone.Load() {
						tries.Add(1)
						return nil, &client.TransportError{Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}
					}
					return truthOf(token), nil
				}, func(c *echomfa.Config) { c.Cache.StaleIfError = staleIfError })
				for _, c := range callers() {
					r.right(r.local(t.Context(), c))
				}
				gone.Store(true)
				// An entry's own life is up to a tenth shorter than FreshFor.
				least, most := freshFor-freshFor/10, freshFor
				if staleIfError > 0 {
					least, most = staleIfError, staleIfError
				}
				begin := time.Now()
				const every = time.Second + time.Millisecond // the breaker's second must be over
				for n := 0; ; n++ {
					at := time.Since(begin)
					if at >= outage {
						break
					}
					for _, c := range callers() {
						got := r.local(t.Context(), c)
						switch {
						case c.has && at < least, !c.has && at <= denyFreshFor:
							r.right(got)
						case !c.has, at > most:
							r.refused(got, http.StatusServiceUnavailable)
						case got.status != http.StatusServiceUnavailable: // the entry's own end is near
							r.granted(got)
						}
					}
					r.refused(r.local(t.Context(), caller{has: true, token: tokenWith(fmt.Sprintf("cold-%d", n))}), http.StatusServiceUnavailable)
					pass(t, every)
				}
				seconds := int64(outage / time.Second)
				assert.LessOrEqual(t, tries.Load(), 2*5+seconds, "one try a second, when it has failed five times, each with a second try")
				assert.GreaterOrEqual(t, tries.Load(), seconds*8/10, "it is tried")
				gone.Store(false)
				pass(t, time.Second)
				for _, c := range append(callers(), caller{has: true, token: tokenWith("afterwards")}, caller{token: tokenWithout("afterwards")}) {
					r.right(r.local(t.Context(), c))
				}
			})
		})
	}
}

// listing is a lister in memory, for the rows that need a clock of their own.
func listing(types ...client.FactorType) []client.Factor {
	list := make([]client.Factor, 0, len(types))
	for _, typ := range types {
		list = append(list, client.Factor{ID: "id-" + string(typ), Type: typ})
	}
	return list
}

func newInMemory(t *testing.T, lister echomfa.FactorListerFunc, change func(*echomfa.Config)) *echomfa.Enforcer {
	t.Helper()
	cfg := echomfa.Config{Client: lister, Namespace: "faults", Audience: []string{faultAppID}}
	if change != nil {
		change(&cfg)
	}
	e, err := echomfa.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	return e
}

// TestF33EntriesEndTogether makes 10,000 entries in one instant, by a clock that
// allows it.
func TestF33EntriesEndTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const entries = 2000
		var inFlight, most atomic.Int64
		var slow atomic.Bool
		e := newInMemory(t, func(ctx context.Context, _ string) ([]client.Factor, error) {
			n := inFlight.Add(1)
			defer inFlight.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			if slow.Load() {
				select {
				case <-time.After(50 * time.Millisecond):
				case <-ctx.Done():
				}
			}
			return listing(client.OTP), nil
		}, func(c *echomfa.Config) { c.Lookup.MaxPerSecond = 1e6 })
		for i := range entries {
			_, err := e.Decide(t.Context(), tokenWith(strconv.Itoa(i)), otpPolicy())
			require.NoError(t, err)
		}
		slow.Store(true)
		pass(t, 57*time.Second) // in the last tenth of FreshFor
		var wg sync.WaitGroup
		var bySource [echomfa.Stale + 1]atomic.Int64
		for i := range entries {
			wg.Go(func() {
				d, err := e.Decide(t.Context(), tokenWith(strconv.Itoa(i)), otpPolicy())
				assert.Equal(t, err == nil, d.Outcome == echomfa.Allowed)
				assert.Contains(t, []echomfa.Outcome{echomfa.Allowed, echomfa.Unavailable}, d.Outcome)
				bySource[d.Source].Add(1)
			})
		}
		wg.Wait()
		assert.Equal(t, int64(64), most.Load())
		assert.InDelta(t, entries/2, bySource[echomfa.Cached].Load(), entries/10, "the ends are spread")
	})
}

// TestF33EndedEntriesOverSockets counts at GenAuth.
func TestF33EndedEntriesOverSockets(t *testing.T) {
	t.Parallel()
	const entries = 100
	r := newRig(t, func(s *setup) {
		s.enforcer.Cache.FreshFor = 2 * time.Second
		s.enforcer.Lookup = echomfa.LookupConfig{Timeout: patience, MaxConcurrent: 16, MaxPerSecond: 1e6}
	})
	var load gauge
	r.front.answer(func(w http.ResponseWriter, req *http.Request) {
		defer load.enter()()
		pass(t, time.Millisecond)
		tellTruth(w, req)
	})
	all := make([]caller, entries)
	for i := range all {
		all[i] = caller{browser: i%2 == 0, has: i%3 != 0, token: tokenWith(strconv.Itoa(i))}
		if !all[i].has {
			all[i].token = tokenWithout(strconv.Itoa(i))
		}
		r.right(r.local(t.Context(), all[i]))
	}
	pass(t, 2*time.Second)
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() {
			if got := r.local(t.Context(), c); got.status != http.StatusServiceUnavailable {
				r.right(got)
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, load.most(), 16)
	assert.Greater(t, load.most(), 1)
}

// allHave has GenAuth say the same of every user.
func allHave(types ...string) func(*rig) {
	return func(r *rig) {
		r.front.answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, envelope(types...)) })
	}
}

func TestF34FactorResetWhileCached(t *testing.T) {
	t.Parallel()
	const freshFor = 400 * time.Millisecond
	r := newRig(t, func(s *setup) {
		s.enforcer.Cache.FreshFor, s.enforcer.Cache.StaleIfError = freshFor, time.Minute
	})
	for _, has := range []caller{callers()[0], callers()[2]} {
		allHave("OTP")(r)
		before := time.Now()
		r.granted(r.ask(has))
		after := time.Now()
		allHave("EMAIL")(r)
		without := has
		without.has = false
		got := r.ask(without)
		for time.Since(after) <= freshFor {
			if got.status != http.StatusOK {
				assert.GreaterOrEqual(t, time.Since(before), freshFor-freshFor/10, "the entry has not ended")
			}
			pass(t, 10*time.Millisecond)
			got = r.ask(without)
		}
		got = r.ask(without)
		assert.NotEqual(t, http.StatusOK, got.status)
		if !got.browser {
			assert.Equal(t, http.StatusForbidden, got.status)
		}
		// What a fresh answer took away does not come back when GenAuth is gone.
		pass(t, freshFor)
		spoil(500, "")(r)
		r.refused(r.ask(without), http.StatusServiceUnavailable)

		allHave("OTP")(r)
		assert.Equal(t, http.StatusOK, r.ask(has).status)
		allHave("EMAIL")(r)
		require.NoError(t, r.enforcer.Invalidate(t.Context(), has.token))
		assert.NotEqual(t, http.StatusOK, r.ask(without).status, "at once after the invalidation")
	}
}

// TestF34DefaultIsAMinute shows how long a removed factor keeps granting access at most.
func TestF34DefaultIsAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var removed atomic.Bool
		e := newInMemory(t, func(context.Context, string) ([]client.Factor, error) {
			if removed.Load() {
				return listing(client.Email), nil
			}
			return listing(client.OTP), nil
		}, nil)
		_, err := e.Decide(t.Context(), tokenWith("x"), otpPolicy())
		require.NoError(t, err)
		removed.Store(true)
		pass(t, 53*time.Second)
		_, err = e.Decide(t.Context(), tokenWith("x"), otpPolicy())
		require.NoError(t, err)
		pass(t, 7*time.Second+time.Millisecond)
		_, err = e.Decide(t.Context(), tokenWith("x"), otpPolicy())
		require.ErrorIs(t, err, echomfa.ErrNotEnrolled)
	})
}

func TestF35FactorEnrolledWhileTheDenyIsCached(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(s *setup) { s.enforcer.Cache.DenyFreshFor = shortly })
	for _, c := range []caller{callers()[1], callers()[3]} {
		r.front.answer(tellTruth)
		r.sentToEnroll(r.ask(c))
		pass(t, shortly+time.Millisecond)
		spoil(500, "")(r)
		r.refused(r.ask(c), http.StatusServiceUnavailable) // an old deny is not given, whatever happens

		allHave("EMAIL", "OTP")(r)
		c.has = true
		r.granted(r.ask(c))

		// The page that enrolls invalidates: then not even DenyFreshFor passes.
		other := caller{browser: c.browser, token: c.token + "-2"}
		r.front.answer(tellTruth)
		r.sentToEnroll(r.ask(other))
		allHave("EMAIL", "OTP")(r)
		require.NoError(t, r.enforcer.Invalidate(t.Context(), other.token))
		other.has = true
		r.granted(r.ask(other))
	}
}
