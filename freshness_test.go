package echomfa_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
)

// step is one moment of a freshness test: after a pause and a change, a
// decision.
type step struct {
	wait   time.Duration
	change func(*directory)
	want   echomfa.Outcome
	source echomfa.Source
	calls  int // so far
}

const token = "opaque-token"

func has(types ...client.FactorType) func(*directory) {
	return func(d *directory) { d.enroll(token, types...) }
}

func failing(err error) func(*directory) { return func(d *directory) { d.fail(err) } }

// partially makes GenAuth list types and leave out others.
func partially(types ...client.FactorType) func(*directory) {
	return func(d *directory) {
		d.enroll(token, types...)
		d.fail(&client.PartialError{Skipped: 1})
	}
}

func none(*directory) {}

// stale turns StaleIfError on.
func stale(c *echomfa.Config) { c.Cache.StaleIfError = 2 * time.Minute }

// TestFreshness has the rows of the freshness table, in its order.
func TestFreshness(t *testing.T) {
	t.Parallel()
	type row struct {
		config func(*echomfa.Config)
		steps  []step
	}
	rows := map[string]row{
		"satisfied, up to FreshFor: allowed without a call": {steps: []step{
			{0, has(echomfa.OTP), echomfa.Allowed, echomfa.Fetched, 1},
			{54 * time.Second, none, echomfa.Allowed, echomfa.Cached, 1},
		}},
		"satisfied, older: GenAuth is asked": {steps: []step{
			{0, has(echomfa.OTP), echomfa.Allowed, echomfa.Fetched, 1},
			{61 * time.Second, none, echomfa.Allowed, echomfa.Fetched, 2},
		}},
		"satisfied, older, and removed: refused": {steps: []step{
			{0, has(echomfa.OTP), echomfa.Allowed, echomfa.Fetched, 1},
			{61 * time.Second, has(), echomfa.NotEnrolled, echomfa.Fetched, 2},
		}},
		"satisfied, older, unavailable: refused by default": {steps: []step{
			{0, has(echomfa.OTP), echomfa.Allowed, echomfa.Fetched, 1},
			{61 * time.Second, failing(client.ErrUnavailable), echomfa.Unavailable, echomfa.NoSource, 2},
		}},
		"satisfied, older, unavailable, within StaleIfError: allowed": {config: stale, steps: []step{
			{0, has(echomfa.OTP), echomfa.Allowed, echomfa.Fetched, 1},
			{61 * time.Second, failing(client.ErrUnavailable), echomfa.Allowed, echomfa.Stale, 2},
			{58 * time.Second, none, echomfa.Allowed, echomfa.Stale, 3},
			{2 * time.Second, none, echomfa.Unavailable, echomfa.NoSource, 4},
		}},
		"satisfied, older, rate limited, within StaleIfError: allowed": {config: stale, steps: []step{
			{0, has(echomfa.OTP), echomfa.Allowed, echomfa.Fetched, 1},
			{61 * time.Second, failing(client.ErrRateLimited), echomfa.Allowed, echomfa.Stale, 2},
		}},
		"satisfied, older, malformed, within StaleIfError: allowed": {config: stale, steps: []step{
			{0, has(echomfa.OTP), echomfa.Allowed, echomfa.Fetched, 1},
			{61 * time.Second, failing(client.ErrMalformed), echomfa.Allowed, echomfa.Stale, 2},
		}},
		"satisfied, older, misconfigured: never stale": {config: stale, steps: []step{
			{0, has(echomfa.OTP), echomfa.Allowed, echomfa.Fetched, 1},
			{61 * time.Second, failing(client.ErrMisconfigured), echomfa.Unavailable, echomfa.NoSource, 2},
		}},
		"satisfied, older, token refused: never stale, and dropped": {config: stale, steps: []step{
			{0, has(echomfa.OTP), echomfa.Allowed, echomfa.Fetched, 1},
			{61 * time.Second, failing(client.ErrUnauthenticated), echomfa.Unauthenticated, echomfa.NoSource, 2},
			{6 * time.Second, failing(client.ErrUnavailable), echomfa.Unavailable, echomfa.NoSource, 3},
		}},
		"not satisfied, up to DenyFreshFor: refused without a call": {steps: []step{
			{0, has(echomfa.Email), echomfa.NotEnrolled, echomfa.Fetched, 1},
			{2 * time.Second, has(echomfa.OTP), echomfa.NotEnrolled, echomfa.Cached, 1},
		}},
		"not satisfied, older: GenAuth is asked, and enrolling unlocks": {steps: []step{
			{0, has(), echomfa.NotEnrolled, echomfa.Fetched, 1},
			{2*time.Second + 1, has(echomfa.OTP), echomfa.Allowed, echomfa.Fetched, 2},
		}},
		"not satisfied, older, unavailable: 503, not 403": {config: stale, steps: []step{
			{0, has(), echomfa.NotEnrolled, echomfa.Fetched, 1},
			{3 * time.Second, failing(client.ErrUnavailable), echomfa.Unavailable, echomfa.NoSource, 2},
		}},
		"refused by GenAuth: remembered for RefusedFor": {steps: []step{
			{0, none, echomfa.Unauthenticated, echomfa.NoSource, 1},
			{5 * time.Second, has(echomfa.OTP), echomfa.Unauthenticated, echomfa.NoSource, 1},
			{1, none, echomfa.Allowed, echomfa.Fetched, 2},
		}},
		"refused by GenAuth: good facts clear it": {config: func(c *echomfa.Config) { c.Cache.RefusedFor = 30 * time.Second }, steps: []step{
			{0, has(echomfa.OTP), echomfa.Allowed, echomfa.Fetched, 1},
			{61 * time.Second, func(d *directory) { d.revoke(token) }, echomfa.Unauthenticated, echomfa.NoSource, 2},
			{31 * time.Second, has(echomfa.OTP), echomfa.Allowed, echomfa.Fetched, 3},
			{1, none, echomfa.Allowed, echomfa.Cached, 3},
		}},
		"failed lookup: never stored as facts": {steps: []step{
			{0, failing(client.ErrUnavailable), echomfa.Unavailable, echomfa.NoSource, 1},
			{0, failing(nil), echomfa.Unauthenticated, echomfa.NoSource, 2},
		}},
		"partial facts may allow": {steps: []step{
			{0, partially(echomfa.OTP), echomfa.Allowed, echomfa.Fetched, 1},
			{54 * time.Second, none, echomfa.Allowed, echomfa.Cached, 1},
		}},
		"H4 rows without a usable type, not satisfied: 503 from the cache, then GenAuth is asked": {steps: []step{
			{0, partially(), echomfa.Unavailable, echomfa.Fetched, 1},
			{2 * time.Second, none, echomfa.Unavailable, echomfa.Cached, 1},
			{1, none, echomfa.Unavailable, echomfa.Fetched, 2},
			{2*time.Second + 1, failing(client.ErrUnavailable), echomfa.Unavailable, echomfa.NoSource, 3},
		}},
		"partial facts never refuse": {steps: []step{
			{0, partially(echomfa.Email), echomfa.Unavailable, echomfa.Fetched, 1},
			{2 * time.Second, none, echomfa.Unavailable, echomfa.Cached, 1},
			{1, failing(nil), echomfa.NotEnrolled, echomfa.Fetched, 2},
		}},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDirectory()
				e := newEnforcer(t, d, row.config)
				stale := uint64(0)
				for i, s := range row.steps {
					pass(s.wait)
					s.change(d)
					got := decide(t, e, token, echomfa.AnyOf(echomfa.OTP))
					if s.source == echomfa.Stale {
						stale++
					}
					assert.Equal(t, s.want, got.Outcome, "step %d", i)
					assert.Equal(t, s.source, got.Source, "step %d", i)
					assert.Equal(t, s.calls, d.total(), "calls at step %d", i)
				}
				assert.Equal(t, stale, e.Stats().Stale)
			})
		})
	}
}

