// Package bounded calls functions that may not return when their context ends. The
// caller goes on when the context ends; the call goes on in a goroutine of its own
// that is counted, so that there are never too many and their owner knows when all
// have ended.
package bounded

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
)

var (
	// ErrTooMany reports that too many calls have not returned.
	ErrTooMany = errors.New("echomfa: the store does not return from its calls")
	// ErrOver reports a call after [Calls.Over].
	ErrOver = errors.New("echomfa: enforcer is closed")
	// errNoResult is what a call ends in that neither returns nor panics.
	errNoResult = errors.New("echomfa: the call ended without a result")
)

// Max is how many calls may be under way. Only functions that do not return when
// their context ends come near it.
const Max = 4096

// PanicError is what a panic of a call becomes.
type PanicError struct {
	Value any
	Stack []byte
}

// Error includes the value.
func (e *PanicError) Error() string { return fmt.Sprint("panic: ", e.Value) }

// Calls counts the calls under way. The zero Calls has none. Its methods may be
// called by several goroutines at once.
type Calls struct {
	mu    sync.Mutex
	under int           // guarded by mu
	ended chan struct{} // closed when all have ended; nil before Over; guarded by mu
}

// Call calls f and returns when f does or ctx ends, whichever is first. A panic of f
// is a [*PanicError].
//
//nolint:ireturn // T is what f returns
func Call[T any](ctx context.Context, c *Calls, f func(context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var zero T
	returned := make(chan result, 1)
	err := c.Go(func() {
		r := result{err: errNoResult} // also if f ends the goroutine
		defer func() {
			if v := recover(); v != nil {
				r = result{err: &PanicError{Value: v, Stack: debug.Stack()}}
			}
			returned <- r
		}()
		v, err := f(ctx)
		r = result{v, err}
	})
	if err != nil {
		return zero, err
	}
	select {
	case r := <-returned:
		return r.value, r.err
	case <-ctx.Done():
		return zero, ctx.Err()
	}
}

// Go runs f in a goroutine that is counted. The error is [ErrTooMany] or [ErrOver],
// and then f does not run.
func (c *Calls) Go(f func()) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended != nil:
		return ErrOver
	case c.under == Max:
		return ErrTooMany
	}
	c.under++
	go func() {
		defer c.end()
		f()
	}()
	return nil
}

func (c *Calls) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.under--; c.under == 0 && c.ended != nil {
		close(c.ended)
	}
}

// Over lets no call begin any more. The channel is closed when all have ended.
func (c *Calls) Over() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		c.ended = make(chan struct{})
		if c.under == 0 {
			close(c.ended)
		}
	}
	return c.ended
}
