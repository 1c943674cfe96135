package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

// overWhen is a context whose time is over when something has happened, however slow the
// machine is.
type overWhen struct {
	context.Context //nolint:containedctx // it is one
	happened        <-chan struct{}
}

func (c overWhen) Done() <-chan struct{} { return c.happened }

func (c overWhen) Err() error {
	select {
	case <-c.happened:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// event is something that happens once.
func event() (happened <-chan struct{}, happens func()) {
	over := make(chan struct{})
	return over, sync.OnceFunc(func() { close(over) })
}

// deadPort returns an address where nobody listens.
func deadPort(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	return listener.Addr().String()
}

// eachConn starts a server that does something with each connection, and ends it.
func eachConn(t *testing.T, each func(net.Conn)) (address string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var served sync.WaitGroup
	ctx, end := context.WithCancel(t.Context())
	served.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			context.AfterFunc(ctx, func() { _ = conn.Close() })
			served.Go(func() { defer func() { _ = conn.Close() }(); each(conn) })
		}
	})
	t.Cleanup(func() { end(); _ = listener.Close(); served.Wait() })
	return listener.Addr().String()
}

// unconnected asks, and returns whether it failed before there was a connection. It asks
// twice if there must be a connection that is used again.
func unconnected(t *testing.T, ctx context.Context, address string, transport *http.Transport) bool { //nolint:revive // t first, as everywhere
	t.Helper()
	transport.DisableCompression = true
	t.Cleanup(transport.CloseIdleConnections)
	c, err := client.New(client.Config{BaseURL: address, AppID: "app", Timeout: time.Minute, HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	_, err = c.ListEnrolledFactors(ctx, testToken)
	var way interface{ Unconnected() bool }
	return assert.Error(t, err) && assert.NotContains(t, err.Error(), testToken) && errors.As(err, &way) && way.Unconnected()
}

// TestUnconnectedOverSockets has what can fail before there is a connection, and after.
func TestUnconnectedOverSockets(t *testing.T) {
	t.Parallel()
	row := func(name string, want bool, f func(t *testing.T) bool) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, want, f(t))
		})
	}
	row("nobody listens", true, func(t *testing.T) bool {
		t.Helper()
		return unconnected(t, t.Context(), "http://"+deadPort(t), &http.Transport{})
	})
	row("certificate", true, func(t *testing.T) bool {
		t.Helper()
		return unconnected(t, t.Context(), newQuietTLS(t, http.NotFound).URL, &http.Transport{})
	})
	row("the proxy is dead", true, func(t *testing.T) bool {
		t.Helper()
		proxy := &url.URL{Scheme: "http", Host: deadPort(t)}
		return unconnected(t, t.Context(), "https://genauth.example", &http.Transport{Proxy: http.ProxyURL(proxy)})
	})
	row("the proxy does not connect", true, func(t *testing.T) bool {
		t.Helper()
		proxy := &url.URL{Scheme: "http", Host: eachConn(t, func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		})}
		return unconnected(t, t.Context(), "https://genauth.example", &http.Transport{Proxy: http.ProxyURL(proxy)})
	})
	row("no time to dial", true, func(t *testing.T) bool {
		t.Helper()
		over, begun := event()
		dialer := &net.Dialer{ControlContext: func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
			begun()
			<-ctx.Done()
			return ctx.Err()
		}}
		return unconnected(t, overWhen{t.Context(), over}, "http://"+deadPort(t), &http.Transport{DialContext: dialer.DialContext})
	})
	row("no time for TLS", true, func(t *testing.T) bool {
		t.Helper()
		over, begun := event()
		address := eachConn(t, func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4096))
			begun()
			_, _ = io.Copy(io.Discard, conn)
		})
		return unconnected(t, overWhen{t.Context(), over}, "https://"+address, &http.Transport{})
	})
	row("the peer closes in TLS", true, func(t *testing.T) bool {
		t.Helper()
		address := eachConn(t, func(conn net.Conn) { _, _ = conn.Read(make([]byte, 4096)) })
		return unconnected(t, t.Context(), "https://"+address, &http.Transport{})
	})
	row("it closes", false, func(t *testing.T) bool {
		t.Helper()
		address := eachConn(t, func(conn net.Conn) { _, _ = conn.Read(make([]byte, 4096)) })
		return unconnected(t, t.Context(), "http://"+address, &http.Transport{})
	})
	row("no answer in time", false, func(t *testing.T) bool {
		t.Helper()
		over, begun := event()
		address := eachConn(t, func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4096))
			begun()
			_, _ = io.Copy(io.Discard, conn)
		})
		return unconnected(t, overWhen{t.Context(), over}, "http://"+address, &http.Transport{})
	})
	row("rubbish after TLS", false, func(t *testing.T) bool {
		t.Helper()
		server := newQuietTLS(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if secure, ok := conn.(*tls.Conn); assert.NoError(t, err) && assert.True(t, ok) {
				_, _ = secure.NetConn().Write([]byte("\x17\x03\x03\x00\x20no record of TLS, but as long...."))
				_ = conn.Close()
			}
		})
		return unconnected(t, t.Context(), server.URL, ownRoots(server))
	})
	row("no connection is free in time", false, func(t *testing.T) bool {
		t.Helper()
		over, waits := event()
		full, taken := event()
		address := eachConn(t, func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4096))
			taken()
			_, _ = io.Copy(io.Discard, conn)
		})
		transport := &http.Transport{MaxConnsPerHost: 1}
		ctx, cancel := context.WithCancel(t.Context())
		var first sync.WaitGroup
		first.Go(func() { unconnected(t, ctx, "http://"+address, transport) })
		defer first.Wait()
		defer cancel()
		<-full
		second := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GetConn: func(string) { waits() }})
		return unconnected(t, overWhen{second, over}, "http://"+address, transport)
	})
}

// newQuietTLS starts a server of HTTP/1 over TLS.
func newQuietTLS(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// ownRoots returns a transport that trusts a server.
func ownRoots(server *httptest.Server) *http.Transport {
	transport, _ := server.Client().Transport.(*http.Transport)
	return transport.Clone()
}
