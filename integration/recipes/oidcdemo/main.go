// Oidcdemo runs the recipe of the sign-in by OpenID Connect: against a GenAuth emulator in
// the same process, unless GENAUTH_HOST, GENAUTH_APP_ID and GENAUTH_APP_SECRET name yours.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"

	"github.com/echomfa/echomfa/integration/recipes/jwks"
	"github.com/echomfa/echomfa/integration/recipes/oidc"
)

func main() {
	host, appID, secret := os.Getenv("GENAUTH_HOST"), os.Getenv("GENAUTH_APP_ID"), os.Getenv("GENAUTH_APP_SECRET")
	if host == "" && appID == "" {
		demo, err := startDemo()
		if err != nil {
			log.Fatal(err)
		}
		host, appID, secret = demo.URL(), demo.AppID(), demo.AppSecret()
		log.Print("open http://127.0.0.1:8080/reports and sign in as alice / password, or bob / password")
	}
	_, app, err := newApp(context.Background(), host, appID, secret, "http://127.0.0.1:8080")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: app, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// startDemo starts the emulator with an administrator and one of the staff.
func startDemo() (*genauthtest.Server, error) {
	demo, err := genauthtest.New(genauthtest.Config{})
	if err != nil {
		return nil, err
	}
	demo.AddUser(genauthtest.User{ID: "alice-id", Username: "alice", Email: "alice@example.com"})
	demo.AddUser(genauthtest.User{ID: "bob-id", Username: "bob"})
	return demo, nil
}

// newApp makes what the sign-in needs. The key set and its hourly fetch end with ctx.
func newApp(ctx context.Context, host, appID, secret, publicURL string) (*echomfa.Enforcer, http.Handler, error) {
	logger := slog.Default()
	genauth, err := client.New(client.Config{BaseURL: host, AppID: appID})
	if err != nil {
		return nil, nil, fmt.Errorf("GENAUTH_HOST, GENAUTH_APP_ID: %w", err)
	}
	verifier, err := jwks.New(ctx, jwks.Config{
		KeysURL:    genauth.BaseURL() + "/oidc/.well-known/jwks.json", // or .../<app id>/oidc/...: ask yours
		Issuer:     genauth.BaseURL() + "/oidc",                       // the iss of your ID tokens
		AppID:      genauth.AppID(),
		HTTPClient: &http.Client{Timeout: 10 * time.Second},
		Logger:     logger,
	})
	if err != nil {
		return nil, nil, err
	}
	stateKey := make([]byte, 32) // a real app has it from its secrets
	_, _ = rand.Read(stateKey)
	roles := map[string]string{"alice-id": "admin"}
	return oidc.NewApp(oidc.Config{
		GenAuth:   genauth,
		AppSecret: secret,
		PublicURL: publicURL,
		IDTokens:  verifier,
		Logger:    logger,
	}, stateKey, func(userID string) string {
		if role, ok := roles[userID]; ok {
			return role
		}
		return "staff"
	})
}
