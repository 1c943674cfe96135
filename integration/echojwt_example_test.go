package integration_test

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/golang-jwt/jwt/v5"
	echojwt "github.com/labstack/echo-jwt/v4"
	"github.com/labstack/echo/v4"
)

// echo-jwt verifies the signature; the Enforcer then checks the same token.
func Example_echoJWT() {
	emulator, err := genauthtest.New(genauthtest.Config{})
	if err != nil {
		panic(err)
	}
	defer emulator.Close()
	emulator.AddUser(genauthtest.User{ID: "alice", Factors: []genauthtest.FactorType{genauthtest.OTP}})
	emulator.AddUser(genauthtest.User{ID: "bob"})
	genauth, err := client.New(client.Config{BaseURL: emulator.URL(), AppID: emulator.AppID()})
	if err != nil {
		panic(err)
	}
	defer genauth.CloseIdleConnections()
	mfa, err := echomfa.New(echomfa.Config{Client: genauth})
	if err != nil {
		panic(err)
	}
	defer func() { _ = mfa.Close() }()
	publicKey := signingKey(emulator)

	e := echo.New()
	verify := echojwt.WithConfig(echojwt.Config{
		SigningMethod: "RS256", // never what the token itself says
		SigningKey:    publicKey,
	})
	guard := echomfa.WithConfig(echomfa.MiddlewareConfig{
		Enforcer: mfa,
		Policy:   echomfa.AnyOf(echomfa.OTP, echomfa.Face),
		Token: func(c echo.Context) (string, error) {
			token, ok := c.Get("user").(*jwt.Token)
			if !ok {
				return "", echomfa.ErrUnauthenticated
			}
			return token.Raw, nil
		},
	})
	admin := e.Group("/admin", verify, guard)
	admin.GET("", func(c echo.Context) error { return c.String(http.StatusOK, "Hello, admin") })

	alice, bob := emulator.AccessToken("alice"), emulator.AccessToken("bob")
	for _, token := range []string{alice, bob, bob[:len(bob)-8] + "AAAAAAAA"} {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/admin", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		e.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 200
	// 403
	// 401
}

// signingKey reads the one key of the emulator's key set.
func signingKey(emulator *genauthtest.Server) *rsa.PublicKey {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet,
		emulator.URL()+"/"+emulator.AppID()+"/oidc/.well-known/jwks.json", http.NoBody)
	if err != nil {
		panic(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(err)
	}
	defer func() { _ = res.Body.Close() }()
	var set struct {
		Keys []struct{ N, E string } `json:"keys"`
	}
	if err := json.NewDecoder(res.Body).Decode(&set); err != nil {
		panic(err)
	}
	n, errN := base64.RawURLEncoding.DecodeString(set.Keys[0].N)
	exponent, errE := base64.RawURLEncoding.DecodeString(set.Keys[0].E)
	if errN != nil || errE != nil {
		panic("the key cannot be read")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(exponent).Int64())}
}
