package otelmfa_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/echomfa/echomfa/otelmfa"
)

// brokenTransport fails by an error that quotes all it has, as net/http quotes what a
// server has sent.
type brokenTransport struct{ base http.RoundTripper }

func (b brokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	_, err := b.base.RoundTrip(r)
	return nil, fmt.Errorf("malformed HTTP response %q: %v %w", r.Header, r.URL, err)
}

// TestNothingOfAUserIsExported sends tokens through every outcome, with spans for all, and
// looks for them, for the user and for the profile in all that exporters get.
func TestNothingOfAUserIsExported(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	var canaries []string
	calls, spans := 0, 0
	visit := func(token genauthtest.Token, change func(*genauthtest.Server), wrap func(http.RoundTripper) http.RoundTripper) {
		genauth := genauthtest.Start(t)
		genauth.AddUser(genauthtest.User{
			ID: "user-canary", Username: "name-canary", Email: "mail-canary@example.com", Phone: "5550100",
			Factors: []genauthtest.FactorType{genauthtest.OTP, "X-CONTROL"},
		})
		genauth.OnRequest(func(r *http.Request) {
			calls++
			for _, header := range []string{"Traceparent", "Tracestate", "Baggage", "B3"} {
				assert.Empty(t, r.Header.Get(header), "GenAuth is sent no trace context")
			}
		})
		var telemetry *otelmfa.Telemetry
		r := newRig(t, func(seen *otelmfa.Config, cfg *echomfa.Config) {
			var err error
			telemetry, err = otelmfa.New(*seen)
			require.NoError(t, err)
			config := client.Config{BaseURL: genauth.URL(), AppID: genauth.AppID(), Timeout: patience}
			config.WrapTransport = func(base http.RoundTripper) http.RoundTripper { return telemetry.Transport(wrap(base)) }
			c, err := client.New(config)
			require.NoError(t, err)
			t.Cleanup(c.CloseIdleConnections)
			cfg.Client, cfg.Namespace, cfg.InsecureAnyAudience = c, "", false
		})
		token.UserID = "user-canary"
		raw := genauth.Mint(token)
		canaries = append(canaries, strings.Split(raw, ".")[strings.Count(raw, "."):]...)
		canaries = append(canaries, fmt.Sprintf("%x", raw))
		if change != nil {
			change(genauth)
		}
		for _, mode := range []echomfa.Mode{echomfa.Enforce, echomfa.ReportOnly} {
			r.serve(t, echomfa.HandlerConfig{Policy: otp(), Mode: mode}, raw)
		}
		// A call with the id of a factor in its query, and one that sends a token.
		c, ok := r.mfa.Client().(*client.Client)
		require.True(t, ok)
		ctx, span := r.tracer.Start(t.Context(), "app")
		_, _ = c.GetFactor(ctx, raw, "factor-canary")
		span.End()
		for _, span := range r.spans.GetSpans() {
			spans++
			_, _ = fmt.Fprintf(&out, "%s %s %v %q %v %v\n", span.Name, spelled(span.Attributes), span.Events, span.Status.Description, span.Links, span.Resource)
		}
		var all metricdata.ResourceMetrics
		require.NoError(t, r.reader.Collect(context.Background(), &all))
		text, err := json.Marshal(all)
		require.NoError(t, err)
		_, _ = out.Write(text)
	}
	as := func(base http.RoundTripper) http.RoundTripper { return base }
	visit(genauthtest.Token{}, nil, as)
	visit(genauthtest.Token{Opaque: true}, nil, as)
	visit(genauthtest.Token{MinLength: 4000}, nil, as)
	visit(genauthtest.Token{Lifetime: -1}, nil, as)
	visit(genauthtest.Token{Claims: map[string]any{"aud": "other"}}, nil, as)
	for _, fault := range []func(*genauthtest.Answer){
		genauthtest.HTTPStatus(http.StatusBadGateway, ""), genauthtest.RateLimited("0"), genauthtest.HTML(), genauthtest.Envelope(401, 2020),
	} {
		visit(genauthtest.Token{}, func(s *genauthtest.Server) { s.SetFault(genauthtest.Fault{Change: fault}) }, as)
	}
	visit(genauthtest.Token{}, nil, func(base http.RoundTripper) http.RoundTripper { return brokenTransport{base} })
	visit(genauthtest.Token{}, func(s *genauthtest.Server) { s.Stop() }, as)

	assert.Greater(t, calls, 10)
	assert.Greater(t, spans, 50)
	text := out.String()
	for _, want := range []string{"allowed", "unauthenticated", "unavailable", "HTTP GET", "http.response.status_code=502", "url.full=", "error.type="} {
		assert.Contains(t, text, want)
	}
	for _, canary := range append(canaries, "canary", "5550100", "X-CONTROL", "malformed HTTP") {
		at := strings.Index(text, canary)
		assert.Negative(t, at, "%q is in: %.300q", canary, text[max(0, at-200):])
	}
}

// TestCallIsBelowItsLookup has the spans of one request: its own, the lookup's, the call's.
func TestCallIsBelowItsLookup(t *testing.T) {
	t.Parallel()
	genauth := genauthtest.Start(t)
	genauth.AddUser(genauthtest.User{ID: "alice", Factors: []genauthtest.FactorType{genauthtest.OTP}})
	r := newRig(t, func(seen *otelmfa.Config, cfg *echomfa.Config) {
		telemetry, err := otelmfa.New(*seen)
		require.NoError(t, err)
		c, err := client.New(client.Config{BaseURL: genauth.URL(), AppID: genauth.AppID(), Timeout: patience, WrapTransport: telemetry.Transport})
		require.NoError(t, err)
		t.Cleanup(c.CloseIdleConnections)
		cfg.Client, cfg.Namespace, cfg.InsecureAnyAudience = c, "", false
	})
	require.Equal(t, 200, r.serve(t, echomfa.HandlerConfig{Policy: otp()}, genauth.AccessToken("alice")))
	calls, lookups := r.ended("HTTP GET"), r.ended("echomfa.lookup")
	require.Len(t, calls, 1)
	require.Len(t, lookups, 1)
	assert.Equal(t, lookups[0].SpanContext.SpanID(), calls[0].Parent.SpanID())
	assert.Contains(t, spelled(calls[0].Attributes), "http.response.status_code=200")
	assert.NotContains(t, r.collected(t), "http.client.request.duration")
}
