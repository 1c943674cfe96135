package otelmfa_test

import (
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestExportedAPIOnly shows that the module needs nothing of echomfa but what every
// Observer can use: it is released apart from it.
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
			seen++
			assert.NotContains(t, path, "/internal/", file.Name())
		}
	}
	assert.Positive(t, seen)
}

// TestAPIAtRunTime shows that a program that uses the module gets the API of OpenTelemetry
// and no SDK and no exporter.
func TestAPIAtRunTime(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	assert.Contains(t, string(out), "\ngo.opentelemetry.io/otel/metric\n")
	for _, not := range []string{"go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/exporters", "github.com/prometheus/"} {
		assert.NotContains(t, string(out), not)
	}
}

// TestVersions has the versions of Go and of OpenTelemetry that the documents name: those of
// go.mod, and Go's is no higher than what OpenTelemetry asks for.
func TestVersions(t *testing.T) {
	t.Parallel()
	mod := read(t, "go.mod")
	of := func(pattern string) string {
		found := regexp.MustCompile(pattern).FindStringSubmatch(mod)
		require.NotNil(t, found, pattern)
		return found[1]
	}
	goes, otel := of(`(?m)^go (\S+)$`), of(`(?m)^\tgo.opentelemetry.io/otel v(\S+)$`)
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.GoVersion}}", "go.opentelemetry.io/otel").Output()
	require.NoError(t, err)
	assert.Equal(t, strings.TrimSpace(string(out)), goes)
	short := func(version string) string { return version[:strings.LastIndex(version, ".")] }
	for _, name := range []string{"doc.go", "../docs/metrics.md", "../README.md"} {
		assert.Contains(t, read(t, name), "needs Go "+short(goes), name)
	}
	assert.Contains(t, read(t, "../README.md"), "| OpenTelemetry | "+short(otel)+", by")
}
