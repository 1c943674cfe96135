package main

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestNethttpAgainstEmulator shows the three answers that a newcomer meets.
func TestNethttpAgainstEmulator(t *testing.T) {
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

	for token, want := range map[string]int{
		"":                            http.StatusUnauthorized,
		genauth.AccessToken(bob.ID):   http.StatusForbidden,
		genauth.AccessToken(alice.ID): http.StatusOK,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin", nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		assert.Equal(t, want, w.Code)
	}
}
