package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

const noFactors = `{"statusCode":200,"data":[]}`

func TestT22RedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		_, _ = io.WriteString(w, noFactors)
	}))
	t.Cleanup(other.Close)
	// A user's own client follows redirects; ours must not, whatever it brings.
	own := &http.Client{
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return nil },
	}
	t.Cleanup(own.CloseIdleConnections)
	for _, status := range []int{300, 301, 302, 303, 304, 305, 307, 308} {
		for name, location := range map[string]string{
			"other host": other.URL + "/api/v3/list-enrolled-factors",
			"same host":  "/elsewhere",
			"no URL":     "http://[::1",
			"none":       "",
		} {
			for kind, option := range map[string]func(*client.Config){
				"own client":     func(*client.Config) {},
				"user's client":  func(c *client.Config) { c.HTTPClient = own },
				"default client": func(c *client.Config) { c.HTTPClient = http.DefaultClient },
			} {
				t.Run(strconv.Itoa(status)+" "+name+" "+kind, func(t *testing.T) {
					t.Parallel()
					c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
						if r.URL.Path == "/elsewhere" {
							elsewhere.Add(1)
						}
						if location != "" {
							w.Header().Set("Location", location)
						}
						w.WriteHeader(status)
						if status != http.StatusNotModified {
							_, _ = io.WriteString(w, noFactors)
						}
					}, option)
					for method, call := range everyCall(c) {
						err := call(t.Context(), testToken)
						assertClass(t, client.ErrMalformed, err, method)
						var e *client.APIError
						assert.ErrorAs(t, err, &e, method)
					}
				})
			}
		}
	}
	t.Cleanup(func() { assert.Zero(t, elsewhere.Load(), "a redirect was followed") })
}

// TestT23GlobalsAndTheUsersClientStayAsTheyAre is not parallel, because it looks
// at globals.
func TestT23GlobalsAndTheUsersClientStayAsTheyAre(t *testing.T) {
	defaultClient, defaultTransport := *http.DefaultClient, http.DefaultTransport
	shared := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("the transport of the whole process is used")
	}}
	http.DefaultTransport = shared
	t.Cleanup(func() { http.DefaultTransport = defaultTransport })
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	transport := &http.Transport{}
	own := &http.Client{Transport: transport, Jar: jar, Timeout: 1 << 40}
	before := *own

	for _, option := range []func(*client.Config){
		func(*client.Config) {},
		func(c *client.Config) { c.HTTPClient = http.DefaultClient },
		func(c *client.Config) { c.HTTPClient = own },
	} {
		c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
			assert.Empty(t, r.Cookies())
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "x"})
			_, _ = io.WriteString(w, noFactors)
		}, option)
		for range 2 {
			_, err := c.ListEnrolledFactors(t.Context(), testToken)
			require.NoError(t, err)
		}
		c.CloseIdleConnections()
	}
	assert.Equal(t, defaultClient, *http.DefaultClient)
	assert.Nil(t, http.DefaultClient.Transport)
	assert.Same(t, shared, http.DefaultTransport)
	assert.False(t, shared.DisableCompression)
	assert.Equal(t, before.Jar, own.Jar)
	assert.Same(t, transport, own.Transport)
	assert.Nil(t, own.CheckRedirect)
	assert.Equal(t, before.Timeout, own.Timeout)
	assert.False(t, transport.DisableCompression)
}

func TestConnectionIsUsedAgain(t *testing.T) {
	t.Parallel()
	var connections sync.Map
	var calls atomic.Int64
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		connections.Store(r.RemoteAddr, true)
		switch calls.Add(1) % 4 {
		case 0:
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, strings.Repeat("no ", 10000))
		case 1:
			_, _ = io.WriteString(w, `{"statusCode":401}`)
		case 2:
			_, _ = io.WriteString(w, "<html>")
		default:
			_, _ = io.WriteString(w, noFactors)
		}
	})
	for range 12 {
		_, _ = c.ListEnrolledFactors(t.Context(), testToken)
	}
	n := 0
	connections.Range(func(any, any) bool { n++; return true })
	assert.Equal(t, 1, n, "connections")
	assert.EqualValues(t, 12, calls.Load())
}

func TestT39CompressionIsNeitherAskedForNorAccepted(t *testing.T) {
	t.Parallel()
	// A transport with compression switched on, as http.DefaultTransport is.
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	for name, option := range map[string]func(*client.Config){
		"own":    func(*client.Config) {},
		"user's": func(c *client.Config) { c.HTTPClient = &http.Client{Transport: transport} },
	} {
		for coding, ok := range map[string]bool{"gzip": false, "br": false, "gzip, identity": false, "identity": true, "": true} {
			t.Run(name+" "+coding, func(t *testing.T) {
				t.Parallel()
				c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
					assert.Equal(t, []string{"identity"}, r.Header.Values("Accept-Encoding"))
					w.Header().Set("Content-Encoding", coding)
					_, _ = io.WriteString(w, noFactors)
				}, option)
				_, err := c.ListEnrolledFactors(t.Context(), testToken)
				if ok {
					require.NoError(t, err)
				} else {
					assertClass(t, client.ErrMalformed, err)
				}
			})
		}
	}

	inflated := transportFunc(func(r *http.Request) (*http.Response, error) {
		resp, err := answer(200, nil, noFactors)(r)
		resp.Uncompressed = true
		return resp, err
	})
	_, err := newFakeClient(t, inflated).ListEnrolledFactors(t.Context(), testToken)
	assertClass(t, client.ErrMalformed, err)
}

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	const limit = 4096
	tests := map[string]struct {
		length  int
		chunked bool
		status  int
		want    error
	}{
		"at the limit":            {limit, false, 200, nil},
		"at the limit, chunked":   {limit, true, 200, nil},
		"one over":                {limit + 1, false, 200, client.ErrMalformed},
		"one over, chunked":       {limit + 1, true, 200, client.ErrMalformed},
		"far over, chunked":       {limit * 100, true, 200, client.ErrMalformed},
		"far over, HTTP 401":      {limit * 100, true, 401, client.ErrUnauthenticated},
		"far over, HTTP 500":      {limit * 100, false, 500, client.ErrUnavailable},
		"far over, HTTP 429":      {limit * 100, false, 429, client.ErrRateLimited},
		"at the limit, HTTP 500":  {limit, false, 500, client.ErrUnavailable},
		"at the limit, HTTP 403 ": {limit, false, 403, client.ErrMisconfigured},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
				if !tt.chunked {
					w.Header().Set("Content-Length", strconv.Itoa(tt.length))
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, strings.Repeat(" ", tt.length-len(noFactors))+noFactors)
			}, func(c *client.Config) { c.MaxBodyBytes = limit })
			_, err := c.ListEnrolledFactors(t.Context(), testToken)
			if tt.want == nil {
				require.NoError(t, err)
			} else {
				assertClass(t, tt.want, err)
			}
		})
	}
}

