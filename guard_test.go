package echomfa_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
)

// TestN1ErrorsOfRequireFunc has which errors of a RequireFunc say that nobody is signed
// in: a 401. Those of the application's own calls are a 500: to sign in again would not
// help.
func TestN1ErrorsOfRequireFunc(t *testing.T) {
	t.Parallel()
	signedOut := &echomfa.TokenError{Code: "invalid_token", Reason: "the session has ended"}
	rejected := &client.APIError{HTTPStatus: 401, StatusCode: 401}
	network := &net.OpError{Op: "dial", Err: errors.New("refused")}
	rows := map[string]struct {
		err  error
		want int
	}{
		"ErrUnauthenticated":                      {echomfa.ErrUnauthenticated, 401},
		"ErrUnauthenticated, wrapped":             {fmt.Errorf("who: %w", echomfa.ErrUnauthenticated), 401},
		"a TokenError":                            {signedOut, 401},
		"a TokenError, wrapped":                   {fmt.Errorf("who: %w", signedOut), 401},
		"a TokenError with a network cause":       {&echomfa.TokenError{Err: network}, 401},
		"a TokenError with GenAuth's answer":      {&echomfa.TokenError{Err: errors.Join(rejected, echomfa.ErrUnauthenticated)}, 401},
		"GenAuth refuses the app's own call":      {rejected, 500},
		"the service of roles is away":            {errors.Join(network, echomfa.ErrUnauthenticated), 500},
		"the service of roles takes too long":     {errors.Join(context.DeadlineExceeded, echomfa.ErrUnauthenticated), 500},
		"a network error":                         {network, 500},
		"a failed lookup":                         {&echomfa.LookupError{Err: signedOut}, 500},
		"ErrUnavailable":                          {echomfa.ErrUnavailable, 500},
		"ErrNotEnrolled, which is not its to say": {echomfa.ErrNotEnrolled, 500},
		"any other":                               {errTest, 500},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := table(t, func(c *echomfa.Config) { c.LoginURL = "/login" })
			got := serve(t, echomfa.MiddlewareConfig{Enforcer: e, RequireFunc: func(echo.Context) (echomfa.Requirement, error) {
				return echomfa.Requirement{Policy: echomfa.Exempt("not to be used"), Mode: echomfa.ReportOnly}, row.err
			}}, withToken(answertest.Enrolled))
			assert.Equal(t, row.want, got.Code)
			assert.False(t, got.ran)
		})
	}
}

// TestN1BrowserIsSentToSignIn follows a role policy's "nobody is signed in" to the page
// where that changes.
func TestN1BrowserIsSentToSignIn(t *testing.T) {
	t.Parallel()
	e := table(t, func(c *echomfa.Config) { c.LoginURL = "/login" })
	got := serve(t, echomfa.MiddlewareConfig{Enforcer: e, RequireFunc: func(echo.Context) (echomfa.Requirement, error) {
		return echomfa.Requirement{}, echomfa.ErrUnauthenticated
	}}, func(r *http.Request) { r.Header.Set("Accept", "text/html"); r.Header.Set("Sec-Fetch-Mode", "navigate") })
	assert.Equal(t, http.StatusFound, got.Code)
	assert.Equal(t, "/login?return_to=%2Fadmin%2F7", got.Header().Get("Location"))
}

// TestRequirementIsTold shows where the name of a rule is told, and that policies that a
// function returns are known to who warns by them.
func TestRequirementIsTold(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	e := table(t, func(c *echomfa.Config) { c.Logger, c.KeepDecision = slog.New(slog.NewTextHandler(&log, nil)), true })
	require.Empty(t, e.Policies())
	required := echomfa.Requirement{Policy: otp(), Rule: "payout", Revision: "0123abcd"}
	guard, err := echomfa.NewGuard(echomfa.GuardConfig[*http.Request]{Enforcer: e, RequireFunc: func(*http.Request) (echomfa.Requirement, error) {
		return required, nil
	}})
	require.NoError(t, err)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	withToken(answertest.NotEnrolled)(r)
	d, err := guard.Check(r, r, "/payouts")
	require.ErrorIs(t, err, echomfa.ErrNotEnrolled)
	assert.Equal(t, "payout", d.Rule)
	assert.Equal(t, "0123abcd", d.Revision)
	w := httptest.NewRecorder()
	guard.Refuse(w, r, err)
	assert.Equal(t, http.StatusForbidden, w.Code)
	assert.Contains(t, w.Body.String(), `"rule":"payout"`)
	assert.Contains(t, log.String(), " rule=payout rules=0123abcd ")
	assert.NotContains(t, w.Body.String(), "0123abcd")
	require.Len(t, e.Policies(), 1)
	assert.True(t, e.Policies()[0].Equal(otp()))

	required = echomfa.Requirement{Policy: echomfa.AnyOf(echomfa.OTP)} // the same, made again
	withToken(answertest.Enrolled)(r)
	d, err = guard.Check(r, r, "/payouts")
	require.NoError(t, err)
	assert.Equal(t, echomfa.Allowed, d.Outcome)
	assert.Len(t, e.Policies(), 1)
	kept, ok := echomfa.DecisionFrom(guard.WithDecision(r, &d).Context())
	assert.True(t, ok)
	assert.Equal(t, echomfa.Allowed, kept.Outcome)

	for i := range 100 { // a function that makes policies of what a client sends
		required.Policy = echomfa.Custom(echomfa.FactorType(fmt.Sprintf("X%d", i)))
		_, err = guard.Check(r, r, "/payouts")
		require.Error(t, err)
	}
	assert.Len(t, e.Policies(), 64)
}

