package client

import (
	"context"
	"net/http/httptrace"
	"sync"
)

// progress is how far an exchange came. An error does not always say it: one that ran
// out of time is the same at each stage, and a proxy that refuses to connect is told by
// its own words alone.
type progress struct {
	mu        sync.Mutex // an exchange that has ended may still be connecting
	resolving bool
	connected bool
	secured   bool // TLS has begun, or is not needed
}

// watch returns a context by which an exchange reports to p.
func (p *progress) watch(ctx context.Context) context.Context {
	note := func(change func()) {
		p.mu.Lock()
		defer p.mu.Unlock()
		change()
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { note(func() { p.resolving = true }) },
		DNSDone:  func(httptrace.DNSDoneInfo) { note(func() { p.resolving = false }) },
		ConnectDone: func(_, _ string, err error) {
			note(func() { p.connected = p.connected || err == nil })
		},
		TLSHandshakeStart: func() { note(func() { p.secured = true }) },
		GotConn:           func(httptrace.GotConnInfo) { note(func() { p.secured = true }) },
	})
}

// waitsForNames reports whether a name server has not answered.
func (p *progress) waitsForNames() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resolving
}

// untunneled reports whether there was a connection on which not even TLS began: it was
// to a proxy, which did not connect to GenAuth.
func (p *progress) untunneled() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.connected && !p.secured
}
