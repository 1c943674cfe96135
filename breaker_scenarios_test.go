package echomfa_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

// TestBreakerAMadeUpTokensThroughAGateway is the attack of anybody: ten made-up tokens a
// second, too long for what is in front of GenAuth, which says so in one way or another.
func TestBreakerAMadeUpTokensThroughAGateway(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"nginx, HTTP/2":    &client.TransportError{Err: errors.New("http2: server sent GOAWAY and closed the connection")},
		"nginx, HTTP/1.1":  &client.APIError{HTTPStatus: 400},
		"431":              &client.APIError{HTTPStatus: 431},
		"it just closes":   broken{client.ErrUnavailable},
		"it does not care": errServer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t)
				o.arrive()
				o.does(func(_ context.Context, token string) error {
					if isMadeUp(token) {
						return err
					}
					return nil
				})
				o.work(attackFor, o.neverOpen(func(i int) {
					if i%10 == 0 {
						o.later(madeUp(i))
					}
				}))
				o.nobodyNoticed()
				for token, calls := range o.of {
					assert.True(t, !isMadeUp(token) || len(calls) == 1, "no second try")
				}
			})
		})
	}
}

// TestBreakerCOutage has GenAuth fail for all: at once, and after a moment in which one
// more lookup would be made if probes were not one at a time.
func TestBreakerCOutage(t *testing.T) {
	t.Parallel()
	slow := func(context.Context, string) error { pass(800 * time.Millisecond); return errServer }
	for name, behave := range map[string]func(context.Context, string) error{
		"500": always(errServer), "nobody listens": always(dead()), "500, slow": slow, "hangs": hang,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t)
				o.arrive()
				o.does(behave)
				work := func(i int) {
					for u := range 15 {
						o.later(workers()[userOf(i*15+u)])
					}
					if i%10 == 0 {
						o.later(fmt.Sprintf("new-%d", i))
					}
				}
				limit := 2 * time.Second
				if name == "hangs" {
					limit = 3 * time.Second // they fail after two
				}
				o.until(limit, o.open, work)
				for range 300 { // those of before end
					pass(tick)
				}
				o.mu.Lock()
				o.began, o.most = nil, o.atOnce
				o.mu.Unlock()
				for i := range 1000 {
					work(200 + i)
					pass(tick)
				}
				o.over()
				assert.LessOrEqual(t, o.calls(), 3*10, "calls in ten seconds")
				assert.GreaterOrEqual(t, o.calls(), 5, "it is tried")
				atOnce := 2 // one of a known token and one of a new one
				if name == "hangs" {
					atOnce = 6 // those that begin before the first ends
				}
				assert.LessOrEqual(t, o.most, atOnce)
				assert.Equal(t, 1, strings.Count(o.log.String(), "keep failing"))
			})
		})
	}
}

// outage stops all lookups, and lets ten seconds pass.
func (o *office) outage(behave func(context.Context, string) error) {
	o.t.Helper()
	o.arrive()
	o.does(behave)
	o.until(5*time.Second, o.open, func(i int) {
		for u := range 15 {
			o.later(workers()[userOf(i*15+u)])
		}
	})
	o.over()
}

// TestBreakerDRecoveryWithKnownUsers has GenAuth be there again after an outage: also in
// the moment after a lookup has begun that GenAuth leaves without an answer.
func TestBreakerDRecoveryWithKnownUsers(t *testing.T) {
	t.Parallel()
	for name, behave := range map[string]func(context.Context, string) error{"500": always(errServer), "hangs": hang} {
		for _, waited := range []int{1234, 1250, 1275, 1300, 1325} {
			t.Run(fmt.Sprint(name, waited), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					o := newOffice(t)
					o.outage(behave)
					step := func(i int) { o.later(workers()[userOf(i)]) }
					for i := range waited {
						step(i)
						pass(tick)
					}
					require.True(t, o.open())
					o.does(nil)
					o.until(2*time.Second, func() bool { return !o.open() }, step)
					o.over()
				})
			})
		}
	}
}

// TestBreakerTheFirstSecondIsForKnownTokens has made-up tokens come again and again while
// lookups are stopped: none is tried before a known one could be.
func TestBreakerTheFirstSecondIsForKnownTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		o.outage(always(errServer))
		o.does(always(errServer)) // counts from here
		opened := time.Now()
		for i := range 350 {
			o.later(fmt.Sprintf("made-up-%d", i%100))
			pass(tick)
		}
		o.over()
		require.NotEmpty(t, o.began)
		assert.GreaterOrEqual(t, o.began[0].Sub(opened), 1900*time.Millisecond)
		assert.Greater(t, len(o.began), 2, "then they are")
	})
}

// TestBreakerERecoveryWithNewTokensOnly has no user come back: each comes once.
func TestBreakerERecoveryWithNewTokensOnly(t *testing.T) {
	t.Parallel()
	for _, waited := range []int{0, 100, 150, 199, 200, 210, 250, 1000, 1234} {
		t.Run(strconv.Itoa(waited), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t)
				for i := range 5 {
					o.ask(workers()[i])
				}
				pass(2 * time.Minute)
				o.does(always(errServer))
				for i := range 5 {
					o.ask(workers()[i])
				}
				require.True(t, o.open())
				n := 0
				step := func(i int) {
					if n++; i%5 == 0 {
						o.later(fmt.Sprintf("new-%d", n))
					}
				}
				for i := range waited {
					step(i)
					pass(tick)
				}
				o.over()
				require.True(t, o.open())
				o.does(nil)
				o.until(3*time.Second, func() bool { return !o.open() }, step)
				o.over()
			})
		})
	}
}