// TestPolicyOfSeveralEnforcers is known to each, however often it has been asked for.
func TestPolicyOfSeveralEnforcers(t *testing.T) {
	t.Parallel()
	policy, keep := otp(), func(*echomfa.Config) {}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	withToken(answertest.Enrolled)(r)
	enforcers := []*echomfa.Enforcer{table(t, keep), table(t, keep), table(t, keep)}
	for _, e := range enforcers {
		guard, err := echomfa.NewGuard(echomfa.GuardConfig[*http.Request]{Enforcer: e, RequireFunc: func(*http.Request) (echomfa.Requirement, error) {
			return echomfa.Requirement{Policy: policy}, nil
		}})
		require.NoError(t, err)
		for range 3 {
			_, err = guard.Check(r, r, "/payouts")
			require.NoError(t, err)
		}
	}
	for _, e := range enforcers {
		assert.Len(t, e.Policies(), 1)
	}
}

// TestZeroGuardRefuses uses a Guard that was not made by NewGuard.
func TestZeroGuardRefuses(t *testing.T) {
	t.Parallel()
	var guard echomfa.Guard[*http.Request]
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	d, err := guard.Check(r, r, "/")
	require.Error(t, err)
	assert.Equal(t, echomfa.InternalError, d.Outcome)
	for _, refuse := range []func(http.ResponseWriter){
		func(w http.ResponseWriter) { guard.Refuse(w, r, err) },
		func(w http.ResponseWriter) {
			require.NoError(t, guard.RefuseBy(w, r, err, func() bool { return false }, func(error) error { return errTest }))
		},
	} {
		w := httptest.NewRecorder()
		refuse(w)
		assert.Equal(t, http.StatusInternalServerError, w.Code)
	}
	assert.Same(t, r, guard.WithDecision(r, &d))
	require.Error(t, guard.Redact(r, err, errTest))
	require.NotErrorIs(t, guard.Redact(r, err, errTest), errTest)
}

// TestT24RefusalsPrintNoToken prints what Check returned for a token that only a
// callback knew.
func TestT24RefusalsPrintNoToken(t *testing.T) {
	t.Parallel()
	const secret = "canary-0123456789-canary"
	guard, err := echomfa.NewGuard(echomfa.GuardConfig[*http.Request]{
		Enforcer: table(t, nil), Policy: otp(), Token: func(*http.Request) (string, error) { return secret, nil },
	})
	require.NoError(t, err)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	_, err = guard.Check(r, r, "/")
	require.Error(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		assert.NotContains(t, fmt.Sprintf(verb, err), secret)
	}
	assert.Equal(t, "it was [redacted]", guard.Redact(r, err, fmt.Errorf("it was %s", secret)).Error())
	returned := guard.RefuseBy(httptest.NewRecorder(), r, err, func() bool { return true }, func(error) error { return fmt.Errorf("it was %s", secret) })
	assert.EqualError(t, returned, "it was [redacted]")
}

// TestStatus names the status of each kind of error.
func TestStatus(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]int{
		nil: 500, errTest: 500, echomfa.ErrInvalidPolicy: 500, echomfa.ErrUnauthenticated: 401, echomfa.ErrNotEnrolled: 403,
		echomfa.ErrUnavailable: 503, echomfa.ErrMisconfigured: 503,
	} {
		assert.Equal(t, want, echomfa.Status(err), "%v", err)
	}
}

// TestClientsThatLeaveAreNoError has clients leave while callbacks work for them: that
// must not fill the log with lines of the level at which operators are woken.
func TestClientsThatLeaveAreNoError(t *testing.T) {
	t.Parallel()
	wait := func(r *http.Request) error {
		<-r.Context().Done()
		return fmt.Errorf("sessions: %w", r.Context().Err())
	}
	for name, cfg := range map[string]echomfa.GuardConfig[*http.Request]{
		"RequireFunc": {RequireFunc: func(r *http.Request) (echomfa.Requirement, error) { return echomfa.Requirement{}, wait(r) }},
		"Token":       {Policy: otp(), Token: func(r *http.Request) (string, error) { return "", wait(r) }},
		"Subject":     {Policy: otp(), Subject: func(r *http.Request) (string, error) { return "", wait(r) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			cfg.Enforcer = table(t, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			guard, err := echomfa.NewGuard(cfg)
			require.NoError(t, err)
			ctx, leave := context.WithCancel(t.Context())
			leave()
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
			withToken(answertest.Enrolled)(r)
			_, err = guard.Check(r, r, "/")
			require.ErrorIs(t, err, context.Canceled)
			assert.Contains(t, log.String(), "level=INFO ")
			assert.NotContains(t, log.String(), "level=ERROR ")
		})
	}
}

// TestRefusalWithoutAPolicyNamesNone has a RequireFunc that chooses no policy: what the log
// says of it reads like no broken configuration.
func TestRefusalWithoutAPolicyNamesNone(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	e := table(t, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	serve(t, echomfa.MiddlewareConfig{Enforcer: e, RequireFunc: func(echo.Context) (echomfa.Requirement, error) {
		return echomfa.Requirement{}, echomfa.ErrUnauthenticated
	}}, nil)
	assert.Contains(t, log.String(), ` outcome=unauthenticated enforced=true mode=enforce policy="" `)
}
