package echomfa_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"log/slog"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/enroll"
	"github.com/echomfa/echomfa/genauthtest"
)

const printed = "canary-0123456789-canary"

// filled sets each text and key in a value to the canary, and returns the value.
func filled[T any]() *T {
	v := new(T)
	fill(reflect.ValueOf(v).Elem())
	return v
}

func fill(v reflect.Value) {
	switch v.Kind() { //nolint:exhaustive // the others hold no text
	case reflect.String:
		v.SetString(printed)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(printed))
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
			v.Set(reflect.ValueOf(printed))
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
	for _, value := range []any{v, []any{v}, map[string]any{"k": v}, struct{ V any }{v}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			_, _ = fmt.Fprintf(&b, verb+"\n", value)
		}
		text, _ := json.Marshal(value)
		b.Write(text)
		slog.New(slog.NewTextHandler(&b, nil)).Info("m", "v", value)
		slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "v", value)
	}
	return b.String()
}

func assertHidden(t *testing.T, v any) {
	t.Helper()
	said := allForms(v)
	raw := []byte(printed)
	for _, spelling := range []string{
		printed, hex.EncodeToString(raw), strings.Trim(fmt.Sprintf("%d", raw), "[]"), strings.Trim(fmt.Sprintf("%#v", raw), "[]byte{}"),
		base64.StdEncoding.EncodeToString(raw),
	} {
		assert.NotContains(t, said, spelling, "%T", v)
	}
}

// TestX14PrintingTellsNoSecret prints all types that can hold a secret or
// personal data, and what is made of them. The other types are named with it, so
// that nobody adds one without a thought. (redisstore has a test of its own. The
// emulator's secrets are made up, and a test that fails should show them.)
func TestX14PrintingTellsNoSecret(t *testing.T) {
	t.Parallel()
	factor := client.Factor{ID: "1", Type: client.SMS, Profile: map[string]any{"phoneNumber": printed}}
	page := filled[enroll.Page]()
	require.Equal(t, printed, page.Secret)
	config := filled[enroll.Config]()
	require.Equal(t, printed, string(config.StateKeys[0]))
	holding := map[string]any{
		"client.Factor":             factor,
		"client.EnrollRequest":      *filled[client.EnrollRequest](),
		"client.Enrollment":         *filled[client.Enrollment](),
		"client.OTPEnrollment":      *filled[client.OTPEnrollment](),
		"client.EnrollConfirmation": *filled[client.EnrollConfirmation](),
		"enroll.Config":             *config,
		"enroll.Page":               *page,
		"enroll.Choice":             page.Choices[0],
		"enroll.Choosing":           page.With(nil),
		"enroll.Handler":            newHandler(t),
		"echomfa.Enforcer":          newEnforcer(t, quotingLister{printed}, nil),
	}
	for name, v := range holding {
		assertHidden(t, v)
		pointer := reflect.New(reflect.TypeOf(v))
		pointer.Elem().Set(reflect.ValueOf(v))
		assertHidden(t, pointer.Interface())
		list := reflect.MakeSlice(reflect.SliceOf(reflect.TypeOf(v)), 1, 1)
		list.Index(0).Set(reflect.ValueOf(v))
		assertHidden(t, list.Interface())
		require.NotEmpty(t, name)
	}
	// fmt calls no methods on unexported fields.
	assertHidden(t, struct{ h *enroll.Handler }{newHandler(t)})
	assertHidden(t, struct{ p *enroll.Choosing }{&enroll.Choosing{Page: page}})
	assert.Equal(t, "{1 SMS}", fmt.Sprint(factor))
	assert.Equal(t, "[]client.Factor{{1 SMS}}", fmt.Sprintf("%#v", []client.Factor{factor}))
	text, err := json.Marshal([]client.Factor{factor})
	require.NoError(t, err)
	assert.JSONEq(t, `[{"id":"1","type":"SMS"}]`, string(text))
	assert.Equal(t, "[redacted]", fmt.Sprintf("%+v", page))

	without := []string{
		// An address and an app's id are no secrets, and no error keeps what it is about.
		"client.Client", "client.Config", "client.APIError", "client.CheckError", "client.PartialError", "client.TransportError",
		"client.MFATokenInfo",
		"enroll.Brand", "enroll.Event", "enroll.Region", "enroll.SignIn", "enroll.Waiting",
		"echomfa.CacheConfig", "echomfa.Config", "echomfa.Decision", "echomfa.FactorSet", "echomfa.HandlerConfig", "echomfa.LookupConfig",
		"echomfa.LookupError", "echomfa.LookupStats", "echomfa.MiddlewareConfig", "echomfa.NotEnrolledError", "echomfa.Policy",
		"echomfa.PolicySyntaxError", "echomfa.Result", "echomfa.ReturnToConfig", "echomfa.Stats", "echomfa.StoreEvent",
		"echomfa.StoreStats", "echomfa.StoredFacts", "echomfa.TokenError", "echomfa.WouldBlock",
	}
	assert.ElementsMatch(t, append(slices.Collect(maps.Keys(holding)), without...), exportedStructs(t))
}

