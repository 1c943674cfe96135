package client

import (
	"context"
	"errors"
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
	sent    atomic.Bool // the header, at least in part
	twice   atomic.Bool // it would be sent again
}

// traced returns a context in which net/http tells the way of a call. If the call is to be
// sent once, stop is called when it would be sent again: HTTP/2 looks whether a call was
// stopped before it sends the header. HTTP/1 does not, see [once].
func (w *way) traced(ctx context.Context, isOnce bool, stop context.CancelFunc) context.Context {
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
		GotConn: func(httptrace.GotConnInfo) {
			w.got.Store(true)
			if isOnce && w.sent.Load() {
				w.twice.Store(true)
				stop()
			}
		},
		WroteHeaders: func() { w.sent.Store(true) },
	})
}

// unconnected reports whether a call has failed before it had a connection. One that has
// waited in vain for a connection that others use does not count: it is they who have it.
func (w *way) unconnected(timeout bool) bool {
	return w.asked.Load() && !w.got.Load() && (!timeout || w.dialing.Load())
}

// errOnce is the end of a call that would have been sent again.
var errOnce = errors.New("the connection ended without an answer")

// once is the empty body of a GET that HTTP/1 does not send again: net/http does so only
// with a request without a body. It finds out that this one is empty, and sends what it
// sends without one. Over HTTP/2 it would send an empty frame, which a gateway may take for
// a body.
type once struct{}

func (once) Read([]byte) (int, error) { return 0, io.EOF }
func (once) Close() error             { return nil }

// lostError is the end of the caller's time before there was a connection.
type lostError struct{ error }

// Unwrap returns the error.
func (e *lostError) Unwrap() error { return e.error }

// Unconnected reports that there was no connection.
func (e *lostError) Unconnected() bool { return true }
