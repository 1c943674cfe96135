package integration_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/enroll"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/integration/nginxtest"
)

// proxied is an app behind nginx, and a browser that knows it by another name.
type proxied struct {
	t       *testing.T
	genauth *genauthtest.Server
	nginx   *nginxtest.Server
	origin  string // by which the browser reaches it
	prefix  string // which nginx takes off
	browser *http.Client
}

const portalName = "portal.test" // on plain http, and not localhost

// newProxied starts an app and nginx in front of it. In the server block, APP is the
// app's address.
func newProxied(t *testing.T, prefix, server string, change func(*echomfa.Config)) *proxied {
	t.Helper()
	p := &proxied{t: t, genauth: genauthtest.Start(t), prefix: prefix}
	app := httptest.NewUnstartedServer(nil)
	p.nginx = nginxtest.Listen(t)
	p.nginx.Serve(t, strings.ReplaceAll(server, "APP", app.Listener.Addr().String()))
	_, port, err := net.SplitHostPort(p.nginx.Address)
	require.NoError(t, err)
	p.origin = "http://" + net.JoinHostPort(portalName, port)
	app.Config.Handler = p.app(change)
	app.Start()
	t.Cleanup(app.Close)

	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, p.nginx.Address)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	p.browser = &http.Client{
		Jar: jar, Transport: transport, Timeout: time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p
}

// app has the pages, a guarded area and a sign-in, and the headers of an app that
// takes care.
func (p *proxied) app(change func(*echomfa.Config)) http.Handler {
	p.t.Helper()
	genauth, err := client.New(client.Config{BaseURL: p.genauth.URL(), AppID: p.genauth.AppID()})
	require.NoError(p.t, err)
	p.t.Cleanup(genauth.CloseIdleConnections)
	cfg := echomfa.Config{
		Client: genauth, TokenLookup: "cookie:session", EnrollURL: "/mfa", LoginURL: "/login",
		ReturnTo: echomfa.ReturnToConfig{BaseURL: p.origin + p.prefix},
		Lookup:   echomfa.LookupConfig{Timeout: patience},
	}
	if change != nil {
		change(&cfg)
	}
	mfa, err := echomfa.New(cfg)
	require.NoError(p.t, err)
	p.t.Cleanup(func() { assert.NoError(p.t, mfa.Close()) })
	policy := echomfa.AnyOf(echomfa.OTP)
	pages, err := enroll.New(enroll.Config{
		Client: genauth, Enforcer: mfa, BasePath: "/mfa", Policy: policy, StateKeys: [][]byte{enroll.InsecureRandomKey()},
		AuthTime: true,
	})
	require.NoError(p.t, err)
	e := echo.New()
	e.Use(middleware.RequestID(), middleware.SecureWithConfig(middleware.SecureConfig{
		XSSProtection: "0", ContentTypeNosniff: "nosniff", XFrameOptions: "DENY", HSTSMaxAge: 31536000,
		ContentSecurityPolicy: "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
	}))
	e.Any("/mfa", echo.WrapHandler(pages))
	e.Any("/mfa/*", echo.WrapHandler(pages))
	e.GET("/", func(c echo.Context) error { return c.String(http.StatusOK, "home") })
	e.GET("/login", func(c echo.Context) error {
		user := p.genauth.AddUser(genauthtest.User{})
		token := p.genauth.Mint(genauthtest.Token{UserID: user.ID, Claims: map[string]any{"auth_time": time.Now().Unix()}})
		c.SetCookie(&http.Cookie{Name: "session", Value: token, Path: "/", HttpOnly: true})
		return c.Redirect(http.StatusSeeOther, mfa.ReturnTo(c.QueryParam("return_to")))
	})
	e.GET("/admin*", func(c echo.Context) error { return c.String(http.StatusOK, "admin "+c.Request().RequestURI) }, mfa.Require(policy))
	return e
}

// page is an answer as a browser has it.
type page struct {
	status   int
	header   http.Header
	body     string
	location string
}

// send sends a request as a browser does on plain http: without Fetch Metadata, and
// with the Origin of a form.
func (p *proxied) send(method, target string, form url.Values, headers ...string) page {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.origin+target, strings.NewReader(form.Encode()))
	require.NoError(p.t, err)
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", p.origin)
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	res, err := p.browser.Do(r)
	require.NoError(p.t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	require.NoError(p.t, res.Body.Close())
	return page{res.StatusCode, res.Header, string(body), res.Header.Get("Location")}
}

func (p *proxied) get(target string, headers ...string) page {
	p.t.Helper()
	return p.send(http.MethodGet, target, nil, headers...)
}