// TestFreshForJitter shows that entries made together do not end together, and
// that none lives longer than FreshFor.
func TestFreshForJitter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		e := newEnforcer(t, d, nil)
		const users = 50
		tokens := make([]string, users)
		for i := range tokens {
			tokens[i] = token + string(rune('A'+i%26)) + string(rune('a'+i/26))
			d.enroll(tokens[i], echomfa.OTP)
		}
		renewed := func() (n int) {
			before := d.total()
			for _, tok := range tokens {
				decide(t, e, tok, echomfa.AnyOf(echomfa.OTP))
			}
			return d.total() - before
		}
		assert.Equal(t, users, renewed())
		pass(54 * time.Second)
		assert.Zero(t, renewed(), "a tenth off at most")
		pass(3 * time.Second)
		half := renewed()
		assert.Positive(t, half)
		assert.Less(t, half, users)
		pass(3*time.Second + 1)
		assert.Equal(t, users-half, renewed())
	})
}

// TestAgeCountsFromWhenItWasSent shows that a slow answer is as old as its
// question.
func TestAgeCountsFromWhenItWasSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll(token)
		d.slow(1500 * time.Millisecond)
		e := newEnforcer(t, d, nil)
		got := decide(t, e, token, echomfa.AnyOf(echomfa.OTP))
		assert.Equal(t, 1500*time.Millisecond, got.Age)
		pass(500 * time.Millisecond)
		got = decide(t, e, token, echomfa.AnyOf(echomfa.OTP))
		assert.Equal(t, echomfa.Cached, got.Source)
		assert.Equal(t, 2*time.Second, got.Age)
		pass(1)
		got = decide(t, e, token, echomfa.AnyOf(echomfa.OTP))
		assert.Equal(t, echomfa.Fetched, got.Source)
	})
}

