package main

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

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
	app, err := newApp(genauth.URL(), genauth.AppID())
	require.NoError(t, err)

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
// v4, and without it both.
func TestBinaryHasOneEcho(t *testing.T) {
	t.Parallel()
	for tags, v4 := range map[string]bool{"echomfa_noechov4": false, "": true} {
		program := filepath.Join(t.TempDir(), "quickstart-v5")
		if runtime.GOOS == "windows" {
			program += ".exe"
		}
		out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", tags, "-o", program, ".").CombinedOutput()
		require.NoError(t, err, string(out))
		modules, err := exec.CommandContext(t.Context(), "go", "version", "-m", program).Output()
		require.NoError(t, err)
		assert.Contains(t, string(modules), "github.com/labstack/echo/v5")
		assert.Equal(t, v4, strings.Contains(string(modules), "labstack/echo/v4"))
	}
}
