package client_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

const (
	discoveryPath = "/oidc/.well-known/openid-configuration"
	listPath      = "/api/v3/list-enrolled-factors"
	discovery     = `{"issuer":"https://example.genauth.ai/oidc"}`
	notSignedIn   = `{"statusCode":401,"apiCode":2020,"message":"not signed in"}`
	page          = "<!doctype html><title>Welcome</title>"
)

// reply is one answer of a stub.
type reply struct {
	status int
	header http.Header
	body   string
}

// stub answers like a GenAuth that knows the application, but for one path; "*"
// is both.
func stub(t *testing.T, path string, odd reply) transportFunc {
	t.Helper()
	return func(r *http.Request) (*http.Response, error) {
		assert.Equal(t, http.MethodGet, r.Method)
		assert.Empty(t, r.Header.Values("Authorization"), "no token is needed")
		switch {
		case path == "*" || r.URL.Path == path:
			return answer(odd.status, odd.header, odd.body)(r)
		case r.URL.Path == discoveryPath:
			return answer(200, nil, discovery)(r)
		case r.URL.Path == listPath:
			return answer(200, nil, notSignedIn)(r)
		}
		t.Errorf("a call of %s", r.URL.Path)
		return answer(404, nil, "")(r)
	}
}

func html() http.Header { return http.Header{"Content-Type": {"text/html; charset=utf-8"}} }

// checkFails checks that err is a CheckError of a class, and that it holds no
// secret.
func checkFails(t *testing.T, err, class error, problem string) {
	t.Helper()
	var failed *client.CheckError
	require.ErrorAs(t, err, &failed)
	assert.Contains(t, failed.Problem, problem)
	assertClass(t, class, err)
	assert.NotContains(t, err.Error(), testAppID)
	assert.NotContains(t, err.Error(), "canary")
	assert.NotContains(t, failed.Problem, "\n")
}