// TestNobodyIsRefusedOnAnOlderLookUp shows that a request that joins a lookup
// which had begun more than DenyFreshFor before it is not refused by its answer.
func TestNobodyIsRefusedOnAnOlderLookUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll(token)
		d.slow(time.Second)
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Cache.DenyFreshFor = 100 * time.Millisecond })
		first := make(chan echomfa.Decision, 1)
		go func() { first <- decide(t, e, token, echomfa.AnyOf(echomfa.OTP)) }()
		pass(500 * time.Millisecond)
		d.enroll(token, echomfa.OTP)
		second := decide(t, e, token, echomfa.AnyOf(echomfa.OTP))
		assert.Equal(t, echomfa.NotEnrolled, (<-first).Outcome)
		assert.Equal(t, echomfa.Allowed, second.Outcome)
		assert.Equal(t, 2, d.total())
	})
}

// TestEntryEndsWithTheToken shows that the token's own exp shortens the life of
// facts, and lengthens nothing.
func TestEntryEndsWithTheToken(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		exp   any // seconds from now, or something odd
		calls int // after a second decision, ten seconds later
	}{
		"ends before FreshFor": {5, 2},
		"ends after FreshFor":  {3600, 1},
		"is past":              {-5, 2},
		"cannot be read":       {"tomorrow", 2},
		"is absurd":            {1e300, 2},
		"is not there":         {nil, 1},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				claims := map[string]any{"sub": "u1", "aud": []string{"x", "app"}, "exp": row.exp}
				if seconds, ok := row.exp.(int); ok {
					claims["exp"] = time.Now().Unix() + int64(seconds)
				}
				jwt := answertest.JWT(claims)
				d := newDirectory()
				d.enroll(jwt, echomfa.OTP)
				e := newEnforcer(t, d, nil)
				assert.Equal(t, echomfa.Allowed, decide(t, e, jwt, echomfa.AnyOf(echomfa.OTP)).Outcome)
				pass(10 * time.Second)
				assert.Equal(t, echomfa.Allowed, decide(t, e, jwt, echomfa.AnyOf(echomfa.OTP)).Outcome)
				assert.Equal(t, row.calls, d.total())
			})
		})
	}
}

