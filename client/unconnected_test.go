package client_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

// TestUnconnected shows which failures came before there was a connection.
func TestUnconnected(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		err  error
		want bool
	}{
		"no host":         {&net.DNSError{IsNotFound: true}, true},
		"nobody listens":  {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		"certificate":     {x509.UnknownAuthorityError{}, true},
		"TLS alert":       {&net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, true},
		"own TLS alert":   {&net.OpError{Op: "local error", Err: errors.New("tls: bad record MAC")}, true},
		"with the secret": {fmt.Errorf("%w of %s", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, testToken), true},
		"reset":           {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, false},
		"broken":          {io.EOF, false},
		"broken, secret":  {fmt.Errorf("%w of %s", io.EOF, testToken), false},
		"GOAWAY":          {errors.New("http2: server sent GOAWAY and closed the connection"), false},
	} {
		c := newFakeClient(t, transportFunc(func(*http.Request) (*http.Response, error) { return nil, row.err }))
		_, err := c.ListEnrolledFactors(t.Context(), testToken)
		var e *client.TransportError
		require.ErrorAs(t, err, &e, name)
		assert.Equal(t, row.want, e.Unconnected(), name)
		assert.NotContains(t, err.Error(), testToken, name)
	}
}

// TestUnconnectedOverSockets has the usual ones as they come.
func TestUnconnectedOverSockets(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := "http://" + listener.Addr().String()
	require.NoError(t, listener.Close())
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	closes := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	t.Cleanup(closes.Close)
	for address, want := range map[string]bool{nobody: true, secure.URL: true, closes.URL: false} {
		c, err := client.New(client.Config{BaseURL: address, AppID: "app", Timeout: time.Minute})
		require.NoError(t, err)
		t.Cleanup(c.CloseIdleConnections)
		_, err = c.ListEnrolledFactors(t.Context(), testToken)
		var e *client.TransportError
		require.ErrorAs(t, err, &e, address)
		assert.Equal(t, want, e.Unconnected(), "%v", err)
	}
}
