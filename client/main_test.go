package client_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/echomfa/echomfa/client"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const (
	testToken = "header.payload-canary.signature"
	testAppID = "app-canary-0a1b2c3d"
)

// transportFunc answers without a network.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer returns a transport that gives the same answer to every call.
func answer(status int, header http.Header, body string) transportFunc {
	return func(r *http.Request) (*http.Response, error) {
		if header == nil {
			header = http.Header{}
		}
		return &http.Response{
			StatusCode:    status,
			Header:        header,
			Body:          io.NopCloser(strings.NewReader(body)),
			ContentLength: -1,
			Request:       r,
		}, nil
	}
}

// newClient returns a client for a server that runs as long as the test.
func newClient(tb testing.TB, h http.HandlerFunc, options ...func(*client.Config)) *client.Client {
	tb.Helper()
	server := httptest.NewServer(h)
	tb.Cleanup(server.Close)
	return newClientFor(tb, server.URL, options...)
}

func newClientFor(tb testing.TB, url string, options ...func(*client.Config)) *client.Client {
	tb.Helper()
	config := client.Config{BaseURL: url, AppID: testAppID}
	for _, option := range options {
		option(&config)
	}
	c, err := client.New(config)
	require.NoError(tb, err)
	tb.Cleanup(c.CloseIdleConnections)
	return c
}

// newFakeClient returns a client that speaks to transport only.
func newFakeClient(tb testing.TB, transport http.RoundTripper, options ...func(*client.Config)) *client.Client {
	tb.Helper()
	return newClientFor(tb, "https://genauth.invalid", append(options, func(c *client.Config) {
		c.HTTPClient = fakeConfig(transport).HTTPClient
	})...)
}

// fakeConfig configures a client that speaks to transport only.
func fakeConfig(transport http.RoundTripper) client.Config {
	return client.Config{
		BaseURL: "https://genauth.invalid", AppID: testAppID,
		HTTPClient: &http.Client{Transport: transport},
	}
}

func golden(tb testing.TB, name ...string) string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"testdata"}, name...)...))
	require.NoError(tb, err)
	return string(text)
}

// errorsAs is errors.As with the type of the target in its signature.
func errorsAs[E error](err error, target *E) bool { return errors.As(err, target) }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
