package echomfa_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/storetest"
)

// TestInvalidateWhileVerifyRunsForStoredFacts has a request that comes after an invalidation,
// while CheckToken still judges the token of facts that the Store had.
func TestInvalidateWhileVerifyRunsForStoredFacts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, token := newDirectory(), userToken("alice", 1)
		d.enroll(token, echomfa.OTP)
		memory := storetest.NewMemory()
		decide(t, fleet(t, 1, memory, d)[0], token, otp())
		synctest.Wait()
		e := newEnforcer(t, d, func(c *echomfa.Config) {
			c.Cache.Store = memory
			c.Lookup.Timeout = 5 * time.Second
			c.CheckToken = func(context.Context, string) error { pass(3 * time.Second); return nil }
		})
		synctest.Wait()
		go func() { _, _ = e.Decide(context.Background(), token, otp()) }()
		pass(100 * time.Millisecond) // CheckToken is under way
		d.enroll(token)              // the factor is removed
		require.NoError(t, e.Invalidate(t.Context(), token))
		synctest.Wait()                   // until the instance has heard its own word
		got := decide(t, e, token, otp()) // comes after the invalidation
		assert.Equal(t, echomfa.NotEnrolled, got.Outcome, "joined: %v age %v", got.Source, got.Age)
		pass(30 * time.Second)
		got = decide(t, e, token, otp())
		assert.Equal(t, echomfa.NotEnrolled, got.Outcome, "30 s later: %v age %v", got.Source, got.Age)
	})
}

// TestStoredFactsAgeWhileVerifyRuns shows that facts do not get younger.
func TestStoredFactsAgeWhileVerifyRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, token := newDirectory(), userToken("alice", 1)
		d.enroll(token, echomfa.OTP)
		memory := storetest.NewMemory()
		decide(t, fleet(t, 1, memory, d)[0], token, otp())
		synctest.Wait()
		asked := time.Now()
		e := newEnforcer(t, d, func(c *echomfa.Config) {
			c.Cache.Store = memory
			c.CheckToken = func(context.Context, string) error { pass(1900 * time.Millisecond); return nil }
		})
		synctest.Wait()
		got := decide(t, e, token, otp())
		assert.Equal(t, time.Since(asked), got.Age, "%v", got.Source)
	})
}

// TestInvalidateWhileVerifyRefuses shows that a refusal of before an invalidation is not
// remembered.
func TestInvalidateWhileVerifyRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, token := newDirectory(), userToken("alice", 1)
		d.enroll(token, echomfa.OTP)
		memory := storetest.NewMemory()
		decide(t, fleet(t, 1, memory, d)[0], token, otp())
		synctest.Wait()
		var good atomic.Bool
		e := newEnforcer(t, d, func(c *echomfa.Config) {
			c.Cache.Store = memory
			c.CheckToken = func(context.Context, string) error {
				ok := good.Load()
				pass(time.Second)
				if !ok {
					return errors.New("not yet")
				}
				return nil
			}
		})
		synctest.Wait()
		go func() { _, _ = e.Decide(context.Background(), token, otp()) }()
		pass(100 * time.Millisecond)
		good.Store(true)
		require.NoError(t, e.Invalidate(t.Context(), token))
		pass(950 * time.Millisecond)
		assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome)
	})
}

// TestInvalidateWhileVerifyAccepts shows that the verdict of before an invalidation does not
// count.
func TestInvalidateWhileVerifyAccepts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, token := newDirectory(), userToken("alice", 1)
		d.enroll(token, echomfa.OTP)
		var good atomic.Bool
		good.Store(true)
		e := newEnforcer(t, d, func(c *echomfa.Config) {
			c.CheckToken = func(context.Context, string) error {
				ok := good.Load()
				pass(time.Second)
				if !ok {
					return errors.New("revoked")
				}
				return nil
			}
		})
		go func() { _, _ = e.Decide(context.Background(), token, otp()) }()
		pass(100 * time.Millisecond)
		good.Store(false)
		require.NoError(t, e.Invalidate(t.Context(), token))
		pass(time.Second)
		assert.Equal(t, echomfa.Unauthenticated, decide(t, e, token, otp()).Outcome)
	})
}

// late is a directory whose first answer comes late, whatever its context says.
type late struct {
	*directory
	answered atomic.Bool
}

func (l *late) ListEnrolledFactors(ctx context.Context, token string) ([]client.Factor, error) {
	first := !l.answered.Swap(true)
	list, err := l.directory.ListEnrolledFactors(ctx, token)
	if first {
		pass(4 * time.Second)
	}
	return list, err
}

// TestAnOlderAnswerReplacesNoNewerOne has a lister that does not mind its context, whose
// answer comes after that of a lookup which has begun later.
func TestAnOlderAnswerReplacesNoNewerOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll(token, echomfa.OTP)
		l := &late{directory: d}
		e := newEnforcer(t, l, nil)
		go func() { _, _ = e.Decide(context.Background(), token, otp()) }()
		pass(2100 * time.Millisecond) // its deadline is over
		d.enroll(token)
		assert.Equal(t, echomfa.NotEnrolled, decide(t, e, token, otp()).Outcome)
		pass(3 * time.Second)
		assert.Equal(t, echomfa.NotEnrolled, decide(t, e, token, otp()).Outcome)
	})
}

// TestTokensThatVerifyRefusesDoNotCloseTheBreaker shows that GenAuth is
// not thought to be well because made-up tokens were refused without asking it.
func TestTokensThatVerifyRefusesDoNotCloseTheBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.fail(dead())
		e := newEnforcer(t, d, func(c *echomfa.Config) {
			c.CheckToken = func(_ context.Context, tok string) error {
				if strings.HasPrefix(tok, "forged") {
					return errors.New("bad signature")
				}
				return nil
			}
		})
		for i := range 100 { // ten seconds
			_, _ = e.Decide(t.Context(), fmt.Sprintf("forged-%d", i), echomfa.AnyOf(echomfa.OTP))
			_, _ = e.Decide(t.Context(), manyTokens(i), echomfa.AnyOf(echomfa.OTP))
			pass(100 * time.Millisecond)
		}
		assert.LessOrEqual(t, d.total(), 2*5+10, "calls in ten seconds of outage")
	})
}

// TestOutageOfVerifyDoesNotStopRenewals shows that facts are renewed while
// the host of CheckToken is away: these tokens were verified long ago.
func TestOutageOfVerifyDoesNotStopRenewals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		enrollMany(d, 100)
		var down atomic.Bool
		e := newEnforcer(t, d, func(c *echomfa.Config) {
			c.CheckToken = func(context.Context, string) error {
				if down.Load() {
					return context.DeadlineExceeded // the JWKS host, which is not GenAuth
				}
				return nil
			}
		})
		decide(t, e, manyTokens(0), otp())
		pass(61 * time.Second)
		down.Store(true)
		for i := range 5 {
			decide(t, e, manyTokens(i+1), otp())
		}
		assert.Equal(t, echomfa.Allowed, decide(t, e, manyTokens(0), otp()).Outcome, "verified long ago, and GenAuth is well")
	})
}
