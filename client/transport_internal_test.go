package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNewTransport(t *testing.T) {
	t.Parallel()
	transport := newTransport()
	assert.True(t, transport.DisableCompression)
	assert.True(t, transport.ForceAttemptHTTP2)
	assert.Equal(t, 256, transport.MaxIdleConnsPerHost)
	assert.Equal(t, 256, transport.MaxIdleConns)
	assert.Positive(t, transport.IdleConnTimeout)
	assert.Positive(t, transport.TLSHandshakeTimeout)
	assert.Positive(t, transport.MaxResponseHeaderBytes)
	assert.NotNil(t, transport.Proxy)
	assert.NotNil(t, transport.DialContext)
	assert.Nil(t, transport.TLSClientConfig)
	assert.NotSame(t, transport, newTransport())
}

func newTLSServer(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// newPatient returns a Client, and its transport, that a busy machine does not make
// give up.
func newPatient(t *testing.T, server *httptest.Server) (*Client, *http.Transport) {
	t.Helper()
	c, err := New(Config{BaseURL: server.URL, AppID: "app", Timeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	transport, ok := c.transport.(*http.Transport)
	require.True(t, ok)
	transport.TLSHandshakeTimeout = time.Minute
	return c, transport
}

func TestOwnTransportSpeaksHTTP2(t *testing.T) {
	t.Parallel()
	server := newTLSServer(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "HTTP/2.0", r.Proto)
		assert.Equal(t, []string{"identity"}, r.Header.Values("Accept-Encoding"))
		_, _ = io.WriteString(w, `{"statusCode":200,"data":[]}`)
	})
	c, transport := newPatient(t, server)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	_, err := c.ListEnrolledFactors(t.Context(), "token")
	require.NoError(t, err)
}

func TestT27UnknownAuthorityGetsNoToken(t *testing.T) {
	t.Parallel()
	server := newTLSServer(t, func(http.ResponseWriter, *http.Request) { t.Error("a request came through") })
	c, _ := newPatient(t, server)
	_, err := c.ListEnrolledFactors(t.Context(), "token")
	require.ErrorIs(t, err, ErrUnavailable)
	var e *TransportError
	require.ErrorAs(t, err, &e)
	assert.False(t, e.Retryable())
	assert.False(t, e.Timeout())
}

func TestT27OldTLSIsRefused(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("a request came through")
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	server.StartTLS()
	t.Cleanup(server.Close)
	c, _ := newPatient(t, server)
	_, err := c.ListEnrolledFactors(t.Context(), "token")
	require.ErrorIs(t, err, ErrUnavailable)
	var e *TransportError
	require.ErrorAs(t, err, &e)
	assert.False(t, e.Retryable())
}

func TestRetryable(t *testing.T) {
	t.Parallel()
	dial := func(err error) error { return &net.OpError{Op: "dial", Err: err} }
	tests := map[string]struct {
		err  error
		want bool
	}{
		"no cause":             {nil, false},
		"unknown":              {errors.New("unknown"), false},
		"EOF":                  {io.EOF, true},
		"GOAWAY":               {errors.New("http2: server sent GOAWAY and closed the connection; LastStreamID=1"), true},
		"unexpected EOF":       {io.ErrUnexpectedEOF, true},
		"refused":              {dial(syscall.ECONNREFUSED), true},
		"no route":             {dial(syscall.EHOSTUNREACH), true},
		"reset":                {&net.OpError{Op: "read", Err: syscall.ECONNRESET}, true},
		"broken pipe":          {&net.OpError{Op: "write", Err: syscall.EPIPE}, true},
		"read, other":          {&net.OpError{Op: "read", Err: errors.New("x")}, false},
		"closed":               {net.ErrClosed, true},
		"no such host":         {dial(&net.DNSError{IsNotFound: true}), false},
		"DNS trouble":          {dial(&net.DNSError{IsTemporary: true}), true},
		"DNS timeout":          {dial(&net.DNSError{IsTimeout: true}), false},
		"dial timeout":         {dial(&net.DNSError{IsTimeout: true, IsTemporary: true}), false},
		"unknown authority":    {x509.UnknownAuthorityError{}, false},
		"wrong name":           {x509.HostnameError{Certificate: &x509.Certificate{}}, false},
		"expired":              {x509.CertificateInvalidError{}, false},
		"verification":         {&tls.CertificateVerificationError{Err: io.EOF}, false},
		"TLS alert":            {dial(tls.AlertError(40)), false},
		"not TLS":              {dial(tls.RecordHeaderError{}), false},
		"reset after redacted": {withoutSecrets(dial(syscall.ECONNREFUSED), []string{"refused"}), true},
		"EOF after redacted":   {withoutSecrets(io.EOF, []string{"EOF"}), true},
		"other after redacted": {withoutSecrets(errors.New("secret"), []string{"secret"}), false},
	}
	for name, tt := range tests {
		e := &TransportError{Op: "op", Err: tt.err}
		assert.Equal(t, tt.want, e.Retryable(), name)
		assert.NotEmpty(t, e.Error(), name)
		assert.False(t, (&TransportError{Err: tt.err, post: true}).Retryable(), name)
		assert.False(t, (&TransportError{Err: tt.err, answered: true}).Retryable(), name)
	}
	assert.True(t, (&TransportError{Err: dial(&net.DNSError{IsTimeout: true})}).Timeout())
	assert.True(t, (&TransportError{Err: withoutSecrets(&net.DNSError{IsTimeout: true, Name: "secret"}, []string{"secret"})}).Timeout())
	assert.ErrorIs(t, withoutSecrets(dial(syscall.ECONNREFUSED), []string{"refused"}), syscall.ECONNREFUSED)
}
