package main

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDemo walks to the enrollment pages, on plain http as the program is.
func TestDemo(t *testing.T) {
	t.Parallel()
	demo, err := startDemo()
	require.NoError(t, err)
	t.Cleanup(demo.Close)
	app := httptest.NewUnstartedServer(nil)
	mfa, handler, err := newApp(t.Context(), demo.URL(), demo.AppID(), demo.AppSecret(), "http://"+app.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, mfa.Close()) })
	app.Config.Handler = handler
	app.Start()
	t.Cleanup(app.Close)
	for _, user := range []string{"alice", "bob"} {
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		browser := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
		send := func(method, target string, form url.Values) string {
			r, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(form.Encode()))
			require.NoError(t, err)
			r.Header.Set("Accept", "text/html")
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			res, err := browser.Do(r)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			return res.Request.URL.String()
		}
		form := send(http.MethodGet, app.URL+"/reports", nil)
		require.Contains(t, form, demo.URL()+"/oidc/auth?", user)
		at := send(http.MethodPost, form, url.Values{"username": {user}, "password": {"password"}})
		assert.Equal(t, app.URL+"/mfa?return_to=%2Freports", at, user)
	}
}
