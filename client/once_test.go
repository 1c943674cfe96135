package client_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/sendonce"
)

// TestX2ATokenIsSentOnce has a front that ends the connection of a token which it does not
// like, while there are others to send it on. They stay.
func TestX2ATokenIsSentOnce(t *testing.T) {
	t.Parallel()
	const idle = 5
	for name, row := range map[string]struct {
		ctx   context.Context //nolint:containedctx // a table
		calls int64
	}{
		"once":        {sendonce.With(t.Context()), 1},
		"as net/http": {t.Context(), idle + 1}, // until it is on a new connection
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all sync.WaitGroup
			all.Add(idle)
			var calls atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.Header.Get("Authorization"), "made-up") {
					calls.Add(1)
					panic(http.ErrAbortHandler)
				}
				all.Done()
				all.Wait() // each has a connection
				assert.Zero(t, r.ContentLength)
				assert.Empty(t, r.TransferEncoding)
				_, _ = io.WriteString(w, noFactors)
			}))
			t.Cleanup(server.Close)
			c, err := client.New(client.Config{BaseURL: server.URL, AppID: "app", Timeout: time.Minute})
			require.NoError(t, err)
			t.Cleanup(c.CloseIdleConnections)
			var open sync.WaitGroup
			for range idle {
				open.Go(func() { _, err := c.ListEnrolledFactors(row.ctx, testToken); assert.NoError(t, err) })
			}
			open.Wait()
			_, err = c.ListEnrolledFactors(row.ctx, "made-up")
			var e *client.TransportError
			require.ErrorAs(t, err, &e)
			assert.False(t, e.Unconnected())
			assert.Equal(t, row.calls, calls.Load())
			all.Add(1)
			_, err = c.ListEnrolledFactors(row.ctx, testToken)
			require.NoError(t, err, "also on a connection that is used again")
		})
	}
}

// TestX2LongTokensKeepOutOfASharedPool has a transport on which http2.ConfigureTransports
// was called: what it put there has one pool, also in a clone.
func TestX2LongTokensKeepOutOfASharedPool(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, 2, r.ProtoMajor)
		_, _ = io.WriteString(w, noFactors)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	transport := ownRoots(server)
	t.Cleanup(transport.CloseIdleConnections)
	transport.TLSClientConfig.NextProtos = []string{"h2"}
	var shared atomic.Int64
	transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{"h2": func(_ string, conn *tls.Conn) http.RoundTripper {
		shared.Add(1)
		_ = conn.Close()
		return answer(200, nil, noFactors)
	}}
	c, err := client.New(client.Config{BaseURL: server.URL, AppID: "app", Timeout: time.Minute, HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	for i, length := range []int{3 << 10, 3<<10 + 1} {
		_, err = c.ListEnrolledFactors(t.Context(), strings.Repeat("x", length))
		require.NoError(t, err)
		assert.EqualValues(t, 1, shared.Load(), i)
	}
}
