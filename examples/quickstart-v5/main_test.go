package main

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestQuickstartAgainstEmulator shows the answers that a newcomer meets.
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

	serve := func(target, token string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		return w
	}
	assert.Equal(t, http.StatusUnauthorized, serve("/admin", "").Code)
	refused := serve("/admin", genauth.AccessToken(bob.ID))
	assert.Equal(t, http.StatusForbidden, refused.Code)
	assert.Contains(t, refused.Body.String(), `"missing":[["OTP"],["FACE"]]`)
	allowed := serve("/admin", genauth.AccessToken(alice.ID))
	assert.Equal(t, http.StatusOK, allowed.Code)
	assert.Equal(t, "Hello, admin\n", allowed.Body.String())
	assert.Equal(t, http.StatusUnauthorized, serve("/admin/none", "").Code)
}

// TestBinaryHasOneEcho shows which modules are in the program: with the tag no Echo
// v4, which is there without it.
func TestBinaryHasOneEcho(t *testing.T) {
	t.Parallel()
	run := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	program := filepath.Join(t.TempDir(), "quickstart-v5.exe") // a name for every system
	run("build", "-tags", "echomfa_noechov4", "-ldflags=-w", "-o", program, ".")
	modules := run("version", "-m", program)
	assert.Contains(t, modules, "github.com/labstack/echo/v5")
	assert.NotContains(t, modules, "github.com/labstack/echo/v4")
	assert.Contains(t, run("list", "-deps", "."), "github.com/labstack/echo/v4")
}
