package echomfa_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
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

// TestBreakerBOneUserWithABrokenRecord is the attack of a user whose record GenAuth cannot
// show, with 50 tokens and a hundred requests a second: whether GenAuth has told facts of
// these tokens before, or not.
func TestBreakerBOneUserWithABrokenRecord(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		known bool
		err   error
	}{
		"known, 500":       {true, errServer},
		"known, 503":       {true, &client.APIError{HTTPStatus: 503}}, // with a second try
		"unknown, slow":    {false, context.DeadlineExceeded},
		"known, malformed": {true, client.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				tokens := make(map[string]bool)
				list := make([]string, 50)
				for i := range list {
					list[i] = answertest.JWT(map[string]any{"sub": "mallory", "aud": "app", "jti": i})
					tokens[list[i]] = true
				}
				o := newOffice(t)
				if row.known {
					for _, token := range list {
						require.Equal(t, echomfa.Allowed, o.ask(token))
						pass(50 * time.Millisecond)
					}
				}
				o.arrive()
				o.does(func(_ context.Context, token string) error {
					if tokens[token] {
						return row.err
					}
					return nil
				})
				o.work(attackFor, o.neverOpen(func(i int) { o.later(list[i%len(list)]) }))
				o.nobodyNoticed()
				assert.InDelta(t, 25, o.e.Stats().Held, 25)
				for token := range tokens {
					calls := o.of[token]
					assert.NotEmpty(t, calls)
					// One, and perhaps a second try; the next one; then after 2, 4 and 8 s.
					assert.LessOrEqual(t, len(calls), 6)
					for i, hold := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second} {
						if at := len(calls) - 3 + i; len(calls) >= 5 && at > 0 {
							assert.GreaterOrEqual(t, calls[at].Sub(calls[at-1]), hold, i)
						}
					}
				}
			})
		})
	}
}

// TestBreakerCOutage has GenAuth fail for all.
func TestBreakerCOutage(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{"500": errServer, "nobody listens": dead()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t)
				o.arrive()
				o.does(always(err))
				work := func(i int) {
					for u := range 15 {
						o.later(workers()[userOf(i*15+u)])
					}
					if i%10 == 0 {
						o.later(fmt.Sprintf("new-%d", i))
					}
				}
				assert.LessOrEqual(t, o.until(2*time.Second, o.open, work), 2*time.Second)
				pass(time.Second)
				before := o.calls()
				for i := range 1000 {
					work(200 + i)
					pass(tick)
				}
				o.wg.Wait()
				assert.LessOrEqual(t, o.calls()-before, 3*10, "calls in ten seconds")
				assert.GreaterOrEqual(t, o.calls()-before, 5, "it is tried")
				assert.Equal(t, 1, strings.Count(o.log.String(), "keep failing"))
			})
		})
	}
}

// outage stops all lookups, and lets ten seconds pass.
func (o *office) outage(err error) {
	o.t.Helper()
	o.arrive()
	o.does(always(err))
	o.until(2*time.Second, o.open, func(i int) {
		for u := range 15 {
			o.later(workers()[userOf(i*15+u)])
		}
	})
	o.wg.Wait()
}

func TestBreakerDRecoveryWithKnownUsers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		o.outage(errServer)
		step := func(i int) { o.later(workers()[userOf(i)]) }
		for i := range 1234 {
			step(i)
			pass(tick)
		}
		require.True(t, o.open())
		o.does(nil)
		o.until(2*time.Second, func() bool { return !o.open() }, step)
		o.wg.Wait()
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
				o.wg.Wait()
				require.True(t, o.open())
				o.does(nil)
				o.until(3*time.Second, func() bool { return !o.open() }, step)
				o.wg.Wait()
			})
		})
	}
}

// TestBreakerFColdStart has GenAuth fail from the start on, at once or by hanging.
func TestBreakerFColdStart(t *testing.T) {
	t.Parallel()
	for name, behave := range map[string]func(context.Context, string) error{
		"500":   always(errServer),
		"hangs": func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() },
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
				o.wg.Wait()
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
				o.wg.Wait()
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
		o.wg.Wait()
	})
}

// TestBreakerIAttackDuringAColdStart has made-up tokens, and one honest user who comes
// back after a moment.
func TestBreakerIAttackDuringAColdStart(t *testing.T) {
	t.Parallel()
	for _, long := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			o := newOffice(t)
			o.does(func(_ context.Context, token string) error {
				switch {
				case !isMadeUp(token):
					return nil
				case long:
					return &client.APIError{HTTPStatus: 400}
				}
				return errServer
			})
			attack := func(i int) {
				if i%10 == 0 {
					o.later(madeUp(i))
				}
			}
			for i := range 500 {
				attack(i)
				pass(tick)
			}
			assert.True(t, o.e.Stats().ColdStart)
			assert.False(t, o.open())
			in := false
			o.until(time.Second, func() bool { return in }, func(i int) {
				attack(i)
				if i%20 == 0 {
					in = o.ask("honest") == echomfa.Allowed
				}
			})
			o.wg.Wait()
			assert.False(t, o.e.Stats().ColdStart, "for good")
		})
	}
}
