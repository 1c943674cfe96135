package otelmfa

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFiguresShowTheirField sets one field of Stats, and of Rules, at a time: the
// instrument whose row in docs/metrics.md names the field shows it, and no other one does.
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
	assert.Equal(t, len(figures()), countShown(t, figures(), "", rows))
	list := rulesFigures()
	require.Equal(t, "echomfa.rules.info", list[0].name, "which shows the hash as an attribute")
	assert.Equal(t, len(list)-1, countShown(t, list[1:], "Rules.", rows))
}

// countShown sets the fields of S, and returns how many of the instruments have shown one.
func countShown[S any](t *testing.T, list []figure[S], prefix string, rows map[string]string) (n int) {
	t.Helper()
	var stats S
	var walk func(v reflect.Value, prefix string)
	walk = func(v reflect.Value, prefix string) {
		for i := range v.NumField() {
			field, name := v.Field(i), prefix+v.Type().Field(i).Name
			switch {
			case field.Type() == reflect.TypeFor[time.Time]():
				field.Set(reflect.ValueOf(time.Unix(1, 0)))
			case field.Kind() == reflect.Struct:
				walk(field, name+".")
				continue
			case field.Kind() == reflect.Bool:
				field.SetBool(true)
			case field.Kind() == reflect.Int:
				field.SetInt(1)
			case field.Kind() == reflect.Uint64:
				field.SetUint(1)
			default: // BreakerCause and Hash
				continue
			}
			for _, f := range list {
				want := int64(0)
				if rows[name] == f.name {
					want, n = 1, n+1
				}
				assert.Equal(t, want, f.read(&stats), "%s shows %s", f.name, name)
			}
			field.SetZero()
		}
	}
	walk(reflect.ValueOf(&stats).Elem(), prefix)
	return n
}
