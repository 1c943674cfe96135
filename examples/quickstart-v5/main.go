// Quickstart-v5 guards one route by an enrollment policy, in Echo v5. To keep Echo v4
// out of the binary, build it with -tags echomfa_noechov4.
package main

import (
	"log"
	"net/http"
	"os"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/echov5"
	"github.com/labstack/echo/v5"
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
	log.Fatal(newApp(mfa).Start("127.0.0.1:8080"))
}

func newApp(mfa *echomfa.Enforcer) *echo.Echo {
	e := echo.New()
	// Mount the middleware that verifies your tokens before this one.
	admin := e.Group("/admin", echov5.Require(mfa, echomfa.AnyOf(echomfa.OTP, echomfa.Face)))
	admin.GET("", func(c *echo.Context) error { return c.String(http.StatusOK, "Hello, admin\n") })
	return e
}
