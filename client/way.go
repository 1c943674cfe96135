package client

import (
	"context"
	"io"
	"net/http/httptrace"
	"sync/atomic"
)

// way is how far a call has come, as net/http tells it. A transport that tells nothing
// leaves it empty.
type way struct {
	asked   atomic.Bool // for a connection
	dialing atomic.Bool // a connection, since it was asked for
	got     atomic.Bool // a connection, since it was asked for
}

// traced returns a context in which net/http tells the way of a call.
func (w *way) traced(ctx context.Context) context.Context {
	dials := func() { w.dialing.Store(true) }
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) {
			w.asked.Store(true)
			w.dialing.Store(false)
			w.got.Store(false)
		},
		DNSStart:          func(httptrace.DNSStartInfo) { dials() },
		ConnectStart:      func(string, string) { dials() },
		TLSHandshakeStart: dials,
		GotConn:           func(httptrace.GotConnInfo) { w.got.Store(true) },
	})
}

// unconnected reports whether a call has failed before it had a connection. One that has
// waited in vain for a connection that others use does not count: it is they who have it.
func (w *way) unconnected(timeout bool) bool {
	return w.asked.Load() && !w.got.Load() && (!timeout || w.dialing.Load())
}

// once is the empty body of a GET that net/http does not send again over HTTP/1, which it
// does only with a request without a body. It finds out that this one is empty, and sends
// what it sends without one. HTTP/2 sends again only what the server has said that it has
// not looked at (RFC 9113, section 8.7), such as when it restarts: that is right, and a body
// would be an empty frame there, which a gateway may not expect.
type once struct{}

func (once) Read([]byte) (int, error) { return 0, io.EOF }
func (once) Close() error             { return nil }

// lostError is the end of the caller's time before there was a connection.
type lostError struct{ error }

// Unwrap returns the error.
func (e *lostError) Unwrap() error { return e.error }

// Unconnected reports that there was no connection.
func (e *lostError) Unconnected() bool { return true }
