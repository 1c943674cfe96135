package client_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

func TestValidToken(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		token string
		want  bool
	}{
		"one letter":           {"a", true},
		"all characters":       {"azAZ09-._~+/", true},
		"padding":              {"a=", true},
		"much padding":         {"a=====", true},
		"longest":              {strings.Repeat("a", client.MaxTokenBytes), true},
		"empty":                {"", false},
		"too long":             {strings.Repeat("a", client.MaxTokenBytes+1), false},
		"too long by padding":  {strings.Repeat("a", client.MaxTokenBytes) + "=", false},
		"padding only":         {"=", false},
		"padding in front":     {"=a", false},
		"padding in between":   {"a=a", false},
		"space":                {"a b", false},
		"leading space":        {" a", false},
		"trailing space":       {"a ", false},
		"scheme":               {"Bearer a", false},
		"comma":                {"a,b", false},
		"line end":             {"a\r\nX: y", false},
		"trailing line end":    {"a\n", false},
		"NUL":                  {"a\x00", false},
		"quote":                {`"a"`, false},
		"percent":              {"a%20", false},
		"not ASCII":            {"ä", false},
		"fullwidth":            {"ａ", false},
		"invalid UTF-8":        {"a\xff", false},
		"characters next door": {"@", false},
		"bracket":              {"[", false},
		"backtick":             {"`", false},
		"brace":                {"{", false},
		"colon":                {":", false},
	}
	for name, tt := range tests {
		assert.Equal(t, tt.want, client.ValidToken(tt.token), name)
	}
}

func TestValidTokenAllocatesNothing(t *testing.T) {
	token := strings.Repeat("a", client.MaxTokenBytes)
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = client.ValidToken(token) }))
}

func TestBadTokenIsRefusedWithoutACall(t *testing.T) {
	t.Parallel()
	c := newFakeClient(t, transportFunc(func(*http.Request) (*http.Response, error) {
		t.Error("a call was made")
		return nil, http.ErrServerClosed
	}))
	for _, token := range []string{"", "canary canary", "canary\r\n", strings.Repeat("canary", 10000)} {
		for name, call := range everyCall(c) {
			err := call(t.Context(), token)
			assertClass(t, client.ErrUnauthenticated, err, name)
			require.NotContains(t, err.Error(), "canary", name)
			assert.Less(t, len(err.Error()), 200, name)
		}
	}
}
