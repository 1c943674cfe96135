package otelmfa

import (
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// TestDiscreetSpan has all that an instrumentation may say of a call: what may quote the
// server, and attributes that are not on the list, are left out.
func TestDiscreetSpan(t *testing.T) {
	t.Parallel()
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	_, span := discreet{provider: provider}.Tracer("test").Start(t.Context(), "HTTP GET")
	span.RecordError(errors.New("canary"))
	span.AddEvent("canary")
	span.SetStatus(codes.Error, "canary")
	span.SetAttributes(
		attribute.Int("http.response.status_code", http.StatusOK),
		attribute.String("http.request.header.authorization", "canary"),
		attribute.String("url.full", "https://canary:canary@genauth.example/list?canary#canary"),
		attribute.String("url.full", "https://canary\x7f"),
	)
	span.End()
	ended := spans.GetSpans()
	require.Len(t, ended, 1)
	assert.Empty(t, ended[0].Events)
	assert.Equal(t, sdktrace.Status{Code: codes.Error}, ended[0].Status)
	assert.Equal(t, []attribute.KeyValue{
		attribute.Int("http.response.status_code", http.StatusOK), attribute.String("url.full", "https://genauth.example/list"),
	}, ended[0].Attributes)
	require.NoError(t, provider.Shutdown(t.Context()))
}
