package redisstore_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// orphanEnv has TestServersEndWithTheTest be the test that is killed.
const orphanEnv = "ECHOMFA_TEST_ORPHAN"

// TestServersEndWithTheTest kills a test, which has no time to end its servers: they are gone
// all the same, one that hangs among them.
func TestServersEndWithTheTest(t *testing.T) {
	t.Parallel()
	if os.Getenv(orphanEnv) != "" {
		server, hung := redistest.New(t), redistest.New(t)
		hung.Pause(t)
		_, _ = fmt.Fprintln(os.Stdout, "serving", server.Addr, hung.Addr)
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	test := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestServersEndWithTheTest$")
	test.Env = append(os.Environ(), orphanEnv+"=1")
	in, err := test.StdinPipe() // it is open until the end
	require.NoError(t, err)
	out, err := test.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, test.Start())
	var servers []string
	for lines := bufio.NewScanner(out); servers == nil && lines.Scan(); {
		if addresses, is := strings.CutPrefix(lines.Text(), "serving "); is {
			servers = strings.Fields(addresses)
		}
	}
	assert.Len(t, servers, 2)
	assert.NoError(t, test.Process.Kill())
	assert.Error(t, test.Wait())
	_ = in.Close()
	for _, address := range servers {
		eventually(t, func() bool {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
			if err == nil {
				_ = conn.Close()
			}
			return err != nil
		}, "it is still there")
	}
}
