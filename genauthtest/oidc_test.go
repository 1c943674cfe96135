package genauthtest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/genauthtest"
)

// TestDiscoveryNamesWhatIsServed asks every endpoint that the document names.
func TestDiscoveryNamesWhatIsServed(t *testing.T) {
	t.Parallel()
	s := start(t)
	anybody := as(t, s, "")
	document := decode[map[string]any](t, anybody.get("/oidc/.well-known/openid-configuration"))
	assert.Equal(t, s.URL()+"/oidc", document["issuer"])
	for name, value := range document {
		address, isText := value.(string)
		path, ours := strings.CutPrefix(address, s.URL())
		if !isText || !ours || name == "issuer" {
			continue
		}
		method := http.MethodPost
		if name == "jwks_uri" || name == "end_session_endpoint" {
			method = http.MethodGet
		}
		assert.NotEqual(t, http.StatusNotFound, anybody.do(method, path, "", "").HTTPStatus, name)
	}
	claims := document["claims_supported"]
	assert.NotContains(t, claims, "amr")
	assert.NotContains(t, claims, "acr")
}

// TestGrants has what /oidc/token gives and refuses.
func TestGrants(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.AddUser(genauthtest.User{ID: "alice", Email: "a@example.com", Password: "pw"})
	anybody := as(t, s, "")
	type set struct {
		AccessToken  string `json:"access_token"`
		IDToken      string `json:"id_token"`
		RefreshToken string `json:"refresh_token"`
		Error        string `json:"error"`
	}
	ask := func(pairs ...string) (set, int) {
		r := anybody.form("/oidc/token", append([]string{"client_id", s.AppID(), "client_secret", s.AppSecret()}, pairs...)...)
		return decode[set](t, r), r.HTTPStatus
	}
	got, status := ask("grant_type", "password", "username", "a@example.com", "password", "pw", "scope", "openid offline_access", "nonce", "n1")
	require.Equal(t, 200, status)
	assert.Equal(t, "n1", claimsOf(t, got.IDToken)["nonce"])
	assert.Equal(t, 200, as(t, s, got.AccessToken).list().StatusCode)

	refreshed, status := ask("grant_type", "refresh_token", "refresh_token", got.RefreshToken)
	require.Equal(t, 200, status)
	assert.NotContains(t, claimsOf(t, refreshed.IDToken), "nonce")
	again, status := ask("grant_type", "refresh_token", "refresh_token", got.RefreshToken)
	assert.Equal(t, "invalid_grant", again.Error, "it is good once")
	assert.Equal(t, 400, status)

	machine, status := ask("grant_type", "client_credentials", "scope", "x")
	require.Equal(t, 200, status)
	assert.NotContains(t, claimsOf(t, machine.AccessToken), "sub")

	plain, _ := ask("grant_type", "password", "username", "alice", "password", "pw", "scope", "profile")
	assert.Empty(t, plain.IDToken)
	assert.Empty(t, plain.RefreshToken)

	for name, pairs := range map[string][]string{
		"invalid_grant":          {"grant_type", "password", "username", "alice", "password", "no"},
		"unsupported_grant_type": {"grant_type", "implicit"},
		"invalid_client":         {"client_secret", "no"},
	} {
		refused, _ := ask(pairs...)
		assert.Equal(t, name, refused.Error)
	}
	s.SetDisabled("alice", true)
	refused, _ := ask("grant_type", "password", "username", "alice", "password", "pw")
	assert.Equal(t, "invalid_grant", refused.Error)
	refused, _ = ask("grant_type", "refresh_token", "refresh_token", refreshed.RefreshToken)
	assert.Equal(t, "invalid_grant", refused.Error)
}