// TestN8CheckTellsAnswersApart has the answers that a wrong address or a wrong
// application gives.
func TestN8CheckTellsAnswersApart(t *testing.T) {
	t.Parallel()
	location := func(to string) http.Header { return http.Header{"Location": {to}} }
	noSuchApp := `{"statusCode":499,"apiCode":"2011","message":"no application ` + testAppID + `"}`
	tests := map[string]struct {
		base    string
		path    string
		odd     reply
		class   error // nil: it is right
		problem string
	}{
		"right":                     {path: "none"},
		"right, with HTTP 401":      {path: listPath, odd: reply{401, nil, notSignedIn}},
		"no such app":               {path: listPath, odd: reply{200, nil, noSuchApp}, class: client.ErrMisconfigured, problem: "no such application"},
		"no such app, told at once": {path: "*", odd: reply{200, nil, noSuchApp}, class: client.ErrMisconfigured, problem: "no such application"},
		"no such pool":              {path: listPath, odd: reply{200, nil, `{"statusCode":499,"apiCode":2224}`}, class: client.ErrMisconfigured, problem: "no such application"},
		"no such app, at authing.cn": {
			base: "https://example.authing.cn", path: listPath, odd: reply{200, nil, noSuchApp},
			class: client.ErrMisconfigured, problem: "under genauth.ai",
		},
		"no such app, at genauth.ai": {
			base: "https://example.genauth.ai", path: listPath, odd: reply{200, nil, noSuchApp},
			class: client.ErrMisconfigured, problem: "under authing.cn",
		},
		"a page":                      {path: "*", odd: reply{200, html(), page}, class: client.ErrMalformed, problem: "a web page"},
		"a page that says it is JSON": {path: "*", odd: reply{200, nil, " \n" + page}, class: client.ErrMalformed, problem: "a web page"},
		"a page for the API alone":    {path: listPath, odd: reply{200, html(), page}, class: client.ErrMalformed, problem: "a web page"},
		"a page that is forbidden":    {path: "*", odd: reply{403, html(), page}, class: client.ErrMisconfigured, problem: "a web page"},
		"a page at authing.cn": {
			base: "https://example.authing.cn", path: "*", odd: reply{404, html(), page},
			class: client.ErrMisconfigured, problem: "under genauth.ai",
		},
		"another service at genauth.ai": {
			base: "https://example.genauth.ai", path: "*", odd: reply{404, nil, `{"error":"not found"}`},
			class: client.ErrMisconfigured, problem: "under authing.cn",
		},
		"a gateway that refuses": {path: "*", odd: reply{403, nil, `{"message":"Forbidden"}`}, class: client.ErrMisconfigured, problem: "refuses the request"},
		"a page not found":       {path: "*", odd: reply{404, html(), page}, class: client.ErrMisconfigured, problem: "a web page"},
		"redirect to another host": {
			path: "*", odd: reply{302, location("https://login.example.com/?app=" + testAppID + "&code=canary"), page},
			class: client.ErrMalformed, problem: "another host",
		},
		"redirect to a host that is a secret": {
			path: "*", odd: reply{302, location("https://" + testAppID + ".example.com/"), ""},
			class: client.ErrMalformed, problem: "another host",
		},
		"redirect at the same host":           {path: "*", odd: reply{301, location("/u"), ""}, class: client.ErrMalformed, problem: "BaseURL redirects, which"},
		"redirect to https":                   {path: "*", odd: reply{308, location("https://genauth.invalid/"), ""}, class: client.ErrMalformed, problem: "http where https"},
		"redirect to nowhere":                 {path: "*", odd: reply{302, location("http://[::1"), ""}, class: client.ErrMalformed, problem: "BaseURL redirects, which"},
		"another service":                     {path: "*", odd: reply{404, nil, `{"error":"not found"}`}, class: client.ErrMisconfigured, problem: "there is no GenAuth"},
		"another issuer's envelope":           {path: discoveryPath, odd: reply{200, nil, `{"statusCode":200,"data":{}}`}, class: client.ErrMalformed, problem: "not one of GenAuth"},
		"issuer of the wrong type":            {path: discoveryPath, odd: reply{200, nil, `{"issuer":1}`}, class: client.ErrMalformed, problem: "not one of GenAuth"},
		"no JSON":                             {path: "*", odd: reply{200, nil, "hello"}, class: client.ErrMalformed, problem: "not one of GenAuth"},
		"HTTP 206":                            {path: discoveryPath, odd: reply{206, nil, discovery}, class: client.ErrMalformed, problem: "there is no GenAuth"},
		"believes without a token":            {path: listPath, odd: reply{200, nil, noFactors}, class: client.ErrMalformed, problem: "not one of GenAuth"},
		"bad question":                        {path: listPath, odd: reply{200, nil, `{"statusCode":400}`}, class: client.ErrMisconfigured, problem: "AppIDHeader"},
		"a gateway's own sign-in":             {path: "*", odd: reply{401, nil, "who are you?"}, class: client.ErrUnauthenticated, problem: "credentials of its own"},
		"a gateway's own sign-in for the API": {path: listPath, odd: reply{401, nil, `{"error":"login"}`}, class: client.ErrUnauthenticated, problem: "credentials of its own"},
		"a proxy's sign-in":                   {path: "*", odd: reply{407, html(), page}, class: client.ErrMisconfigured, problem: "proxy"},
		"limited":                             {path: "*", odd: reply{429, nil, ""}, class: client.ErrRateLimited, problem: "limits"},
		"limited in the body":                 {path: listPath, odd: reply{200, nil, `{"statusCode":429}`}, class: client.ErrRateLimited, problem: "limits"},
		"down":                                {path: "*", odd: reply{503, html(), page}, class: client.ErrUnavailable, problem: "trouble"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newFakeClient(t, stub(t, tt.path, tt.odd))
			if tt.base != "" {
				config := fakeConfig(stub(t, tt.path, tt.odd))
				config.BaseURL = tt.base
				var err error
				c, err = client.New(config)
				require.NoError(t, err)
			}
			err := c.Check(t.Context())
			if tt.class == nil {
				require.NoError(t, err)
				return
			}
			checkFails(t, err, tt.class, tt.problem)
		})
	}
}

