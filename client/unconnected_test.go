package client_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

// TestUnconnected shows which failures came before there was a connection, of a transport
// that does not tell how far it came. An alert of TLS may come later too.
func TestUnconnected(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		err  error
		want bool
	}{
		"no host":         {&net.DNSError{IsNotFound: true}, true},
		"nobody listens":  {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, true},
		"certificate":     {x509.UnknownAuthorityError{}, true},
		"TLS alert":       {&net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, false},
		"own TLS alert":   {&net.OpError{Op: "local error", Err: errors.New("tls: bad record MAC")}, false},
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