// TestClientsNameThemselves shows that Basic credentials count before the body
// and the header after it.
func TestClientsNameThemselves(t *testing.T) {
	t.Parallel()
	s := start(t)
	for name, row := range map[string]struct {
		basic []string
		form  []string
		ok    bool
	}{
		"header alone":        {ok: true},
		"Basic":               {basic: []string{s.AppID(), s.AppSecret()}, ok: true},
		"Basic, wrong secret": {basic: []string{s.AppID(), "no"}, form: []string{"client_secret", s.AppSecret()}},
		"Basic, another app":  {basic: []string{"x", s.AppSecret()}},
		"form, another app":   {form: []string{"client_id", "x"}},
	} {
		c := as(t, s, "")
		if row.basic != nil {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL(), http.NoBody)
			require.NoError(t, err)
			r.SetBasicAuth(row.basic[0], row.basic[1])
			c.header.Set("Authorization", r.Header.Get("Authorization"))
		}
		for _, path := range []string{"/oidc/token/introspection", "/oidc/token/revocation"} {
			r := c.form(path, append([]string{"token", "x"}, row.form...)...)
			assert.Equal(t, row.ok, r.HTTPStatus == http.StatusOK, "%s: %s", name, path)
			assert.Equal(t, !row.ok, r.HTTPStatus == http.StatusUnauthorized, "%s: %s", name, path)
		}
	}
}

// TestIntrospectionAndRevocation shows which tokens are active, and until when.
func TestIntrospectionAndRevocation(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.AddUser(genauthtest.User{ID: "alice"})
	anybody := as(t, s, "")
	active := func(token string) bool {
		return decode[struct{ Active bool }](t, anybody.form("/oidc/token/introspection", "token", token)).Active
	}
	mint := func(kind genauthtest.TokenKind) string { return s.Mint(genauthtest.Token{Kind: kind, UserID: "alice"}) }
	access, machine := mint(genauthtest.KindAccess), mint(genauthtest.KindMachine)
	answer := decode[map[string]any](t, anybody.form("/oidc/token/introspection", "token", access))
	assert.Equal(t, "alice", answer["sub"])
	assert.Equal(t, s.AppID(), answer["client_id"])
	assert.True(t, active(machine))
	assert.False(t, active(mint(genauthtest.KindID)))
	assert.False(t, active(mint(genauthtest.KindMFA)))
	assert.False(t, active("unknown"))
	refresh := decode[struct {
		RefreshToken string `json:"refresh_token"`
	}](t, anybody.form("/oidc/token", "grant_type", "password", "username", "alice", "password", "password", "scope", "offline_access")).RefreshToken
	assert.True(t, active(refresh))
	for _, token := range []string{access, refresh, "unknown"} {
		assert.Equal(t, http.StatusOK, anybody.form("/oidc/token/revocation", "token", token).HTTPStatus)
		assert.False(t, active(token))
	}
	assert.Equal(t, 401, as(t, s, access).list().StatusCode)
	s.Advance(3 * time.Hour)
	assert.False(t, active(machine))
}

// TestUserInfo shows the claims by header and, as GenAuth's Node client sends it,
// by query.
func TestUserInfo(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.AddUser(genauthtest.User{ID: "alice", Email: "a@example.com", Phone: "188"})
	token := s.AccessToken("alice")
	byHeader := as(t, s, token).get("/oidc/me")
	claims := decode[map[string]any](t, byHeader)
	assert.Equal(t, "alice", claims["sub"])
	assert.Equal(t, "a@example.com", claims["email"])
	assert.Equal(t, "188", claims["phone_number"])
	assert.JSONEq(t, byHeader.Body, as(t, s, "").get("/oidc/me?access_token="+token).Body)
	refused := as(t, s, "x").get("/oidc/me")
	assert.Equal(t, http.StatusUnauthorized, refused.HTTPStatus)
	assert.Contains(t, refused.Header.Get("WWW-Authenticate"), "invalid_token")

	profile := decode[map[string]any](t, as(t, s, token).get("/api/v3/get-profile"))
	assert.Equal(t, "+86", profile["phoneCountryCode"])
}

// TestSignInRefusals shows a disabled user and the check of the app's secret.
func TestSignInRefusals(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.AddUser(genauthtest.User{ID: "alice"})
	s.SetDisabled("alice", true)
	anybody := as(t, s, "")
	refused := anybody.post("/api/v3/signin", map[string]any{
		"connection": "PASSWORD", "passwordPayload": map[string]string{"account": "alice", "password": "password"},
	})
	assert.Equal(t, 2005, refused.APICode)
	for secret, valid := range map[string]bool{s.AppSecret(): true, "no": false} {
		got := decode[struct{ Valid bool }](t, anybody.post("/api/v3/check-app-id-secret", map[string]string{"appId": s.AppID(), "appSecret": secret}))
		assert.Equal(t, valid, got.Valid)
	}
}
