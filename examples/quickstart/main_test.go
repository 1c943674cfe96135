package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestReadmeShowsThisProgram shows that the first Go block of the README is
// this program, whole and unchanged, and that it is short.
func TestReadmeShowsThisProgram(t *testing.T) {
	t.Parallel()
	program, err := os.ReadFile("main.go")
	require.NoError(t, err)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)```go\n(.*?)```").FindSubmatch(readme)
	require.NotNil(t, block, "the README has no Go block")
	assert.Equal(t, string(program), string(block[1]))
	assert.Less(t, strings.Count(string(program), "\n"), 40)
}

// TestQuickstartAgainstEmulator shows the three answers that a newcomer meets.
func TestQuickstartAgainstEmulator(t *testing.T) {
	t.Parallel()
	genauth := genauthtest.Start(t)
	alice := genauth.AddUser(genauthtest.User{Username: "alice", Factors: []genauthtest.FactorType{genauthtest.OTP}})
	bob := genauth.AddUser(genauthtest.User{Username: "bob"})
	app, err := newApp(genauth.URL(), genauth.AppID())
	require.NoError(t, err)

	serve := func(token string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin", nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		return w
	}
	assert.Equal(t, http.StatusUnauthorized, serve("").Code)
	refused := serve(genauth.AccessToken(bob.ID))
	assert.Equal(t, http.StatusForbidden, refused.Code)
	assert.Contains(t, refused.Body.String(), `"missing":[["OTP"],["FACE"]]`)
	allowed := serve(genauth.AccessToken(alice.ID))
	assert.Equal(t, http.StatusOK, allowed.Code)
	assert.Equal(t, "Hello, admin\n", allowed.Body.String())
}

// TestQuickstartWithoutSettings shows that a program without its two settings
// does not start.
func TestQuickstartWithoutSettings(t *testing.T) {
	t.Parallel()
	_, err := newApp("", "")
	assert.ErrorContains(t, err, "GENAUTH_HOST, GENAUTH_APP_ID: ")
	assert.ErrorContains(t, err, "BaseURL")
	assert.ErrorContains(t, err, "AppID")
}
