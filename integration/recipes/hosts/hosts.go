// Package hosts reaches GenAuth where it is not at genauth.ai, or not at once: at
// authing.cn, in a private deployment, behind a proxy, with an authority of one's own. It
// is a recipe: copy it.
package hosts

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/echomfa/echomfa/client"
)

// Authing is the configuration of an app at authing.cn. The console there calls BaseURL
// the authentication address.
func Authing(appID string) client.Config {
	return client.Config{
		BaseURL: "https://example.authing.cn",
		AppID:   appID,
	}
}

// Private is the configuration of an app in a private deployment, below a path of a host
// and with a header of another name.
func Private(appID string) client.Config {
	return client.Config{
		BaseURL:     "https://id.example.com/genauth", // what the console shows, without /oidc or /api/v3
		AppID:       appID,
		AppIDHeader: "x-example-app-id", // if the deployment has renamed it
	}
}

// Egress says how a machine reaches the world.
type Egress struct {
	// Proxy is the proxy's address, such as "http://proxy.example.com:3128". Empty: there
	// is none.
	Proxy string
	// Authority is the certificate in PEM of the company's own authority. Empty: only
	// those that the machine trusts are trusted.
	Authority []byte
}

// Through returns a copy of a configuration whose calls go out by a proxy and trust an
// authority: for the calls to GenAuth alone, and not for the whole process.
func Through(cfg client.Config, out Egress) (client.Config, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return cfg, fmt.Errorf("the machine's authorities: %w", err)
	}
	if len(out.Authority) > 0 && !roots.AppendCertsFromPEM(out.Authority) {
		return cfg, errors.New("authority: no certificate in PEM")
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 64, // as LookupConfig.MaxConcurrent: else most connections are made again
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 5 * time.Second,
		DisableCompression:  true,
	}
	if out.Proxy != "" {
		proxy, err := url.Parse(out.Proxy)
		if err != nil || proxy.Host == "" {
			return cfg, errors.New("proxy: not an address such as http://proxy.example.com:3128")
		}
		transport.Proxy = http.ProxyURL(proxy)
	}
	cfg.HTTPClient = &http.Client{Transport: transport}
	return cfg, nil
}
