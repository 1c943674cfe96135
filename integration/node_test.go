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

	"github.com/echomfa/echomfa/integration/npmtest"
)

// TestVendorsNodeSDK signs in, enrolls and removes a factor by the vendor's own
// Node SDK against the emulator. It needs node and npm, and fails without them.
func TestVendorsNodeSDK(t *testing.T) {
	t.Parallel()
	genauth := genauthtest.Start(t)
	genauth.AddUser(genauthtest.User{ID: "alice-id", Username: "alice", Password: "alice-password"})
	dir := t.TempDir()
	program, err := os.ReadFile(filepath.Join("testdata", "node", "walk.mjs"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "walk.mjs"), program, 0o600))
	require.NoError(t, os.Symlink(npmtest.Install(t, filepath.Join("testdata", "node")), filepath.Join(dir, "node_modules")))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	node := exec.CommandContext(ctx, "node", "walk.mjs", genauth.URL(), genauth.AppID())
	node.Dir = dir
	out, err := node.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Equal(t, "200 []\n200\n200 [\"OTP\"]\n200\n200 []\n", string(out))
	assert.Equal(t, 3, genauth.ListCalls())
}
