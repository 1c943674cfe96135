package echomfa_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
)

type panickingObserver struct{ *recorder }

func (o panickingObserver) ObserveDecision(ctx context.Context, d echomfa.Decision, route, method string) {
	o.recorder.ObserveDecision(ctx, d, route, method)
	panic("observer")
}

// observed is one call of an Observer.
type observed struct {
	outcome       echomfa.Outcome
	route, method string
}

type recorder struct{ seen []observed }

func (r *recorder) ObserveDecision(_ context.Context, d echomfa.Decision, route, method string) {
	r.seen = append(r.seen, observed{d.Outcome, route, method})
}

// TestObserver shows what an Observer is told: the registered route and a
// method from a fixed list, also of a request that was skipped.
func TestObserver(t *testing.T) {
	t.Parallel()
	seen := &recorder{}
	e := table(t, func(c *echomfa.Config) { c.Observer = seen })
	cfg := echomfa.MiddlewareConfig{Enforcer: e, Policy: otp()}
	serve(t, cfg, withToken(answertest.Enrolled))
	serve(t, cfg, withToken(answertest.NotEnrolled))
	_, err := e.Decide(t.Context(), answertest.Enrolled, otp())
	require.NoError(t, err)

	mux := http.NewServeMux()
	mux.Handle("/people/{id}", e.Middleware(echomfa.HandlerConfig{Policy: otp()})(http.NotFoundHandler()))
	mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "BREW", "/people/4", nil))

	cfg.Skipper = func(echo.Context) bool { return true }
	serve(t, cfg, nil)

	assert.Equal(t, []observed{
		{echomfa.Allowed, "/admin/:id", "GET"},
		{echomfa.NotEnrolled, "/admin/:id", "GET"},
		{echomfa.Allowed, "", ""},
		{echomfa.Unauthenticated, "/people/{id}", "_OTHER"},
		{echomfa.Exempted, "/admin/:id", "GET"},
	}, seen.seen)
}

// TestKeepDecision shows when a handler can read the decision.
func TestKeepDecision(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{true, false} {
		e := table(t, func(c *echomfa.Config) { c.KeepDecision = keep })
		check := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			d, ok := echomfa.DecisionFrom(r.Context())
			assert.Equal(t, keep, ok)
			assert.Equal(t, keep, d.Enrolled.Has(echomfa.OTP))
		})
		app := echo.New()
		app.Any("/*", echo.WrapHandler(check), e.Require(otp()))
		for _, handler := range []http.Handler{app, e.Middleware(echomfa.HandlerConfig{Policy: otp()})(check)} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			withToken(answertest.Enrolled)(r)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			assert.Equal(t, http.StatusOK, w.Code)
		}
	}
}

// TestLogLevels shows how loud each refusal is: a rejected user is news, an
// unknown status is a warning, unless nobody waits for it any more, and
// a question that GenAuth refuses is an error.
func TestLogLevels(t *testing.T) {
	t.Parallel()
	for bearer, want := range map[string]string{
		answertest.NotEnrolled: "INFO", "token-refused": "INFO", "token-unavailable": "WARN", "token-limited": "WARN",
		"token-malformed": "WARN", "token-misconfigured": "ERROR",
	} {
		var log bytes.Buffer
		e := table(t, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		decide(t, e, bearer, otp())
		assert.Contains(t, log.String(), "level="+want+" msg=\"mfa refused\"", bearer)
	}
	var log bytes.Buffer
	e := table(t, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	gone, leave := context.WithCancel(t.Context())
	leave()
	_, err := e.Decide(gone, answertest.Enrolled, otp())
	require.ErrorIs(t, err, context.Canceled)
	assert.Contains(t, log.String(), "level=INFO msg=\"mfa refused\"")
}

// TestLogNamesThePolicy shows that the log has the name of a policy, or its text
// if it has none.
func TestLogNamesThePolicy(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]echomfa.Policy{"policy=OTP ": otp(), "policy=admin ": otp().Named("admin")} {
		var log bytes.Buffer
		e := table(t, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		decide(t, e, answertest.NotEnrolled, p)
		assert.Contains(t, log.String(), want)
	}
}

// meddler is an Observer that writes into what it is told.
type meddler struct{}

func (meddler) ObserveDecision(_ context.Context, d echomfa.Decision, _, _ string) {
	for _, types := range d.Missing {
		clear(types)
	}
	clear(d.Missing)
}

// TestObserverDoesNotChangeTheAnswer shows that what an Observer does to a decision
// reaches nobody else.
func TestObserverDoesNotChangeTheAnswer(t *testing.T) {
	t.Parallel()
	e := table(t, func(c *echomfa.Config) { c.Observer = meddler{} })
	d, err := e.Decide(t.Context(), answertest.NotEnrolled, otp())
	want := [][]echomfa.FactorType{{echomfa.OTP}}
	assert.Equal(t, want, d.Missing)
	var refused *echomfa.NotEnrolledError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, want, refused.Decision.Missing)
	w := serve(t, echomfa.MiddlewareConfig{Enforcer: e, Policy: otp()}, withToken(answertest.NotEnrolled))
	assert.Contains(t, w.Body.String(), `"missing":[["OTP"]]`)
}
