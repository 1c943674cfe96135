package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// env makes an environment of names and values.
func env(pairs ...string) []string {
	var environ []string
	for pair := range slices.Chunk(pairs, 2) {
		environ = append(environ, strings.Join(pair, "="))
	}
	return environ
}

// newDemo serves the portal against an emulator.
func newDemo(t *testing.T) (*genauthtest.Server, http.Handler) {
	t.Helper()
	genauth := genauthtest.Start(t)
	addDemoUsers(genauth)
	s, err := readSettings(env("GENAUTH_HOST", genauth.URL(), "GENAUTH_APP_ID", genauth.AppID()))
	require.NoError(t, err)
	p, err := newPortal(s, nil)
	require.NoError(t, err)
	t.Cleanup(p.close)
	return genauth, p.handler()
}

func get(t *testing.T, h http.Handler, target string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	for _, line := range headers {
		key, value, _ := strings.Cut(line, ": ")
		r.Header.Add(key, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestWalk is what a newcomer sees.
func TestWalk(t *testing.T) {
	t.Parallel()
	genauth, h := newDemo(t)
	alice := "Authorization: Bearer " + genauth.AccessToken("alice-id")
	bob := "Authorization: Bearer " + genauth.AccessToken("bob-id")
	opaque := "Authorization: Bearer " + genauth.Mint(genauthtest.Token{UserID: "alice-id", Opaque: true})
	const browser = "Sec-Fetch-Mode: navigate"

	w := get(t, h, "/api/admin")
	assert.Equal(t, 401, w.Code)
	assert.Equal(t, `Bearer realm="mfa"`, w.Header().Get("WWW-Authenticate"))
	w = get(t, h, "/api/admin", bob)
	assert.Equal(t, 403, w.Code)
	assert.Contains(t, w.Body.String(), `"missing":[["OTP"],["FACE"]],"enrolled":[],"enroll_url":"/mfa"`)
	assert.Equal(t, 200, get(t, h, "/api/admin", alice).Code)
	assert.Equal(t, 200, get(t, h, "/api/admin", opaque).Code)
	w = get(t, h, "/admin/users?page=2", bob, browser)
	assert.Equal(t, 302, w.Code)
	assert.Equal(t, "/mfa?return_to=%2Fadmin%2Fusers%3Fpage%3D2", w.Header().Get("Location"))
	w = get(t, h, "/admin?x=1", browser)
	assert.Equal(t, "/login?return_to=%2Fadmin%3Fx%3D1", w.Header().Get("Location"))
	w = get(t, h, "/admin", bob, "HX-Request: true")
	assert.Equal(t, 403, w.Code)
	assert.Equal(t, "/mfa", w.Header().Get("HX-Redirect"))
	assert.Equal(t, 200, get(t, h, "/healthz").Code)
	assert.Equal(t, 302, get(t, h, "/account", browser).Code)
	assert.Contains(t, get(t, h, "/account", alice).Body.String(), "Remove Authenticator app")
	assert.Contains(t, get(t, h, "/account", bob).Body.String(), "You have not set up any yet.")
	w = get(t, h, "/account", "Authorization: Bearer unknown")
	assert.Equal(t, 401, w.Code)
	assert.Contains(t, w.Header().Get("WWW-Authenticate"), `error="invalid_token"`)

	genauth.Stop()
	assert.Equal(t, 200, get(t, h, "/api/admin", alice).Code, "seen within FreshFor")
	w = get(t, h, "/api/admin", "Authorization: Bearer never-seen")
	assert.Equal(t, 503, w.Code)
	assert.NotEmpty(t, w.Header().Get("Retry-After"))
	w = get(t, h, "/admin", "Authorization: Bearer never-seen-2", browser)
	assert.Equal(t, 503, w.Code)
	assert.Contains(t, w.Header().Get("Content-Type"), "text/html")
}

// TestSignInAndEnroll walks through the pages by hand: sign in, blocked, enroll
// at GenAuth, let in.
func TestSignInAndEnroll(t *testing.T) {
	t.Parallel()
	genauth, h := newDemo(t)
	post := func(target string, form url.Values, headers ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, line := range headers {
			key, value, _ := strings.Cut(line, ": ")
			r.Header.Set(key, value)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	w := post("/login", url.Values{"username": {"bob"}, "password": {"wrong"}})
	assert.Equal(t, 401, w.Code)
	w = post("/login", url.Values{"username": {"bob"}, "password": {"bob-password"}, "return_to": {"//evil.example"}})
	require.Equal(t, 303, w.Code, w.Body.String())
	assert.Equal(t, "/account", w.Header().Get("Location"))
	session := "Cookie: " + strings.Split(w.Header().Get("Set-Cookie"), ";")[0]

	assert.Equal(t, 200, get(t, h, "/account", session).Code)
	assert.Equal(t, 403, get(t, h, "/admin", session).Code)
	other := "Authorization: Bearer " + genauth.AccessToken("alice-id")
	assert.Equal(t, 401, get(t, h, "/api/admin", session, other).Code, "who is asking?")
	genauth.Enroll("bob-id", genauthtest.OTP)
	w = post("/mfa/check", url.Values{"return_to": {"/admin?page=2"}}, session)
	w = get(t, h, w.Header().Get("Location"), session)
	assert.Equal(t, "0;url=/admin?page=2", w.Header().Get("Refresh"))
	assert.Equal(t, 200, get(t, h, "/admin?page=2", session).Code)
	assert.Equal(t, 403, post("/logout", nil, "Sec-Fetch-Site: cross-site").Code)
}

// TestSettings shows which settings cannot work, and that the variable is named.
func TestSettings(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		env  []string
		want string
	}{
		"host alone":          {[]string{"GENAUTH_HOST", "https://x.example"}, "GENAUTH_APP_ID"},
		"app id alone":        {[]string{"GENAUTH_APP_ID", "a"}, "GENAUTH_HOST"},
		"not on loopback":     {[]string{"ADDR", ":8080"}, "GENAUTH_HOST"},
		"operators elsewhere": {[]string{"OPS_ADDR", ":8081"}, "OPS_ADDR"},
		"operators' port":     {[]string{"OPS_ADDR", "8081"}, "OPS_ADDR"},
		"bad policy":          {[]string{"MFA_POLICY", "OPT"}, "MFA_POLICY"},
		"bad duration":        {[]string{"FRESH_FOR", "soon"}, "FRESH_FOR"},
		"no duration":         {[]string{"FRESH_FOR", "0s"}, "FRESH_FOR"},
		"long duration":       {[]string{"FRESH_FOR", "1h"}, "FRESH_FOR"},
		"bad enroll url":      {[]string{"ENROLL_URL", "ftp://x"}, "ENROLL_URL"},
		"host set to nothing": {[]string{"GENAUTH_HOST", "", "GENAUTH_APP_ID", ""}, "GENAUTH_HOST is missing"},
		"another of them":     {[]string{"GENAUTH_APP_SECRET", "x"}, "GENAUTH_HOST is missing"},
		"ADDR without a host": {[]string{"ADDR", "8089"}, `ADDR: "8089" is not a host and a port`},
		"bad base url":        {[]string{"BASE_URL", "x"}, "BASE_URL"},
		"no file of rules":    {[]string{"RULES_FILE", "nowhere.yaml"}, "RULES_FILE"},
		"http host":           {[]string{"GENAUTH_HOST", "http://x.example", "GENAUTH_APP_ID", "a"}, "GENAUTH_HOST"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, errOut bytes.Buffer
			assert.Equal(t, 2, run(t.Context(), env(row.env...), &out, &errOut))
			assert.Contains(t, errOut.String(), row.want)
			assert.Empty(t, out.String(), "nothing is promised")
		})
	}
}

// TestEnrollElsewhere shows that an enrollment page on another host is given an
// address that leads back, and the sign-in page a path.
func TestEnrollElsewhere(t *testing.T) {
	t.Parallel()
	s, err := readSettings(env("ADDR", "127.0.0.1:8080", "ENROLL_URL", "https://example.genauth.test/u", "GENAUTH_HOST", "http://127.0.0.1:1", "GENAUTH_APP_ID", "a"))
	require.NoError(t, err)
	p, err := newPortal(s, nil)
	require.NoError(t, err)
	t.Cleanup(p.close)
	w := get(t, p.handler(), "/admin?x=1", "Sec-Fetch-Mode: navigate")
	assert.Equal(t, "/login?return_to=%2Fadmin%3Fx%3D1", w.Header().Get("Location"))
}

// TestReadmeNamesEverySetting compares what the README of the examples says of the
// settings with what is read, and with the defaults.
func TestReadmeNamesEverySetting(t *testing.T) {
	t.Parallel()
	s, err := readSettings(nil)
	require.NoError(t, err)
	defaults := map[string]string{
		"ADDR": s.addr, "OPS_ADDR": s.opsAddr, "MFA_POLICY": s.policy.String(), "ENROLL_URL": s.enrollURL,
		"FRESH_FOR": fmt.Sprintf("%.0fs", s.freshFor.Seconds()), "GENAUTH_HOST": "", "GENAUTH_APP_ID": "", "BASE_URL": "", "RULES_FILE": "",
	}
	source, err := os.ReadFile("settings.go")
	require.NoError(t, err)
	read := regexp.MustCompile(`(?:get\(|values\[)"([A-Z_]+)"`).FindAllSubmatch(source, -1)
	assert.Len(t, read, len(defaults))
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	for _, name := range read {
		require.Contains(t, defaults, string(name[1]))
		want := "`" + string(name[1]) + "`"
		if value := defaults[string(name[1])]; value != "" {
			want += " (`" + value + "`)"
		}
		assert.Contains(t, string(readme), want)
	}
}

// TestListenEverywhere shows that an ADDR which browsers cannot open needs
// no BASE_URL while the enrollment page is the portal's own, and that a script's
// page is then found by the Host that the browser used.
func TestListenEverywhere(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{":8080", "0.0.0.0:8080", "127.0.0.1:0"} {
		s, err := readSettings(env("ADDR", addr, "GENAUTH_HOST", "http://127.0.0.1:1", "GENAUTH_APP_ID", "a"))
		require.NoError(t, err, addr)
		p, err := newPortal(s, nil)
		require.NoError(t, err, addr)
		t.Cleanup(p.close)
		w := get(t, p.handler(), "http://portal.example/admin", "HX-Request: true", "HX-Current-URL: http://portal.example/admin?x=1")
		assert.Equal(t, "/login?return_to=%2Fadmin%3Fx%3D1", w.Header().Get("HX-Redirect"), addr)
	}
}

// TestPasswordGoesToOneHost shows that neither a redirect nor a failure that
// looks like a success signs anybody in.
func TestPasswordGoesToOneHost(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusTemporaryRedirect, http.StatusInternalServerError} {
		other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the password went elsewhere") }))
		t.Cleanup(other.Close)
		genauth := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", other.URL)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(`{"statusCode":200,"data":{"access_token":"abc"}}`))
		}))
		t.Cleanup(genauth.Close)
		s, err := readSettings(env("GENAUTH_HOST", genauth.URL, "GENAUTH_APP_ID", "a"))
		require.NoError(t, err)
		p, err := newPortal(s, nil)
		require.NoError(t, err)
		t.Cleanup(p.close)
		_, err = p.passwordSignIn(t.Context(), "alice", "alice-password")
		assert.Error(t, err)
	}
}

