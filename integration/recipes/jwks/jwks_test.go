package jwks_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/echomfa/echomfa/integration/recipes/jwks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const keysPath = "/oidc/.well-known/jwks.json"

// rig is the app and the emulator.
type rig struct {
	t        *testing.T
	genauth  *genauthtest.Server
	verifier *jwks.Verifier
	app      http.Handler
}

// newRig starts the emulator, does before, and starts the app.
func newRig(t *testing.T, before func(*genauthtest.Server)) *rig {
	t.Helper()
	x := &rig{t: t, genauth: genauthtest.Start(t)}
	x.genauth.AddUser(genauthtest.User{ID: "alice", Factors: []genauthtest.FactorType{genauthtest.OTP}})
	x.genauth.AddUser(genauthtest.User{ID: "bob"})
	if before != nil {
		before(x.genauth)
	}
	genauth, err := client.New(client.Config{BaseURL: x.genauth.URL(), AppID: x.genauth.AppID()})
	require.NoError(t, err)
	transport := &http.Transport{}
	x.verifier, err = jwks.New(t.Context(), jwks.Config{
		KeysURL: genauth.BaseURL() + keysPath, Issuer: genauth.BaseURL() + "/oidc", AppID: genauth.AppID(),
		HTTPClient: &http.Client{Transport: transport}, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	mfa, app, err := jwks.NewApp(genauth, x.verifier)
	require.NoError(t, err)
	x.app = app
	t.Cleanup(func() {
		assert.NoError(t, mfa.Close())
		genauth.CloseIdleConnections()
		transport.CloseIdleConnections()
	})
	return x
}

// asks returns the status that a token gets.
func (x *rig) asks(token string) int {
	r := httptest.NewRequestWithContext(x.t.Context(), http.MethodGet, "/admin", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	x.app.ServeHTTP(w, r)
	if w.Code == http.StatusServiceUnavailable {
		assert.NotEmpty(x.t, w.Header().Get("Retry-After"))
	}
	return w.Code
}

// unknownKey is a token whose key nobody has.
func (x *rig) unknownKey(kid string) string {
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{Subject: "alice"})
	token.Header["kid"], token.Header["alg"] = kid, "RS256"
	raw, err := token.SignedString([]byte("x"))
	require.NoError(x.t, err)
	return raw
}

// TestSignatureIsVerified has tokens that are wrong.
func TestSignatureIsVerified(t *testing.T) {
	t.Parallel()
	x := newRig(t, nil)
	good := x.genauth.AccessToken("alice")
	hs256, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "alice", "aud": x.genauth.AppID(), "iss": x.genauth.URL() + "/oidc", "exp": time.Now().Add(time.Hour).Unix(),
	}).SignedString([]byte(x.genauth.AppSecret()))
	require.NoError(t, err)
	head, rest, _ := strings.Cut(good, ".")
	_, signature, _ := strings.Cut(rest, ".")
	none := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"sub": "alice"})
	unsigned, err := none.SignedString(jwt.UnsafeAllowNoneSignatureType)
	require.NoError(t, err)
	mint := func(claims map[string]any) string {
		return x.genauth.Mint(genauthtest.Token{UserID: "alice", Claims: claims})
	}
	for name, row := range map[string]struct {
		token string
		want  int
	}{
		"good":              {good, 200},
		"no factor":         {x.genauth.AccessToken("bob"), 403},
		"none":              {"", 401},
		"signature changed": {good[:len(good)-8] + "AAAAAAAA", 401},
		"payload of bob's":  {head + "." + strings.Split(x.genauth.AccessToken("bob"), ".")[1] + "." + signature, 401},
		"HS256":             {hs256, 401},
		"alg none":          {unsigned, 401},
		"another app's":     {mint(map[string]any{"aud": "x"}), 401},
		"another issuer's":  {mint(map[string]any{"iss": "https://x.example/oidc"}), 401},
		"expired":           {mint(map[string]any{"exp": 1000000000}), 401},
		"it never expires":  {mint(map[string]any{"exp": nil}), 401},
		"not a JWT":         {"abcdefghijklmnopqrstuvwxyz", 401},
	} {
		assert.Equal(t, row.want, x.asks(row.token), name)
		err := x.verifier.Verify(t.Context(), row.token, &jwt.RegisteredClaims{})
		assert.Equal(t, row.want == 401, errors.Is(err, echomfa.ErrUnauthenticated), "%s: %v", name, err)
	}
}

