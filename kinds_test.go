package echomfa_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

const fromList = "HX-Current-URL: http://example.com/list?page=3"

// TestFieldF16HTMXThatWantsAPage has what comes back after signing in: the page
// that was wanted where htmx says that it wants one, else the page that asks.
func TestFieldF16HTMXThatWantsAPage(t *testing.T) {
	t.Parallel()
	const wanted, asking = "/login?return_to=%2Fadmin%3Fa%3D1", "/login?return_to=%2Flist%3Fpage%3D3"
	app := browsing(t)
	for _, test := range []struct {
		method, header, want string
	}{
		{http.MethodGet, "HX-Boosted: true", wanted},
		{http.MethodGet, "HX-History-Restore-Request: true", wanted},
		{http.MethodGet, "HX-Boosted: false", asking},
		{http.MethodGet, "HX-Trigger: x", asking},
		{http.MethodPost, "HX-Boosted: true", asking},
		{http.MethodPost, "HX-History-Restore-Request: true", asking},
	} {
		w := send(t, app, test.method, "/admin?a=1", "HX-Request: true", fromList, test.header)
		assert.Equal(t, test.want, w.Header().Get("HX-Redirect"), test)
		assert.Contains(t, strings.Join(w.Header().Values("Vary"), ","), "HX-Boosted, HX-History-Restore-Request, HX-Current-URL")
	}
	w := send(t, app, http.MethodGet, "/admin", "HX-Request: true", "HX-Boosted: true", "HX-Current-URL: https://evil.example/x")
	assert.Equal(t, "/login?return_to=%2Fadmin", w.Header().Get("HX-Redirect"))
}

// TestFieldF20WhereAnAnswerGoes has navigations whose answer is not a page in a
// window.
func TestFieldF20WhereAnAnswerGoes(t *testing.T) {
	t.Parallel()
	app := browsing(t)
	for dest, want := range map[string]int{
		"document": 302, "": 401, "empty": 401, "iframe": 401, "frame": 401, "embed": 401, "object": 401, "fencedframe": 401,
		"image": 401, "DOCUMENT": 401,
	} {
		framed := map[string]bool{"iframe": true, "frame": true, "embed": true, "object": true, "fencedframe": true}[dest]
		for site, ancestors := range map[string]string{"same-origin": "'self'", "same-site": "'none'", "cross-site": "'none'", "none": "'none'", "": "'none'"} {
			w := send(t, app, http.MethodGet, "/admin", navigation, "Sec-Fetch-Dest: "+dest, "Sec-Fetch-Site: "+site, "Accept: text/html")
			assert.Equal(t, want, w.Code, dest)
			if want != http.StatusFound {
				assert.Empty(t, w.Header().Get("Location"), dest)
				assert.Equal(t, framed, strings.Contains(w.Body.String(), `<a href="/login?return_to=%2Fadmin" target="_top"`), dest)
				assert.Equal(t, framed, strings.HasSuffix(w.Header().Get("Content-Security-Policy"), "frame-ancestors "+ancestors), dest)
				assert.Equal(t, !framed, w.Header().Get("Content-Type") == "application/problem+json", dest)
			}
		}
	}
	assert.Equal(t, http.StatusFound, send(t, app, http.MethodGet, "/admin", navigation).Code, "a browser of before there was Sec-Fetch-Dest")
	assert.Equal(t, http.StatusUnauthorized, send(t, app, http.MethodGet, "/admin", navigation, "Sec-Fetch-Dest: document", "Sec-Fetch-Dest: document").Code)
}

// TestFieldF18WhatAHeaderCanDo shows that a header which chooses an answer is not
// in it unescaped, and that programs stay programs.
func TestFieldF18WhatAHeaderCanDo(t *testing.T) {
	t.Parallel()
	const evil = `"><script>alert(1)</script>`
	for _, credential := range []string{"X-None: 1", "Authorization: Bearer token-unavailable"} {
		for _, app := range []http.Handler{browsing(t), guarded(t, table(t, nil))} {
			for _, headers := range [][]string{
				{"Turbo-Frame: " + evil},
				{"Turbo-Frame: " + strings.Repeat("<", 1<<16)},
				{"X-Up-Target: " + evil},
				{"X-Up-Version: " + evil},
				{"X-Turbo-Request-Id: " + evil, "Accept: text/html"},
				{"Accept: text/vnd.turbo-stream.html"},
				{"X-Inertia: true", "X-Inertia-Version: " + evil},
			} {
				for _, method := range []string{"GET", "POST", "HEAD"} {
					w := send(t, app, method, "/admin", append(headers, credential)...)
					assert.NotContains(t, w.Body.String(), "<script>")
					assert.Less(t, w.Body.Len(), 2048)
					assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
				}
			}
		}
	}
	for _, headers := range [][]string{
		{"X-Requested-With: XMLHttpRequest", "Accept: text/html"},
		{"X-Inertia: false"},
		{"Accept: text/vnd.turbo-stream.html;q=0"},
		{"Turbo-Frame: "},
		{"X-Turbo-Request-Id: 1", "Accept: */*"},
		{"X-Up-Version: 3.8.0", "Accept: application/json"},
		{"X-Alpine-Request: true"},
		{"X-PJAX: true"},
		{"HX-Request: false"},
		{"X-Turbo-Request-Id: 1", "Accept: text/html", "X-Requested-With: XMLHttpRequest"},
	} {
		w := send(t, browsing(t), http.MethodGet, "/admin", headers...)
		assert.Equal(t, http.StatusUnauthorized, w.Code, headers)
		assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"), headers)
		assert.Empty(t, w.Result().Cookies(), headers)
	}
}
