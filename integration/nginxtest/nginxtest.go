// Package nginxtest starts Debian's nginx for a test.
package nginxtest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/echomfa/echomfa/internal/child"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Server is an nginx with one server.
type Server struct {
	// Address is where it listens.
	Address string
	// HTTP2 makes it speak HTTP/2, without TLS, to who begins with it.
	HTTP2 bool

	socket *os.File
	log    string
}

// Listen returns a server that listens on a free port of this machine and does not
// serve yet. nginx takes over a socket that listens already, as when it is replaced by
// a newer one: no other process can get the port in between, and requests wait until it
// is there.
func Listen(t *testing.T) *Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it is closed below
	require.NoError(t, err)
	tcp, ok := listener.(*net.TCPListener)
	require.True(t, ok)
	socket, err := tcp.File()
	require.NoError(t, err)
	s := &Server{Address: listener.Addr().String(), socket: socket}
	require.NoError(t, listener.Close()) // the file stays open
	t.Cleanup(func() { _ = socket.Close() })
	return s
}

// Serve starts nginx with the defaults of its package, and what stands in the server
// block. It needs nginx, and fails without it.
func (n *Server) Serve(t *testing.T, server string) {
	t.Helper()
	n.ServeHTTP(t, fmt.Sprintf("server {\n\tlisten %s%s;\n%s\n}", n.Address, map[bool]string{true: " http2"}[n.HTTP2], server))
}

// ServeHTTP is Serve for what stands in the http block: its one server listens on Address.
func (n *Server) ServeHTTP(t *testing.T, http string) {
	t.Helper()
	dir := t.TempDir()
	n.log = filepath.Join(dir, "error.log")
	conf := filepath.Join(dir, "nginx.conf")
	var temp strings.Builder
	for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		_, _ = fmt.Fprintf(&temp, "%s_temp_path %s;\n", name, filepath.Join(dir, name))
	}
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, `
daemon off;
worker_processes 1;
pid %s;
events { worker_connections 64; }
http {
	access_log off;
	%s
	%s
}
`, filepath.Join(dir, "pid"), temp.String(), http), 0o600))
	cmd := exec.Command("nginx", "-p", dir, "-c", conf, "-e", n.log) //nolint:noctx,gosec // it is stopped below, and the name is fixed
	cmd.Env = append(os.Environ(), "NGINX=3;")
	cmd.ExtraFiles = []*os.File{n.socket}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	child.EndWithParent(cmd, syscall.SIGTERM) // by which it ends its workers
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		assert.NoError(t, cmd.Wait(), out.String())
	})
}

// Errors is what nginx has logged.
func (n *Server) Errors(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(n.log)
	require.NoError(t, err)
	return string(raw)
}