// TestBreakerFColdStart has GenAuth fail from the start on, at once or by hanging.
func TestBreakerFColdStart(t *testing.T) {
	t.Parallel()
	for name, behave := range map[string]func(context.Context, string) error{
		"500":   always(errServer),
		"hangs": hang,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t)
				o.does(behave)
				n := 0
				step := func(int) { n++; o.later(fmt.Sprintf("new-%d", n)) }
				cold := func() bool { return o.e.Stats().ColdStart }
				o.until(5*time.Second, cold, step)
				o.until(2*time.Second, func() bool { o.mu.Lock(); defer o.mu.Unlock(); return o.atOnce <= 4 }, step)
				o.mu.Lock()
				o.most = 0
				o.mu.Unlock()
				for i := range int(attackFor / tick) {
					step(i)
					pass(tick)
				}
				o.over()
				assert.LessOrEqual(t, o.most, 4, "at once")
				assert.Positive(t, o.most)
				s := o.e.Stats()
				assert.True(t, s.ColdStart && !s.BreakerOpen, "%+v", s)
				assert.GreaterOrEqual(t, s.FailingUsers, 5)
				assert.Equal(t, 1, strings.Count(o.log.String(), "have failed since the start"))
				if name == "500" {
					return
				}
				for i := range 4 { // with all places taken, the rest is told when to come back
					o.later(fmt.Sprintf("last-%d", i))
				}
				synctest.Wait()
				begin := time.Now()
				_, err := o.e.Decide(t.Context(), "one-more", otp())
				var lookup *echomfa.LookupError
				require.ErrorAs(t, err, &lookup)
				assert.Equal(t, time.Second, lookup.RetryAfter)
				assert.Zero(t, time.Since(begin), "at once")
				o.does(nil)
				pass(3 * time.Second)
				assert.Equal(t, echomfa.Allowed, o.ask("one-more"))
				assert.False(t, cold())
				o.over()
			})
		})
	}
}

func TestBreakerGColdStartWithADeadPort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		o.does(always(dead()))
		for i := range 5 {
			o.ask(fmt.Sprintf("new-%d", i))
		}
		s := o.e.Stats()
		assert.True(t, s.BreakerOpen, "%+v", s)
		assert.Equal(t, "no connection", s.BreakerCause)
		assert.Equal(t, 5, s.FailingUsers)
	})
}

// TestBreakerHRubbishIsRefusedInAnOutage has a gateway that answers 401 to made-up tokens
// while GenAuth is down for users.
func TestBreakerHRubbishIsRefusedInAnOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		o.arrive()
		o.does(func(_ context.Context, token string) error {
			if isMadeUp(token) {
				return client.ErrUnauthenticated
			}
			return errServer
		})
		step := func(i int) {
			for u := range 15 {
				o.later(workers()[userOf(i*15+u)])
			}
			if i%2 == 0 {
				o.later(fmt.Sprintf("made-up-%d", i))
			}
		}
		o.until(2*time.Second, o.open, step)
		for i := range int(attackFor / tick) {
			step(1000 + i)
			pass(tick)
			require.True(t, o.open(), "it stays open")
		}
		o.over()
	})
}

// TestBreakerIAttackDuringAColdStart has made-up tokens, and one honest user who comes
// back after a moment.
func TestBreakerIAttackDuringAColdStart(t *testing.T) {
	t.Parallel()
	for name, behave := range map[string]func(context.Context, string) error{
		"400": always(&client.APIError{HTTPStatus: 400}), "500": always(errServer), "429": always(client.ErrRateLimited), "hangs": hang,
	} {
		for each, distinct := range map[int]int{10: 1 << 20, 1: 1 << 20, 2: 20} {
			t.Run(fmt.Sprintf("%s, one in %d ms, of %d", name, each*10, distinct), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					o := newOffice(t)
					o.does(func(ctx context.Context, token string) error {
						if !isMadeUp(token) {
							return nil
						}
						return behave(ctx, token)
					})
					n := 0
					attack := func(i int) {
						if i%each == 0 {
							o.later(madeUp(n % distinct))
							n++
						}
					}
					for i := range 500 {
						attack(i)
						pass(tick)
					}
					assert.True(t, o.e.Stats().ColdStart)
					assert.False(t, o.open())
					var in atomic.Bool
					within := time.Second
					if each == 1 && (name == "400" || name == "500") {
						within = 10 * time.Second // what fails at once uses up half of the budget
					}
					o.until(within, in.Load, func(i int) {
						attack(i)
						if i%20 == 0 {
							o.wg.Go(func() {
								if o.ask("honest") == echomfa.Allowed {
									in.Store(true)
								}
							})
						}
					})
					o.over()
					assert.False(t, o.e.Stats().ColdStart, "for good")
				})
			})
		}
	}
}
