package genauthtest_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/genauthtest"
)

func parts(t *testing.T, token string) (header, claims map[string]any, signed string, sig []byte) {
	t.Helper()
	p := strings.Split(token, ".")
	require.Len(t, p, 3)
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(p[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, into))
	}
	sig, err := base64.RawURLEncoding.DecodeString(p[2])
	require.NoError(t, err)
	return header, claims, p[0] + "." + p[1], sig
}

func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	_, claims, _, _ := parts(t, token)
	return claims
}

func TestAccessTokenClaims(t *testing.T) {
	t.Parallel()
	s := start(t)
	user := s.AddUser(genauthtest.User{})
	header, claims, _, _ := parts(t, s.AccessToken(user.ID))
	assert.Equal(t, "RS256", header["alg"])
	assert.Equal(t, "JWT", header["typ"])
	assert.NotEmpty(t, header["kid"])
	for _, name := range []string{"jti", "sub", "iat", "exp", "scope", "iss", "aud"} {
		assert.Contains(t, claims, name)
	}
	assert.Len(t, claims, 7, "no other claims, so no amr or acr")
	assert.Equal(t, user.ID, claims["sub"])
	assert.Equal(t, s.AppID(), claims["aud"])
	assert.Equal(t, s.URL()+"/oidc", claims["iss"])
	exp, ok1 := claims["exp"].(float64)
	iat, ok2 := claims["iat"].(float64)
	assert.True(t, ok1 && ok2)
	assert.InDelta(t, 7200, exp-iat, 0)
	one, another := s.AccessToken(user.ID), s.AccessToken(user.ID)
	assert.NotEqual(t, one, another)
}

func TestKeySetVerifiesTokens(t *testing.T) {
	t.Parallel()
	s := start(t)
	header, _, signed, sig := parts(t, s.AccessToken(s.AddUser(genauthtest.User{}).ID))
	nobody := as(t, s, "")
	old := nobody.get("/oidc/.well-known/jwks.json")
	assert.JSONEq(t, old.Body, nobody.get("/"+s.AppID()+"/oidc/.well-known/jwks.json").Body)
	assert.Equal(t, http.StatusNotFound, nobody.get("/otherapp/oidc/.well-known/jwks.json").HTTPStatus)

	set := decode[struct {
		Keys []struct{ N, E, Kid, Kty, Alg, Use string }
	}](t, old)
	require.Len(t, set.Keys, 1)
	key := set.Keys[0]
	assert.Equal(t, header["kid"], key.Kid)
	assert.Equal(t, []string{"RSA", "RS256", "sig"}, []string{key.Kty, key.Alg, key.Use})
	n, err := base64.RawURLEncoding.DecodeString(key.N)
	require.NoError(t, err)
	e, err := base64.RawURLEncoding.DecodeString(key.E)
	require.NoError(t, err)
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	sum := sha256.Sum256([]byte(signed))
	require.NoError(t, rsa.VerifyPKCS1v15(public, crypto.SHA256, sum[:], sig))
}

func TestTokenKinds(t *testing.T) {
	t.Parallel()
	s := start(t)
	user := s.AddUser(genauthtest.User{})
	kinds := map[genauthtest.TokenKind]struct{ has, lacks []string }{
		genauthtest.KindAccess:  {[]string{"sub", "scope"}, []string{"nonce", "at_hash", "azp"}},
		genauthtest.KindID:      {[]string{"sub", "nonce", "at_hash"}, []string{"scope", "azp"}},
		genauthtest.KindMachine: {[]string{"azp", "scope"}, []string{"sub", "nonce"}},
		genauthtest.KindMFA:     {[]string{"sub"}, []string{"scope", "nonce"}},
	}
	for kind, expect := range kinds {
		claims := claimsOf(t, s.Mint(genauthtest.Token{Kind: kind, UserID: user.ID}))
		for _, name := range expect.has {
			assert.Contains(t, claims, name, "kind %d", kind)
		}
		for _, name := range expect.lacks {
			assert.NotContains(t, claims, name, "kind %d", kind)
		}
	}
}

func TestMintOptions(t *testing.T) {
	t.Parallel()
	s := start(t)
	user := s.AddUser(genauthtest.User{})
	mint := func(token genauthtest.Token) string {
		token.UserID = user.ID
		return s.Mint(token)
	}
	claims := claimsOf(t, mint(genauthtest.Token{
		Audience: "other", Scope: "openid", Lifetime: time.Minute, IssuedAt: time.Unix(1000, 0),
		Claims: map[string]any{"tenant_id": "t1", "scope": nil, "aud": []string{"a", "b"}},
	}))
	assert.InDelta(t, 1000, claims["iat"], 0)
	assert.InDelta(t, 1060, claims["exp"], 0)
	assert.Equal(t, "t1", claims["tenant_id"])
	assert.NotContains(t, claims, "scope")
	assert.Equal(t, []any{"a", "b"}, claims["aud"])

	for _, opaque := range []bool{false, true} {
		long := mint(genauthtest.Token{MinLength: 1200, Opaque: opaque})
		assert.GreaterOrEqual(t, len(long), 1200)
		assert.Less(t, len(long), 1300)
		assert.Empty(t, as(t, s, long).list().types(t), "it is a good token")
	}
	assert.NotContains(t, mint(genauthtest.Token{Opaque: true}), ".")
}

