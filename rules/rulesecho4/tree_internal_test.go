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
	type route struct {
		ppath   string
		handler func()
	}
	type methods struct{ get *route }
	type fewer struct{ methods *methods }
	type others struct {
		methods         *struct{ all []string }
		notFoundHandler *route
	}
	for name, tree := range map[string]any{
		"a number": 1, "no fields": &struct{}{}, "fewer fields": &fewer{}, "other methods": &others{methods: &struct{ all []string }{}},
		"no methods": &struct {
			methods         *struct{}
			notFoundHandler *route
		}{methods: &struct{}{}},
	} {
		assert.ErrorIs(t, walk(reflect.ValueOf(tree), func(string, string, uintptr) {}), errUnknownTree, name)
	}
	assert.ErrorIs(t, walk(reflect.Value{}, nil), errUnknownTree)
}
