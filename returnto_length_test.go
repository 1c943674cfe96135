package echomfa_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
)

// longQueries have about n bytes, which need no escaping, some, or a lot.
func longQueries(n int) map[string]string {
	fill := func(s string) string { return strings.Repeat(s, n/len(s)+1)[:n/len(s)*len(s)] }
	return map[string]string{
		"letters": "q=" + fill("a"), "parameters": fill("page=2&"), "short parameters": fill("a=b&"), "addresses": fill("u=https://x/y?z&"),
		"escaped letters": "q=" + fill("%E4%BD%A0"), "escaped parameters": fill("q=%E4%BD%A0&"),
	}
}

// TestFieldF05LongAddresses comes back to long addresses, from the pages in between
// too. Each address stays below 4 KiB, whatever has to be escaped.
func TestFieldF05LongAddresses(t *testing.T) {
	t.Parallel()
	e := table(t, func(c *echomfa.Config) { c.EnrollURL, c.LoginURL = "/mfa", "/login" })
	app := guarded(t, e)
	for _, n := range []int{1300, 2100} {
		for name, query := range longQueries(n) {
			want := "/admin?" + query
			w := send(t, app, http.MethodGet, want, lackingBearer, navigation)
			page := w.Header().Get("Location")
			assert.Equal(t, want, returnToOf(t, page, "/mfa"), name)
			assert.Less(t, headOf(t, w), 4096, name)

			// As another app's page may write it, in whose link all is escaped.
			other := "/mfa?return_to=" + url.QueryEscape(want)
			assert.Equal(t, want, beyond(t, returnToOf(t, e.LoginLocation(other), "/login")), name)
			assert.Equal(t, want, beyond(t, e.ReturnTo(other)), name)
			w = send(t, app, http.MethodGet, other, navigation)
			assert.Equal(t, want, beyond(t, returnToOf(t, w.Header().Get("Location"), "/login")), name)

			// On the enrollment page without a session: to the sign-in page, and
			// from there back through the enrollment page, or at once.
			login := e.LoginLocation(page)
			assert.Less(t, len(login), 3600, name)
			assert.Equal(t, want, beyond(t, returnToOf(t, login, "/login")), name)
			assert.Equal(t, login, e.LoginLocation(e.ReturnTo(page)))
			w = send(t, app, http.MethodGet, page, navigation)
			assert.Equal(t, want, beyond(t, returnToOf(t, w.Header().Get("Location"), "/login")), name)
			assert.Less(t, headOf(t, w), 4096, name)

			w = send(t, app, http.MethodGet, "/x", lackingBearer, "HX-Request: true", "HX-Current-URL: http://example.com"+want)
			assert.Equal(t, want, returnToOf(t, w.Header().Get("HX-Redirect"), "/mfa"), name)
			assert.Less(t, headOf(t, w), 4096, name)
		}
	}
}

// beyond is where a browser gets to in the end.
func beyond(t *testing.T, back string) string {
	t.Helper()
	if strings.HasPrefix(back, "/mfa?") {
		return returnToOf(t, back, "/mfa")
	}
	return back
}

// headOf is how many bytes the head of an answer has, with what net/http adds.
func headOf(t *testing.T, w *httptest.ResponseRecorder) int {
	t.Helper()
	h := w.Result().Header
	h.Set("Date", http.TimeFormat)
	h.Set("Content-Length", "1000")
	var b bytes.Buffer
	require.NoError(t, h.Write(&b))
	b.WriteString("HTTP/1.1 302 Found\r\n\r\n")
	return b.Len()
}

// TestFieldF05NestedIsKeptNested shows that the enrollment page is passed by only where
// its address is too long.
func TestFieldF05NestedIsKeptNested(t *testing.T) {
	t.Parallel()
	e := table(t, func(c *echomfa.Config) { c.EnrollURL, c.LoginURL = "/mfa", "/login" })
	assert.Equal(t, "/login?return_to=%2Fmfa%3Freturn_to%3D%252Fadmin%253Fa%253Db", e.LoginLocation("/mfa?return_to=%2Fadmin%3Fa%3Db"))
	long := url.QueryEscape("/admin?q=" + strings.Repeat("%E4", 700))
	assert.Equal(t, "/login?return_to="+long, e.LoginLocation("/mfa?return_to="+long))
	assert.Equal(t, "/admin?q="+strings.Repeat("&", 1500), e.ReturnTo("/mfa?return_to="+url.QueryEscape("/admin?q="+strings.Repeat("&", 1500))))
	assert.Empty(t, e.ReturnTo("/other?return_to="+url.QueryEscape("/admin?q="+strings.Repeat("&", 1500))))
	assert.Equal(t, "/login", e.LoginLocation("/other?return_to="+long), "another page is not passed by")
	assert.Equal(t, "/login", e.LoginLocation("/mfa?return_to="+long+"&%zz"), "nor is a query that cannot be read")
	assert.Equal(t, "/login", e.LoginLocation("/mfa?return_to=%2F"+long), "nor is one that leads away passed on")
}

