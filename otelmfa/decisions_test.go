package otelmfa_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"

	"github.com/echomfa/echomfa/otelmfa"
)

// TestDecisionsAreCounted has each outcome, mode and source once, with all of its
// attributes, and the same on the span of the request.
func TestDecisionsAreCounted(t *testing.T) {
	t.Parallel()
	rule := func(mode echomfa.Mode) func(*http.Request) (echomfa.Requirement, error) {
		return func(*http.Request) (echomfa.Requirement, error) {
			return echomfa.Requirement{Policy: otp().Named("admin"), Mode: mode, Rule: "payout", Revision: "c0ffee"}, nil
		}
	}
	const named, where = "echomfa.policy=admin echomfa.rule=payout", "http.request.method=GET http.route=/people/{id}"
	for name, row := range map[string]struct {
		mount    echomfa.HandlerConfig
		token    string
		insecure bool
		status   int
		outcome  string
		mode     string
		source   string
		what     string // policy and rule
	}{
		"allowed":          {echomfa.HandlerConfig{Policy: otp()}, "token-of-enrolled", false, 200, "allowed", "enforce", "fetched", "echomfa.policy=OTP"},
		"not enrolled":     {echomfa.HandlerConfig{RequireFunc: rule(echomfa.Enforce)}, "token-of-nothing", false, 403, "not_enrolled", "enforce", "fetched", named},
		"no token":         {echomfa.HandlerConfig{Policy: otp()}, "", false, 401, "unauthenticated", "enforce", "none", "echomfa.policy=OTP"},
		"refused":          {echomfa.HandlerConfig{Policy: otp()}, "token-of-refused", false, 401, "unauthenticated", "enforce", "none", "echomfa.policy=OTP"},
		"unavailable":      {echomfa.HandlerConfig{Policy: otp()}, "token-of-nobody", false, 503, "unavailable", "enforce", "none", "echomfa.policy=OTP"},
		"skipped":          {echomfa.HandlerConfig{Policy: otp(), Skipper: func(*http.Request) bool { return true }}, "", false, 200, "exempt", "enforce", "none", "echomfa.policy=OTP"},
		"own failure":      {echomfa.HandlerConfig{RequireFunc: func(*http.Request) (echomfa.Requirement, error) { return echomfa.Requirement{}, errOwn }}, "token-of-enrolled", false, 500, "internal_error", "enforce", "none", ""},
		"report only":      {echomfa.HandlerConfig{RequireFunc: rule(echomfa.ReportOnly)}, "token-of-nothing", false, 200, "not_enrolled", "report_only", "fetched", named},
		"report only, out": {echomfa.HandlerConfig{RequireFunc: rule(echomfa.ReportOnly)}, "token-of-nobody", true, 200, "unavailable", "report_only", "none", named},
		"insecure allow":   {echomfa.HandlerConfig{Policy: otp()}, "token-of-nobody", true, 200, "unavailable", "insecure_allow", "none", "echomfa.policy=OTP"},
		"insecure, in":     {echomfa.HandlerConfig{Policy: otp()}, "token-of-enrolled", true, 200, "allowed", "enforce", "fetched", "echomfa.policy=OTP"},
		"a mode of none":   {echomfa.HandlerConfig{RequireFunc: rule(2)}, "token-of-nothing", false, 403, "not_enrolled", "enforce", "fetched", named},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if row.insecure {
				require.NoError(t, r.mfa.SetOnUnavailable(echomfa.InsecureAllow, time.Hour))
			}
			assert.Equal(t, row.status, r.serve(t, row.mount, row.token))
			want := strings.Join(strings.Fields("echomfa.mode="+row.mode+" echomfa.outcome="+row.outcome+" "+row.what+" echomfa.source="+row.source+" "+where), " ")
			assert.Equal(t, map[string]int64{want: 1}, r.decisions(t))

			requests := r.ended("request")
			require.Len(t, requests, 1)
			shown := " " + spelled(requests[0].Attributes) + " "
			for attribute := range strings.FieldsSeq(strings.TrimSuffix(want, where)) {
				assert.Contains(t, shown, " "+attribute+" ")
			}
			refused := row.outcome != "allowed" && row.outcome != "exempt"
			assert.Equal(t, refused, strings.Contains(shown, " echomfa.decision_id="))
			assert.Equal(t, row.source != "none", strings.Contains(shown, " echomfa.age="))
			assert.Equal(t, row.what == named, strings.Contains(shown, " echomfa.rules=c0ffee "), "the revision is on the span, and on no metric")
		})
	}
}