// form fills the form on a page that goes to a path below the pages.
func (p *proxied) form(from page, step string, fields ...string) page {
	p.t.Helper()
	action := p.prefix + "/mfa/" + step
	_, form, found := strings.Cut(from.body, `action="`+action+`"`)
	require.True(p.t, found, "%s: %s", action, from.body)
	form, _, _ = strings.Cut(form, "</form>")
	values := url.Values{}
	for _, hidden := range regexp.MustCompile(`type="hidden" name="([^"]+)" value="([^"]*)"`).FindAllStringSubmatch(form, -1) {
		values.Set(hidden[1], strings.ReplaceAll(hidden[2], "&amp;", "&"))
	}
	for i := 0; i+1 < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	answer := p.send(http.MethodPost, action, values)
	if answer.status == http.StatusSeeOther && strings.HasPrefix(answer.location, p.prefix+"/mfa/") {
		return p.get(answer.location) // the page that a form leads to
	}
	return answer
}

// goes checks a redirect, and follows it.
func (p *proxied) goes(from page, status int, location string) page {
	p.t.Helper()
	require.Equal(p.t, status, from.status, from.body)
	require.Equal(p.t, location, from.location)
	return p.get(location)
}

// walk is the whole way: the wanted page, sign-in, enrollment, and back.
func (p *proxied) walk(wanted string) {
	p.t.Helper()
	back := p.prefix + wanted
	page := p.goes(p.get(back), http.StatusFound, p.prefix+"/login?return_to="+url.QueryEscape(back))
	page = p.goes(page, http.StatusSeeOther, back)
	page = p.goes(page, http.StatusFound, p.prefix+"/mfa?return_to="+url.QueryEscape(back))
	require.Equal(p.t, http.StatusOK, page.status, page.body)
	for _, link := range regexp.MustCompile(`(?:href|src)="(/[^"]*)"`).FindAllStringSubmatch(page.body, -1) {
		assert.Equal(p.t, http.StatusOK, p.get(link[1]).status, link[1])
	}
	page = p.form(page, "begin")
	require.Equal(p.t, http.StatusOK, page.status, page.body)
	secret := regexp.MustCompile(`class="secret">([A-Z2-7 ]+)<`).FindStringSubmatch(page.body)
	require.NotNil(p.t, secret)
	code, err := genauthtest.TOTP(strings.ReplaceAll(secret[1], " ", ""), p.genauth.Now())
	require.NoError(p.t, err)
	page = p.form(page, "confirm", "code", code)
	require.Equal(p.t, http.StatusOK, page.status, page.body)
	page = p.form(page, "done", "saved", "yes")
	require.Equal(p.t, "0;url="+back, page.header.Get("Refresh"), page.body)
	page = p.get(back)
	assert.Equal(p.t, http.StatusOK, page.status)
	assert.Equal(p.t, "admin "+wanted, page.body)
}

// refusals checks what each kind of client is told.
func (p *proxied) refusals() {
	p.t.Helper()
	const program = "Accept: application/json"
	lacking := "Cookie: session=" + p.genauth.Mint(genauthtest.Token{UserID: p.genauth.AddUser(genauthtest.User{}).ID})
	admin, htmx := p.prefix+"/admin?x=1", "HX-Request: true"
	current := "HX-Current-URL: " + p.origin + admin

	assert.Equal(p.t, http.StatusUnauthorized, p.get(admin, program).status)
	none := p.get(admin, htmx, current)
	assert.Equal(p.t, http.StatusUnauthorized, none.status)
	assert.Equal(p.t, p.prefix+"/login?return_to="+url.QueryEscape(admin), none.header.Get("Hx-Redirect"))

	answer := p.get(admin, program, lacking)
	assert.Equal(p.t, http.StatusForbidden, answer.status)
	assert.Contains(p.t, answer.body, `"enroll_url":"`+p.prefix+`/mfa"`)
	answer = p.get(admin, lacking)
	assert.Equal(p.t, http.StatusFound, answer.status)
	assert.Equal(p.t, p.prefix+"/mfa?return_to="+url.QueryEscape(admin), answer.location)
	answer = p.send(http.MethodGet, admin, nil, lacking, htmx, current)
	assert.Equal(p.t, http.StatusForbidden, answer.status)
	assert.Equal(p.t, p.prefix+"/mfa?return_to="+url.QueryEscape(admin), answer.header.Get("Hx-Redirect"))
	answer = p.send(http.MethodPost, p.prefix+"/mfa/begin", url.Values{"type": {"OTP"}}, lacking, "Origin: http://evil.example")
	assert.Equal(p.t, http.StatusForbidden, answer.status, "another site's form")
}

