// Package hiddentest prints values in all ways, for tests that no way tells a
// secret.
package hiddentest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Canary is what no printed value may show.
const Canary = "canary-0123456789-canary"

// Filled sets each text and key in a value to the canary, and returns the value.
func Filled[T any]() *T {
	v := new(T)
	fill(reflect.ValueOf(v).Elem())
	return v
}

func fill(v reflect.Value) {
	switch v.Kind() { //nolint:exhaustive // the others hold no text
	case reflect.String:
		v.SetString(Canary)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(Canary))
			return
		}
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		element := reflect.New(v.Type().Elem()).Elem()
		fill(element)
		v.SetMapIndex(reflect.ValueOf("key"), element)
	case reflect.Interface:
		if v.NumMethod() == 0 {
			v.Set(reflect.ValueOf(Canary))
		}
	case reflect.Pointer:
		if v.Type().Elem().Kind() == reflect.Struct && v.Type().Elem().NumField() < 10 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem())
		}
	}
}

// allForms prints a value in all ways, alone and inside of others.
func allForms(v any) string {
	var b bytes.Buffer
	verbs := []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"}
	for _, value := range []any{v, []any{v}, map[string]any{"k": v}, struct{ V any }{v}} {
		for _, verb := range verbs {
			_, _ = fmt.Fprintf(&b, verb+"\n", value)
		}
		text, _ := json.Marshal(value)
		b.Write(text)
		slog.New(slog.NewTextHandler(&b, nil)).Info(verbs[0], verbs[0], value)
		slog.New(slog.NewJSONHandler(&b, nil)).Info(verbs[0], verbs[0], value)
	}
	return b.String()
}

// AssertHidden shows that no way to print a value tells the canary.
func AssertHidden(t *testing.T, v any) {
	t.Helper()
	said := allForms(v)
	raw := []byte(Canary)
	for _, spelling := range []string{
		Canary, hex.EncodeToString(raw), strings.Trim(fmt.Sprintf("%d", raw), "[]"), strings.Trim(fmt.Sprintf("%#v", raw), "[]byte{}"),
		base64.StdEncoding.EncodeToString(raw),
	} {
		assert.NotContains(t, said, spelling, "%T", v)
	}
}

// AssertAllHidden does so with values, pointers to them, and lists of them.
func AssertAllHidden(t *testing.T, values map[string]any) {
	t.Helper()
	for name, v := range values {
		AssertHidden(t, v)
		pointer := reflect.New(reflect.TypeOf(v))
		pointer.Elem().Set(reflect.ValueOf(v))
		AssertHidden(t, pointer.Interface())
		list := reflect.MakeSlice(reflect.SliceOf(reflect.TypeOf(v)), 1, 1)
		list.Index(0).Set(reflect.ValueOf(v))
		AssertHidden(t, list.Interface())
		require.NotEmpty(t, name)
	}
}

// ExportedStructs returns the names of all exported structs of a package, whose
// files the pattern names: "client.Factor".
func ExportedStructs(t *testing.T, pkg, pattern string) []string {
	t.Helper()
	var names []string
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.IsExported() {
				if _, ok := spec.Type.(*ast.StructType); ok {
					names = append(names, pkg+"."+spec.Name.Name)
				}
			}
			return true
		})
	}
	require.NotEmpty(t, names, pattern)
	return names
}