// TestSourcesAreCounted has a user who is known, and one whose facts stand in.
func TestSourcesAreCounted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 3 {
		require.Equal(t, 200, r.serve(t, echomfa.HandlerConfig{Policy: otp()}, "token-of-enrolled"))
	}
	assert.Equal(t, map[string]int64{
		"echomfa.mode=enforce echomfa.outcome=allowed echomfa.policy=OTP echomfa.source=fetched http.request.method=GET http.route=/people/{id}": 1,
		"echomfa.mode=enforce echomfa.outcome=allowed echomfa.policy=OTP echomfa.source=cached http.request.method=GET http.route=/people/{id}":  2,
	}, r.decisions(t))
}

// TestUserRefIsOptIn has what a span says of a user: nothing, unless both configurations
// say so.
func TestUserRefIsOptIn(t *testing.T) {
	t.Parallel()
	jwt := "eyJhbGciOiJub25lIn0.eyJzdWIiOiJub2JvZHktMSJ9.c2ln" // of nobody-1
	for _, row := range []struct {
		asked bool
		key   string
	}{{true, "0123456789abcdef"}, {true, ""}, {false, "0123456789abcdef"}} {
		r := newRig(t, func(seen *otelmfa.Config, cfg *echomfa.Config) {
			seen.UserRef = row.asked
			if row.key != "" {
				cfg.UserRefKey = []byte(row.key)
			}
		})
		require.Equal(t, 503, r.serve(t, echomfa.HandlerConfig{Policy: otp()}, jwt))
		shown := spelled(r.ended("request")[0].Attributes)
		if row.asked && row.key != "" {
			assert.Contains(t, shown, "echomfa.user_ref="+echomfa.UserRef([]byte(row.key), "nobody-1"))
		} else {
			assert.NotContains(t, shown, "user_ref")
		}
		for labels := range r.decisions(t) {
			assert.NotContains(t, labels, "user_ref")
		}
	}
}

// TestLabelsAreBounded sends 10,000 users with odd methods to routes that exist and that do
// not, with policies and rules that are made of the request, over an adapter that hands on
// the path for a route.
func TestLabelsAreBounded(t *testing.T) {
	t.Parallel()
	n := 0
	r := newRig(t)
	guard, err := echomfa.NewGuard(echomfa.GuardConfig[*http.Request]{Enforcer: r.mfa, RequireFunc: func(*http.Request) (echomfa.Requirement, error) {
		return echomfa.Requirement{Policy: otp().Named(fmt.Sprint("policy ", n%3000)), Rule: fmt.Sprint("rule ", n)}, nil
	}})
	require.NoError(t, err)
	plain := r.mfa.Middleware(echomfa.HandlerConfig{Policy: otp()})(http.NotFoundHandler())
	mux := http.NewServeMux()
	mux.Handle("/people/{id}", plain)
	mux.Handle("/", plain)
	for n = range 10_000 {
		kind := []string{"enrolled", "nothing", "refused"}[n%3]
		request := httptest.NewRequestWithContext(t.Context(), fmt.Sprint("BREW", n), fmt.Sprint("/people/", n), nil)
		request.Header.Set("Authorization", fmt.Sprint("Bearer token-of-", kind, "-", n))
		mux.ServeHTTP(httptest.NewRecorder(), request)
		request.URL.Path = fmt.Sprint("/elsewhere/", n)
		mux.ServeHTTP(httptest.NewRecorder(), request)
	}
	sane := r.decisions(t)
	assert.LessOrEqual(t, len(sane), 2*6, "two routes")
	total := int64(0)
	for labels, count := range sane {
		total += count
		assert.Contains(t, labels, "http.request.method=_OTHER")
	}
	assert.EqualValues(t, 20_000, total)

	for n = range 10_000 {
		method := []string{http.MethodGet, http.MethodPut, "BREW"}[n%3]
		request := httptest.NewRequestWithContext(t.Context(), method, "/", nil)
		request.Header.Set("Authorization", fmt.Sprint("Bearer token-of-enrolled-", n))
		_, err := guard.Check(request, request, fmt.Sprint("/path/", n))
		require.NoError(t, err)
	}
	all, rest, odd := r.decisions(t), int64(0), int64(0)
	assert.LessOrEqual(t, len(all), 1990)
	total = 0
	for labels, count := range all {
		total += count
		if strings.Contains(labels, "echomfa.rule=_OTHER") {
			rest += count
			assert.Contains(t, labels, "echomfa.outcome=allowed")
			assert.Contains(t, labels, "echomfa.policy=_OTHER")
			assert.Contains(t, labels, "http.route=_OTHER")
			assert.Contains(t, labels, "http.request.method=_OTHER")
		}
		if strings.Contains(labels, "otel.metric.overflow") {
			odd += count
		}
	}
	assert.EqualValues(t, 30_000, total)
	assert.Greater(t, rest, int64(8000))
	assert.Zero(t, odd, "the SDK has taken labels away")
}