// TestNginx has an app behind nginx as people set it up, on plain http and with a
// name that is not localhost.
func TestNginx(t *testing.T) {
	t.Parallel()
	const drop = "proxy_set_header Sec-Fetch-Site ''; proxy_set_header Sec-Fetch-Mode ''; proxy_set_header Sec-Fetch-Dest '';"
	for name, row := range map[string]struct {
		prefix, server string
		change         func(*echomfa.Config)
	}{
		"Host is rewritten":      {"", "location / { proxy_pass http://APP; }", nil},
		"Host is passed on":      {"", "location / { proxy_pass http://APP; proxy_set_header Host $http_host; }", noBase},
		"a prefix is taken off":  {"/tools", "location /tools/ { proxy_pass http://APP/; }", nil},
		"a deeper one, by regex": {"/a/tools", "location ~ ^/a/tools(/.*)$ { rewrite ^/a/tools(/.*)$ $1 break; proxy_pass http://APP; }", nil},
		"Fetch Metadata is lost": {"", "location / { proxy_pass http://APP; " + drop + " }", nil},
		"all of it": {"/tools", "location /tools/ { proxy_pass http://APP/; " + drop + " }", func(c *echomfa.Config) {
			c.EnrollURL = c.ReturnTo.BaseURL + "/mfa"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProxied(t, row.prefix, row.server, row.change)
			if strings.Contains(name, "all of it") {
				p.absolute()
				return
			}
			p.refusals()
			p.walk("/admin/users?page=2&sort=a%2Fb")
			assert.NotContains(t, p.nginx.Errors(t), "[error]")
		})
	}
}

// noBase is an app that does not know its address.
func noBase(c *echomfa.Config) { c.ReturnTo.BaseURL = "" }

// absolute has the app's own pages named by their whole address.
func (p *proxied) absolute() {
	p.t.Helper()
	lacking := "Cookie: session=" + p.genauth.Mint(genauthtest.Token{UserID: p.genauth.AddUser(genauthtest.User{}).ID})
	answer := p.get(p.prefix+"/admin?x=1", lacking, "Sec-Fetch-Mode: cors", "Sec-Fetch-Site: same-origin")
	assert.Equal(p.t, http.StatusFound, answer.status, "what tells a script from a browser is lost")
	assert.Equal(p.t, p.origin+p.prefix+"/mfa?return_to="+url.QueryEscape(p.prefix+"/admin?x=1"), answer.location)
	assert.Equal(p.t, http.StatusOK, p.get(strings.TrimPrefix(answer.location, p.origin), lacking).status)
}

// TestNginxDefaultBuffers comes back to long addresses through nginx's buffer of
// 4 KiB for the head of an answer, of which the app takes some.
func TestNginxDefaultBuffers(t *testing.T) {
	t.Parallel()
	p := newProxied(t, "/tools", "location /tools/ { proxy_pass http://APP/; }", nil)
	lacking := "Cookie: session=" + p.genauth.Mint(genauthtest.Token{UserID: p.genauth.AddUser(genauthtest.User{}).ID})
	p.browser.Jar = nil // it would count each as a round of one circle
	longest := 0
	for _, piece := range []string{"a", "a=b&", "%E4%BD%A0", "q=%E4%BD%A0&", "/x?"} {
		for n := 200; n <= 3000; n += 200 {
			wanted := p.prefix + "/admin?q=" + strings.Repeat(piece, n/len(piece))
			for _, answer := range []page{
				p.get(wanted, lacking), p.get(wanted), p.get(wanted, lacking, "HX-Request: true", "HX-Current-URL: "+p.origin+wanted),
				p.get(p.prefix + "/mfa?return_to=" + url.QueryEscape(wanted)),
			} {
				require.Contains(t, []int{http.StatusFound, http.StatusForbidden}, answer.status, "%s %d", piece, n)
				longest = max(longest, len(answer.location))
				location := answer.location + answer.header.Get("Hx-Redirect")
				u, err := url.Parse(location)
				require.NoError(t, err)
				back := u.Query().Get("return_to")
				if inner, err := url.Parse(back); err == nil && inner.Path == p.prefix+"/mfa" {
					back = inner.Query().Get("return_to")
				}
				if back == "" && (n > 2000 || n > 1800 && strings.Contains(piece, "%")) {
					continue // too long for all of it
				}
				require.Equal(t, wanted, back, "%s %d", piece, n)
			}
		}
	}
	assert.Greater(t, longest, 3000)
	assert.NotContains(t, p.nginx.Errors(t), "too big header")
	assert.NotContains(t, p.nginx.Errors(t), "[error]")
}
