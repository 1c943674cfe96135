package integration_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestVendorsNodeSDK signs in, enrolls and removes a factor by the vendor's own
// Node SDK against the emulator. It needs node and npm, and fails without them.
func TestVendorsNodeSDK(t *testing.T) {
	t.Parallel()
	genauth := genauthtest.Start(t)
	genauth.AddUser(genauthtest.User{ID: "alice-id", Username: "alice", Password: "alice-password"})
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "walk.mjs"} {
		raw, err := os.ReadFile(filepath.Join("testdata", "node", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), raw, 0o600))
	}
	run := func(program string, args ...string) string {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	assert.Equal(t, "200 []\n200\n200 [\"OTP\"]\n200\n200 []\n", run("node", "walk.mjs", genauth.URL(), genauth.AppID()))
	assert.Equal(t, 3, genauth.ListCalls())
}
