package integration_test

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"testing"
	"time"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/golang-jwt/jwt/v5"
	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestCodesAgree compares the emulator's codes with pquerna/otp's.
func TestCodesAgree(t *testing.T) {
	t.Parallel()
	genauth := genauthtest.Start(t)
	genauth.AddUser(genauthtest.User{ID: "u1"})
	genauth.Enroll("u1", genauthtest.OTP)
	secret := genauth.OTPSecret("u1")
	for _, at := range []int64{0, 59, 1111111109, 2000000000, 20000000000} {
		want, err := totp.GenerateCode(secret, time.Unix(at, 0))
		require.NoError(t, err)
		got, err := genauthtest.TOTP(secret, time.Unix(at, 0))
		require.NoError(t, err)
		assert.Equal(t, want, got, at)
	}
}

// TestTokensVerify verifies the emulator's tokens by golang-jwt and its key
// set, at both addresses.
func TestTokensVerify(t *testing.T) {
	t.Parallel()
	genauth := genauthtest.Start(t)
	genauth.AddUser(genauthtest.User{ID: "u1"})
	for _, path := range []string{"/oidc/.well-known/jwks.json", "/" + genauth.AppID() + "/oidc/.well-known/jwks.json"} {
		keys := keySet(t, genauth.URL()+path)
		token, err := jwt.Parse(genauth.AccessToken("u1"), func(tok *jwt.Token) (any, error) {
			kid, _ := tok.Header["kid"].(string)
			return keys[kid], nil
		}, jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience(genauth.AppID()), jwt.WithIssuer(genauth.URL()+"/oidc"),
			jwt.WithExpirationRequired())
		require.NoError(t, err)
		subject, err := token.Claims.GetSubject()
		require.NoError(t, err)
		assert.Equal(t, "u1", subject)
	}
}

// keySet reads the RSA keys of a JWK set by their ids.
func keySet(t *testing.T, url string) map[string]*rsa.PublicKey {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	var set struct {
		Keys []struct{ Kid, N, E string }
	}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&set))
	require.NotEmpty(t, set.Keys)
	keys := make(map[string]*rsa.PublicKey)
	for _, key := range set.Keys {
		n, err := base64.RawURLEncoding.DecodeString(key.N)
		require.NoError(t, err)
		e, err := base64.RawURLEncoding.DecodeString(key.E)
		require.NoError(t, err)
		keys[key.Kid] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	}
	return keys
}