// TestT39BodyLimitBoundsWhatIsRead has an answer without an end.
func TestT39BodyLimitBoundsWhatIsRead(t *testing.T) {
	t.Parallel()
	var read atomic.Int64
	endless := transportFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, ContentLength: -1, Body: io.NopCloser(readerFunc(func(p []byte) (int, error) {
			for i := range p {
				p[i] = ' '
			}
			read.Add(int64(len(p)))
			return len(p), nil
		}))}, nil
	})
	_, err := newFakeClient(t, endless).ListEnrolledFactors(t.Context(), testToken)
	assertClass(t, client.ErrMalformed, err)
	assert.EqualValues(t, client.DefaultMaxBodyBytes+1, read.Load())
}

func TestContentTypeDoesNotMatter(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{"", "text/plain", "text/html", "application/json;charset=utf-8", "\x7f"} {
		c := newFakeClient(t, answer(200, http.Header{"Content-Type": {contentType}}, noFactors))
		_, err := c.ListEnrolledFactors(t.Context(), testToken)
		require.NoError(t, err, contentType)
	}
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	url := "http://" + listener.Addr().String()
	require.NoError(t, listener.Close())
	for method, call := range everyCall(newClientFor(t, url)) {
		err := call(t.Context(), testToken)
		assertClass(t, client.ErrUnavailable, err, method)
		var e *client.TransportError
		require.ErrorAs(t, err, &e, method)
		assert.False(t, e.Timeout(), method)
		assert.Equal(t, method, e.Op)
		isGet := strings.HasPrefix(method, "list-") || strings.HasPrefix(method, "get-")
		assert.Equal(t, isGet, e.Retryable(), method)
	}
}

// TestConnectionBreaks has a server that ends the connection at every point.
func TestConnectionBreaks(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		sent      string
		want      error
		retryable bool
	}{
		"nothing sent":        {"", client.ErrUnavailable, true},
		"half a status line":  {"HTTP/1.1 20", client.ErrUnavailable, false},
		"half a header":       {"HTTP/1.1 200 OK\r\nContent-Le", client.ErrUnavailable, false},
		"no body":             {"HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\n", client.ErrUnavailable, false},
		"half a body":         {"HTTP/1.1 200 OK\r\nContent-Length: 28\r\n\r\n" + noFactors[:10], client.ErrUnavailable, false},
		"whole value, longer": {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + noFactors, client.ErrUnavailable, false},
		"half a chunk":        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1c\r\n" + noFactors[:10], client.ErrUnavailable, false},
		"no last chunk":       {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1c\r\n" + noFactors + "\r\n", client.ErrUnavailable, false},
		"half a 401":          {"HTTP/1.1 401 U\r\nContent-Length: 28\r\n\r\n{", client.ErrUnauthenticated, false},
		"half a 429":          {"HTTP/1.1 429 T\r\nContent-Length: 28\r\n\r\n{", client.ErrRateLimited, false},
		"half a 502":          {"HTTP/1.1 502 B\r\nContent-Length: 28\r\n\r\n{", client.ErrUnavailable, false},
		"half a 302":          {"HTTP/1.1 302 F\r\nContent-Length: 28\r\n\r\n{", client.ErrMalformed, false},
		"not HTTP":            {"220 mail.example.com ESMTP\r\n", client.ErrUnavailable, false},
		"endless header":      {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 1<<17), client.ErrUnavailable, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Len(t, noFactors, 28)
			listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			var served sync.WaitGroup
			served.Go(func() {
				for {
					conn, err := listener.Accept()
					if err != nil {
						return
					}
					_, _ = conn.Read(make([]byte, 4096))
					_, _ = io.WriteString(conn, tt.sent)
					_ = conn.Close()
				}
			})
			t.Cleanup(func() { _ = listener.Close(); served.Wait() })
			c := newClientFor(t, "http://"+listener.Addr().String())
			factors, err := c.ListEnrolledFactors(t.Context(), testToken)
			assert.Nil(t, factors)
			assertClass(t, tt.want, err)
			var e *client.TransportError
			if errors.As(err, &e) && name != "endless header" {
				assert.Equal(t, tt.retryable, e.Retryable(), "%v", err)
				assert.False(t, e.Timeout(), "%v", err)
			}
			assert.Less(t, len(err.Error()), 400)
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
