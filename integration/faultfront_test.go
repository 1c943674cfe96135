package integration_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// front is a host: a listener whose connections are served by HTTP or by raw
// bytes, and which may change its mind.
type front struct {
	t    *testing.T
	addr string
	tls  *tlsRig
	http http.Server
	wg   sync.WaitGroup
	// elsewhere is the URL of a host that nobody has any business with.
	elsewhere string

	mu       sync.Mutex
	listener *net.TCPListener
	ended    chan struct{} // closed when the present behavior ends
	handler  http.HandlerFunc
	raw      func(conn net.Conn, ended <-chan struct{})
	conns    map[net.Conn]struct{}
	total    int // connections accepted
	requests []*http.Request
	queue    *connQueue
}

// newFront starts a host that tells the truth, by TLS if that is given.
func newFront(t *testing.T, tlsRig *tlsRig) *front {
	t.Helper()
	f := &front{
		t: t, tls: tlsRig, addr: "127.0.0.1:0",
		ended: make(chan struct{}), handler: tellTruth, conns: make(map[net.Conn]struct{}),
		queue: &connQueue{conns: make(chan net.Conn), closed: make(chan struct{})},
	}
	f.http = http.Server{Handler: http.HandlerFunc(f.serveHTTP), ReadHeaderTimeout: time.Minute}
	f.wg.Go(func() { _ = f.http.Serve(f.queue) })
	f.listen()
	t.Cleanup(f.close)
	return f
}

func (f *front) close() {
	f.refuse()
	assert.NoError(f.t, f.http.Close())
	f.wg.Wait()
}

// listen accepts connections, at the address of before if there was one.
func (f *front) listen() {
	var config net.ListenConfig
	l, err := config.Listen(context.Background(), "tcp", f.addr)
	for deadline := time.Now().Add(patience); err != nil && time.Now().Before(deadline); {
		// Somebody's connection may have got the port for a while.
		pass(f.t, 10*time.Millisecond)
		l, err = config.Listen(context.Background(), "tcp", f.addr)
	}
	require.NoError(f.t, err)
	tcp, ok := l.(*net.TCPListener)
	require.True(f.t, ok)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.listener, f.addr = tcp, l.Addr().String()
	f.wg.Go(func() { f.accept(tcp) })
}

func (f *front) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.total++
		f.conns[conn] = struct{}{}
		raw, ended := f.raw, f.ended
		f.mu.Unlock()
		f.wg.Go(func() { f.serve(conn, raw, ended) })
	}
}

func (f *front) serve(conn net.Conn, raw func(net.Conn, <-chan struct{}), ended <-chan struct{}) {
	if raw != nil {
		defer f.forget(conn)
		defer func() { _ = conn.Close() }()
		raw(conn, ended)
		return
	}
	served := conn
	if f.tls != nil {
		served = tls.Server(conn, f.tls.good())
	}
	select {
	case f.queue.conns <- served:
	case <-f.queue.closed:
		_ = conn.Close()
	}
}

func (f *front) forget(conn net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, conn)
}

// serveHTTP notes a request and answers it. Every answer names another host
// wherever a header can: a client that follows any of them is found out.
func (f *front) serveHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	handler := f.handler
	f.requests = append(f.requests, r.Clone(context.WithoutCancel(r.Context())))
	f.mu.Unlock()
	w.Header().Set("Refresh", "0; url="+f.elsewhere)
	w.Header().Set("Alt-Svc", `http/1.1="`+strings.TrimPrefix(f.elsewhere, "http://")+`"`)
	w.Header().Set("Location", f.elsewhere)
	w.Header().Set("Content-Location", f.elsewhere)
	handler(w, r)
}

// end ends the present behavior: all its connections are closed.
func (f *front) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.ended)
	f.ended = make(chan struct{})
	for conn := range f.conns {
		_ = conn.Close()
	}
	clear(f.conns)
	f.raw = nil
}

// answer answers requests from now on by handler.
func (f *front) answer(handler http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.raw, f.handler = nil, handler
}

// become serves connections from now on by raw, which must return when ended is
// closed or its connection is.
func (f *front) become(raw func(conn net.Conn, ended <-chan struct{})) {
	f.end()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.raw = raw
}

