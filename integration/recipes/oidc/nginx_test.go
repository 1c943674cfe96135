package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/integration/nginxtest"
)

// behindNginx has nginx, as the cookbook configures it, in front of the app.
func behindNginx(x *rig) {
	t := x.t
	raw, err := os.ReadFile("../../../docs/cookbook.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\n## Behind nginx\n")
	require.True(t, found)
	_, conf, found := strings.Cut(section, "```nginx\n")
	require.True(t, found)
	conf, _, _ = strings.Cut(conf, "```")
	nginx := nginxtest.Listen(t)
	certificate, key := writeCertificate(t)
	for _, change := range [][2]string{
		{"listen 443 ssl;", "listen " + nginx.Address + " ssl;"},
		{"/etc/nginx/app.example.com.crt", certificate},
		{"/etc/nginx/app.example.com.key", key},
		{"http://127.0.0.1:8080", "http://" + x.app.Listener.Addr().String()},
	} {
		require.Contains(t, conf, change[0])
		conf = strings.ReplaceAll(conf, change[0], change[1])
	}
	nginx.ServeHTTP(t, conf)
	x.publicURL, x.front = "https://app.example.com", nginx.Address
	t.Cleanup(func() {
		for line := range strings.Lines(nginx.Errors(t)) {
			assert.True(t, !strings.Contains(line, "[error]") || strings.Contains(line, "limiting requests"), line)
		}
	})
}

// writeCertificate writes one of nobody's for app.example.com.
func writeCertificate(t *testing.T) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"app.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	public, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	dir := t.TempDir()
	certificate, key = filepath.Join(dir, "crt"), filepath.Join(dir, "key")
	for name, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		require.NoError(t, os.WriteFile(name, pem.EncodeToMemory(block), 0o600))
	}
	return certificate, key
}

// TestBehindNginx walks the whole way through the cookbook's nginx, signs out, and then
// meets its limit for sign-ins.
func TestBehindNginx(t *testing.T) {
	t.Parallel()
	x := newRig(t, genauthtest.Config{}, behindNginx)
	b := x.browser()
	list := b.fills(b.get("/reports?page=2&sort=a%2Fb"), "bob")
	require.Equal(t, "/mfa", list.at.Path, list.body)
	wanted := b.setsUpApp(list)
	assert.Equal(t, "https://app.example.com/reports?page=2&sort=a%2Fb", wanted.at.String())
	assert.Equal(t, "Hello, bob\n", wanted.body)
	bye := b.goes(http.MethodPost, "/logout", nil)
	assert.Equal(t, http.StatusOK, bye.status)
	_, to, found := strings.Cut(bye.header.Get("Refresh"), "url=")
	require.True(t, found, bye.body)
	assert.Equal(t, "https://app.example.com/", b.get(to).at.String(), "through GenAuth")
	assert.Equal(t, "/oidc/auth", b.get("/reports").at.Path)

	// Browsers without Fetch Metadata: the Origin of a form is compared with the Host.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, x.publicURL+"/logout", http.NoBody)
	require.NoError(t, err)
	r.Header.Set("Origin", x.publicURL)
	res, err := b.http.Do(r)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusOK, res.StatusCode)

	b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	status := 0
	for range 2000 {
		if status = b.get("/login?return_to=" + url.QueryEscape("/reports")).status; status == http.StatusTooManyRequests {
			break
		}
		require.Equal(t, http.StatusFound, status)
	}
	assert.Equal(t, http.StatusTooManyRequests, status)
	assert.Equal(t, http.StatusOK, b.get("/").status, "other pages are not limited")
}
