package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSignInComesBack goes the way of a browser: the page that it wants, the sign-in
// page, and back.
func TestSignInComesBack(t *testing.T) {
	t.Parallel()
	genauth := genauthtest.Start(t)
	genauth.AddUser(genauthtest.User{Username: "alice", Factors: []genauthtest.FactorType{genauthtest.OTP}})
	genauth.AddUser(genauthtest.User{Username: "bob"})
	app, err := newApp(genauth.URL(), genauth.AppID())
	require.NoError(t, err)
	serve := func(method, target, session string, fields url.Values) *http.Response {
		r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(fields.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if session != "" {
			r.AddCookie(&http.Cookie{Name: "session", Value: session}) //nolint:gosec // of a request
		}
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		return w.Result()
	}
	signIn := func(user, password, back string) *http.Response {
		return serve(http.MethodPost, "/login", "", url.Values{"username": {user}, "password": {password}, "return_to": {back}})
	}
	for user, want := range map[string]int{"alice": http.StatusOK, "bob": http.StatusForbidden} {
		page := serve(http.MethodGet, "/admin?page=2", "", nil)
		assert.Equal(t, http.StatusFound, page.StatusCode)
		assert.Equal(t, "/login?return_to=%2Fadmin%3Fpage%3D2", page.Header.Get("Location"))
		signedIn := signIn(user, "password", "/admin?page=2")
		assert.Equal(t, http.StatusSeeOther, signedIn.StatusCode)
		assert.Equal(t, "/admin?page=2", signedIn.Header.Get("Location"))
		require.Len(t, signedIn.Cookies(), 1)
		assert.Equal(t, want, serve(http.MethodGet, "/admin?page=2", signedIn.Cookies()[0].Value, nil).StatusCode, user)
	}
	assert.Equal(t, http.StatusOK, serve(http.MethodGet, "/login?return_to=%2Fadmin", "", nil).StatusCode)
	assert.Equal(t, http.StatusUnauthorized, signIn("alice", "wrong", "/admin").StatusCode)
	assert.Equal(t, "/", signIn("alice", "password", "//evil.example").Header.Get("Location"))
}
