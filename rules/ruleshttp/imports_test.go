package ruleshttp_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestNoFrameworkIsLinked shows that a program with this package has no web framework in
// it, if it is built with the tag.
func TestNoFrameworkIsLinked(t *testing.T) {
	t.Parallel()
	for _, pkg := range []string{".", "../rulestest", ".."} {
		packages, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", "echomfa_noechov4", pkg).Output()
		require.NoError(t, err)
		assert.Contains(t, strings.Fields(string(packages)), "github.com/echomfa/echomfa/rules")
		assert.NotContains(t, string(packages), "labstack")
	}
}
