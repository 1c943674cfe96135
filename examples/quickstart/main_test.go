package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain runs the program itself in the child that TestQuickstartWithoutSettings
// starts.
func TestMain(m *testing.M) {
	if os.Getenv("QUICKSTART") != "" {
		main()
	}
	os.Exit(m.Run())
}

// TestReadmeShowsThisProgram shows that the only whole program in the README is
// this one, unchanged, and that it is short.
func TestReadmeShowsThisProgram(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("main.go")
	require.NoError(t, err)
	_, program, found := strings.Cut(string(source), "\npackage main\n")
	require.True(t, found)
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, shown, found := strings.Cut(string(readme), "```go\npackage main\n")
	require.True(t, found, "the README has no program")
	shown, _, _ = strings.Cut(shown, "```")
	assert.Equal(t, program, shown)
	assert.Less(t, strings.Count(program, "\n"), 33)
}

// TestQuickstartAgainstEmulator shows the three answers that a newcomer meets.
func TestQuickstartAgainstEmulator(t *testing.T) {
	t.Parallel()
	genauth := genauthtest.Start(t)
	alice := genauth.AddUser(genauthtest.User{Username: "alice", Factors: []genauthtest.FactorType{genauthtest.OTP}})
	bob := genauth.AddUser(genauthtest.User{Username: "bob"})
	c, err := client.New(client.Config{BaseURL: genauth.URL(), AppID: genauth.AppID()})
	require.NoError(t, err)
	mfa, err := echomfa.New(echomfa.Config{Client: c})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, mfa.Close()) })
	app := newApp(mfa)

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
// does not start, and says which are missing.
func TestQuickstartWithoutSettings(t *testing.T) {
	t.Parallel()
	program := exec.CommandContext(t.Context(), os.Args[0])
	program.Env = append(os.Environ(), "QUICKSTART=1", "GENAUTH_HOST=", "GENAUTH_APP_ID=")
	out, err := program.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 1, exit.ExitCode())
	assert.Contains(t, string(out), "BaseURL")
	assert.Contains(t, string(out), "AppID")
}
