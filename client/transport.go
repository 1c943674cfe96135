package client

import (
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	maxIdleConns           = 256
	maxResponseHeaderBytes = 64 << 10
	// longToken is the length of a token from which a gateway may refuse its header.
	longToken = 3 << 10
)

// apart returns a transport that has a connection for each call, made of another one
// when it is needed first. A gateway that refuses a long header over HTTP/2 ends the
// connection, and with it every other call that is on it: anybody could do that to all
// users by a made-up token. It is the same transport if it is not net/http's.
func apart(shared http.RoundTripper) func() http.RoundTripper {
	return sync.OnceValue(func() http.RoundTripper {
		t, ok := shared.(*http.Transport)
		if !ok {
			return shared
		}
		t = t.Clone()
		t.DisableKeepAlives = true
		if t.TLSNextProto["h2"] != nil {
			// That is http2.ConfigureTransports: what a clone calls has the one pool.
			t.TLSNextProto, t.ForceAttemptHTTP2 = nil, true
		}
		return t
	})
}

// newTransport returns the transport of a client whose Config brings none.
//
// http.DefaultTransport will not do: it keeps two idle connections a host,
// inflates gzip without a limit, accepts headers of 10 MiB, and belongs to
// everybody in the process.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    5 * time.Second,
		MaxIdleConns:           maxIdleConns,
		MaxIdleConnsPerHost:    maxIdleConns,
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxResponseHeaderBytes,
		// A dead HTTP/2 connection would otherwise stay in use until TCP gives
		// it up, and every call on it would time out.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 2 * time.Second},
	}
}
