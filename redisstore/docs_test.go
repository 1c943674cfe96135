package redisstore_test

import (
	"os"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/redisstore"
)

// TestRunbookNamesEveryFigure shows that no figure is left without an explanation.
func TestRunbookNamesEveryFigure(t *testing.T) {
	t.Parallel()
	runbook, err := os.ReadFile("../docs/runbook.md")
	require.NoError(t, err)
	for _, field := range reflect.VisibleFields(reflect.TypeFor[redisstore.Stats]()) {
		assert.Contains(t, string(runbook), "| `Stats()."+field.Name+"` |")
	}
}
