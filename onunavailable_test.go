package echomfa_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
)

// outage is an app whose GenAuth can be away.
type outage struct {
	t       *testing.T
	genauth *directory
	e       *echomfa.Enforcer
	checks  atomic.Int32
	check   func(context.Context, string) error
}

// request asks for a guarded page, and returns the status.
func (o *outage) request(ctx context.Context, token string, mode echomfa.Mode) int {
	o.t.Helper()
	handler := o.e.Middleware(echomfa.HandlerConfig{Policy: otp(), Mode: mode})(http.HandlerFunc( //nolint:contextcheck // a mount has none
		func(http.ResponseWriter, *http.Request) {}))
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/admin", nil)
	if token != "" {
		withToken(token)(r)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code
}

// TestInsecureAllow has what InsecureAllow changes while GenAuth is away, and what it does
// not: each row is a request that was refused before it was switched on.
func TestInsecureAllow(t *testing.T) {
	t.Parallel()
	type row struct {
		token string
		// before is what happens before GenAuth is away, and after, before the request.
		before, after func(o *outage)
		check         func(context.Context, string) error
		refused       int // while OnUnavailable is Refuse
		want          int // while it is InsecureAllow
		checks        int // calls of CheckToken while it is InsecureAllow
	}
	ask := func(token string) func(*outage) {
		return func(o *outage) { o.request(o.t.Context(), token, echomfa.Enforce) }
	}
	long := func(*outage) { pass(10 * time.Minute) }
	accept := func(context.Context, string) error { return nil }
	forget := func(token string) func(*outage) {
		return func(o *outage) { require.NoError(o.t, o.e.Invalidate(o.t.Context(), token)) }
	}
	// later has CheckToken not know in the lookup, and do something when it is asked again.
	later := func(do func() error) func(*outage) {
		return func(o *outage) {
			o.check = func(context.Context, string) error {
				if o.checks.Load() == 1 {
					return client.ErrUnavailable
				}
				return do()
			}
		}
	}
	jwt := func(name string, value any) string {
		return answertest.JWT(map[string]any{"sub": "u", "aud": "app", name: value})
	}
	const (
		known, lacking   = "known-token-0123456789", "lacking-token-0123456789"
		unknown, refused = "unknown-token-0123456789", "refused-token-0123456789"
	)
	rows := map[string]row{
		"an unknown token":                    {token: "unknown-token-0123456789", refused: 503, want: 200},
		"a token that CheckToken accepts":     {token: "unknown-token-0123456789", check: accept, refused: 503, want: 200, checks: 2},
		"no token":                            {refused: 401, want: 401},
		"GenAuth rejects the call":            {token: unknown, after: func(o *outage) { o.genauth.fail(client.ErrMisconfigured) }, refused: 503, want: 503},
		"a malformed token":                   {token: "a,b", refused: 401, want: 401},
		"a token of another app":              {token: answertest.JWT(map[string]any{"sub": "u", "aud": "other"}), refused: 401, want: 401},
		"a token that CheckToken refuses":     {token: "unknown-token-0123456789", check: func(context.Context, string) error { return errTest }, refused: 401, want: 401},
		"CheckToken cannot tell":              {token: "unknown-token-0123456789", check: func(context.Context, string) error { return client.ErrUnavailable }, refused: 503, want: 503, checks: 2},
		"CheckToken takes too long":           {token: "unknown-token-0123456789", check: hang, refused: 503, want: 503, checks: 2},
		"CheckToken panics":                   {token: "unknown-token-0123456789", check: func(context.Context, string) error { panic("x") }, refused: 500, want: 500},
		"a user who has the factor":           {token: known, before: ask(known), after: long, check: accept, refused: 503, want: 200},
		"known to CheckToken":                 {token: known, before: func(o *outage) { ask(known)(o); o.check = hang }, after: long, check: accept, refused: 503, want: 200},
		"a user who is known to lack it":      {token: lacking, before: ask(lacking), refused: 403, want: 403},
		"the same, known long ago":            {token: lacking, before: ask(lacking), after: long, refused: 503, want: 503},
		"lacked it, and has changed since":    {token: lacking, before: ask(lacking), after: forget(lacking), refused: 503, want: 200},
		"a token that GenAuth has refused":    {token: refused, before: ask(refused), refused: 401, want: 401},
		"a token that it refused long ago":    {token: refused, before: ask(refused), after: long, refused: 503, want: 401},
		"refused, and forgotten since":        {token: refused, before: ask(refused), after: forget(refused), refused: 503, want: 401},
		"a JWT":                               {token: jwt("jti", "x"), refused: 503, want: 200},
		"an expired JWT":                      {token: jwt("exp", 946_684_799), refused: 503, want: 401},
		"a JWT that ends now":                 {token: jwt("exp", 946_684_800), refused: 503, want: 401},
		"a JWT that ends soon":                {token: jwt("exp", 946_684_801), refused: 503, want: 200},
		"a JWT that begins now":               {token: jwt("nbf", 946_684_802), refused: 503, want: 200},
		"a JWT that begins later":             {token: jwt("nbf", 946_684_803), refused: 503, want: 401},
		"an nbf that cannot be read":          {token: jwt("nbf", "soon"), refused: 503, want: 401},
		"an exp that cannot be read":          {token: jwt("exp", "soon"), refused: 503, want: 401},
		"CheckToken refuses without a lookup": {token: unknown, check: accept, after: later(func() error { return errTest }), refused: 503, want: 401, checks: 2},
		"CheckToken panics without a lookup":  {token: unknown, check: accept, after: later(func() error { panic("x") }), refused: 503, want: 500, checks: 2},
		"CheckToken does not return":          {token: unknown, check: accept, after: later(func() error { pass(time.Hour); return nil }), refused: 503, want: 503, checks: 2},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, want := range map[echomfa.OnUnavailable]int{echomfa.Refuse: row.refused, echomfa.InsecureAllow: row.want} {
				synctest.Test(t, func(t *testing.T) {
					o := &outage{t: t, genauth: newDirectory(), check: row.check}
					o.genauth.enroll(known, echomfa.OTP)
					o.genauth.enroll("lacking-token-0123456789")
					o.genauth.enroll("unknown-token-0123456789", echomfa.OTP)
					o.e = newEnforcer(t, o.genauth, func(c *echomfa.Config) {
						c.OnUnavailable = what
						if row.check != nil {
							c.CheckToken = func(ctx context.Context, token string) error { o.checks.Add(1); return o.check(ctx, token) }
						}
					})
					if row.before != nil {
						row.before(o)
					}
					o.genauth.fail(errServer)
					if row.after != nil {
						row.after(o)
					}
					o.checks.Store(0)
					began := time.Now()
					assert.Equal(t, want, o.request(t.Context(), row.token, echomfa.Enforce), "%d", what)
					assert.LessOrEqual(t, time.Since(began), 4*time.Second, "Lookup.Timeout, and once more for CheckToken")
					if what == echomfa.InsecureAllow && row.checks > 0 {
						assert.EqualValues(t, row.checks, o.checks.Load())
					}
				})
			}
		})
	}
}

