package echomfa_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/require"
)

// echoRow is one of Echo's own middleware.
type echoRow struct {
	mw     func(t *testing.T) echo.MiddlewareFunc
	covers string              // the constructors that make it
	cookie bool                // the token is in a cookie: the middleware has Authorization
	setup  func(*http.Request) // what the middleware needs of a request
	places []string            // where it is tried; all by default
	// differs has what is not the answer of docs/answers.md, by place, a slash and the
	// situation or "*", and why. The value is the name of a header that differs, or
	// "answer" if another one answers, a colon, and the reason.
	differs map[string]string
}

func echoRows() map[string]echoRow {
	plain := func(mw func() echo.MiddlewareFunc) func(*testing.T) echo.MiddlewareFunc {
		return func(*testing.T) echo.MiddlewareFunc { return mw() }
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	const (
		slash    = "Location and Set-Cookie: return_to and the path of the cookie are the address that the middleware made of it"
		redirect = "answer: behind the guard this middleware answers instead of the handler"
	)
	return map[string]echoRow{
		"AddTrailingSlash": {
			mw: plain(middleware.AddTrailingSlash), covers: "AddTrailingSlash AddTrailingSlashWithConfig",
			differs: map[string]string{
				"pre/missing, browser": slash, "front/missing, browser": slash,
				"pre/no token, browser": slash, "front/no token, browser": slash,
				"pre/missing, HTMX": slash, "front/missing, HTMX": slash,
			},
		},
		"RemoveTrailingSlash": {
			mw: plain(middleware.RemoveTrailingSlash), covers: "RemoveTrailingSlash RemoveTrailingSlashWithConfig",
			setup: func(r *http.Request) { r.URL.Path += "/" },
			differs: map[string]string{
				"pre/missing, browser": slash, "front/missing, browser": slash,
				"pre/no token, browser": slash, "front/no token, browser": slash,
				"pre/missing, HTMX": slash, "front/missing, HTMX": slash,
			},
		},
		"BasicAuth": {
			mw: plain(func() echo.MiddlewareFunc {
				return middleware.BasicAuth(func(_, password string, _ echo.Context) (bool, error) { return password == "p", nil })
			}),
			covers: "BasicAuth BasicAuthWithConfig", cookie: true, setup: func(r *http.Request) { r.SetBasicAuth("u", "p") },
		},
		"BasicAuth, not passed": {
			mw: plain(func() echo.MiddlewareFunc {
				return middleware.BasicAuth(func(string, string, echo.Context) (bool, error) { return false, nil })
			}),
			differs: map[string]string{
				"pre/*": "answer: it refuses first", "front/*": "answer: it refuses first", "behind/allowed": redirect,
			},
		},
		"BodyDump": {
			mw:     plain(func() echo.MiddlewareFunc { return middleware.BodyDump(func(echo.Context, []byte, []byte) {}) }),
			covers: "BodyDump BodyDumpWithConfig",
		},
		"BodyLimit":      {mw: plain(func() echo.MiddlewareFunc { return middleware.BodyLimit("1K") }), covers: "BodyLimit BodyLimitWithConfig"},
		"ContextTimeout": {mw: plain(func() echo.MiddlewareFunc { return middleware.ContextTimeout(time.Minute) }), covers: "ContextTimeout ContextTimeoutWithConfig"},
		"CORS":           {mw: plain(middleware.CORS), covers: "CORS CORSWithConfig", setup: header("Origin", "https://app.example")},
		"CSRF": {
			mw: plain(middleware.CSRF), covers: "CSRF CSRFWithConfig",
			setup: func(r *http.Request) {
				r.AddCookie(&http.Cookie{Name: "_csrf", Value: "0123456789abcdef0123456789abcdef"})
				r.Header.Set("X-CSRF-Token", "0123456789abcdef0123456789abcdef")
			},
		},
		"CSRF, not passed": {
			mw: plain(middleware.CSRF),
			differs: map[string]string{
				"pre/missing, form": "answer: it refuses a form without its token first", "front/missing, form": "answer: the same",
			},
		},
		"Decompress": {
			mw: plain(middleware.Decompress), covers: "Decompress DecompressWithConfig",
			setup: func(r *http.Request) {
				var b bytes.Buffer
				z := gzip.NewWriter(&b)
				_ = z.Close()
				r.Header.Set("Content-Encoding", "gzip")
				r.Body = io.NopCloser(&b)
			},
		},
		"Gzip": {
			mw: plain(middleware.Gzip), covers: "Gzip GzipWithConfig", setup: header("Accept-Encoding", "gzip"),
			differs: map[string]string{
				"pre/*": "Content-Length: of what is compressed it is not known", "front/*": "Content-Length: the same",
			},
		},
		"HTTPSRedirect": {
			mw: plain(middleware.HTTPSRedirect), covers: "HTTPSRedirect HTTPSRedirectWithConfig", setup: overTLS,
		},
		"HTTPSRedirect, not passed": {
			mw: plain(middleware.HTTPSRedirect),
			differs: map[string]string{
				"pre/*": "answer: it redirects first", "front/*": "answer: it redirects first", "behind/allowed": redirect,
			},
		},
		"HTTPSWWWRedirect": {
			mw: plain(middleware.HTTPSWWWRedirect), covers: "HTTPSWWWRedirect HTTPSWWWRedirectWithConfig",
			setup: func(r *http.Request) { overTLS(r); r.Host = "www.example.com" },
		},
		"HTTPSNonWWWRedirect": {
			mw: plain(middleware.HTTPSNonWWWRedirect), covers: "HTTPSNonWWWRedirect HTTPSNonWWWRedirectWithConfig",
			setup: overTLS,
		},
		"WWWRedirect": {
			mw: plain(middleware.WWWRedirect), covers: "WWWRedirect WWWRedirectWithConfig",
			setup: func(r *http.Request) { r.Host = "www.example.com" },
		},
		"NonWWWRedirect": {mw: plain(middleware.NonWWWRedirect), covers: "NonWWWRedirect NonWWWRedirectWithConfig"},
		"KeyAuth": {
			mw: plain(func() echo.MiddlewareFunc {
				return middleware.KeyAuth(func(key string, _ echo.Context) (bool, error) { return key == "k", nil })
			}),
			covers: "KeyAuth KeyAuthWithConfig", cookie: true, setup: header("Authorization", "Bearer k"),
		},
		"Logger": {
			mw: plain(func() echo.MiddlewareFunc {
				return middleware.LoggerWithConfig(middleware.LoggerConfig{Output: io.Discard}) //nolint:staticcheck // it ships with v4
			}),
			covers: "Logger LoggerWithConfig",
		},
		"MethodOverride": {
			mw: plain(middleware.MethodOverride), covers: "MethodOverride MethodOverrideWithConfig",
			setup: header("X-HTTP-Method-Override", http.MethodDelete),
		},
		"Proxy": {
			mw: proxy, covers: "Proxy ProxyWithConfig", places: []string{"front", "behind"},
			differs: map[string]string{
				"front/*":        "answer: it calls nothing behind it. Put the guard in front of a proxy",
				"behind/allowed": "answer: it is the handler",
			},
		},
		"RateLimiter": {
			mw: plain(func() echo.MiddlewareFunc {
				return middleware.RateLimiter(middleware.NewRateLimiterMemoryStore(1000))
			}),
			covers: "RateLimiter RateLimiterWithConfig",
		},
		"Recover": {mw: plain(middleware.Recover), covers: "Recover RecoverWithConfig"},
		"RequestLogger": {
			mw: plain(func() echo.MiddlewareFunc {
				return middleware.RequestLoggerWithConfig(middleware.RequestLoggerConfig{
					LogStatus: true, LogError: true, HandleError: true,
					LogValuesFunc: func(echo.Context, middleware.RequestLoggerValues) error { return nil },
				})
			}),
			covers: "RequestLogger RequestLoggerWithConfig",
		},
		"RequestID": {mw: plain(middleware.RequestID), covers: "RequestID RequestIDWithConfig"},
		"Rewrite": {
			mw:     plain(func() echo.MiddlewareFunc { return middleware.Rewrite(map[string]string{"/old": "/admin"}) }),
			covers: "Rewrite RewriteWithConfig",
		},
		"Secure": {mw: plain(middleware.Secure), covers: "Secure SecureWithConfig"},
		"Static": {
			mw:     func(t *testing.T) echo.MiddlewareFunc { t.Helper(); return middleware.Static(t.TempDir()) },
			covers: "Static StaticWithConfig", places: []string{"front", "behind"},
		},
		"Timeout": {mw: plain(middleware.Timeout), covers: "Timeout"}, //nolint:staticcheck // it ships with v4
		"TimeoutWithConfig": {
			mw: plain(func() echo.MiddlewareFunc {
				return middleware.TimeoutWithConfig(middleware.TimeoutConfig{Timeout: time.Minute}) //nolint:staticcheck // the same
			}),
			covers: "TimeoutWithConfig",
		},
	}
}

func overTLS(r *http.Request) { r.TLS = &tls.ConnectionState{} }

// proxy is Echo's, with an upstream.
func proxy(t *testing.T) echo.MiddlewareFunc {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("upstream")) }))
	t.Cleanup(upstream.Close)
	target, err := url.Parse(upstream.URL)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return middleware.ProxyWithConfig(middleware.ProxyConfig{
		Balancer: middleware.NewRandomBalancer([]*middleware.ProxyTarget{{URL: target}}), Transport: transport,
	})
}