// TestRun starts the program as a newcomer does, takes the token that it prints
// and stops it as SIGTERM does.
func TestRun(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, env("ADDR", "127.0.0.1:0"), in, io.Discard)
		_ = in.Close()
	}()
	var token, address string
	for lines := bufio.NewScanner(out); address == "" && lines.Scan(); {
		if _, rest, ok := strings.Cut(lines.Text(), "Bearer "); ok && token == "" {
			token, _, _ = strings.Cut(rest, "'")
		}
		_, address, _ = strings.Cut(lines.Text(), "listening on ")
	}
	require.NotEmpty(t, token)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/api/admin", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	assert.NoError(t, response.Body.Close())
	assert.Equal(t, 200, response.StatusCode)
	stop()
	assert.Equal(t, 0, <-code)
}

// TestWBPortalChecksGenAuth shows that the program says at its start what is wrong
// with your own GenAuth, and starts.
func TestWBPortalChecksGenAuth(t *testing.T) {
	t.Parallel()
	genauth := genauthtest.Start(t)
	for appID, want := range map[string]string{
		genauth.AppID(): "", "another-app": "portal: GENAUTH_HOST, GENAUTH_APP_ID: client: check: GenAuth knows no such application",
	} {
		ctx, stop := context.WithCancel(t.Context())
		out, in := io.Pipe()
		var errOut bytes.Buffer
		code := make(chan int, 1)
		go func() {
			code <- run(ctx, env("ADDR", "127.0.0.1:0", "GENAUTH_HOST", genauth.URL(), "GENAUTH_APP_ID", appID), in, &errOut)
			_ = in.Close()
		}()
		assert.True(t, bufio.NewScanner(out).Scan(), "it listens")
		stop()
		assert.Equal(t, 0, <-code)
		assert.Equal(t, want == "", errOut.Len() == 0)
		assert.Contains(t, errOut.String(), want)
	}
}

