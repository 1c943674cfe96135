package enroll_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/enroll"
)

func steps() []string {
	return []string{"/mfa/begin", "/mfa/send", "/mfa/confirm", "/mfa/recovery", "/mfa/done", "/mfa/check", "/mfa/remove"}
}

func TestZeroHandler(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"/", "/mfa"} {
		w := httptest.NewRecorder()
		new(enroll.Handler).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil))
		assert.Equal(t, http.StatusInternalServerError, w.Code)
	}
}

// TestRouting has what each path and method is.
func TestRouting(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	for _, target := range []string{"/mfa", "/mfa/"} {
		user.get(target).is(http.StatusOK, "title.needed")
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			a := user.do(method, target, nil).is(http.StatusMethodNotAllowed, "error.method")
			assert.Equal(t, "GET, HEAD", a.Header.Get("Allow"))
		}
	}
	for _, step := range steps() {
		user.get(step + "?type=OTP&confirm=yes").goes("/mfa")
		user.do(http.MethodHead, step, nil).goes("/mfa")
		a := user.do(http.MethodPut, step, nil).is(http.StatusMethodNotAllowed, "error.method")
		assert.Equal(t, "POST", a.Header.Get("Allow"))
	}
	for _, target := range []string{"/mfa/x", "/mfa/begin/x", "/mfa/assets/", "/mfa/assets/x.css", "/mfa/pages/start.html"} {
		user.get(target).is(http.StatusNotFound, "error.not_found")
		user.post(target).is(http.StatusNotFound, "error.not_found")
	}
	assert.Zero(t, s.genauth.Calls(sendPath))
	for _, target := range []string{"/", "/mfax", "/mf", "/x/mfa"} {
		w := httptest.NewRecorder()
		s.pages.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil))
		assert.Equal(t, http.StatusNotFound, w.Code, target)
	}
}

func TestHeadHasNoBody(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	get, head := user.get("/mfa"), user.do(http.MethodHead, "/mfa", nil)
	assert.Equal(t, http.StatusOK, head.StatusCode)
	assert.Empty(t, head.html)
	assert.Equal(t, get.Header, head.Header)
}

// TestAssets are the same for everybody, and named by what is in them.
func TestAssets(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.Brand.Color = "#a3160f" })
	page := s.signIn().get("/mfa")
	css := regexp.MustCompile(`<link rel="stylesheet" href="([^"]+)">`).FindStringSubmatch(page.html)[1]
	js := regexp.MustCompile(`<script src="([^"]+)" defer></script>`).FindStringSubmatch(page.html)[1]
	for path, kind := range map[string]string{css: "text/css; charset=utf-8", js: "text/javascript; charset=utf-8"} {
		a := session{site: s}.get(path).is(http.StatusOK)
		assert.Equal(t, kind, a.Header.Get("Content-Type"))
		assert.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"))
		assert.Contains(t, a.Header.Get("Cache-Control"), "immutable")
		assert.Empty(t, session{site: s}.do(http.MethodHead, path, nil).html)
		session{site: s}.post(path).is(http.StatusNotFound)
	}
	assert.Contains(t, session{site: s}.get(css).html, "--brand:#a3160f")
	other := newSite(t, nil)
	assert.NotContains(t, other.signIn().get("/mfa").html, css)
}

// TestFormsThatCannotBeRead change nothing.
func TestFormsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	user.get("/mfa?a=%zz").is(http.StatusBadRequest, "error.form")
	user.post("/mfa/begin", "type", strings.Repeat("x", 33<<10)).is(http.StatusBadRequest, "error.form")
	user.post("/mfa/begin").goes("/mfa")
	user.post("/mfa/begin", "return_to", "/admin?a=b&c").goes("/mfa?return_to=%2Fadmin%3Fa%3Db%26c")
	user.do(http.MethodPost, "/mfa/begin?type=OTP", nil).goes("/mfa") // the query is not a form
	assert.Zero(t, s.genauth.Calls(sendPath))
}

// TestCallbackPanics are pages.
func TestCallbackPanics(t *testing.T) {
	t.Parallel()
	panics := true
	s := newSite(t, func(set *setup) {
		set.Language = func(*http.Request) string {
			if panics {
				panic(callbackPanic)
			}
			return ""
		}
	})
	user := s.signIn()
	user.get("/mfa").is(http.StatusInternalServerError, "error.internal")
	user.post("/mfa/begin", "type", "OTP").is(http.StatusInternalServerError, "error.internal")
	assert.Zero(t, s.genauth.Calls(sendPath))
	assert.Contains(t, s.logged.String(), "enrollment page panicked")
	panics = false
	user.get("/mfa").is(http.StatusOK)
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() {
		newSite(t, func(set *setup) { set.Language = func(*http.Request) string { panic(http.ErrAbortHandler) } }).signIn().get("/mfa")
	})
}

// TestMounts asks for what a browser asks for, over each way to mount.
func TestMounts(t *testing.T) {
	t.Parallel()
	wrapped := func(register func(app *echo.Echo, h echo.HandlerFunc)) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler {
			app := echo.New()
			register(app, echo.WrapHandler(h))
			return app
		}
	}
	mounts := map[string]func(http.Handler) http.Handler{
		"echo": wrapped(func(app *echo.Echo, h echo.HandlerFunc) { app.Any("/mfa", h); app.Any("/mfa/*", h) }),
		"echo group": wrapped(func(app *echo.Echo, h echo.HandlerFunc) {
			g := app.Group("/mfa")
			g.Any("", h)
			g.Any("/*", h)
		}),
		"net/http": func(h http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/mfa", h)
			mux.Handle("/mfa/", h)
			return mux
		},
		"bare": func(h http.Handler) http.Handler { return h },
	}
	for name, mount := range mounts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			s.app = mount(s.pages)
			user := s.signIn()
			for _, target := range []string{"/mfa", "/mfa/", "/mfa?return_to=%2Fadmin%3Fpage%3D2", "/mfa/?return_to=%2Fadmin%3Fpage%3D2"} {
				a := user.get(target).is(http.StatusOK, "title.needed")
				assert.Equal(t, strings.Contains(target, "return_to"), strings.Contains(a.text, `name="return_to" value="/admin?page=2"`))
			}
			page := user.begin(otp)
			page = user.post("/mfa/confirm", "state", page.state(), "code", user.code(page.secret()), "return_to", "/admin?page=2").is(http.StatusOK, "title.recovery")
			user.post("/mfa/done", "state", page.state(), "saved", "yes", "return_to", "/admin?page=2").goes("/admin?page=2")
			assert.Equal(t, []genauthtest.FactorType{otp}, s.genauth.Enrolled(user.id))
		})
	}
}

// TestOverTheWire walks with a real client and its cross-origin headers.
func TestOverTheWire(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	server := httptest.NewServer(s.app)
	t.Cleanup(server.Close)
	user := s.signIn()
	client := server.Client()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	client.Jar = jar
	send := func(origin string) (status int, body string) {
		form := url.Values{"type": {"OTP"}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/mfa/begin", strings.NewReader(form.Encode()))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", "Bearer "+user.token)
		r.Header.Set("Origin", origin)
		resp, err := client.Do(r)
		require.NoError(t, err)
		raw, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, resp.ContentLength, int64(len(raw)))
		return resp.StatusCode, string(raw)
	}
	status, body := send(server.URL)
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, body, `name="state"`)
	status, body = send("http://evil.example")
	assert.Equal(t, http.StatusForbidden, status)
	assert.NotContains(t, body, `name="state"`)
}