// quotingLister is a Client of an app that holds a secret.
type quotingLister struct{ secret string }

func (quotingLister) ListEnrolledFactors(context.Context, string) ([]client.Factor, error) {
	return nil, client.ErrUnavailable
}

// newHandler returns a Handler whose keys hold the canary.
func newHandler(t *testing.T) *enroll.Handler {
	t.Helper()
	genauth := newClient(t, "https://genauth.example")
	h, err := enroll.New(enroll.Config{
		Client: genauth, Enforcer: newEnforcer(t, genauth, nil), BasePath: "/mfa", Policy: otp(),
		AuthTime: true, StateKeys: [][]byte{[]byte(printed + printed)},
	})
	require.NoError(t, err)
	return h
}

// exportedStructs returns the names of all exported structs of the packages that
// are used in production.
func exportedStructs(t *testing.T) []string {
	t.Helper()
	var names []string
	for pkg, pattern := range map[string]string{"echomfa": "*.go", "client": "client/*.go", "enroll": "enroll/*.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, 0)
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
	}
	return names
}

// TestX14EnforcerKeepsNoToken prints an Enforcer, its decisions and its errors
// after they have seen a token.
func TestX14EnforcerKeepsNoToken(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	d.enroll(printed, echomfa.OTP)
	e := newEnforcer(t, d, nil)
	for _, p := range []echomfa.Policy{otp(), echomfa.AnyOf(echomfa.Face)} {
		decision, err := e.Decide(t.Context(), printed, p)
		assertHidden(t, decision)
		assertHidden(t, err)
	}
	_, err := e.Decide(t.Context(), printed+"%20", otp())
	require.Error(t, err)
	assertHidden(t, err)
	assertHidden(t, e)
	assertHidden(t, e.Stats())
}

// TestN13OneFactorType compiles only if the emulator's factor type is the
// library's.
func TestN13OneFactorType(t *testing.T) {
	t.Parallel()
	user := genauthtest.User{Factors: []echomfa.FactorType{echomfa.OTP, client.Passkey, genauthtest.SMS}}
	p := echomfa.AllOf(genauthtest.OTP, echomfa.SMS, genauthtest.Passkey)
	require.NoError(t, p.Err())
	assert.True(t, p.Evaluate(echomfa.Factors(user.Factors...)).Satisfied)
	listed := append([]genauthtest.FactorType(nil), p.Types()...)
	assert.Equal(t, echomfa.Factors(user.Factors...).Types(), listed)
	for _, same := range [][2]echomfa.FactorType{
		{genauthtest.OTP, echomfa.OTP},
		{genauthtest.SMS, echomfa.SMS},
		{genauthtest.Email, echomfa.Email},
		{genauthtest.Face, echomfa.Face},
		{genauthtest.Passkey, echomfa.Passkey},
	} {
		assert.Equal(t, same[0], same[1])
	}
}