// TestN8CheckKnowsTheConsole shows that an address of the console is refused
// before anything is sent there, and no other address is.
func TestN8CheckKnowsTheConsole(t *testing.T) {
	t.Parallel()
	for base, console := range map[string]bool{
		"https://console.authing.cn":         true,
		"https://console.genauth.ai":         true,
		"https://CONSOLE.GenAuth.ai/":        true,
		"https://console.genauth.ai:443":     true,
		"https://console.genauth.ai.":        true,
		"https://core.authing.cn":            true,
		"https://core.genauth.ai":            true,
		"https://api.authing.cn":             true,
		"https://api.genauth.ai/sso":         true,
		"https://example.genauth.ai":         false,
		"https://console.example.genauth.ai": false,
		"https://console.example.com":        false,
		"https://genauth.ai":                 true,
		"https://www.authing.cn":             true,
		"https://docs.genauth.ai":            true,
		"https://authing.example.com":        false,
	} {
		config := fakeConfig(stub(t, "none", reply{}))
		asked := false
		config.HTTPClient.Transport = transportFunc(func(r *http.Request) (*http.Response, error) {
			asked = true
			return answer(200, html(), page)(r)
		})
		config.BaseURL = base
		c, err := client.New(config)
		require.NoError(t, err)
		err = c.Check(t.Context())
		assert.Equal(t, !console, asked, base)
		if console {
			checkFails(t, err, client.ErrMisconfigured, "console")
		}
	}
}

// TestN8CheckTellsConnectionsApart has an address at which no
// GenAuth can be reached, over real sockets.
func TestN8CheckTellsConnectionsApart(t *testing.T) {
	t.Parallel()
	serve := func(t *testing.T, start func(*httptest.Server)) *httptest.Server {
		t.Helper()
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, discovery) }))
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		start(s)
		t.Cleanup(s.Close)
		return s
	}
	plain := serve(t, (*httptest.Server).Start)
	secure := serve(t, (*httptest.Server).StartTLS)
	silent := listen(t)
	refused := "http://" + closedAddress(t)
	through := func(proxy string) func(*client.Config) {
		return func(c *client.Config) {
			to, err := url.Parse(proxy)
			require.NoError(t, err)
			transport := &http.Transport{Proxy: http.ProxyURL(to)}
			t.Cleanup(transport.CloseIdleConnections)
			c.HTTPClient = &http.Client{Transport: transport}
		}
	}
	// proxy answers each request to connect with words of its own.
	proxy := func(status string) string {
		var config net.ListenConfig
		l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				if asked := bufio.NewReader(conn); strings.HasPrefix(status, "\x05") {
					_, _ = asked.Discard(3) // of SOCKS
				} else {
					_, _ = http.ReadRequest(asked)
				}
				_, _ = io.WriteString(conn, status)
				_ = conn.Close()
			}
		}()
		return "http://" + l.Addr().String()
	}
	// nameless asks a name server that says nothing.
	nameless := func(c *client.Config) {
		done := make(chan struct{})
		t.Cleanup(func() { close(done) })
		resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
			<-done
			return nil, net.ErrClosed
		}}
		transport := &http.Transport{DialContext: (&net.Dialer{Resolver: resolver}).DialContext}
		t.Cleanup(transport.CloseIdleConnections)
		c.HTTPClient, c.Timeout = &http.Client{Transport: transport}, 50*time.Millisecond
	}
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	t.Cleanup(refusing.Close)
	tests := map[string]struct {
		base    string
		option  func(*client.Config)
		class   error
		problem string
	}{
		"refused":                        {base: refused, problem: "connection is refused"},
		"silent":                         {base: "http://" + silent, option: func(c *client.Config) { c.Timeout = 50 * time.Millisecond }, problem: "no answer in time"},
		"unknown authority":              {base: secure.URL, problem: "authority"},
		"another host's":                 {base: strings.Replace(secure.URL, "127.0.0.1", "localhost", 1), option: trusting(t, secure), problem: "another host"},
		"http for https":                 {base: strings.Replace(plain.URL, "http:", "https:", 1), problem: "does not speak TLS"},
		"https for http":                 {base: strings.Replace(secure.URL, "https:", "http:", 1), class: client.ErrMisconfigured, problem: "speaks https"},
		"no proxy there":                 {base: "https://genauth.invalid", option: through(refused), problem: "proxy cannot be reached"},
		"proxy refuses":                  {base: "https://genauth.invalid", option: through(refusing.URL), problem: "proxy refuses"},
		"proxy refuses in its own words": {base: "https://genauth.invalid", option: through(proxy("HTTP/1.1 403 Blocked by policy 7\r\n\r\n")), problem: "proxy refuses"},
		"proxy refuses without a word":   {base: "https://genauth.invalid", option: through(proxy("HTTP/1.1 407\r\n\r\n")), problem: "proxy refuses"},
		"proxy hangs up":                 {base: "https://genauth.invalid", option: through(proxy("")), problem: "proxy refuses"},
		"SOCKS proxy refuses":            {base: "https://genauth.invalid", option: through(strings.Replace(proxy("\x05\xff"), "http:", "socks5:", 1)), problem: "proxy refuses"},
		"no name server":                 {base: "https://genauth.invalid", option: nameless, problem: "no name server answers"},
		"no name server, for a secret":   {base: "https://" + testAppID + ".invalid", option: nameless, problem: "no name server answers"},
		"proxy refuses, http": {
			base: "http://genauth.invalid", class: client.ErrMisconfigured, problem: "proxy wants credentials",
			option: func(c *client.Config) { c.InsecureHTTP = true; through(refusing.URL)(c) },
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			option := tt.option
			if option == nil {
				option = func(*client.Config) {}
			}
			class := tt.class
			if class == nil {
				class = client.ErrUnavailable
			}
			patient := func(c *client.Config) { c.Timeout = time.Minute } // a busy machine is slow
			checkFails(t, newClientFor(t, tt.base, patient, option).Check(t.Context()), class, tt.problem)
		})
	}
}

