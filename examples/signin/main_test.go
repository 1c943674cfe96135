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
	serve := func(method, target, session string, fields url.Values) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(fields.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		if session != "" {
			r.AddCookie(&http.Cookie{Name: "session", Value: session})
		}
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		return w
	}
	signIn := func(user, password, back string) *httptest.ResponseRecorder {
		return serve(http.MethodPost, "/login", "", url.Values{"username": {user}, "password": {password}, "return_to": {back}})
	}
	for user, want := range map[string]int{"alice": http.StatusOK, "bob": http.StatusForbidden} {
		page := serve(http.MethodGet, "/admin?page=2", "", nil)
		assert.Equal(t, http.StatusFound, page.Code)
		assert.Equal(t, "/login?return_to=%2Fadmin%3Fpage%3D2", page.Header().Get("Location"))
		signedIn := signIn(user, "password", "/admin?page=2")
		assert.Equal(t, http.StatusSeeOther, signedIn.Code)
		assert.Equal(t, "/admin?page=2", signedIn.Header().Get("Location"))
		cookie, err := http.ParseSetCookie(signedIn.Header().Get("Set-Cookie"))
		require.NoError(t, err)
		assert.True(t, cookie.HttpOnly && cookie.Secure)
		assert.Equal(t, want, serve(http.MethodGet, "/admin?page=2", cookie.Value, nil).Code, user)
	}
	assert.Equal(t, http.StatusOK, serve(http.MethodGet, "/login?return_to=%2Fadmin", "", nil).Code)
	assert.Equal(t, http.StatusUnauthorized, signIn("alice", "wrong", "/admin").Code)
	assert.Equal(t, "/", signIn("alice", "password", "//evil.example").Header().Get("Location"))
}
