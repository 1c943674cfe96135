// Package integration_test runs this project together with others: web frameworks,
// proxies, and independent implementations of what the emulator speaks.
package integration_test

import (
	"go/parser"
	gotoken "go/token"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAdaptersAreSmall shows that an adapter for another framework has under 100 lines
// and needs nothing but what the root package exports.
func TestAdaptersAreSmall(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"ginmfa/ginmfa.go", "chimfa/chimfa.go"} {
		source, err := os.ReadFile(name)
		require.NoError(t, err)
		assert.Less(t, strings.Count(string(source), "\n"), 100, name)
		file, err := parser.ParseFile(gotoken.NewFileSet(), name, source, parser.ImportsOnly)
		require.NoError(t, err)
		var ours []string
		for _, spec := range file.Imports {
			if strings.Contains(spec.Path.Value, "echomfa") {
				ours = append(ours, spec.Path.Value)
			}
		}
		assert.Equal(t, []string{`"github.com/echomfa/echomfa"`}, ours, name)
	}
}