// TestRenewedEntryEndsWithTheToken shows that facts which were asked for again without
// reading the token again end with it too.
func TestRenewedEntryEndsWithTheToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		jwt := answertest.JWT(map[string]any{"sub": "u1", "aud": "app", "exp": time.Now().Add(8 * time.Minute).Unix()})
		d := newDirectory()
		d.enroll(jwt, echomfa.OTP)
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Cache.FreshFor = 5 * time.Minute })
		for i, pause := range []time.Duration{0, 5*time.Minute + time.Second, 2 * time.Minute} {
			pass(pause)
			assert.Equal(t, echomfa.Allowed, decide(t, e, jwt, otp()).Outcome)
			assert.Equal(t, []int{1, 2, 2}[i], d.total())
		}
		pass(59 * time.Second) // the token's end, three minutes after it was asked about
		decide(t, e, jwt, otp())
		assert.Equal(t, 3, d.total())
	})
}

// TestCheckToken shows when CheckToken is called and what its errors become.
func TestCheckToken(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		err  error
		want echomfa.Outcome
	}{
		"accepts":              {nil, echomfa.Allowed},
		"refuses":              {errors.New("bad signature"), echomfa.Unauthenticated},
		"refuses by its class": {client.ErrUnauthenticated, echomfa.Unauthenticated},
		"could not find out":   {client.ErrUnavailable, echomfa.Unavailable},
		"was limited":          {client.ErrRateLimited, echomfa.Unavailable},
		"could not read":       {client.ErrMalformed, echomfa.Unavailable},
		"is misconfigured":     {client.ErrMisconfigured, echomfa.Unavailable},
		"says so in our words": {echomfa.ErrUnavailable, echomfa.Unavailable},
		"ran out of time":      {context.DeadlineExceeded, echomfa.Unavailable},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDirectory()
				d.enroll(token, echomfa.OTP)
				verified := 0
				e := newEnforcer(t, d, func(c *echomfa.Config) {
					c.CheckToken = func(_ context.Context, tok string) error {
						assert.Equal(t, token, tok)
						verified++
						return row.err
					}
				})
				for range 3 {
					assert.Equal(t, row.want, decide(t, e, token, echomfa.AnyOf(echomfa.OTP)).Outcome)
				}
				if row.want == echomfa.Unavailable {
					return
				}
				assert.Equal(t, 1, verified, "once per token")
				pass(time.Minute + 1)
				decide(t, e, token, echomfa.AnyOf(echomfa.OTP))
				if row.want == echomfa.Allowed {
					assert.Equal(t, 1, verified, "not again for a renewal")
				} else {
					assert.Equal(t, 0, d.total(), "GenAuth is not asked about a token that CheckToken refused")
				}
			})
		})
	}
}

// TestOddAnswersArePartial shows that an answer with more types than any GenAuth
// has, or a longer one, takes no more room, lets in who has enrolled, and refuses
// nobody.
func TestOddAnswersArePartial(t *testing.T) {
	t.Parallel()
	many := make([]client.FactorType, 0, 41)
	for i := range 40 {
		many = append(many, client.FactorType(fmt.Sprintf("A%02d", i)))
	}
	for name, types := range map[string][]client.FactorType{
		"many types":  append(many, echomfa.OTP),
		"a long type": {client.FactorType(strings.Repeat("A", 65)), echomfa.OTP},
		"no type":     {"", echomfa.OTP},
	} {
		d := newDirectory()
		d.enroll(token, types...)
		e := newEnforcer(t, d, nil)
		got := decide(t, e, token, otp())
		assert.Equal(t, echomfa.Allowed, got.Outcome, name)
		assert.LessOrEqual(t, got.Enrolled.Len(), 32, name)
		assert.Equal(t, echomfa.Unavailable, decide(t, e, token, echomfa.AnyOf(echomfa.Face)).Outcome, name)
	}
}
