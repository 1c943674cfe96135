package jwks

import (
	"errors"
	"net/http"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/golang-jwt/jwt/v5"
	echojwt "github.com/labstack/echo-jwt/v4"
	"github.com/labstack/echo/v4"
)

// NewApp is an API that verifies the token of each request, and hands its claims to the
// handler.
func NewApp(genauth *client.Client, verifier *Verifier) (*echomfa.Enforcer, http.Handler, error) {
	mfa, err := echomfa.New(echomfa.Config{Client: genauth})
	if err != nil {
		return nil, nil, err
	}
	verify := echojwt.WithConfig(echojwt.Config{
		ParseTokenFunc: func(c echo.Context, raw string) (any, error) {
			var claims jwt.RegisteredClaims
			err := verifier.Verify(c.Request().Context(), raw, &claims)
			return &claims, err
		},
		ErrorHandler: func(c echo.Context, err error) error {
			if !errors.Is(err, echomfa.ErrUnavailable) { // else a 503: nobody has to sign in again
				err = echomfa.ErrUnauthenticated
			}
			mfa.WriteRefusal(c.Response(), c.Request(), err)
			return nil
		},
	})
	e := echo.New()
	admin := e.Group("/admin", verify, mfa.Require(echomfa.AnyOf(echomfa.OTP, echomfa.Face)))
	admin.GET("", func(c echo.Context) error {
		claims, ok := c.Get("user").(*jwt.RegisteredClaims)
		if !ok {
			return echo.ErrUnauthorized
		}
		return c.String(http.StatusOK, "Hello, "+claims.Subject+"\n")
	})
	return mfa, e, nil
}
