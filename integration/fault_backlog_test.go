//go:build unix

package integration_test

import (
	"context"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestF03ConnectHangs(t *testing.T) {
	fault{
		begin: func(r *rig) {
			r.genauth.CloseIdleConnections()
			r.front.hang()
		},
		stale: true,
		lasts: true,
		after: func(t *testing.T, r *rig, _ []reply) {
			t.Helper()
			assert.Zero(t, r.front.calls())
		},
	}.run(t)
}

// hang accepts no connection any more and fills the listener's queue, so that
// the kernel leaves further attempts without an answer.
func (f *front) hang() {
	f.mu.Lock()
	listener := f.listener
	f.mu.Unlock()
	require.NoError(f.t, listener.SetDeadline(time.Now())) // ends the loop that accepts
	f.end()
	control, err := listener.SyscallConn()
	require.NoError(f.t, err)
	var listenErr error
	require.NoError(f.t, control.Control(func(fd uintptr) { listenErr = syscall.Listen(int(fd), 0) }))
	require.NoError(f.t, listenErr)
	for range 16 {
		ctx, cancel := context.WithTimeout(f.t.Context(), 50*time.Millisecond)
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", f.addr)
		cancel()
		if err != nil {
			return
		}
		f.t.Cleanup(func() { _ = conn.Close() })
	}
	f.t.Fatal("the queue of connections cannot be filled")
}