func TestWhichTokensAreTaken(t *testing.T) {
	t.Parallel()
	type token = genauthtest.Token
	rows := map[string]struct {
		given  token
		with   genauthtest.Config
		expect int
	}{
		"access":                   {given: token{}, expect: 200},
		"opaque":                   {given: token{Opaque: true}, expect: 200},
		"expired":                  {given: token{Lifetime: -time.Second}, expect: 401},
		"foreign":                  {given: token{Audience: "other"}, expect: 401},
		"foreign, allowed":         {given: token{Audience: "other"}, with: genauthtest.Config{AcceptAnyAudience: true}, expect: 200},
		"machine":                  {given: token{Kind: genauthtest.KindMachine}, expect: 401},
		"machine, all allowed":     {given: token{Kind: genauthtest.KindMachine}, with: genauthtest.Config{AcceptIDTokens: true, AcceptMFATokens: true}, expect: 401},
		"ID token":                 {given: token{Kind: genauthtest.KindID}, expect: 401},
		"ID token, allowed":        {given: token{Kind: genauthtest.KindID}, with: genauthtest.Config{AcceptIDTokens: true}, expect: 200},
		"mfaToken":                 {given: token{Kind: genauthtest.KindMFA}, expect: 401},
		"mfaToken, allowed":        {given: token{Kind: genauthtest.KindMFA}, with: genauthtest.Config{AcceptMFATokens: true}, expect: 200},
		"says more than is known":  {given: token{Claims: map[string]any{"aud": "other", "sub": nil}}, expect: 200},
		"expired, says it is good": {given: token{Lifetime: -time.Second, Claims: map[string]any{"exp": 1 << 40}}, expect: 401},
	}
	for name, tt := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, tt.with)
			tt.given.UserID = s.AddUser(genauthtest.User{}).ID
			got := as(t, s, s.Mint(tt.given)).list()
			assert.Equal(t, http.StatusOK, got.HTTPStatus)
			assert.Equal(t, tt.expect, got.StatusCode)
			assert.Equal(t, tt.expect == http.StatusUnauthorized, got.APICode == 2020)
		})
	}
}

func TestTokensEnd(t *testing.T) {
	t.Parallel()
	s := start(t, genauthtest.Config{TokenLifetime: time.Minute})
	user := s.AddUser(genauthtest.User{})
	alice := as(t, s, s.AccessToken(user.ID))
	s.Advance(30 * time.Second) // what is left is for a busy machine
	assert.Equal(t, 200, alice.list().StatusCode)
	s.Advance(30 * time.Second)
	assert.Equal(t, 401, alice.list().StatusCode, "expired")

	token := s.AccessToken(user.ID)
	alice = as(t, s, token)
	assert.Equal(t, 200, alice.list().StatusCode)
	s.Revoke(token)
	assert.Equal(t, 401, alice.list().StatusCode, "revoked")

	alice = as(t, s, s.AccessToken(user.ID))
	s.SetDisabled(user.ID, true)
	assert.Equal(t, 2120008, alice.list().APICode)
	s.SetDisabled(user.ID, false)
	assert.Equal(t, 200, alice.list().StatusCode)
}

func TestForgedTokensAreRefused(t *testing.T) {
	t.Parallel()
	s, other := start(t), start(t)
	user := s.AddUser(genauthtest.User{ID: "u1"})
	other.AddUser(genauthtest.User{ID: "u1"})
	good := s.AccessToken(user.ID)
	for name, token := range map[string]string{
		"none":           "",
		"rubbish":        "rubbish",
		"of another":     other.AccessToken("u1"),
		"changed":        good[:len(good)-2] + "AA",
		"unsigned":       good[:strings.LastIndex(good, ".")+1],
		"with a scheme?": "Basic " + good,
	} {
		assert.Equal(t, 401, as(t, s, token).list().StatusCode, name)
	}
}

func TestSlipsOfThePenPanic(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.AddUser(genauthtest.User{ID: "u1", Username: "alice", Email: "a@example.com", Phone: "1"})
	assert.Panics(t, func() { s.AccessToken("nobody") })
	assert.Panics(t, func() { s.Revoke("not a token") })
	assert.Panics(t, func() { s.Mint(genauthtest.Token{UserID: "u1", Claims: map[string]any{"x": func() {}}}) })
	for _, user := range []genauthtest.User{{ID: "u1"}, {Username: "alice"}, {Email: "A@example.com"}, {Phone: "1"}} {
		assert.Panics(t, func() { s.AddUser(user) }, "%+v", user)
	}
	assert.Equal(t, 200, as(t, s, s.AccessToken("u1")).list().StatusCode, "no lock was left held")
}
