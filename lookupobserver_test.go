package echomfa_test

import (
	"bytes"
	"context"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
)

type contextKey struct{}

// lookupRecorder is a LookupObserver that keeps what it is told.
type lookupRecorder struct {
	recorder

	mu      sync.Mutex
	begun   []context.Context // of the requests
	results []echomfa.LookupResult
	begin   func(ctx context.Context) context.Context
	end     func()
}

func (l *lookupRecorder) ObserveLookup(ctx, request context.Context) (context.Context, func(echomfa.LookupResult)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun = append(l.begun, request)
	if l.begin != nil {
		ctx = l.begin(ctx)
	}
	return ctx, func(r echomfa.LookupResult) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.results = append(l.results, r)
		if l.end != nil {
			l.end()
		}
	}
}

// TestLookupsAreObserved has what an Observer is told of each result.
func TestLookupsAreObserved(t *testing.T) {
	t.Parallel()
	for bearer, failure := range map[string]string{
		answertest.Enrolled: "", answertest.NotEnrolled: "", "token-refused": "refused", "token-limited": "rate_limited",
		"token-misconfigured": "misconfigured", "token-unavailable": "unavailable", "token-malformed": "malformed",
	} {
		seen := &lookupRecorder{}
		e := table(t, func(c *echomfa.Config) { c.Observer = seen })
		ctx := context.WithValue(t.Context(), contextKey{}, "of the request")
		_, _ = e.Decide(ctx, bearer, otp())
		require.Len(t, seen.results, 1, bearer)
		assert.Equal(t, failure, seen.results[0].Failure, bearer)
		assert.Equal(t, "of the request", seen.begun[0].Value(contextKey{}))
		require.Len(t, seen.results[0].Waiting, 1)
		assert.Equal(t, "of the request", seen.results[0].Waiting[0].Value(contextKey{}))
		_, _ = e.Decide(ctx, bearer, otp())
		if bearer == answertest.Enrolled {
			assert.Len(t, seen.results, 1, "a hit is no lookup")
		}
	}
}

// TestLookupObserverContext has what the lister and CheckToken are given: what the Observer
// has put into the context, and nothing of the request's.
func TestLookupObserverContext(t *testing.T) {
	t.Parallel()
	seen := &lookupRecorder{begin: func(ctx context.Context) context.Context {
		assert.Nil(t, ctx.Value(contextKey{}))
		return context.WithValue(ctx, contextKey{}, "of the observer")
	}}
	asked := 0
	check := func(ctx context.Context) {
		asked++
		assert.Equal(t, "of the observer", ctx.Value(contextKey{}))
		_, limited := ctx.Deadline()
		assert.True(t, limited)
	}
	lister := echomfa.FactorListerFunc(func(ctx context.Context, _ string) ([]client.Factor, error) {
		check(ctx)
		return []client.Factor{{ID: "1", Type: echomfa.OTP}}, nil
	})
	e := newEnforcer(t, lister, func(c *echomfa.Config) {
		c.Observer = seen
		c.CheckToken = func(ctx context.Context, _ string) error { check(ctx); return nil }
	})
	_, err := e.Decide(context.WithValue(t.Context(), contextKey{}, "of the request"), token, otp())
	require.NoError(t, err)
	assert.Equal(t, 2, asked)
}

// TestLookupObserverDoesNotDecide has Observers that fail in every way: the decision stays
// the same, and the failure is logged.
func TestLookupObserverDoesNotDecide(t *testing.T) {
	t.Parallel()
	for name, seen := range map[string]*lookupRecorder{
		"panics at the begin": {begin: func(context.Context) context.Context { panic("observer") }},
		"panics at the end":   {end: func() { panic("observer") }},
		"no context":          {begin: func(context.Context) context.Context { return nil }},
	} {
		var log bytes.Buffer
		e := table(t, func(c *echomfa.Config) { c.Observer, c.Logger = seen, slog.New(slog.NewTextHandler(&log, nil)) })
		d, err := e.Decide(t.Context(), answertest.Enrolled, otp())
		require.NoError(t, err, name)
		assert.Equal(t, echomfa.Allowed, d.Outcome, name)
		_, err = e.Decide(t.Context(), answertest.NotEnrolled, otp())
		require.ErrorIs(t, err, echomfa.ErrNotEnrolled, name)
		assert.Equal(t, strings.HasPrefix(name, "panics"), strings.Contains(log.String(), "event=lookup_panicked panic=observer"), name)
	}
}

