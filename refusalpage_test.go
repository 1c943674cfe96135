package echomfa_test

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
)

type pageFunc = func(*http.Request, echomfa.Refusal) (echomfa.RefusalPage, error)

// withPages is an app that makes its own pages, with an enrollment page and a sign-in
// page.
func withPages(t *testing.T, page pageFunc, log *slog.Logger) http.Handler {
	t.Helper()
	return guarded(t, table(t, func(c *echomfa.Config) {
		c.EnrollURL, c.LoginURL, c.RefusalPage, c.Logger = "/mfa", "/login", page, log
		c.ReturnTo.BaseURL = "https://ops.example.com/tools"
	}))
}

// saying is a page that says what it is given.
func saying(r *http.Request, about echomfa.Refusal) (echomfa.RefusalPage, error) {
	var lookup *echomfa.LookupError
	return echomfa.RefusalPage{
		HTML: template.HTML(fmt.Sprintf("<p>own %d %v link=%s circle=%t retry=%t after=%v prefix=%s fragment=%t lookup=%t %s</p>", about.Status,
			about.Missing, about.Link, about.Circle, about.Retry, about.RetryAfter, about.PathPrefix, about.Fragment,
			errors.As(about.Err, &lookup), r.URL.Path)),
		Language: "zh-CN",
	}, nil
}

// afterRounds is a browser that was sent away again and again.
const afterRounds = "Cookie: __Host-echomfa_round_29=4"

// TestRefusalPage has what a page is made of, by who reads it.
func TestRefusalPage(t *testing.T) {
	t.Parallel()
	const framed = "Sec-Fetch-Dest: iframe"
	const turbo = "Accept: text/vnd.turbo-stream.html, text/html"
	rows := map[string]struct {
		method  string
		headers []string
		status  int
		want    string // in the body
	}{
		"lacks a factor, framed": {
			"GET",
			[]string{navigation, framed, lackingBearer},
			403,
			"<p>own 403 [[OTP]] link=/tools/mfa?return_to=%2Ftools%2Fadmin circle=false retry=false after=0s prefix=/tools fragment=false lookup=false /admin</p>",
		},
		"no token, framed": {
			"GET",
			[]string{navigation, framed},
			401,
			"<p>own 401 [] link=/tools/login?return_to=%2Ftools%2Fadmin circle=false retry=false after=0s prefix=/tools fragment=false lookup=false /admin</p>",
		},
		"unknown": {
			"GET",
			[]string{navigation, "Authorization: Bearer token-limited"},
			503,
			"<p>own 503 [] link= circle=false retry=true after=7s prefix=/tools fragment=false lookup=true /admin</p>",
		},
		"unknown, a form": {
			"POST",
			[]string{navigation, "Authorization: Bearer token-unavailable"},
			503,
			"<p>own 503 [] link= circle=false retry=false after=1s prefix=/tools fragment=false lookup=true /admin</p>",
		},
		"the app's mistake": {
			"GET",
			[]string{navigation, "Authorization: Bearer token-panicking"},
			500,
			"<p>own 500 [] link= circle=false retry=false after=0s prefix=/tools fragment=false lookup=false /admin</p>",
		},
		"in a circle": {
			"GET",
			[]string{navigation, lackingBearer, afterRounds},
			403,
			"<p>own 403 [[OTP]] link=/tools/mfa?return_to=%2Ftools%2Fadmin circle=true retry=false after=0s prefix=/tools fragment=false lookup=false /admin</p>",
		},
		"a Turbo frame": {
			"GET",
			[]string{"Accept: text/html", `Turbo-Frame: a"b`, "Authorization: Bearer token-unavailable"},
			503,
			`<turbo-frame id="a&#34;b">` + "\n" + `<main lang="zh-CN">` + "\n<p>own 503 [] link= circle=false retry=false after=1s prefix=/tools fragment=true lookup=true /admin</p>",
		},
		"a Turbo form": {
			"POST",
			[]string{turbo, "Authorization: Bearer token-unavailable"},
			503,
			`<section id="echomfa-refusal" role="alert" lang="zh-CN">` + "\n<p>own 503 [] link= circle=false retry=false after=1s prefix=/tools fragment=true lookup=true /admin</p>",
		},
		"Unpoly": {
			"GET",
			[]string{"X-Up-Version: 3", "Authorization: Bearer token-unavailable"},
			503,
			"<p>own 503 [] link= circle=false retry=false after=1s prefix=/tools fragment=false lookup=true /admin</p>",
		},
		"sent on by a page": {"GET", []string{"X-Up-Version: 3", lackingBearer}, 403, `<meta http-equiv="refresh"`},
		"a program":         {"GET", []string{lackingBearer}, 403, `"missing":[["OTP"]]`},
		"HTMX":              {"GET", []string{"HX-Request: true", "Authorization: Bearer token-unavailable"}, 503, `"status":503`},
		"only a HEAD":       {"HEAD", []string{navigation, "Authorization: Bearer token-unavailable"}, 503, ""},
		"sent on":           {"GET", []string{navigation, lackingBearer}, 302, ""},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := send(t, withPages(t, saying, nil), row.method, "/admin", row.headers...)
			assert.Equal(t, row.status, w.Code)
			assert.Contains(t, w.Body.String(), row.want)
			page := strings.Contains(row.want, "<p>own")
			assert.Equal(t, page, strings.Contains(w.Body.String(), "<p>own"), "nobody else gets the page")
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
			assert.Contains(t, strings.Join(w.Header().Values("Vary"), ","), "Accept-Language")
			if page {
				assert.Equal(t, "zh-CN", w.Header().Get("Content-Language"))
				assert.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
				assert.Contains(t, w.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'")
			}
		})
	}
}

