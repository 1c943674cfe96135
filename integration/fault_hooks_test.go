package integration_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestF43ErrorHandlerReturnsNil(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*rig){"factor missing": func(*rig) {}, "fault": spoil(500, "")} {
		for _, writes := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, writes: %v", name, writes), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, func(s *setup) {
					s.mount.ErrorHandler = func(c echo.Context, _ error) error {
						if writes {
							return c.String(http.StatusTeapot, "mine")
						}
						return nil
					}
				})
				begin(r)
				for _, got := range r.askAll(callers()) {
					switch {
					case got.has && name == "factor missing":
						r.granted(got)
						continue
					case writes:
						assert.Equal(t, http.StatusTeapot, got.status)
						assert.Equal(t, "mine", got.body)
					case name == "fault":
						r.refused(got, http.StatusServiceUnavailable)
					default:
						r.sentToEnroll(got)
					}
					assert.Zero(t, r.runs(got.token), got.caller)
				}
			})
		}
	}
}

func TestF44ResponseIsCommitted(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*rig){"factor missing": func(*rig) {}, "fault": spoil(500, "")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, func(s *setup) {
				s.before = append(s.before, func(next echo.HandlerFunc) echo.HandlerFunc {
					return func(c echo.Context) error {
						_ = c.String(http.StatusAccepted, "begun")
						sent := c.Response().Header().Clone()
						err := next(c)
						// What is set now goes nowhere, and would not be seen by the caller.
						assert.Equal(t, sent, c.Response().Header())
						return err
					}
				})
			})
			begin(r)
			for _, got := range r.askAll(callers()) {
				assert.Equal(t, http.StatusAccepted, got.status)
				if got.has && name == "factor missing" {
					assert.Equal(t, 1, r.runs(got.token))
					continue
				}
				assert.Equal(t, "begun", got.body)
				assert.Zero(t, r.runs(got.token), got.caller)
			}
		})
	}
}

func TestF45EveryMethodGetsTheVerdict(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"HEAD", "OPTIONS", "TRACE", "CONNECT", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "REPORT", "BREW"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			for name, begin := range map[string]func(*rig){"truth": func(*rig) {}, "fault": spoil(500, "")} {
				r := newRig(t)
				begin(r)
				for _, c := range callers() {
					got := r.send(method, r.app.URL+"/admin", c, "X-Http-Method-Override", "GET")
					assert.Equal(t, verdict(method, name == "fault", c), got.status, c)
					assert.Equal(t, c.has && name == "truth", r.runs(c.token) == 1, c)
					if method == http.MethodHead {
						assert.Empty(t, got.body)
					}
				}
			}
		})
	}
}

// verdict is the status of an answer to a caller.
func verdict(method string, fault bool, c caller) int {
	switch {
	case fault:
		return http.StatusServiceUnavailable
	case c.has:
		return http.StatusOK
	case !c.browser:
		return http.StatusForbidden
	case method == http.MethodHead:
		return http.StatusFound
	}
	return http.StatusSeeOther
}

func TestF45PreflightNeedsASkipper(t *testing.T) {
	t.Parallel()
	preflight := func(r *rig) reply {
		return r.send(http.MethodOptions, r.app.URL+"/admin", caller{token: "none"},
			"Authorization", "", "Origin", "https://other.example", "Access-Control-Request-Method", "PUT", "Sec-Fetch-Mode", "cors")
	}
	assert.Equal(t, http.StatusUnauthorized, preflight(newRig(t)).status)
	r := newRig(t, func(s *setup) {
		s.mount.Skipper = func(c echo.Context) bool {
			return c.Request().Method == http.MethodOptions && c.Request().Header.Get("Access-Control-Request-Method") != ""
		}
	})
	assert.Equal(t, http.StatusOK, preflight(r).status)
	r.sentToEnroll(r.ask(callers()[1]))
}

func TestF46NoUpgradeWithoutTheFactor(t *testing.T) {
	t.Parallel()
	kinds := map[string][]string{
		"WebSocket":          {"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-Fetch-Mode", "websocket", "Accept", "*/*"},
		"server-sent events": {"Accept", "text/event-stream", "Sec-Fetch-Mode", "cors"},
	}
	for name, header := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			for _, c := range callers() {
				got := r.send(http.MethodGet, r.app.URL+"/admin", c, header...)
				switch {
				case !c.has:
					assert.Equal(t, http.StatusForbidden, got.status, c)
					assert.Empty(t, got.header.Get("Upgrade"))
					assert.Zero(t, r.runs(c.token), c)
				case name == "WebSocket":
					assert.Equal(t, http.StatusSwitchingProtocols, got.status, c)
				default:
					r.granted(got)
				}
			}
			spoil(500, "")(r)
			got := r.send(http.MethodGet, r.app.URL+"/admin", caller{has: true, token: tokenWith("late")}, header...)
			assert.Equal(t, http.StatusServiceUnavailable, got.status)
			assert.Zero(t, r.runs(got.token))
		})
	}
}

// TestF47EnrollmentPageBehindThePolicy puts the policy on the whole app, its
// enrollment page included: a browser comes to an end, however it spells the
// address.
func TestF47EnrollmentPageBehindThePolicy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.echo.Use(r.enforcer.Require(otpPolicy()))
	for _, path := range []string{"/admin", "/mfa", "/mfa?x=1", "/%6dfa", "/mfa/", "//mfa", "/mfa?return_to=%2Fmfa"} {
		for _, c := range callers() {
			if c.has {
				continue
			}
			at, got := r.app.URL+path, reply{}
			for range 3 {
				got = r.send(http.MethodGet, at, c)
				if got.status != http.StatusFound {
					break
				}
				next, err := url.Parse(got.header.Get("Location"))
				require.NoError(t, err)
				assert.Equal(t, "/mfa", next.Path)
				at = r.app.URL + next.String()
			}
			assert.Equal(t, http.StatusForbidden, got.status, "%v at %s", c, path)
			assert.Zero(t, r.runs(c.token))
		}
	}
}

func TestF48HopByHopHeaders(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	trick := []string{"Connection", "Authorization, Cookie, Accept, Sec-Fetch-Mode"}
	for _, c := range callers() {
		got := r.send(http.MethodGet, r.app.URL+"/admin?page=1", c, trick...)
		r.right(got)
	}
	// A proxy that heeds the header takes the token away: nobody's request.
	target, err := url.Parse(r.app.URL)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	proxy := httptest.NewServer(&httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(p *httputil.ProxyRequest) { p.SetURL(target) },
	})
	t.Cleanup(proxy.Close)
	for _, c := range callers() {
		before := r.runs(c.token)
		got := r.send(http.MethodGet, proxy.URL+"/admin", c, trick...)
		assert.Equal(t, http.StatusUnauthorized, got.status, c)
		assert.Equal(t, before, r.runs(c.token), c)
	}
	assert.Zero(t, r.runs(""))
}