// TestN8CheckTellsTransportErrorsApart has what cannot be had over sockets of
// this machine.
func TestN8CheckTellsTransportErrorsApart(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err     error
		problem string
	}{
		"no such name":       {&net.DNSError{Err: "no such host", Name: "genauth.invalid", IsNotFound: true}, "does not exist"},
		"no name server":     {&net.DNSError{Err: "server misbehaving", Name: "genauth.invalid"}, "cannot be resolved"},
		"name server silent": {&net.DNSError{Err: "i/o timeout", Name: "genauth.invalid", IsTimeout: true}, "no name server answers"},
		"IPv6 alone":         {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ENETUNREACH)}, "only IPv6 addresses"},
		"IPv6 is off":        {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EADDRNOTAVAIL)}, "only IPv6 addresses"},
		"no route":           {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}, "no route"},
		"IPv4 only":          {&net.OpError{Op: "dial", Err: &net.AddrError{Err: "no suitable address"}}, "only IPv6 addresses"},
		"slow host":          {context.DeadlineExceeded, "no answer in time"},
		"an alert":           {tls.AlertError(40), "TLS handshake"},
		"broken":             {io.ErrUnexpectedEOF, "the connection fails"},
		"TLS for http":       {errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP response "\x15\x03\x01"`), "speaks https"},
		"SSH for http":       {errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP response "SSH-2.0"`), "the connection fails"},
		"with the app id":    {&net.DNSError{Err: "no such host", Name: testAppID + ".invalid", IsNotFound: true}, "the connection fails"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := fakeConfig(transportFunc(func(*http.Request) (*http.Response, error) { return nil, tt.err }))
			if strings.HasSuffix(name, "for http") {
				config.BaseURL, config.InsecureHTTP = "http://genauth.invalid", true
			}
			c, err := client.New(config)
			require.NoError(t, err)
			checkFails(t, c.Check(t.Context()), client.ErrUnavailable, tt.problem)
		})
	}
}

// TestN8CheckWithoutACall shows what is reported as by every method.
func TestN8CheckWithoutACall(t *testing.T) {
	t.Parallel()
	assertClass(t, client.ErrMisconfigured, (*client.Client)(nil).Check(t.Context()))
	assertClass(t, client.ErrMisconfigured, new(client.Client).Check(t.Context()))
	ended, cancel := context.WithCancel(t.Context())
	c := newFakeClient(t, transportFunc(func(*http.Request) (*http.Response, error) {
		cancel()
		return nil, context.Canceled
	}))
	for range 2 { // while it asks, and before
		err := c.Check(ended)
		require.ErrorIs(t, err, context.Canceled)
		for _, sentinel := range sentinels() {
			assert.NotErrorIs(t, err, sentinel)
		}
	}
}

// listen accepts connections, and says nothing.
func listen(t *testing.T) string {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String()
}

// closedAddress is one at which nothing listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// trusting makes a client take the certificate of s, whatever authority signed
// it, but for no other host than its own.
func trusting(t *testing.T, s *httptest.Server) func(*client.Config) {
	t.Helper()
	base, ok := s.Client().Transport.(*http.Transport)
	require.True(t, ok)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: base.TLSClientConfig.RootCAs, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return func(c *client.Config) { c.HTTPClient = &http.Client{Transport: transport} }
}
