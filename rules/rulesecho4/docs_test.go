package rulesecho4_test

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules/rulesecho4"
	"github.com/echomfa/echomfa/rules/rulesecho5"
	"github.com/echomfa/echomfa/rules/ruleshttp"
)

// TestDocumentHasTheFieldsOfConfig shows that the table of docs/rules.md has the fields of
// all three configurations.
func TestDocumentHasTheFieldsOfConfig(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/rules.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(page), "\n## In an app\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")

	var named []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([^|]+)` \\|").FindAllStringSubmatch(section, -1) {
		named = append(named, strings.Split(row[1], "`, `")...)
	}
	for _, config := range []reflect.Type{reflect.TypeFor[rulesecho4.Config](), reflect.TypeFor[rulesecho5.Config](), reflect.TypeFor[ruleshttp.Config]()} {
		var fields []string
		for _, field := range reflect.VisibleFields(config) {
			fields = append(fields, field.Name)
		}
		assert.ElementsMatch(t, fields, named, config.String())
	}
}
