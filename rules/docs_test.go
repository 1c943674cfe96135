package rules_test

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
)

// section returns what stands under a heading of docs/rules.md.
func section(t *testing.T, heading string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/rules.md")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(page), "\n"+heading+"\n")
	require.True(t, found, heading)
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// firstColumn returns the names in the first column of a table.
func firstColumn(text string) []string {
	var names []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(text, -1) {
		names = append(names, row[1])
	}
	slices.Sort(names)
	return names
}

// TestDocumentHasTheKeysOfTheSchema compares the tables of keys with the schema.
func TestDocumentHasTheKeysOfTheSchema(t *testing.T) {
	t.Parallel()
	type object struct {
		Properties map[string]any    `json:"properties"`
		Defs       map[string]object `json:"$defs"`
	}
	var schema object
	require.NoError(t, json.Unmarshal(rules.Schema(), &schema))
	assert.Equal(t, slices.Sorted(maps.Keys(schema.Properties)), firstColumn(section(t, "## The file")))
	assert.Equal(t, slices.Sorted(maps.Keys(schema.Defs["rule"].Properties)), firstColumn(section(t, "## A rule")))
}

// TestDocumentHasTheFieldsOfConfig compares the table of fields with the struct.
func TestDocumentHasTheFieldsOfConfig(t *testing.T) {
	t.Parallel()
	var fields []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[rules.Config]()) {
		fields = append(fields, field.Name)
	}
	slices.Sort(fields)
	_, table, _ := strings.Cut(section(t, "## Changes while the app runs"), "### `rules.Config`")
	assert.Equal(t, fields, firstColumn(table))
}

// TestExportedAPIOnly shows that the module needs nothing of echomfa but what every user
// has: it is released apart from it. Package rules itself imports no web framework.
func TestExportedAPIOnly(t *testing.T) {
	t.Parallel()
	seen := 0
	require.NoError(t, filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			seen++
			if strings.HasPrefix(name, "github.com/echomfa/echomfa/internal/") && !strings.HasSuffix(path, "_test.go") {
				assert.Fail(t, "it is of another module", "%s imports %s", path, name)
			}
			if filepath.Dir(path) == "." {
				assert.NotContains(t, name, "labstack", path)
			}
		}
		return nil
	}))
	assert.Greater(t, seen, 50)
}
