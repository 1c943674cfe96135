package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

// TestWrapTransport shows that a wrapped client has the connections of one that is not:
// long tokens have theirs, all others share one, and idle ones can be closed.
func TestWrapTransport(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	connections := map[bool]map[string]bool{true: {}, false: {}}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		assert.Equal(t, "yes", r.Header.Get("X-Wrapped"))
		connections[len(r.Header.Get("Authorization")) > 4000][r.RemoteAddr] = true
		_, _ = io.WriteString(w, noFactors)
	}))
	server.Start()
	t.Cleanup(server.Close)
	for name, own := range map[string]*http.Client{"own": nil, "brought": {Transport: &http.Transport{}}} {
		clear(connections[true])
		clear(connections[false])
		wrapped := 0
		c, err := client.New(client.Config{
			BaseURL: server.URL, AppID: "app", HTTPClient: own, Timeout: time.Minute,
			WrapTransport: func(base http.RoundTripper) http.RoundTripper {
				wrapped++
				return transportFunc(func(r *http.Request) (*http.Response, error) {
					r.Header.Set("X-Wrapped", "yes")
					return base.RoundTrip(r)
				})
			},
		})
		require.NoError(t, err)
		for range 3 {
			for _, length := range []int{5000, 50} {
				_, err = c.ListEnrolledFactors(t.Context(), strings.Repeat("x", length))
				require.NoError(t, err)
			}
		}
		assert.Equal(t, 2, wrapped, name)
		assert.Len(t, connections[true], 3, name)
		assert.Less(t, len(connections[false]), 3, name) // a slow machine may make a second one
		c.CloseIdleConnections()
		_, err = c.ListEnrolledFactors(t.Context(), strings.Repeat("x", 50))
		require.NoError(t, err)
		assert.Greater(t, len(connections[false]), 1, "the idle one was closed")
		c.CloseIdleConnections()
	}
	_, err := client.New(client.Config{BaseURL: server.URL, AppID: "app", WrapTransport: func(http.RoundTripper) http.RoundTripper { return nil }})
	assert.EqualError(t, err, "client: WrapTransport: returned nil")
}
