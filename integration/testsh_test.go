package integration_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMissingToolsStopTheTestScript shows that test.sh names what a machine
// lacks, in one command that installs it, with status 2 and before any test. A
// compiler without the C library's headers does not count.
func TestMissingToolsStopTheTestScript(t *testing.T) {
	t.Parallel()
	tools := []string{"redis-server", "redis-cli", "prometheus", "promtool", "git", "npm", "node", "chromium-headless-shell", "nginx"}
	for name, row := range map[string]struct {
		cc      string
		present []string // beside what every machine has
		want    string
	}{
		"no compiler":            {"no-such-compiler", append([]string{"go"}, tools...), "missing: C-compiler\n"},
		"a compiler, no headers": {"cc -nostdinc", append([]string{"go", "cc"}, tools...), "missing: C-compiler\n"},
		"nothing but Go":         {"no-such-compiler", []string{"go"}, "missing: C-compiler " + strings.Join(tools, " ") + "\n"},
		"nothing":                {"", nil, "Go 1.25 or newer is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bin := t.TempDir()
			for _, tool := range append([]string{"sh", "dirname", "id"}, row.present...) {
				path, err := exec.LookPath(tool)
				require.NoError(t, err)
				require.NoError(t, os.Symlink(path, filepath.Join(bin, tool)))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			script := exec.CommandContext(ctx, "/bin/sh", "../test.sh")
			// Without apt-get in reach nothing is installed, also for root.
			script.Env = append(os.Environ(), "PATH="+bin, "CC="+row.cc, "SLOW=")
			out, err := script.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "%s", out)
			assert.Equal(t, 2, exit.ExitCode(), "%s", out)
			assert.Contains(t, string(out), row.want)
			assert.NotContains(t, string(out), "== ", "no module's tests began")
			if row.present != nil {
				assert.Contains(t, string(out), "apt-get install -y --no-install-recommends gcc libc6-dev")
			}
		})
	}
}
