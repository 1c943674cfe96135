package echomfa

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

// slowEnforcer makes an Enforcer whose look-ups take a second, in a bubble.
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

// TestDecisionsAtTheLastInstant has the ends of what may stand in for a look-up
// of one's own, to the nanosecond.
func TestDecisionsAtTheLastInstant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := slowEnforcer(t, 0)
		now := time.Now()
		k := e.cache.key("token")
		s := e.cache.shard(k)
		d := Decision{Enforced: true, Policy: AnyOf(OTP)}

		for enrolled, bound := range map[FactorType]time.Duration{OTP: time.Minute, SMS: 2 * time.Second} {
			f := &flight{sent: now, facts: facts{enrolled: Factors(enrolled)}}
			assert.True(t, e.answers(f, &d, now.Add(bound)), "facts of another's look-up")
			assert.False(t, e.answers(f, &d, now.Add(bound+1)), "facts of another's look-up")
		}

		fresh := e.cache.freshFor(k)
		for age, want := range map[time.Duration]Source{
			fresh: Cached, fresh + 1: Stale, 2 * time.Minute: Stale, 2*time.Minute + 1: NoSource,
		} {
			s.mu.Lock()
			s.entries.Add(k, entry{enrolled: Factors(OTP), sent: e.cache.moment(now.Add(-age))})
			s.mu.Unlock()
			got, _ := e.fail(d, k, client.ErrUnavailable)
			assert.Equal(t, want, got.Source, age)
		}
		e.cache.invalidate(k)

		for age, want := range map[time.Duration]bool{5 * time.Second: true, 5*time.Second + 1: false} {
			s.mu.Lock()
			s.refused.Add(k, refusal{at: now.Add(-age), err: errNoToken()})
			s.mu.Unlock()
			assert.Equal(t, want, e.cache.refusal(k, now) != nil, age)
			_, done, _ := e.join(&d, "token", &flight{key: k})
			assert.Equal(t, want, done, "when it was learned between two looks, %v", age)
		}
	})
}

// TestReportOnlyWaitsLittle shows that a request that is let through anyway waits
// 100 ms for a look-up, and less if Timeout is less.
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
				_, err := e.decide(t.Context(), Decision{Enforced: row.enforced, Policy: AnyOf(OTP)}, inquiry{token: "token"})
				require.ErrorIs(t, err, row.err)
				assert.Equal(t, row.waits, time.Since(begin))
			})
		})
	}
}
