package enroll_test

import (
	"os"
	"reflect"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/enroll"
)

// TestEnrollmentPageNamesEveryField compares the configuration table with the
// struct, both ways.
func TestEnrollmentPageNamesEveryField(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/enrollment.md")
	require.NoError(t, err)
	var fields, rows []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[enroll.Config]()) {
		if field.IsExported() {
			fields = append(fields, field.Name)
		}
	}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(string(page), -1) {
		rows = append(rows, row[1])
	}
	assert.ElementsMatch(t, fields, rows)
}
