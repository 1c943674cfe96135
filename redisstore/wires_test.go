package redisstore_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// wire is a connection, or all between two ends. Servers go by the address that they
// announce, which is that of a proxy.
type wire struct{ kind, from, to string }

// The kinds of wires. Those that are data begin at a replica, a sentinel or redis-cli.
const (
	bus  = "bus"  // between two nodes of a cluster
	data = "data" // from is empty
	app  = "app"  // from is an instance
)

// wires carry what the parts of a topology say to each other. A wire that is cut says
// nothing in either direction, and is not closed: so it is between two halves of a network.
type wires struct {
	gate string // where instances dial

	mu      sync.Mutex
	cut     func(wire) bool
	changed chan struct{}
	conns   map[net.Conn]wire
	actual  map[string]string // the address of a server, by the one that it announces
}

func newWires(t *testing.T) *wires {
	t.Helper()
	w := &wires{
		cut: func(wire) bool { return false }, changed: make(chan struct{}),
		conns: make(map[net.Conn]wire), actual: make(map[string]string),
	}
	w.gate = w.listen(t, func(conn net.Conn) (wire, string, error) {
		name, err := readLine(conn)
		if err != nil {
			return wire{}, "", err
		}
		to, err := readLine(conn)
		return wire{app, name, to}, w.actualOf(to), err
	}, []byte("\n"))
	return w
}

// readLine reads to the end of a line, and no further.
func readLine(r io.Reader) (string, error) {
	var line strings.Builder
	for b := make([]byte, 1); ; line.WriteByte(b[0]) {
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return line.String(), nil
		}
	}
}

// dial is how an instance dials by the wires. It fails as soon as the server cannot be
// dialed, and waits while the wire is cut.
func dial(ctx context.Context, gate, name, to string, timeout time.Duration) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, "tcp", gate)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(timeout))
	if _, err = io.WriteString(conn, name+"\n"+to+"\n"); err == nil {
		_, err = readLine(conn)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, conn.SetDeadline(time.Time{})
}

// proxy carries data for a server, which announces the address that it returns.
func (w *wires) proxy(t *testing.T) (announced string) {
	t.Helper()
	announced = w.listen(t, func(net.Conn) (wire, string, error) {
		return wire{data, "", announced}, w.actualOf(announced), nil
	}, nil)
	return announced
}

// bus carries what the nodes of a cluster say to one. Each message begins with who sends it.
func (w *wires) bus(t *testing.T, announced string) (addr string) {
	t.Helper()
	return w.listen(t, func(conn net.Conn) (wire, string, error) {
		head := make([]byte, 12) // "RCmb", the length, the version, the announced port
		p := conn.(*peeked)      //nolint:forcetypeassert,errcheck // listen makes it
		peek, err := p.r.Peek(len(head))
		if err != nil {
			return wire{}, "", err
		}
		from := net.JoinHostPort("127.0.0.1", itoa(int(binary.BigEndian.Uint16(peek[10:]))))
		host, port, err := net.SplitHostPort(w.actualOf(announced))
		if err != nil {
			return wire{}, "", err
		}
		return wire{bus, from, announced}, net.JoinHostPort(host, itoa(atoi(port)+10000)), nil
	}, nil)
}

type peeked struct {
	net.Conn

	r *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

func (w *wires) actualOf(announced string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if addr := w.actual[announced]; addr != "" {
		return addr
	}
	return announced
}

// listen carries the connections that come to an address. Find says which wire one
// belongs to, and where it leads; hello is said to it once it leads there.
func (w *wires) listen(t *testing.T, find func(net.Conn) (wire, string, error), hello []byte) (addr string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		w.sever(func(wire) bool { return true })
		w.set(nil)
		w.sever(func(wire) bool { return true })
		wg.Wait()
	})
	wg.Go(func() {
		for {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { w.carry(&wg, &peeked{raw, bufio.NewReader(raw)}, find, hello) })
		}
	})
	return l.Addr().String()
}

func (w *wires) carry(wg *sync.WaitGroup, conn net.Conn, find func(net.Conn) (wire, string, error), hello []byte) {
	w.note(conn, wire{}) // it is closed when all is over
	defer w.forget(conn)
	it, to, err := find(conn)
	if err != nil {
		return
	}
	w.note(conn, it)
	if !w.open(conn, it) {
		return
	}
	far, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", to)
	if err != nil {
		return
	}
	w.note(far, it)
	defer w.forget(far)
	if _, err := conn.Write(hello); err != nil {
		return
	}
	wg.Go(func() { w.pump(conn, far, it) })
	w.pump(far, conn, it)
}

// pump copies until either end is closed, and closes both.
func (w *wires) pump(to, from net.Conn, it wire) {
	defer w.forget(to)
	defer w.forget(from)
	for b := make([]byte, 32<<10); ; {
		n, err := from.Read(b)
		if err != nil || !w.open(from, it) {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// open waits until a wire is not cut, and reports whether the connection is still there.
func (w *wires) open(conn net.Conn, it wire) bool {
	for {
		w.mu.Lock()
		cut, changed := w.cut(it), w.changed
		_, there := w.conns[conn]
		w.mu.Unlock()
		if !cut || !there {
			return there
		}
		<-changed
	}
}

func (w *wires) note(conn net.Conn, it wire) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns[conn] = it
}

func (w *wires) forget(conn net.Conn) {
	_ = conn.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, conn)
}

// set cuts the wires for which cut reports true, and no others.
func (w *wires) set(cut func(wire) bool) {
	if cut == nil {
		cut = func(wire) bool { return false }
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	w.wake()
}

// wake has those look again who wait for a wire. w.mu is held.
func (w *wires) wake() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// sever closes connections. What is on its way over a wire that is cut never arrives.
func (w *wires) sever(which func(wire) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn, it := range w.conns {
		if which(it) {
			_ = conn.Close()
			delete(w.conns, conn)
		}
	}
	w.wake()
}

// now returns the wires that carry something.
func (w *wires) now() (all []wire) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, it := range w.conns {
		all = append(all, it)
	}
	return all
}
