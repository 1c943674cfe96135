package echomfa_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
)

const navigation = "Sec-Fetch-Mode: navigate"

// browsing is an app that sends browsers to /mfa and /login.
func browsing(t *testing.T) http.Handler {
	t.Helper()
	return guarded(t, table(t, func(c *echomfa.Config) { c.EnrollURL, c.LoginURL = "/mfa", "/login" }))
}

// refusals are requests that end in each kind of refusal, for each kind of
// client.
func refusals() [][]string {
	var all [][]string
	for _, credential := range []string{
		"X-None: 1", "Authorization: Bearer", lackingBearer, "Authorization: Bearer token-refused",
		"Authorization: Bearer token-unavailable", "Authorization: Bearer token-misconfigured", "Authorization: Bearer token-panicking",
	} {
		for _, client := range []string{"Accept: application/json", navigation, "HX-Request: true"} {
			all = append(all, []string{credential, client})
		}
	}
	return all
}

// TestT21RefusalsAreNotStored shows that no refusal can be kept by a cache, or
// be taken for the answer to another kind of client.
func TestT21RefusalsAreNotStored(t *testing.T) {
	t.Parallel()
	app := browsing(t)
	for _, headers := range refusals() {
		for _, method := range []string{"GET", "POST"} {
			w := send(t, app, method, "/admin", headers...)
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"), headers)
			assert.NotContains(t, []int{301, 307, 308}, w.Code, headers)
			vary := strings.Join(w.Header().Values("Vary"), ",")
			for _, name := range []string{"Accept", "Sec-Fetch-Mode", "HX-Request", "X-Requested-With"} {
				assert.Contains(t, vary, name, headers)
			}
		}
	}
}

// TestT25AndT26RedirectsCarryOnlyTheReturnTo shows that neither the token nor
// anything else of a request goes into an address.
func TestT25AndT26RedirectsCarryOnlyTheReturnTo(t *testing.T) {
	t.Parallel()
	app := browsing(t)
	for _, headers := range refusals() {
		w := send(t, app, http.MethodGet, "/admin?page=2", append(headers,
			"X-Secret: secret-value", "Cookie: session=secret-value", "Referer: https://secret-value.example/")...)
		for _, values := range w.Header() {
			for _, value := range values {
				assert.NotContains(t, value, "token-")
				assert.NotContains(t, value, "secret-value")
			}
		}
		assert.NotContains(t, w.Body.String(), "secret-value")
		assert.NotContains(t, w.Body.String(), "token-")
		if location := w.Header().Get("Location"); location != "" {
			u, err := url.Parse(location)
			require.NoError(t, err)
			assert.Equal(t, url.Values{"return_to": {"/admin?page=2"}}, u.Query())
		}
	}
}

// TestT31ReturnToOfTheClientIsNotNested shows that an incoming return_to is part
// of the address that was asked for, and no more than that.
func TestT31ReturnToOfTheClientIsNotNested(t *testing.T) {
	t.Parallel()
	app := browsing(t)
	w := send(t, app, http.MethodGet, "/admin?return_to=https://evil.example/", lackingBearer, navigation)
	u, err := url.Parse(w.Header().Get("Location"))
	require.NoError(t, err)
	assert.Equal(t, "/mfa", u.Path)
	assert.Equal(t, []string{"/admin?return_to=https://evil.example/"}, u.Query()["return_to"])
	assert.Empty(t, u.Host)
}

// TestT32NoRedirectLoops shows that the pages to which browsers are sent are not
// sent to themselves, however their address is spelled.
func TestT32NoRedirectLoops(t *testing.T) {
	t.Parallel()
	app := browsing(t)
	for _, target := range []string{"/mfa", "/mfa?return_to=/admin", "/mfa/", "/%6dfa"} {
		assert.Equal(t, 403, send(t, app, http.MethodGet, target, lackingBearer, navigation).Code, target)
		w := send(t, app, http.MethodGet, target, lackingBearer, "HX-Request: true")
		assert.Equal(t, 403, w.Code)
		assert.Empty(t, w.Header().Get("HX-Redirect"))
	}
	for _, target := range []string{"/login", "/login?return_to=/admin", "/login/"} {
		assert.Equal(t, 401, send(t, app, http.MethodGet, target, navigation).Code, target)
	}
}

// TestT33FormsAreNotReplayed shows that a form's body is never sent on, and that
// programs are never redirected.
func TestT33FormsAreNotReplayed(t *testing.T) {
	t.Parallel()
	app := browsing(t)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		w := send(t, app, method, "/admin", lackingBearer, navigation)
		assert.Equal(t, 303, w.Code, method)
		assert.Equal(t, "/mfa", w.Header().Get("Location"), "a posted address is not a page to come back to")
		assert.Equal(t, 403, send(t, app, method, "/admin", lackingBearer, "Accept: */*").Code)
	}
}

// TestT34NothingOfTheRequestIsMarkup shows that what a client wrote is not in
// the pages, and that problem documents are JSON whatever it wrote.
func TestT34NothingOfTheRequestIsMarkup(t *testing.T) {
	t.Parallel()
	const evil = "<script>alert(1)</script>"
	app := guarded(t, table(t, nil)) // no URLs: pages instead of redirects
	for _, credential := range []string{lackingBearer, "X-None: 1", "Authorization: Bearer token-unavailable", "Authorization: Bearer " + evil} {
		for _, client := range []string{navigation, "Accept: application/json"} {
			w := send(t, app, http.MethodGet, "/"+url.PathEscape(evil)+"?q="+url.QueryEscape(evil), credential, client,
				"User-Agent: "+evil, "Referer: "+evil, "Accept-Language: "+evil, "X-Request-Id: "+evil)
			assert.NotContains(t, w.Body.String(), "alert(1)")
			assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
			if client == navigation {
				assert.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
				assert.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
				continue
			}
			assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			assert.True(t, json.Valid(w.Body.Bytes()))
		}
	}
}

// TestT34CallbacksCannotBreakTheChallenge shows that the words of a Token
// function cannot end the header's quotes or the header.
func TestT34CallbacksCannotBreakTheChallenge(t *testing.T) {
	t.Parallel()
	e := table(t, func(c *echomfa.Config) {
		c.Token = func(*http.Request) (string, error) {
			return "", &echomfa.TokenError{Code: "x\", error=\"y", Reason: "a\r\nSet-Cookie: b=\"c\\"}
		}
	})
	w := send(t, guarded(t, e), http.MethodGet, "/")
	assert.Equal(t, `Bearer realm="mfa", error="x, error=y", error_description="aSet-Cookie: b=c"`, w.Header().Get("WWW-Authenticate"))
}

// TestF46UpgradesAreRefusedBefore shows that a WebSocket or an event stream is
// refused as every request is, before there is a connection to speak on.
func TestF46UpgradesAreRefusedBefore(t *testing.T) {
	t.Parallel()
	app := browsing(t)
	for _, headers := range [][]string{
		{"Connection: Upgrade", "Upgrade: websocket", "Sec-Fetch-Mode: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="},
		{"Accept: text/event-stream", "Sec-Fetch-Mode: cors"},
	} {
		w := send(t, app, http.MethodGet, "/admin", append(headers, lackingBearer)...)
		assert.Equal(t, 403, w.Code)
		assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		assert.Equal(t, 401, send(t, app, http.MethodGet, "/admin", headers...).Code)
		assert.Equal(t, 200, send(t, app, http.MethodGet, "/admin", append(headers, "Authorization: Bearer "+answertest.Enrolled)...).Code)
	}
}
