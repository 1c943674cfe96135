package rulesecho4

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestUnknownTreeIsAnError shows that a version of Echo whose tree is another one is not
// taken for one without routes.
func TestUnknownTreeIsAnError(t *testing.T) {
	t.Parallel()
	type route struct{}
	of := func(name string, value any) reflect.StructField {
		return reflect.StructField{Name: name, PkgPath: "x", Type: reflect.TypeOf(value)}
	}
	node := func(fields ...reflect.StructField) reflect.Value { return reflect.New(reflect.StructOf(fields)) }
	notFound := of("notFoundHandler", (*route)(nil))
	for name, tree := range map[string]reflect.Value{
		"a number":          reflect.ValueOf(1),
		"no fields":         node(),
		"no methods":        node(notFound),
		"methods missing":   node(notFound, of("methods", (*struct{})(nil))),
		"methods in a list": node(notFound, of("methods", []route(nil))),
		"nothing":           {},
	} {
		assert.ErrorIs(t, walk(tree, func(string, string, uintptr) {}), errUnknownTree, name)
	}
}
