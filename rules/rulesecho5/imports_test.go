package rulesecho5_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestBinaryHasOneFramework builds an app that has this package, with the tag, and looks at
// which modules are in it.
func TestBinaryHasOneFramework(t *testing.T) {
	t.Parallel()
	binary := filepath.Join(t.TempDir(), "app")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "echomfa_noechov4", "-o", binary, "./testdata/app")
	said, err := build.CombinedOutput()
	require.NoError(t, err, string(said))
	modules, err := exec.CommandContext(t.Context(), "go", "version", "-m", binary).CombinedOutput()
	require.NoError(t, err, string(modules))
	assert.Contains(t, string(modules), "github.com/labstack/echo/v5")
	assert.Contains(t, string(modules), "github.com/echomfa/echomfa/rules")
	assert.NotContains(t, string(modules), "github.com/labstack/echo/v4")
}
