// Package npmtest installs what tests need from npm.
package npmtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const patience = 3 * time.Minute

// Install installs what package.json and package-lock.json in folder name, and
// returns the folder of the packages, which nobody may change: it is kept in the
// user's cache for the next run, by what the two files say.
func Install(t *testing.T, folder string) string {
	t.Helper()
	sum := sha256.New()
	files := make(map[string][]byte)
	for _, name := range []string{"package.json", "package-lock.json"} {
		raw, err := os.ReadFile(filepath.Join(folder, name)) //nolint:gosec // a folder of the tests
		require.NoError(t, err)
		files[name] = raw
		_, _ = sum.Write(raw) // never fails
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = t.TempDir() // a user without a home
	}
	cache = filepath.Join(cache, "echomfa-npm")
	require.NoError(t, os.MkdirAll(cache, 0o750))
	kept := filepath.Join(cache, hex.EncodeToString(sum.Sum(nil)))
	packages := filepath.Join(kept, "node_modules")
	if _, err := os.Stat(packages); err == nil {
		return packages
	}

	// It gets its name when it is whole, so that no other run finds half of it.
	dir, err := os.MkdirTemp(cache, "new-") //nolint:usetesting // it must be where it can be renamed
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for name, raw := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), raw, 0o600))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	npm := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	npm.Dir = dir
	out, err := npm.CombinedOutput()
	require.NoError(t, err, string(out))
	if err := os.Rename(dir, kept); err != nil {
		_, missing := os.Stat(packages)
		require.NoError(t, missing, "another run has kept it first, or nobody has: %v", err)
	}
	return packages
}