// TestInsecureAllowIsToldAsWhatItIs shows the decision of a request that went on, and that
// nothing else is let in by it.
func TestInsecureAllowIsToldAsWhatItIs(t *testing.T) {
	t.Parallel()
	const token = "unknown-token-0123456789"
	d := newDirectory()
	d.fail(errServer)
	seen := &recorder{}
	e := newEnforcer(t, d, func(c *echomfa.Config) { c.OnUnavailable, c.Observer = echomfa.InsecureAllow, seen })
	guard, err := echomfa.NewGuard(echomfa.GuardConfig[*http.Request]{Enforcer: e, Policy: otp()})
	require.NoError(t, err)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	withToken(token)(r)
	got, err := guard.Check(r, r, "/")
	require.NoError(t, err)
	assert.Equal(t, echomfa.Unavailable, got.Outcome)
	assert.False(t, got.Enforced)
	assert.NotEmpty(t, got.ID)
	assert.True(t, e.Stats().InsecureAllow)
	assert.Equal(t, echomfa.WouldBlock{Unavailable: 1}, e.Stats().WouldBlock)

	got, err = e.Decide(t.Context(), token, otp())
	require.ErrorIs(t, err, echomfa.ErrUnavailable, "who asks only whether there is an error refuses")
	assert.False(t, got.Enforced)
	_, err = e.EnrolledFactors(t.Context(), token)
	require.ErrorIs(t, err, echomfa.ErrUnavailable)

	gone, leave := context.WithCancel(t.Context())
	leave()
	_, err = guard.Check(r, r.WithContext(gone), "/")
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, e.Close())
	assert.False(t, e.Stats().InsecureAllow)
	_, err = guard.Check(r, r, "/")
	require.ErrorIs(t, err, echomfa.ErrClosed)
	require.Error(t, e.SetOnUnavailable(echomfa.InsecureAllow, time.Minute), "it would do nothing")
}

// TestSetOnUnavailable follows the switch for an outage: it ends by itself, is
// logged each minute, and takes nothing that is out of bounds.
func TestSetOnUnavailable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const token = "unknown-token-0123456789"
		var log lockedBuffer
		o := &outage{t: t, genauth: newDirectory()}
		o.e = newEnforcer(t, o.genauth, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		o.genauth.fail(errServer)
		is := func(want int) {
			t.Helper()
			synctest.Wait()
			assert.Equal(t, want, o.request(t.Context(), token, echomfa.Enforce))
			assert.Equal(t, want == http.StatusOK, o.e.Stats().InsecureAllow)
		}
		for _, during := range []time.Duration{0, -1, echomfa.MaxInsecure + 1} {
			require.Error(t, o.e.SetOnUnavailable(echomfa.InsecureAllow, during))
		}
		require.Error(t, o.e.SetOnUnavailable(2, time.Minute))
		is(503)
		require.NoError(t, o.e.SetOnUnavailable(echomfa.InsecureAllow, 150*time.Second))
		is(200)
		pass(149 * time.Second)
		is(200)
		pass(time.Second)
		is(503)
		warned := func() int { return strings.Count(log.String(), "mfa lets requests through while lookups fail") }
		assert.Equal(t, 3, warned(), "at once, and after one and two minutes")
		assert.Equal(t, 1, strings.Count(log.String(), "mfa refuses requests again while lookups fail"))

		require.NoError(t, o.e.SetOnUnavailable(echomfa.InsecureAllow, time.Hour))
		is(200)
		require.NoError(t, o.e.SetOnUnavailable(echomfa.Refuse, 0))
		is(503)
		pass(2 * time.Hour)
		assert.Equal(t, 4, warned())
		_, err := echomfa.New(echomfa.Config{OnUnavailable: 7})
		require.ErrorContains(t, err, "echomfa: OnUnavailable: ")
	})
	var zero echomfa.Enforcer
	require.Error(t, zero.SetOnUnavailable(echomfa.InsecureAllow, time.Minute))
	require.NoError(t, errors.Join(zero.Close()))
}
