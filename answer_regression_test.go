package echomfa_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

// TestNoLoopWhateverTheHost shows that the enrollment page is not sent to itself
// behind a proxy that changes the Host, nor for a port that goes without saying.
func TestNoLoopWhateverTheHost(t *testing.T) {
	t.Parallel()
	for _, enrollURL := range []string{"https://app.example.com/mfa", "https://app.example.com:443/mfa", "https://APP.example.com/mfa"} {
		e := table(t, func(c *echomfa.Config) {
			c.EnrollURL, c.ReturnTo.BaseURL = enrollURL, "https://app.example.com"
		})
		for _, host := range []string{"app.example.com", "app.example.com:443", "internal:8080"} {
			w := send(t, guarded(t, e), http.MethodGet, "https://"+host+"/mfa?x=1", lackingBearer, navigation)
			assert.Equal(t, http.StatusForbidden, w.Code, "%s %s", enrollURL, host)
		}
		w := send(t, guarded(t, e), http.MethodGet, "https://internal:8080/admin", lackingBearer, navigation)
		assert.Equal(t, enrollURL+"?return_to=%2Fadmin", w.Header().Get("Location"), "its own origin needs no more than a path")
	}
	for _, base := range []string{"http://app.example.com", "http://app.example.com:80"} {
		e := table(t, func(c *echomfa.Config) { c.EnrollURL, c.ReturnTo.BaseURL = "http://app.example.com/mfa", base })
		w := send(t, guarded(t, e), http.MethodGet, "/mfa", lackingBearer, navigation)
		assert.Equal(t, http.StatusForbidden, w.Code, base)
	}
	elsewhere := table(t, func(c *echomfa.Config) {
		c.EnrollURL, c.ReturnTo.BaseURL = "https://enroll.example.com/mfa", "https://app.example.com"
	})
	w := send(t, guarded(t, elsewhere), http.MethodGet, "https://app.example.com/mfa", lackingBearer, navigation)
	assert.Equal(t, http.StatusFound, w.Code, "another origin's /mfa is another page")
}

// TestOnesOwnFailureIsNotGenAuths shows that a Token function whose own work
// failed is a 500, whatever its error is made of.
func TestOnesOwnFailureIsNotGenAuths(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{
		client.ErrMisconfigured, echomfa.ErrUnavailable, echomfa.ErrNotEnrolled,
		&echomfa.LookupError{Err: &echomfa.TokenError{Code: "invalid_token"}}, errors.New("other"),
	} {
		cfg := echomfa.MiddlewareConfig{
			Enforcer: table(t, func(c *echomfa.Config) { c.EnrollURL, c.LoginURL = "/mfa", "/login" }),
			Policy:   otp(),
			Token:    func(echo.Context) (string, error) { return "", fmt.Errorf("session store: %w", cause) },
		}
		got := serve(t, cfg, func(r *http.Request) { r.Header.Set("Sec-Fetch-Mode", "navigate") })
		assert.Equal(t, http.StatusInternalServerError, got.Code, cause)
		assert.False(t, got.ran)
	}
}

// TestStatusAndHeadersAgree shows that an error which says two things is answered
// by one of them, in status and headers alike.
func TestStatusAndHeadersAgree(t *testing.T) {
	t.Parallel()
	e := table(t, nil)
	both := &echomfa.LookupError{Err: &echomfa.TokenError{Code: "invalid_token"}}
	w := httptest.NewRecorder()
	e.WriteRefusal(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), both)
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.NotEmpty(t, w.Header().Get("Retry-After"))
	assert.Empty(t, w.Header().Get("WWW-Authenticate"))

	w = httptest.NewRecorder()
	e.WriteRefusal(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), &client.APIError{HTTPStatus: http.StatusUnauthorized})
	assert.Equal(t, http.StatusUnauthorized, w.Code)
	assert.Equal(t, `Bearer realm="mfa", error="invalid_token"`, w.Header().Get("WWW-Authenticate"))
}

// TestScriptOfABrowserThatTellsItselfApart shows that one Sec-Fetch header is
// enough to know that a browser would have said so.
func TestScriptOfABrowserThatTellsItselfApart(t *testing.T) {
	t.Parallel()
	app := browsing(t)
	for _, header := range []string{"Sec-Fetch-Dest: empty", "Sec-Fetch-Site: same-origin"} {
		assert.Equal(t, http.StatusForbidden, send(t, app, http.MethodGet, "/", lackingBearer, "Accept: text/html", header).Code)
	}
	assert.Equal(t, http.StatusFound, send(t, app, http.MethodGet, "/", lackingBearer, "Accept: text/html").Code)
}

// TestFailedErrorHandlerLeavesNoHeaders shows that the 500 after a panic does not
// carry what belonged to the refusal.
func TestFailedErrorHandlerLeavesNoHeaders(t *testing.T) {
	t.Parallel()
	for _, bearer := range []string{"token-refused", "token-unavailable"} {
		handler := table(t, nil).Handler(echomfa.HandlerConfig{
			Policy:       otp(),
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic("handler") },
		})(http.NotFoundHandler())
		w := send(t, handler, http.MethodGet, "/", "Authorization: Bearer "+bearer)
		assert.Equal(t, http.StatusInternalServerError, w.Code)
		assert.Empty(t, w.Header().Get("WWW-Authenticate"))
		assert.Empty(t, w.Header().Get("Retry-After"))
	}
}

// TestFlushIsAnAnswer shows that an ErrorHandler which only flushes has given the
// refusal's status, and not a 200.
func TestFlushIsAnAnswer(t *testing.T) {
	t.Parallel()
	handler := table(t, nil).Handler(echomfa.HandlerConfig{
		Policy: otp(),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			assert.NoError(t, http.NewResponseController(w).Flush())
		},
	})(http.NotFoundHandler())
	w := send(t, handler, http.MethodGet, "/", lackingBearer)
	require.Equal(t, http.StatusForbidden, w.Code)
	assert.Empty(t, w.Body.String())
}