// TestLabelsAreText has an adapter that hands on what a client has sent for a route: a
// collector rejects all metrics if one label is not in UTF-8.
func TestLabelsAreText(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	ctx, span := r.tracer.Start(t.Context(), "request")
	for _, route := range []string{"/\xff", "/\xfe", "/\uFFFD"} {
		r.telemetry.ObserveDecision(ctx, echomfa.Decision{Rule: route}, route, http.MethodGet)
	}
	span.End()
	assert.Equal(t, map[string]int64{
		"echomfa.mode=enforce echomfa.outcome=internal_error echomfa.rule=/\uFFFD echomfa.source=none http.request.method=GET http.route=/\uFFFD": 3,
	}, r.decisions(t))
	assert.Contains(t, spelled(r.ended("request")[0].Attributes), "echomfa.rule=/\uFFFD")
}

// TestNoCountIsLost has decisions of new and of known labels at once, up to the limit and
// beyond it, while they are collected.
func TestNoCountIsLost(t *testing.T) {
	t.Parallel()
	const workers, each = 8, 600
	r := newRig(t)
	var busy sync.WaitGroup
	for worker := range workers {
		busy.Go(func() {
			for n := range each {
				r.telemetry.ObserveDecision(t.Context(), echomfa.Decision{Rule: fmt.Sprint("rule ", n*workers+worker)}, "/", http.MethodGet)
				r.telemetry.ObserveDecision(t.Context(), echomfa.Decision{Rule: fmt.Sprint("shared ", n%7)}, "/", http.MethodGet)
			}
		})
	}
	for range 20 {
		assert.LessOrEqual(t, len(r.decisions(t)), 1990)
	}
	busy.Wait()
	all, total := r.decisions(t), int64(0)
	for _, n := range all {
		total += n
	}
	assert.EqualValues(t, 2*workers*each, total)
	assert.Len(t, all, 1901)
}

// TestHitDoesNotAllocate shows that to count a decision costs no allocation: without a
// span, and with one that is not recording. It is held to that where the race detector is
// off.
func TestHitDoesNotAllocate(t *testing.T) {
	r := newRig(t)
	bare := newRig(t, func(_ *otelmfa.Config, cfg *echomfa.Config) { cfg.Observer = deaf{} })
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	measure := func(e *echomfa.Enforcer, p echomfa.Policy) float64 {
		guarded := e.Middleware(echomfa.HandlerConfig{Policy: p})(handler)
		ctx := trace.ContextWithSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}}))
		request := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		request.Pattern = "/"
		request.Header.Set("Authorization", "Bearer token-of-enrolled")
		w := httptest.NewRecorder()
		return testing.AllocsPerRun(200, func() { guarded.ServeHTTP(w, request) })
	}
	for _, p := range []echomfa.Policy{otp(), echomfa.AnyOf(echomfa.OTP, echomfa.Face), otp().Named("admin")} {
		want := measure(bare.mfa, p)
		if !raceDetector {
			assert.Zero(t, want)
		}
		got := measure(r.mfa, p)
		if raceDetector {
			want++ // what comes from a pool
		}
		assert.LessOrEqual(t, got, want, p.Label())
	}
}
