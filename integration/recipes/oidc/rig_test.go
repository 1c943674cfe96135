package oidc_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/enroll"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/echomfa/echomfa/integration/recipes/jwks"
	"github.com/echomfa/echomfa/integration/recipes/oidc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is the app over https, and the emulator.
type rig struct {
	t       *testing.T
	genauth *genauthtest.Server
	app     *httptest.Server
	log     *logged

	publicURL string // where the browser finds the app; by default at the app itself
	front     string // what listens there, if it is not the app
}

// logged is what the app has logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newRig(t *testing.T, cfg genauthtest.Config, change ...func(*rig)) *rig {
	t.Helper()
	x := &rig{t: t, log: &logged{}}
	x.app = httptest.NewUnstartedServer(nil)
	x.publicURL = "https://" + x.app.Listener.Addr().String()
	for _, c := range change {
		c(x)
	}
	cfg.RedirectURIs, cfg.LogoutRedirectURIs = []string{x.publicURL + "/callback"}, []string{x.publicURL + "/"}
	x.genauth = genauthtest.Start(t, cfg)
	x.genauth.AddUser(genauthtest.User{ID: "alice-id", Username: "alice", Email: "alice@example.com"})
	x.genauth.AddUser(genauthtest.User{ID: "bob-id", Username: "bob"})
	genauth, err := client.New(client.Config{BaseURL: x.genauth.URL(), AppID: x.genauth.AppID()})
	require.NoError(t, err)
	transport := &http.Transport{}
	calls := &http.Client{Transport: transport, Timeout: time.Minute}
	logger := slog.New(slog.NewTextHandler(x.log, nil))
	verifier, err := jwks.New(t.Context(), jwks.Config{
		KeysURL: genauth.BaseURL() + "/oidc/.well-known/jwks.json", Issuer: genauth.BaseURL() + "/oidc", AppID: genauth.AppID(),
		HTTPClient: calls, Logger: logger,
	})
	require.NoError(t, err)
	roles := map[string]string{"alice-id": "admin", "bob-id": "staff"}
	mfa, app, err := oidc.NewApp(oidc.Config{
		GenAuth: genauth, AppSecret: x.genauth.AppSecret(), PublicURL: x.publicURL, IDTokens: verifier, HTTPClient: calls, Logger: logger,
	}, enroll.InsecureRandomKey(), func(id string) string { return roles[id] })
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, mfa.Close())
		genauth.CloseIdleConnections()
		transport.CloseIdleConnections()
	})
	x.app.Config.Handler = app
	if x.front == "" {
		x.app.StartTLS()
	} else {
		x.app.Start()
	}
	t.Cleanup(x.app.Close)
	return x
}

// browser is one with cookies, that follows redirects until it is shown something.
type browser struct {
	*rig
	http *http.Client
}

func (x *rig) browser() *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(x.t, err)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "app.example.com:443" {
			address = x.front
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	x.t.Cleanup(transport.CloseIdleConnections)
	return &browser{rig: x, http: &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute}}
}

// page is what a browser shows.
type page struct {
	status int
	at     *url.URL
	header http.Header
	body   string
}

// goes sends a request; a path is one of the app.
func (b *browser) goes(method, target string, form url.Values) page {
	b.t.Helper()
	if strings.HasPrefix(target, "/") {
		target = b.publicURL + target
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, target, strings.NewReader(form.Encode()))
	require.NoError(b.t, err)
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := b.http.Do(r)
	require.NoError(b.t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(b.t, err)
	require.NoError(b.t, res.Body.Close())
	return page{res.StatusCode, res.Request.URL, res.Header, string(body)}
}

func (b *browser) get(target string) page { b.t.Helper(); return b.goes(http.MethodGet, target, nil) }

// fills in GenAuth's form, at which the browser is.
func (b *browser) fills(form page, user string) page {
	b.t.Helper()
	require.Equal(b.t, "/oidc/auth", form.at.Path, form.body)
	return b.goes(http.MethodPost, form.at.String(), url.Values{"username": {user}, "password": {"password"}})
}

// presses sends a form of the enrollment pages, and follows the way that a page leads on.
func (b *browser) presses(from page, action string, fields ...string) page {
	b.t.Helper()
	_, form, found := strings.Cut(from.body, `action="/mfa/`+action+`"`)
	require.True(b.t, found, "%s: %s", action, from.body)
	form, _, _ = strings.Cut(form, "</form>")
	values := url.Values{}
	for _, hidden := range regexp.MustCompile(`type="hidden" name="([^"]+)" value="([^"]*)"`).FindAllStringSubmatch(form, -1) {
		values.Set(hidden[1], strings.ReplaceAll(hidden[2], "&amp;", "&"))
	}
	for i := 0; i+1 < len(fields); i += 2 {
		values.Set(fields[i], fields[i+1])
	}
	return b.goes(http.MethodPost, "/mfa/"+action, values)
}

// setsUpApp walks from the enrollment pages' list to the page that was wanted.
func (b *browser) setsUpApp(list page) page {
	b.t.Helper()
	step := b.presses(list, "begin", "type", "OTP")
	secret := regexp.MustCompile(`class="secret">([A-Z2-7 ]+)<`).FindStringSubmatch(step.body)
	require.NotNil(b.t, secret, step.body)
	code, err := genauthtest.TOTP(strings.ReplaceAll(secret[1], " ", ""), b.genauth.Now())
	require.NoError(b.t, err)
	step = b.presses(step, "confirm", "code", code)
	step = b.presses(step, "done", "saved", "yes")
	_, to, found := strings.Cut(step.header.Get("Refresh"), "url=")
	require.True(b.t, found, step.body)
	return b.get(to)
}