// refuse makes connections be refused.
func (f *front) refuse() {
	f.mu.Lock()
	l := f.listener
	f.listener = nil
	f.mu.Unlock()
	if l != nil {
		_ = l.Close()
	}
	f.end()
}

// accepted returns how many connections there have been.
func (f *front) accepted() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.total
}

// calls returns how many requests there have been; with tokens, of those only.
func (f *front) calls(tokens ...string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(tokens) == 0 {
		return len(f.requests)
	}
	n := 0
	for _, r := range f.requests {
		for _, token := range tokens {
			if r.Header.Get("Authorization") == "Bearer "+token {
				n++
			}
		}
	}
	return n
}

// connQueue is a listener for connections that were accepted elsewhere.
type connQueue struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (q *connQueue) Accept() (net.Conn, error) {
	select {
	case conn := <-q.conns:
		return conn, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

func (q *connQueue) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

func (*connQueue) Addr() net.Addr { return &net.TCPAddr{} }

// readRequest reads a request's head from a raw connection.
func readRequest(conn io.Reader) error {
	var head strings.Builder
	buf := make([]byte, 1)
	for !strings.HasSuffix(head.String(), "\r\n\r\n") {
		if _, err := conn.Read(buf); err != nil {
			return err
		}
		head.Write(buf)
		if head.Len() > 1<<16 {
			return errors.New("no end of the head")
		}
	}
	return nil
}

// drip writes first at once and then the rest of the text one byte at a time,
// with the pause of the rows, and starts again at the end.
func drip(first, rest string) func(net.Conn, <-chan struct{}) {
	return func(conn net.Conn, ended <-chan struct{}) {
		if readRequest(conn) != nil {
			return
		}
		if _, err := io.WriteString(conn, first); err != nil {
			return
		}
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for i := 0; ; i++ {
			if _, err := conn.Write([]byte{rest[i%len(rest)]}); err != nil {
				return
			}
			select {
			case <-ticker.C:
			case <-ended:
				return
			}
		}
	}
}

// send answers every request of a connection by the same bytes, and closes it.
func send(text string) func(net.Conn, <-chan struct{}) {
	return func(conn net.Conn, _ <-chan struct{}) {
		if readRequest(conn) == nil {
			_, _ = io.WriteString(conn, text)
		}
	}
}

// reset is send, but the connection is reset instead of closed.
func reset(text string) func(net.Conn, <-chan struct{}) {
	return func(conn net.Conn, ended <-chan struct{}) {
		send(text)(conn, ended)
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	}
}

// toxic is a toxiproxy between the service and GenAuth.
type toxic struct {
	proxy *toxiproxy.Proxy
}

// start returns the address of the proxy.
func (x *toxic) start(t *testing.T, upstream string) string {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	x.proxy = toxiproxy.NewProxy(server, "genauth", "127.0.0.1:0", upstream)
	require.NoError(t, x.proxy.Start())
	t.Cleanup(x.proxy.Stop)
	return x.proxy.Listen
}

// add adds a toxic, as toxiproxy's API takes it.
func (x *toxic) add(t *testing.T, text string) {
	t.Helper()
	_, err := x.proxy.Toxics.AddToxicJson(strings.NewReader(text))
	require.NoError(t, err)
}

// dialLog notes which addresses are dialed.
type dialLog struct {
	home string // the one that ought to be

	mu        sync.Mutex
	addresses []string
	alias     string // where home is really, if that is not a name for it
	read      atomic.Int64
}

// client returns an http.Client like c, which may be nil, that dials by the log.
func (d *dialLog) client(c *http.Client, address string) *http.Client {
	transport := &http.Transport{DisableCompression: true}
	if c != nil {
		transport, _ = c.Transport.(*http.Transport)
	}
	if d.home == "" {
		d.home = address
	}
	d.alias = address
	transport.DialContext = d.dial
	return &http.Client{Transport: transport}
}

func (d *dialLog) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d.mu.Lock()
	d.addresses = append(d.addresses, address)
	if address == d.home && d.alias != "" {
		address = d.alias
	}
	d.mu.Unlock()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return countedConn{conn, &d.read}, nil
}

// countedConn counts the bytes that are read from a connection.
type countedConn struct {
	net.Conn
	read *atomic.Int64
}

func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// forgetAlias leaves the name to the resolver.
func (d *dialLog) forgetAlias() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.alias = ""
}

func (d *dialLog) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.addresses)
}