// TestRefusalPageSources shows what a page may load, and that it cannot be framed for
// all that.
func TestRefusalPageSources(t *testing.T) {
	t.Parallel()
	const fixed = "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
	for name, row := range map[string]struct {
		page echomfa.RefusalPage
		want string
	}{
		"nothing said": {echomfa.RefusalPage{HTML: "x"}, fixed + "style-src 'self'; img-src 'self' data:; font-src 'self'"},
		"a style": {
			echomfa.RefusalPage{HTML: "x", Style: "p{}"},
			fixed + "style-src 'self' 'sha256-gG2yISYereRMiG2lMXrbiUgi0Ubw9p7QCeWcroOvy9Y='; img-src 'self' data:; font-src 'self'",
		},
		"its own": {echomfa.RefusalPage{HTML: "x", Sources: "script-src https://cdn.example/~app"}, fixed + "script-src https://cdn.example/~app"},
		// Browsers take the first directive of a name.
		"more than it may": {echomfa.RefusalPage{HTML: "x", Sources: "frame-ancestors *"}, fixed + "frame-ancestors *"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app := withPages(t, func(*http.Request, echomfa.Refusal) (echomfa.RefusalPage, error) { return row.page, nil }, nil)
			w := send(t, app, "GET", "/admin", navigation, "Authorization: Bearer token-unavailable")
			assert.Equal(t, row.want, w.Header().Get("Content-Security-Policy"))
			assert.Equal(t, "text/html; charset=utf-8", w.Header().Get("Content-Type"))
			assert.Equal(t, "same-origin", w.Header().Get("Referrer-Policy"))
			assert.Empty(t, w.Header().Get("Content-Language"))
			assert.Equal(t, "x", w.Body.String())
		})
	}
}

