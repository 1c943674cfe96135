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

// A net/http app that says which factors are missing in its own words.
func ExampleHandlerConfig_errorHandler() {
	emulator, genauth, done := kitchen()
	defer done()
	mfa := mustNew(genauth)
	defer func() { _ = mfa.Close() }()
	guard := mfa.Middleware(echomfa.HandlerConfig{
		Policy: echomfa.AnyOf(echomfa.OTP, echomfa.Face),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			var missing *echomfa.NotEnrolledError
			if errors.As(err, &missing) {
				w.WriteHeader(http.StatusForbidden)
				_, _ = fmt.Fprintln(w, "any one of these:", missing.Decision.Missing)
			}
			// Nothing is written for other refusals: they get the default answer.
		},
	})
	mux := http.NewServeMux()
	mux.Handle("GET /admin", guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "Hello, admin")
	})))

	fmt.Print(ask(mux, http.MethodGet, "/admin", "Authorization: Bearer "+emulator.AccessToken("bob")).Body)
	fmt.Print(ask(mux, http.MethodGet, "/admin", "Authorization: Bearer "+emulator.AccessToken("alice")).Body)
	fmt.Println(ask(mux, http.MethodGet, "/admin").Code)
	// Output:
	// any one of these: [[OTP] [FACE]]
	// Hello, admin
	// 401
}
