//go:build unix

// Package redistest runs redis-server for the tests of several modules.
package redistest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/echomfa/echomfa/internal/child"
)

// patience is how long a server may take to start or to end.
const patience = 20 * time.Second

// Server is a redis-server on loopback. It keeps its port over [Server.Stop] and
// [Server.Start], and nothing else.
type Server struct {
	// Addr is where it listens.
	Addr string

	first, args []string

	cmd  *exec.Cmd
	done chan error
	out  *bytes.Buffer
	dir  string
}

// New starts redis-server with more arguments, without persistence, and ends it
// with the test. REDIS_SERVER names another program, such as valkey-server.
func New(tb testing.TB, args ...string) *Server {
	tb.Helper()
	return begin(tb, &Server{args: args})
}

func begin(tb testing.TB, s *Server) *Server {
	tb.Helper()
	s.dir = tb.TempDir()
	tb.Cleanup(func() { s.Stop(tb) })
	var err error
	// A port that is free now may be taken when the server comes to it.
	for attempt := range 10 {
		if s.Addr, err = freeAddr(tb); err != nil {
			tb.Fatal(err)
		}
		if err = s.start(tb); err == nil {
			return s
		}
		tb.Logf("redis-server, attempt %d: %v", attempt, err)
	}
	tb.Fatalf("redis-server (Debian package redis-server): %v", err)
	return nil
}

// NewSentinel starts a sentinel with the lines of a configuration, and ends it with the
// test.
func NewSentinel(tb testing.TB, lines ...string) *Server {
	tb.Helper()
	conf := filepath.Join(tb.TempDir(), "sentinel.conf") // which it rewrites
	if err := os.WriteFile(conf, []byte(strings.Join(append(lines, ""), "\n")), 0o600); err != nil {
		tb.Fatal(err)
	}
	return begin(tb, &Server{first: []string{conf, "--sentinel"}})
}

func freeAddr(tb testing.TB) (string, error) {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	addr := l.Addr().String()
	return addr, l.Close()
}

// Start starts a server that was stopped, empty and with the same arguments.
func (s *Server) Start(tb testing.TB) {
	tb.Helper()
	if err := s.start(tb); err != nil {
		tb.Fatal(err)
	}
}

func (s *Server) start(tb testing.TB) error {
	tb.Helper()
	program := "redis-server"
	if named := os.Getenv("REDIS_SERVER"); named != "" {
		program = named
	}
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	s.out = new(bytes.Buffer)
	// Its end is Stop's business, in a Cleanup, when t.Context has ended.
	s.cmd = exec.CommandContext(context.WithoutCancel(tb.Context()), program, slices.Concat(s.first, []string{
		"--port", port, "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "no", "--daemonize", "no",
		"--repl-diskless-sync-delay", "0", "--cluster-config-file", "nodes-" + port + ".conf",
	}, s.args)...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	child.EndWithParent(s.cmd, syscall.SIGKILL)
	if err := s.cmd.Start(); err != nil {
		return err
	}
	cmd, done := s.cmd, make(chan error, 1)
	s.done = done
	go func() { done <- cmd.Wait() }()

	deadline := time.Now().Add(patience)
	for {
		if s.answers(tb) {
			return nil
		}
		select {
		case err := <-s.done:
			s.cmd = nil
			return fmt.Errorf("it ended: %w\n%s", errors.Join(err, errors.New("no server")), s.out)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			s.Stop(tb)
			return errors.New("it does not answer")
		}
	}
}

// answers reports whether it is this server that listens, and no other that was
// quicker.
func (s *Server) answers(tb testing.TB) bool {
	tb.Helper()
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(tb.Context(), "tcp", s.Addr)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := fmt.Fprintf(conn, "INFO server\r\n"); err != nil {
		return false
	}
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		switch {
		case err != nil:
			return false
		case strings.HasPrefix(line, "-NOAUTH"):
			return true // it keeps its pid to itself
		case strings.HasPrefix(line, "process_id:"):
			return strings.TrimSpace(line[len("process_id:"):]) == strconv.Itoa(s.cmd.Process.Pid)
		}
	}
}

// Stop ends the server at once, as a crash does. A server that is stopped stays
// so.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		tb.Error(err)
	}
	select {
	case <-s.done: //nolint:errcheck // it was killed, and says so
	case <-time.After(patience):
		tb.Error("redis-server does not end")
	}
	s.cmd = nil
}

// Pause stops the server without ending it: it answers nobody, and its connections
// stay open.
func (s *Server) Pause(tb testing.TB) {
	tb.Helper()
	s.signal(tb, syscall.SIGSTOP)
}

// Continue ends a Pause.
func (s *Server) Continue(tb testing.TB) {
	tb.Helper()
	s.signal(tb, syscall.SIGCONT)
}

func (s *Server) signal(tb testing.TB, signal syscall.Signal) {
	tb.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		tb.Fatal(err)
	}
}
