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

// TestX2LongTokensHaveAConnectionOfTheirOwn shows that a gateway which ends the connection
// of a long token ends no other call with it, and that all others share one.
func TestX2LongTokensHaveAConnectionOfTheirOwn(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	connections := map[bool]map[string]bool{true: {}, false: {}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		connections[len(r.Header.Get("Authorization")) > 3<<10+len("Bearer ")][r.RemoteAddr] = true
		_, _ = io.WriteString(w, noFactors)
	}))
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	for name, own := range map[string]*http.Client{"own": nil, "brought": {Transport: transport}} {
		c, err := client.New(client.Config{BaseURL: server.URL, AppID: "app", HTTPClient: own, Timeout: time.Minute})
		require.NoError(t, err)
		clear(connections[true])
		clear(connections[false])
		for range 3 {
			for _, length := range []int{3<<10 + 1, 3 << 10} {
				_, err = c.ListEnrolledFactors(t.Context(), strings.Repeat("x", length))
				require.NoError(t, err)
			}
		}
		assert.Len(t, connections[true], 3, name)
		assert.Less(t, len(connections[false]), 3, name) // a slow machine may make a second one
		for address := range connections[true] {
			assert.NotContains(t, connections[false], address, name)
		}
		c.CloseIdleConnections()
	}
	assert.False(t, transport.DisableKeepAlives)
	c := newFakeClient(t, answer(200, nil, noFactors))
	_, err := c.ListEnrolledFactors(t.Context(), strings.Repeat("x", 5000))
	require.NoError(t, err, "a transport that is not net/http's")
}
