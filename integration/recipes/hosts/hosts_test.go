package hosts_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/echomfa/echomfa/integration/recipes/hosts"
)

// TestMain is also the program that TestEnvironment starts.
func TestMain(m *testing.M) {
	if address := os.Getenv("HOSTS_CHECK"); address != "" {
		genauth, err := client.New(hosts.Authing(os.Getenv("HOSTS_APP")))
		if err == nil {
			err = genauth.Check(context.Background())
		}
		if err != nil {
			_, _ = io.WriteString(os.Stderr, err.Error())
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// world is GenAuth over https, by whatever name, behind the only proxy that leads there.
type world struct {
	genauth   *genauthtest.Server
	authority []byte // in PEM
	proxy     string

	mu    sync.Mutex
	asked []string // of the proxy
}

func newWorld(t *testing.T, cfg genauthtest.Config, path string, names ...string) *world {
	t.Helper()
	w := &world{genauth: genauthtest.Start(t, cfg)}
	w.genauth.AddUser(genauthtest.User{ID: "alice", Factors: []genauthtest.FactorType{genauthtest.OTP}})
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	raw, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	require.NoError(t, err)
	w.authority = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})

	to, err := url.Parse(w.genauth.URL())
	require.NoError(t, err)
	transport := &http.Transport{}
	front := httptest.NewUnstartedServer(http.StripPrefix(path, &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
	}))
	front.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: private}}}
	front.EnableHTTP2 = true
	front.StartTLS()
	t.Cleanup(func() {
		front.Close()
		transport.CloseIdleConnections()
	})
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.tunnel(t, rw, r, front.Listener.Addr().String()) }))
	t.Cleanup(proxy.Close)
	w.proxy = proxy.URL
	return w
}

// tunnel answers CONNECT.
func (w *world) tunnel(t *testing.T, rw http.ResponseWriter, r *http.Request, to string) {
	t.Helper()
	w.mu.Lock()
	w.asked = append(w.asked, r.Method+" "+r.Host)
	w.mu.Unlock()
	there, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", to)
	if !assert.NoError(t, err) {
		return
	}
	defer func() { _ = there.Close() }()
	here, buffered, err := http.NewResponseController(rw).Hijack()
	if !assert.NoError(t, err) {
		return
	}
	defer func() { _ = here.Close() }()
	_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(there, buffered)
		if tcp, ok := there.(*net.TCPConn); assert.True(t, ok) {
			_ = tcp.CloseWrite()
		}
	}()
	_, _ = io.Copy(here, there)
	_ = here.Close()
	<-done
}

func (w *world) list(t *testing.T, cfg client.Config, out hosts.Egress) error {
	t.Helper()
	cfg, err := hosts.Through(cfg, out)
	require.NoError(t, err)
	cfg.Timeout = time.Minute
	genauth, err := client.New(cfg)
	require.NoError(t, err)
	defer genauth.CloseIdleConnections()
	if err := genauth.Check(t.Context()); err != nil {
		return err
	}
	enrolled, err := genauth.ListEnrolledFactors(t.Context(), w.genauth.AccessToken("alice"))
	if err == nil {
		assert.Len(t, enrolled, 1)
	}
	return err
}

// TestAuthing reaches an app at authing.cn through a proxy and with an authority of one's
// own, and not without either.
func TestAuthing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genauthtest.Config{}, "", "example.authing.cn")
	cfg := hosts.Authing(w.genauth.AppID())
	require.NoError(t, w.list(t, cfg, hosts.Egress{Proxy: w.proxy, Authority: w.authority}))
	assert.Equal(t, []string{"CONNECT example.authing.cn:443"}, w.asked, "one connection, for both calls")
	var refused *client.CheckError
	require.ErrorAs(t, w.list(t, cfg, hosts.Egress{Proxy: w.proxy}), &refused)
	assert.Contains(t, refused.Problem, "certificate")
	require.ErrorAs(t, w.list(t, cfg, hosts.Egress{Proxy: "http://127.0.0.1:1", Authority: w.authority}), &refused)
	assert.Contains(t, refused.Problem, "proxy")
}

// TestPrivateDeployment has a path and a header of another name.
func TestPrivateDeployment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genauthtest.Config{AppIDHeaders: []string{"x-example-app-id"}}, "/genauth", "id.example.com")
	cfg := hosts.Private(w.genauth.AppID())
	out := hosts.Egress{Proxy: w.proxy, Authority: w.authority}
	require.NoError(t, w.list(t, cfg, out))
	cfg.AppIDHeader = ""
	require.ErrorIs(t, w.list(t, cfg, out), client.ErrMisconfigured)
}

// TestEnvironment has the variables that do the same for a whole process.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, genauthtest.Config{}, "", "example.authing.cn")
	file := filepath.Join(t.TempDir(), "authority.pem")
	require.NoError(t, os.WriteFile(file, w.authority, 0o600))
	lines := shellBlock(t, "Egress proxy and your own authority")
	lines = strings.NewReplacer("http://proxy.example.com:3128", w.proxy, "/etc/ssl/example-authority.pem", file).Replace(lines)
	run := func(script string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "sh", "-ec", script+"\nexec "+os.Args[0])
		cmd.Env = append(os.Environ(), "HOSTS_CHECK=1", "HOSTS_APP="+w.genauth.AppID(), "HTTPS_PROXY=", "NO_PROXY=", "SSL_CERT_DIR=")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run(lines)
	require.NoError(t, err, out)
	out, err = run(regexp.MustCompile(`(?m)^export SSL_CERT_FILE.*$`).ReplaceAllString(lines, ""))
	require.Error(t, err)
	assert.Contains(t, out, "certificate")
}

// shellBlock is the shell block of a section of the cookbook.
func shellBlock(t *testing.T, title string) string {
	t.Helper()
	raw, err := os.ReadFile("../../../docs/cookbook.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\n## "+title+"\n")
	require.True(t, found, title)
	section, _, _ = strings.Cut(section, "\n## ")
	_, block, found := strings.Cut(section, "```sh\n")
	require.True(t, found, title)
	block, _, _ = strings.Cut(block, "```")
	return block
}

// TestGoProxyInChina has the go command take the cookbook's settings, and download by the
// first of the proxies.
func TestGoProxyInChina(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := shellBlock(t, "Go modules in China") + "\ngo env GOPROXY GOSUMDB\n"
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
	cmd.Env = append(os.Environ(), "GOENV="+filepath.Join(dir, "env"), "GOPROXY=", "GOSUMDB=")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Equal(t, "https://goproxy.cn,direct\nsum.golang.google.cn\n", string(out))
}
