package genauthtest

import (
	"context"
	"fmt"
	"net/http"
)

// observations is what the emulator has seen. Guarded by Server.mu.
type observations struct {
	calls       map[string]int
	last        map[string]*http.Request
	inFlight    int
	maxInFlight int
	held        int
	connections int
	onRequest   func(*http.Request)
	changed     chan struct{} // closed and replaced whenever the above changes
}

func newObservations() observations {
	return observations{
		calls:   make(map[string]int),
		last:    make(map[string]*http.Request),
		changed: make(chan struct{}),
	}
}

func (o *observations) notify() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// observe notes that a request has come. The function that it returns has to
// be called when it is over.
func (s *Server) observe(r *http.Request) (done func()) {
	list := r.URL.Path == ListEnrolledFactorsPath
	seen := r.Clone(context.WithoutCancel(r.Context()))
	seen.Body = http.NoBody
	s.mu.Lock()
	s.seen.calls[r.URL.Path]++
	s.seen.last[r.URL.Path] = seen
	if list {
		s.seen.inFlight++
		s.seen.maxInFlight = max(s.seen.maxInFlight, s.seen.inFlight)
	}
	hook := s.seen.onRequest
	s.seen.notify()
	s.mu.Unlock()
	if hook != nil {
		hook(seen)
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if list {
			s.seen.inFlight--
			s.seen.notify()
		}
	}
}

func (s *Server) countConnection() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.connections++
}

// Calls returns how many requests have come for a path, such as
// "/api/v3/signin".
func (s *Server) Calls(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.calls[path]
}

// ListCalls returns how many requests have come for
// [ListEnrolledFactorsPath].
func (s *Server) ListCalls() int { return s.Calls(ListEnrolledFactorsPath) }

// MaxInFlight returns how many requests for [ListEnrolledFactorsPath] were
// being served at once, at most.
func (s *Server) MaxInFlight() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.maxInFlight
}

// Connections returns how many connections were accepted.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.connections
}

// LastRequest returns a copy of the latest request for a path, without its
// body, or nil.
func (s *Server) LastRequest(path string) *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.seen.last[path]
	if r == nil {
		return nil
	}
	return r.Clone(r.Context())
}

// OnRequest has a function called with a copy of each request, without its
// body, before it is served; nil ends that. The function may be called
// concurrently. It may use the Server.
func (s *Server) OnRequest(hook func(*http.Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.onRequest = hook
}

// WaitCalls waits until at least n requests have come for
// [ListEnrolledFactorsPath], or ctx ends.
func (s *Server) WaitCalls(ctx context.Context, n int) error {
	return s.waitUntil(ctx, fmt.Sprintf("%d calls", n), func() int { return s.seen.calls[ListEnrolledFactorsPath] }, n)
}

// WaitHeld waits until at least n requests are waiting for [Server.Hold] or
// [Server.HoldBefore] to be released, or ctx ends.
func (s *Server) WaitHeld(ctx context.Context, n int) error {
	return s.waitUntil(ctx, fmt.Sprintf("%d held requests", n), func() int { return s.seen.held }, n)
}

func (s *Server) waitUntil(ctx context.Context, what string, count func() int, n int) error {
	for {
		s.mu.Lock()
		have, changed := count(), s.seen.changed
		s.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("genauthtest: waited for %s, have %d: %w", what, have, context.Cause(ctx))
		}
	}
}

// Hold makes answers of [ListEnrolledFactorsPath] wait after they have been
// computed, until release is called: the answers say what was true when the
// requests came, whatever changes meanwhile. Use [Server.WaitHeld] to know
// that an answer has been computed. Several holds add up.
func (s *Server) Hold() (release func()) { return s.hold(s.holdsAfter) }

// HoldBefore makes requests for [ListEnrolledFactorsPath] wait before their
// answers are computed: the answers say what is true at the release.
func (s *Server) HoldBefore() (release func()) { return s.hold(s.holdsBefore) }

func (s *Server) hold(holds map[chan struct{}]struct{}) (release func()) {
	released := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	holds[released] = struct{}{}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, held := holds[released]; held {
			delete(holds, released)
			close(released)
		}
	}
}

// waitHolds waits until no hold is left, and drops the connection if the
// client or the server goes away first.
func (s *Server) waitHolds(ctx context.Context, holds map[chan struct{}]struct{}) {
	for {
		released := s.beginHeld(holds)
		if released == nil {
			return
		}
		select {
		case <-released:
			s.endHeld()
		case <-ctx.Done():
			s.endHeld()
			panic(http.ErrAbortHandler)
		}
	}
}

func (s *Server) beginHeld(holds map[chan struct{}]struct{}) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	for released := range holds {
		s.seen.held++
		s.seen.notify()
		return released
	}
	return nil
}

func (s *Server) endHeld() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.held--
	s.seen.notify()
}
