package echomfa_test

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/echomfa/echomfa"
)

// The app's own HTTPErrorHandler answers one kind of refusal, the default answer the
// others.
func ExampleMiddlewareConfig_errorHandler() {
	emulator, genauth, done := kitchen()
	defer done()
	mfa := mustNew(genauth)
	defer func() { _ = mfa.Close() }()
	guard := echomfa.WithConfig(echomfa.MiddlewareConfig{
		Enforcer: mfa,
		Policy:   echomfa.AnyOf(echomfa.OTP),
		ErrorHandler: func(_ echo.Context, err error) error {
			if errors.Is(err, echomfa.ErrUnavailable) {
				return err // the app's HTTPErrorHandler answers
			}
			return nil // the default answer
		},
	})
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		var status *echo.HTTPError
		if errors.As(err, &status) && !c.Response().Committed {
			_ = c.String(status.Code, "the app's page")
		}
	}
	e.GET("/admin", hello, guard)

	token := emulator.AccessToken("bob")
	refused := ask(e, http.MethodGet, "/admin", "Authorization: Bearer "+token)
	fmt.Println(refused.Code, refused.Header().Get("Content-Type"))

	emulator.Close()
	unknown := ask(e, http.MethodGet, "/admin", "Authorization: Bearer "+emulator.AccessToken("alice"))
	fmt.Println(unknown.Code, unknown.Body, unknown.Header().Get("Retry-After"))
	// Output:
	// 403 application/problem+json
	// 503 the app's page 1
}
