package integration_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	storeFails = "mfa store keeps failing"
	storeWorks = "mfa store works again"
)

// strangers asks an instance about new users of both kinds, and checks that the
// verdicts are right. What the Store may cost is tested by a clock of its own:
// TestF40StoreIsAMissAtWorst.
func (r *fleetRig) strangers(i *appInstance, n int) {
	r.t.Helper()
	for range n {
		for want, user := range map[int]string{http.StatusOK: r.user(genauthtest.OTP), http.StatusForbidden: r.user(genauthtest.SMS)} {
			assert.Equal(r.t, want, r.ask(i, r.genauth.AccessToken(user)))
		}
		pass(r.t, 5*time.Millisecond)
	}
}

// TestF40EnforcersBehindAToxicNetwork: whatever Redis does, each request gets the
// right verdict, and after some failures Redis is not asked any more. That is logged,
// and its end is.
func TestF40EnforcersBehindAToxicNetwork(t *testing.T) {
	t.Parallel()
	// Calls fail at once, or not in time. What else there is to see of the others, the
	// Store's own rows show: TestF40RedisBehindAToxicNetwork.
	rows := map[string]struct{ toxic string }{
		"gone":   {},
		"silent": {toxic: `{"type":"timeout","attributes":{"timeout":0}}`},
	}
	if allRows {
		rows["slow"] = struct{ toxic string }{`{"type":"latency","attributes":{"latency":1000}}`}
		rows["deaf"] = struct{ toxic string }{`{"type":"timeout","stream":"upstream","attributes":{"timeout":0}}`}
		rows["resets"] = struct{ toxic string }{`{"type":"reset_peer","attributes":{"timeout":0}}`}
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newFleet(t, 2, echomfa.CacheConfig{FreshFor: freshFor})
			good, bad := r.instances[0], r.instances[1]
			known := r.genauth.AccessToken(r.user(genauthtest.OTP))
			r.askAll(known, http.StatusOK)
			if row.toxic == "" {
				bad.toxic.proxy.Stop()
			} else {
				bad.toxic.add(t, row.toxic)
			}
			r.clock.eventually("it is not noticed", func() bool {
				r.strangers(bad, 1)
				return bad.mfa.Stats().Store.Open
			})
			assert.GreaterOrEqual(t, bad.mfa.Stats().Store.Failed, uint64(5))

			// Now one call a second is tried, and the others cost nothing.
			before, begin := bad.mfa.Stats().Store, time.Now()
			r.strangers(bad, 20)
			after := bad.mfa.Stats().Store
			assert.LessOrEqual(t, after.Failed-before.Failed, uint64(2+time.Since(begin)/time.Second))
			r.clock.eventually("it is asked all the same", func() bool {
				r.strangers(bad, 1)
				return bad.mfa.Stats().Store.Skipped > before.Skipped
			})
			assert.Equal(t, http.StatusOK, r.ask(bad, known), "it is in the instance's own cache")
			assert.Equal(t, 1, bad.log.count(storeFails)-bad.log.count(storeWorks))
			r.strangers(good, 2)

			if row.toxic == "" {
				require.NoError(t, bad.toxic.proxy.Start())
			} else {
				bad.toxic.proxy.Toxics.ResetToxics(t.Context())
			}
			r.clock.eventually("it is not asked again", func() bool {
				r.strangers(bad, 1)
				return !bad.mfa.Stats().Store.Open && bad.log.count(storeWorks) == bad.log.count(storeFails)
			})
			assert.Positive(t, bad.log.count(storeFails))
			r.refusesSoon()
		})
	}
}

// refusesSoon checks that a removed factor is refused on all instances again.
func (r *fleetRig) refusesSoon() {
	r.t.Helper()
	user := r.user(genauthtest.OTP)
	token := r.genauth.AccessToken(user)
	r.askAll(token, http.StatusOK)
	r.genauth.Reset(user)
	r.tell(func() error { return r.instances[0].mfa.Invalidate(r.t.Context(), token) })
	r.until(token, http.StatusForbidden)
	r.askAll(token, http.StatusForbidden)
}

// TestF40EnforcersWhileRedisFlaps: Redis comes and goes while many ask. No verdict is
// wrong, and each change of state is logged once.
func TestF40EnforcersWhileRedisFlaps(t *testing.T) {
	t.Parallel()
	r := newFleet(t, 2, echomfa.CacheConfig{FreshFor: freshFor})
	over := make(chan struct{})
	var wg sync.WaitGroup
	for _, i := range r.instances {
		wg.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
					r.strangers(i, 1)
				}
			}
		})
	}
	for range flaps {
		for _, i := range r.instances {
			i.toxic.proxy.Stop()
		}
		r.clock.eventually("it is not noticed", func() bool {
			return r.instances[0].mfa.Stats().Store.Open && r.instances[1].mfa.Stats().Store.Open
		})
		for _, i := range r.instances {
			require.NoError(t, i.toxic.proxy.Start())
		}
		r.clock.eventually("it is not asked again", func() bool {
			return !r.instances[0].mfa.Stats().Store.Open && !r.instances[1].mfa.Stats().Store.Open
		})
	}
	close(over)
	wg.Wait()
	for _, i := range r.instances {
		fails, works := i.log.count(storeFails), i.log.count(storeWorks)
		assert.GreaterOrEqual(t, fails, 1)
		assert.LessOrEqual(t, fails-works, 1, "each once, and in turn")
		assert.GreaterOrEqual(t, fails-works, 0, "each once, and in turn")
	}
	r.refusesSoon()
}