// TestFieldF06BehindAPrefix shows that all addresses of the portal have what a proxy
// takes off.
func TestFieldF06BehindAPrefix(t *testing.T) {
	t.Parallel()
	s, err := readSettings(env("BASE_URL", "https://ops.example.com/tools", "GENAUTH_HOST", "http://127.0.0.1:1", "GENAUTH_APP_ID", "a"))
	require.NoError(t, err)
	p, err := newPortal(s, nil)
	require.NoError(t, err)
	t.Cleanup(p.close)
	for _, target := range []string{"/", "/login?return_to=%2Ftools%2Fadmin"} {
		w := get(t, p.handler(), target)
		for _, found := range regexp.MustCompile(`(?:href|src|action)="(/[^"]*)"`).FindAllStringSubmatch(w.Body.String(), -1) {
			assert.True(t, strings.HasPrefix(found[1], "/tools/"), found[0])
		}
	}
	assert.Contains(t, get(t, p.handler(), "/login?return_to=%2Ftools%2Fadmin").Body.String(), `name="return_to" value="/tools/admin"`)
	w := get(t, p.handler(), "/admin?x=1", "Sec-Fetch-Mode: navigate")
	assert.Equal(t, "/tools/login?return_to=%2Ftools%2Fadmin%3Fx%3D1", w.Header().Get("Location"))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/logout", nil)
	r.Header.Set("Origin", "https://ops.example.com")
	out := httptest.NewRecorder()
	p.handler().ServeHTTP(out, r)
	assert.Equal(t, "/tools/", out.Header().Get("Location"), "the proxy has changed the Host")
	assert.Contains(t, out.Header().Get("Set-Cookie"), "Path=/tools/;")
}