// TestFieldF05RoomForOtherHeaders leaves room for what the app's own middleware has set.
func TestFieldF05RoomForOtherHeaders(t *testing.T) {
	t.Parallel()
	e := table(t, func(c *echomfa.Config) { c.EnrollURL = "/mfa" })
	for _, row := range []struct {
		query, others int
		kept          bool
	}{{3000, 0, false}, {2500, 0, true}, {2500, 1000, true}, {2500, 1400, false}, {1900, 1400, true}, {1900, 20000, true}} {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Security-Policy", strings.Repeat("x", row.others))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin?"+strings.Repeat("q", row.query), nil)
		r.Header.Set("Sec-Fetch-Mode", "navigate")
		r.Header.Set("Authorization", strings.TrimPrefix(lackingBearer, "Authorization: "))
		guarded(t, e).ServeHTTP(w, r)
		assert.Equal(t, row.kept, w.Header().Get("Location") != "/mfa", row)
		if row.others < 2000 {
			assert.Less(t, headOf(t, w), 4096, row)
		}
	}
}

// TestFieldF05LeavingOutIsLoggedOnce says why, once for each reason and Enforcer.
func TestFieldF05LeavingOutIsLoggedOnce(t *testing.T) {
	t.Parallel()
	const line = `level=WARN msg="mfa return-to left out: the user does not come back to the page that was wanted" event=return_to_omitted reason=`
	long := "/admin?" + strings.Repeat("q", 3000)
	for reason, rows := range map[string][]func(http.Handler, *echomfa.Enforcer){
		"too_long": {
			func(h http.Handler, _ *echomfa.Enforcer) { send(t, h, http.MethodGet, long, lackingBearer, navigation) },
			func(_ http.Handler, e *echomfa.Enforcer) { e.ReturnTo(long) },
			func(_ http.Handler, e *echomfa.Enforcer) { e.LoginLocation("/a?" + strings.Repeat("%25", 800)) },
			func(_ http.Handler, e *echomfa.Enforcer) { e.Address("/x", "/a?"+strings.Repeat("%25", 800)) },
		},
		"unsafe_path": {
			func(h http.Handler, _ *echomfa.Enforcer) {
				send(t, h, http.MethodGet, "//evil.example", lackingBearer, navigation)
			},
			func(_ http.Handler, e *echomfa.Enforcer) { e.ReturnTo("//evil.example") },
			func(_ http.Handler, e *echomfa.Enforcer) { e.LoginLocation("https://evil.example") },
			func(h http.Handler, _ *echomfa.Enforcer) {
				send(t, h, http.MethodGet, "/x", lackingBearer, "HX-Request: true", "HX-Current-URL: javascript:")
			},
		},
		"other_app": {
			func(h http.Handler, _ *echomfa.Enforcer) {
				send(t, h, http.MethodGet, "/x", lackingBearer, "HX-Request: true", "HX-Current-URL: https://other.example/")
			},
		},
		"": {
			func(h http.Handler, _ *echomfa.Enforcer) {
				send(t, h, http.MethodGet, "/admin", lackingBearer, navigation)
			},
			func(h http.Handler, _ *echomfa.Enforcer) {
				send(t, h, http.MethodPost, long, lackingBearer, navigation) // nothing to come back to
			},
			func(h http.Handler, _ *echomfa.Enforcer) {
				send(t, h, http.MethodGet, "/x", lackingBearer, "HX-Request: true")
			},
			func(_ http.Handler, e *echomfa.Enforcer) { e.ReturnTo("") },
			func(_ http.Handler, e *echomfa.Enforcer) { e.LoginLocation("") },
		},
	} {
		for i, do := range rows {
			var log bytes.Buffer
			e := table(t, func(c *echomfa.Config) {
				c.EnrollURL, c.LoginURL = "/mfa", "/login"
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
			})
			for range 3 {
				do(guarded(t, e), e)
			}
			if reason == "" {
				assert.NotContains(t, log.String(), "left out", i)
				continue
			}
			assert.Equal(t, 1, strings.Count(log.String(), "left out"), "%s %d", reason, i)
			assert.Contains(t, log.String(), line+reason+"\n")
			assert.NotContains(t, log.String(), "evil", "no address is logged")
		}
	}
}
