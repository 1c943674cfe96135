package echov5_test

import (
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestExportedAPIOnly shows that the module needs nothing of echomfa but what every
// adapter can use: it is released apart from it. Its tests share the table of
// answers.
func TestExportedAPIOnly(t *testing.T) {
	t.Parallel()
	files, err := os.ReadDir(".")
	require.NoError(t, err)
	seen := 0
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range parsed.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			if strings.HasSuffix(file.Name(), "_test.go") && path == "github.com/echomfa/echomfa/internal/answertest" {
				continue
			}
			seen++
			assert.NotContains(t, path, "/internal/", file.Name())
		}
	}
	assert.Positive(t, seen)
}