// TestAlgorithmIsFixed has a good signature by another algorithm, and a key set that does
// not say which one its keys are for.
func TestAlgorithmIsFixed(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"keys":[{"kty":"RSA","kid":"k1","e":"AQAB","n":"%s"}]}`, base64.RawURLEncoding.EncodeToString(key.N.Bytes()))
	}))
	t.Cleanup(keys.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	verifier, err := jwks.New(t.Context(), jwks.Config{
		KeysURL: keys.URL, Issuer: "i", AppID: "a", HTTPClient: &http.Client{Transport: transport}, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodRS256, jwt.SigningMethodRS512, jwt.SigningMethodPS256} {
		token := jwt.NewWithClaims(method, jwt.RegisteredClaims{
			Issuer: "i", Audience: jwt.ClaimStrings{"a"}, ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour)),
		})
		token.Header["kid"] = "k1"
		raw, err := token.SignedString(key)
		require.NoError(t, err)
		err = verifier.Verify(t.Context(), raw, &jwt.RegisteredClaims{})
		assert.Equal(t, method == jwt.SigningMethodRS256, err == nil, "%s: %v", method.Alg(), err)
	}
}

// TestKeysRotate changes the key while requests come: the key set is fetched once for all
// of them, and nobody has to sign in again.
func TestKeysRotate(t *testing.T) {
	t.Parallel()
	x := newRig(t, nil)
	old := x.genauth.AccessToken("alice")
	require.Equal(t, 200, x.asks(old))
	require.Equal(t, 1, x.genauth.Calls(keysPath))
	x.genauth.RotateKey()
	var wg sync.WaitGroup
	for range 50 {
		renewed := x.genauth.AccessToken("alice")
		wg.Go(func() { assert.Equal(t, 200, x.asks(renewed)) })
	}
	wg.Wait()
	assert.Equal(t, 200, x.asks(old), "the key set has both keys")
	assert.Equal(t, 2, x.genauth.Calls(keysPath))
}

// TestRetiredKey has a key that GenAuth no longer publishes, from the next fetch on.
func TestRetiredKey(t *testing.T) {
	t.Parallel()
	x := newRig(t, nil)
	old := x.genauth.AccessToken("alice")
	x.genauth.RotateKey()
	x.genauth.RetireKeys()
	require.Equal(t, 200, x.asks(old), "it is fetched each hour")
	require.Equal(t, 200, x.asks(x.genauth.AccessToken("alice")))
	var claims jwt.RegisteredClaims
	require.Error(t, x.verifier.Verify(t.Context(), old, &claims))
	assert.NotEqual(t, 200, x.asks(old))
}

// TestMadeUpKeys has the ids of keys that anybody can make up: one of them has the key set
// fetched, and the others are not called wrong.
func TestMadeUpKeys(t *testing.T) {
	t.Parallel()
	x := newRig(t, nil)
	begun := time.Now()
	assert.Equal(t, 401, x.asks(x.unknownKey("first")))
	for range 200 {
		assert.Contains(t, []int{401, 503}, x.asks(x.unknownKey("another")))
	}
	assert.LessOrEqual(t, x.genauth.Calls(keysPath), 2+int(time.Since(begun)/(2*time.Second)))
	assert.Equal(t, 200, x.asks(x.genauth.AccessToken("alice")), "known keys need no fetch")
}

// TestKeysAreAway has GenAuth away at the start and at a rotation: a 503, and then it goes on.
func TestKeysAreAway(t *testing.T) {
	t.Parallel()
	away := genauthtest.Fault{Path: keysPath, Change: genauthtest.HTTPStatus(http.StatusBadGateway, "")}
	for name, before := range map[string]func(*genauthtest.Server){
		"at the start":  func(s *genauthtest.Server) { s.SetFault(away) },
		"at a rotation": nil,
	} {
		x := newRig(t, before)
		x.genauth.RotateKey()
		x.genauth.SetFault(away)
		token := x.genauth.AccessToken("alice")
		assert.Equal(t, 503, x.asks(token), name)
		require.ErrorIs(t, x.verifier.Verify(t.Context(), token, &jwt.RegisteredClaims{}), echomfa.ErrUnavailable)
		x.genauth.ClearFaults()
		assert.Eventually(t, func() bool { return x.asks(token) == 200 }, time.Minute, 100*time.Millisecond, name)
	}
}