// TestF40EnforcersWhenRedisRestartsBeforeDelivery: an invalidation is accepted, and
// Redis dies before the other instances have heard of it. It comes back empty, or as
// it was before the invalidation. As soon as it is back, the instances refuse, and go
// on to.
func TestF40EnforcersWhenRedisRestartsBeforeDelivery(t *testing.T) {
	t.Parallel()
	for name, snapshot := range map[string]bool{"empty": false, "with a snapshot of before": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const denyFreshFor = 300 * time.Millisecond // so that the store is asked again
			r := newFleet(t, 4, echomfa.CacheConfig{FreshFor: freshFor, DenyFreshFor: denyFreshFor})
			restarts := 1
			if allRows {
				restarts = 2
			}
			for range restarts {
				user := r.user(genauthtest.OTP)
				token := r.genauth.AccessToken(user)
				r.keep(r.instances[0], token, http.StatusOK)
				r.askAll(token, http.StatusOK)
				before := r.instances[0].store.kept.Load()
				if snapshot {
					require.NoError(t, r.command("SAVE").Error())
				}
				for _, i := range r.instances[1:] {
					i.toxic.add(t, `{"name":"held","type":"latency","attributes":{"latency":60000}}`)
				}
				r.genauth.Reset(user)
				r.tell(func() error { return r.instances[0].mfa.Invalidate(t.Context(), token) })
				r.server.Stop(t)
				for _, i := range r.instances[1:] {
					i.toxic.proxy.Toxics.ResetToxics(t.Context())
				}
				r.server.Start(t)
				if snapshot {
					size, err := r.command("DBSIZE").ToInt64()
					require.NoError(t, err)
					require.Positive(t, size, "what was known before")
				}
				r.until(token, http.StatusForbidden)
				for range 4 {
					r.askAll(token, http.StatusForbidden)
					pass(t, denyFreshFor+10*time.Millisecond)
				}
				r.clock.eventually("it is not asked again", func() bool {
					r.strangers(r.instances[0], 1)
					return !r.instances[0].mfa.Stats().Store.Open && r.instances[0].store.kept.Load() > before
				})
			}
		})
	}
}

// TestF41EnforcersDoNotBelieveAnothersValue: someone gives the value of a user with
// the factor to one without it, as it is or with the other's generation. GenAuth is
// asked, and it is counted.
func TestF41EnforcersDoNotBelieveAnothersValue(t *testing.T) {
	t.Parallel()
	// header is what is before the sealed part: format, length, generation.
	const header = 2 + 17
	for name, give := range map[string]func(with, without string) string{
		"as it is":                    func(with, _ string) string { return with },
		"with the other's generation": func(with, without string) string { return without[:header] + with[header:] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newFleet(t, 2, echomfa.CacheConfig{FreshFor: freshFor, DenyFreshFor: freshFor})
			first, second := r.instances[0], r.instances[1]
			keep := func(token string, want int) (key, value string) {
				known := r.values()
				r.keep(first, token, want)
				r.clock.eventually("it is not kept", func() bool {
					for k, v := range r.values() {
						if _, old := known[k]; !old {
							key, value = k, v
						}
					}
					return key != ""
				})
				return key, value
			}
			with, without := r.genauth.AccessToken(r.user(genauthtest.OTP)), r.genauth.AccessToken(r.user())
			keyWith, valueWith := keep(with, http.StatusOK)
			keyWithout, valueWithout := keep(without, http.StatusForbidden)
			require.NoError(t, r.command("SET", keyWithout, give(valueWith, valueWithout), "KEEPTTL").Error())
			require.NoError(t, r.command("SET", keyWith, give(valueWithout, valueWith), "KEEPTTL").Error())

			calls, hits, aside := r.genauth.ListCalls(), second.mfa.Stats().Store.Hits, r.asides()
			assert.Equal(t, http.StatusForbidden, r.ask(second, without))
			assert.Equal(t, http.StatusOK, r.ask(second, with))
			assert.Equal(t, calls+2, r.genauth.ListCalls(), "GenAuth is asked about both")
			assert.Equal(t, hits, second.mfa.Stats().Store.Hits)
			rejected := int(second.store.Stats().Rejected + second.mfa.Stats().Store.Rejected)
			assert.LessOrEqual(t, rejected, 2)
			assert.GreaterOrEqual(t, rejected, 2-(r.asides()-aside), "it is counted")
		})
	}
}

// values returns what Redis has of facts. Generations are apart from them.
func (r *fleetRig) values() map[string]string {
	r.t.Helper()
	keys, err := r.command("KEYS", "*").AsStrSlice()
	require.NoError(r.t, err)
	values := make(map[string]string)
	for _, key := range keys {
		if value, err := r.command("GET", key).ToString(); err == nil && strings.HasPrefix(value, "\x02") {
			values[key] = value
		}
	}
	return values
}