// TestRefusalPageThatFails shows that the built-in page is shown in place of one that
// cannot be made, over Echo, over net/http and by WriteRefusal, with the status and
// the headers of the refusal, and that the log says why without the token.
func TestRefusalPageThatFails(t *testing.T) {
	t.Parallel()
	const secret = "token-unavailable-" + canary
	returning := func(page echomfa.RefusalPage, err error) pageFunc {
		return func(*http.Request, echomfa.Refusal) (echomfa.RefusalPage, error) { return page, err }
	}
	fine := echomfa.RefusalPage{HTML: "mine"}
	with := func(change func(*echomfa.RefusalPage)) echomfa.RefusalPage {
		page := fine
		change(&page)
		return page
	}
	rows := map[string]struct {
		page pageFunc
		log  string
	}{
		"an error":        {returning(fine, errors.New("no template for "+secret)), "no template for [redacted]"},
		"a panic":         {func(*http.Request, echomfa.Refusal) (echomfa.RefusalPage, error) { panic("no template for " + secret) }, "no template for [redacted]"},
		"empty":           {returning(echomfa.RefusalPage{}, nil), "HTML: required"},
		"too long":        {returning(with(func(p *echomfa.RefusalPage) { p.HTML = template.HTML(strings.Repeat("x", 1<<20+1)) }), nil), "HTML: 1048577 bytes"},
		"no language":     {returning(with(func(p *echomfa.RefusalPage) { p.Language = "en\r\nX: y" }), nil), "Language:"},
		"a line feed":     {returning(with(func(p *echomfa.RefusalPage) { p.Sources = "img-src *\nX: y" }), nil), "Sources:"},
		"a second policy": {returning(with(func(p *echomfa.RefusalPage) { p.Sources = "img-src *, script-src *" }), nil), "Sources:"},
		"two policies":    {returning(with(func(p *echomfa.RefusalPage) { p.Sources, p.Style = "img-src *", "p{}" }), nil), "Style and Sources"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			headers := []string{navigation, "Authorization: Bearer " + secret}
			enforcer := func(page pageFunc) *echomfa.Enforcer {
				return table(t, func(c *echomfa.Config) { c.RefusalPage, c.Logger = page, slog.New(slog.NewTextHandler(&log, nil)) })
			}
			builtIn := send(t, guarded(t, enforcer(nil)), "GET", "/admin", headers...)
			log.Reset()
			e := enforcer(row.page)
			for adapter, app := range map[string]http.Handler{
				"Echo":     guarded(t, e),
				"net/http": e.Middleware(echomfa.HandlerConfig{Policy: otp()})(http.NotFoundHandler()),
				"WriteRefusal": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					e.WriteRefusal(w, r, &echomfa.LookupError{DecisionID: "4KXZQ2M7N5J3W6RBYTAV5C2DHE", RetryAfter: time.Second})
				}),
			} {
				w := send(t, app, "GET", "/admin", headers...)
				assert.Equal(t, 503, w.Code, adapter)
				assert.Equal(t, withoutIDs(builtIn), withoutIDs(w), adapter)
				want := maps.Clone(map[string][]string(builtIn.Header()))
				delete(want, "Vary")
				got := maps.Clone(map[string][]string(w.Header()))
				delete(got, "Vary")
				assert.Equal(t, want, got, adapter)
			}
			assert.Equal(t, 3, strings.Count(log.String(), "mfa RefusalPage failed"), log.String())
			assert.Contains(t, log.String(), row.log)
			assert.NotContains(t, log.String(), canary)
		})
	}
}

// withoutIDs returns the body without what differs each time.
func withoutIDs(w *httptest.ResponseRecorder) string {
	before, _, _ := strings.Cut(w.Body.String(), "<code>")
	return before
}

// TestRefusalPageMayAbort has a page that aborts the connection, which net/http knows.
func TestRefusalPageMayAbort(t *testing.T) {
	t.Parallel()
	app := withPages(t, func(*http.Request, echomfa.Refusal) (echomfa.RefusalPage, error) {
		panic(fmt.Errorf("wrapped: %w", http.ErrAbortHandler))
	}, nil)
	require.PanicsWithValue(t, http.ErrAbortHandler, func() {
		send(t, app, "GET", "/admin", navigation, "Authorization: Bearer token-unavailable")
	})
}
