package genauthtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// TB is the part of testing.TB that [Start] needs, so that other programs can use
// this package without linking package testing.
type TB interface {
	Helper()
	Cleanup(cleanup func())
	Fatalf(format string, args ...any)
}

// Server is a running emulator. Make one with [New] or [Start]. Its methods
// may be called concurrently.
//
// Methods that name a user panic if there is none of that id: it is a programming
// error in the test.
type Server struct {
	cfg    Config
	poolID string

	lifecycle sync.Mutex // serializes Stop, Restart and Close
	http      *httptest.Server
	cancel    context.CancelFunc // ends the handlers of http
	closed    bool

	mu          sync.Mutex // guards the rest
	addr        string     // what to listen on, then what is listened on
	offset      time.Duration
	signers     []*signer // the one that signs first, then those whose keys are still in the key set
	users       map[string]*account
	grants      map[string]*grant      // by access, ID, machine or MFA token
	refresh     map[string]*grant      // by refresh token
	codes       map[string]code        // by authorization code
	hosted      map[string]hosted      // by cookie of the hosted pages
	enrollments map[string]*enrollment // by enrollment token
	sent        map[string]time.Time   // last code, by address
	faults      []Fault
	holdsBefore map[chan struct{}]struct{}
	holdsAfter  map[chan struct{}]struct{}
	seen        observations
}

// New starts an emulator. The caller must call [Server.Close]. The error joins
// all mistakes of cfg, or says why it cannot listen.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	sig, err := processSigner()
	if err != nil {
		return nil, fmt.Errorf("genauthtest: signing key: %w", err)
	}
	s := &Server{
		cfg:         cfg,
		signers:     []*signer{sig},
		poolID:      randomHex(12),
		addr:        cfg.Addr,
		users:       make(map[string]*account),
		grants:      make(map[string]*grant),
		refresh:     make(map[string]*grant),
		codes:       make(map[string]code),
		hosted:      make(map[string]hosted),
		enrollments: make(map[string]*enrollment),
		sent:        make(map[string]time.Time),
		holdsBefore: make(map[chan struct{}]struct{}),
		holdsAfter:  make(map[chan struct{}]struct{}),
		seen:        newObservations(),
	}
	if err := s.Restart(); err != nil {
		return nil, err
	}
	return s, nil
}

// Start starts an emulator for a test or benchmark and closes it with the
// test. It takes at most one Config.
func Start(tb TB, cfg ...Config) *Server {
	tb.Helper()
	var c Config
	if len(cfg) > 0 {
		c = cfg[0]
	}
	if len(cfg) > 1 {
		tb.Fatalf("genauthtest: Start takes one Config, got %d", len(cfg))
	}
	s, err := New(c)
	if err != nil {
		tb.Fatalf("%v", err)
		return nil
	}
	tb.Cleanup(s.Close)
	return s
}

// Restart starts the server again, at the same address, after [Server.Stop]. Users,
// tokens, faults and counts are kept. On a running server it does nothing.
func (s *Server) Restart() error {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	switch {
	case s.closed:
		return errors.New("genauthtest: the server is closed")
	case s.http != nil:
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", s.address())
	if err != nil {
		cancel()
		return fmt.Errorf("genauthtest: Addr: %w", err)
	}
	s.cancel = cancel
	s.mu.Lock()
	s.addr = listener.Addr().String()
	s.mu.Unlock()
	s.http = &httptest.Server{
		Listener: listener,
		Config: &http.Server{
			Handler:           s.routes(),
			ReadHeaderTimeout: time.Minute,
			BaseContext:       func(net.Listener) context.Context { return ctx },
			ConnState: func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					s.countConnection()
				}
			},
		},
	}
	s.http.Start()
	return nil
}

// Stop refuses connections, like a GenAuth that is down, until [Server.Restart].
// Answers under way are cut off. It returns when no request is in progress any more.
func (s *Server) Stop() {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	if s.http == nil {
		return
	}
	s.cancel()
	s.http.CloseClientConnections()
	s.http.Close()
	s.http = nil
}

// Close stops the server for good. It never waits for a delay or a hold, and
// leaves no goroutine. It may be called more than once.
func (s *Server) Close() {
	s.Stop()
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	s.closed = true
}

// URL returns the address of the application, such as "http://127.0.0.1:4242",
// without a slash at the end.
func (s *Server) URL() string { return "http://" + s.address() }

func (s *Server) address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}

// AppID returns the id of the application.
func (s *Server) AppID() string { return s.cfg.AppID }

// AppSecret returns the secret of the application.
func (s *Server) AppSecret() string { return s.cfg.AppSecret }

// Now returns the time by the emulator's clock.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

// Advance moves the emulator's clock on, as if d had passed: tokens and
// enrollment tokens expire, codes change. It does not shorten a [Fault]'s
// Delay.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset += d
}

// now is Now for who holds s.mu.
func (s *Server) now() time.Time { return time.Now().Add(s.offset) }