// TestLookupThatEndsItsGoroutine has a lister that returns nothing at all.
func TestLookupThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	seen := &lookupRecorder{}
	e := newEnforcer(t, echomfa.FactorListerFunc(func(context.Context, string) ([]client.Factor, error) {
		panic("lister")
	}), func(c *echomfa.Config) { c.Observer = seen })
	_, err := e.Decide(t.Context(), token, otp())
	require.Error(t, err)
	require.Len(t, seen.results, 1)
	assert.Equal(t, "panicked", seen.results[0].Failure)
}

// TestObservedMode has the mode of each decision, as the log writes it.
func TestObservedMode(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var modes []string
	e := table(t, func(c *echomfa.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.Observer = modeRecorder{&modes}
	})
	serve(t, echomfa.MiddlewareConfig{Enforcer: e, Policy: otp()}, withToken(answertest.NotEnrolled))
	serve(t, echomfa.MiddlewareConfig{Enforcer: e, Policy: otp(), Mode: echomfa.ReportOnly}, withToken(answertest.NotEnrolled))
	require.NoError(t, e.SetOnUnavailable(echomfa.InsecureAllow, time.Hour))
	serve(t, echomfa.MiddlewareConfig{Enforcer: e, Policy: otp()}, withToken("token-unavailable"))
	serve(t, echomfa.MiddlewareConfig{Enforcer: e, Policy: otp(), Mode: echomfa.ReportOnly}, withToken("token-unavailable"))
	want := []string{"enforce", "report_only", "insecure_allow", "report_only"}
	assert.Equal(t, want, modes)
	var logged []string
	for _, line := range regexp.MustCompile(`event=refused .* mode=(\w+) `).FindAllStringSubmatch(log.String(), -1) {
		logged = append(logged, line[1])
	}
	assert.Equal(t, want, logged)
}

type modeRecorder struct{ modes *[]string }

func (m modeRecorder) ObserveDecision(_ context.Context, d echomfa.Decision, _, _ string) {
	*m.modes = append(*m.modes, d.Mode.String())
}

// TestRefusalsInAnOutage has how loud the refusals of an outage are: a warning each until
// the breaker has said what is the matter, and news after that. Of each there is one line.
func TestRefusalsInAnOutage(t *testing.T) {
	t.Parallel()
	levels := func(log *bytes.Buffer) map[string]int {
		counts := make(map[string]int)
		for _, line := range regexp.MustCompile(`level=(\w+) msg="mfa refused" .* outcome=unavailable`).FindAllStringSubmatch(log.String(), -1) {
			counts[line[1]]++
		}
		log.Reset()
		return counts
	}
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := newDirectory()
		enrollMany(d, 40)
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		together(t, e, 20, manyTokens)
		pass(61 * time.Second)
		d.fail(client.ErrUnavailable)
		for i := range 5 {
			decide(t, e, manyTokens(i), otp())
		}
		require.True(t, e.Stats().BreakerOpen)
		assert.Contains(t, log.String(), `level=ERROR msg="mfa lookups keep failing`)
		before := levels(&log)
		assert.Equal(t, 4, before["WARN"], before)
		for i := range 100 { // probes, and those that are turned away
			decide(t, e, manyTokens(i%40), otp())
			pass(100 * time.Millisecond)
		}
		assert.Equal(t, map[string]int{"INFO": 100}, levels(&log))
		d.fail(client.ErrMisconfigured)
		pass(10 * time.Second)
		decide(t, e, manyTokens(1), otp())
		assert.Equal(t, map[string]int{"ERROR": 1}, levels(&log), "that is no outage")
	})
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		d := newDirectory()
		d.fail(client.ErrUnavailable)
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		for i := range 5 {
			decide(t, e, manyTokens(i), otp())
		}
		require.True(t, e.Stats().ColdStart)
		assert.Equal(t, 4, levels(&log)["WARN"])
		decide(t, e, manyTokens(7), otp())
		assert.Equal(t, map[string]int{"INFO": 1}, levels(&log), "a cold start has a line of its own, too")
	})
}
