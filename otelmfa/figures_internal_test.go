package otelmfa

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFiguresShowTheirField sets one field of Stats at a time: the instrument whose row in
// docs/metrics.md names the field shows it, and no other one does.
func TestFiguresShowTheirField(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../docs/metrics.md")
	require.NoError(t, err)
	_, table, _ := strings.Cut(string(docs), "\n## Instruments\n")
	table, _, _ = strings.Cut(table, "\n## ")
	rows := make(map[string]string) // by figure
	for _, row := range regexp.MustCompile("(?m)^\\| `(echomfa[^`]+)` \\|.*$").FindAllStringSubmatch(table, -1) {
		for _, name := range regexp.MustCompile("`([A-Z][\\w.]+)`").FindAllStringSubmatch(row[0], -1) {
			rows[name[1]] = row[1]
		}
	}
	shown := 0
	var walk func(stats *echomfa.Stats, v reflect.Value, prefix string)
	walk = func(stats *echomfa.Stats, v reflect.Value, prefix string) {
		for i := range v.NumField() {
			field, name := v.Field(i), prefix+v.Type().Field(i).Name
			if field.Kind() == reflect.Struct {
				walk(stats, field, name+".")
				continue
			}
			switch field.Kind() {
			case reflect.Bool:
				field.SetBool(true)
			case reflect.Int:
				field.SetInt(1)
			case reflect.Uint64:
				field.SetUint(1)
			default: // BreakerCause
				continue
			}
			for _, f := range figures() {
				want := int64(0)
				if rows[name] == f.name {
					want, shown = 1, shown+1
				}
				assert.Equal(t, want, f.read(stats), "%s shows %s", f.name, name)
			}
			field.SetZero()
		}
	}
	var stats echomfa.Stats
	walk(&stats, reflect.ValueOf(&stats).Elem(), "")
	assert.Equal(t, len(figures()), shown)
}
