package redisstore

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// callTimeout is what one call may take, whatever its caller would wait for: that
// of making a connection, and of an answer.
func (s *Store) callTimeout() time.Duration {
	return s.options.Dialer.Timeout + s.options.ConnWriteTimeout
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// call carries out do and waits for it until ctx ends. It goes on by itself then,
// for callTimeout at most: a connection that several wait for is not given up
// because one of them has no more time, and the client does not heed ctx
// everywhere.
func call[T any](ctx context.Context, s *Store, do func(context.Context, rueidis.Client) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	if err := ctx.Err(); err != nil {
		return none, fmt.Errorf("redisstore: %w", err)
	}
	if !s.begin() {
		return none, ErrClosed
	}
	answers := make(chan answer, 1)
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.callTimeout())
	go func() {
		defer s.running.Done()
		defer cancel()
		client, err := s.connect(own)
		if err != nil {
			answers <- answer{err: err}
			return
		}
		value, err := do(own, client)
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		return none, fmt.Errorf("redisstore: %w", ctx.Err())
	case <-own.Done(): // the client does not always heed it
		select {
		case a := <-answers:
			return a.value, a.err
		default:
			return none, fmt.Errorf("redisstore: no answer in %v: %w", s.callTimeout(), context.DeadlineExceeded)
		}
	}
}

// begin reports whether the Store is open, and counts who uses it if so.
func (s *Store) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ended:
		return false
	default:
		s.running.Add(1)
		return true
	}
}

// dialing is a client that is being made, for all who wait for it.
type dialing struct {
	done   chan struct{}
	client rueidis.Client
	err    error
}

// connect returns the client. The first one has to find Redis, to learn whether
// it is a cluster; after that the client reconnects by itself.
func (s *Store) connect(ctx context.Context) (rueidis.Client, error) {
	s.mu.Lock()
	if s.client != nil {
		defer s.mu.Unlock()
		return s.client, nil
	}
	d := s.dialing
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		s.dialing = d
		s.running.Add(1) // the caller has been counted, so Close is still waiting
		go s.dial(d)
	}
	s.mu.Unlock()
	select {
	case <-d.done:
		return d.client, d.err
	case <-ctx.Done():
		return nil, fmt.Errorf("redisstore: connect: %w", ctx.Err())
	}
}

func (s *Store) dial(d *dialing) {
	defer s.running.Done()
	defer close(d.done)
	d.client, d.err = rueidis.NewClient(*s.options)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialing = nil
	if d.err != nil {
		d.client, d.err = nil, fmt.Errorf("redisstore: connect: %w", d.err)
		return
	}
	s.client = d.client
}

// Close ends all calls, each Watch and all connections, and waits for them. It
// may be called twice; the error is always nil.
func (s *Store) Close() error {
	s.mu.Lock()
	select {
	case <-s.ended:
	default:
		close(s.ended)
	}
	client := s.client
	s.mu.Unlock()
	if client != nil {
		client.Close()
	}
	s.running.Wait()
	s.mu.Lock()
	late := s.client
	s.mu.Unlock()
	if late != nil && client == nil { // it was being made
		late.Close()
	}
	return nil
}
