// Nethttp guards one route of a net/http server by an enrollment policy.
package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

func main() {
	genauth, err := client.New(client.Config{BaseURL: os.Getenv("GENAUTH_HOST"), AppID: os.Getenv("GENAUTH_APP_ID")})
	if err != nil {
		log.Fatal(err)
	}
	mfa, err := echomfa.New(echomfa.Config{Client: genauth})
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: newApp(mfa), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func newApp(mfa *echomfa.Enforcer) http.Handler {
	guard := mfa.Middleware(echomfa.HandlerConfig{Policy: echomfa.AnyOf(echomfa.OTP, echomfa.Face)})
	mux := http.NewServeMux()
	// Wrap guard in the middleware that verifies your tokens.
	mux.Handle("GET /admin", guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "Hello, admin")
	})))
	return mux
}
