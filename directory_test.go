package echomfa_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

// directory is a GenAuth in memory, for tests of time under synctest, where no
// network can be.
type directory struct {
	mu       sync.Mutex
	enrolled map[string][]client.FactorType
	err      error
	delay    time.Duration
	calls    map[string]int
}

func newDirectory() *directory {
	return &directory{enrolled: make(map[string][]client.FactorType), calls: make(map[string]int)}
}

// ListEnrolledFactors answers with what is true when it is called, after the
// delay. A token that was never enrolled is refused.
func (d *directory) ListEnrolledFactors(ctx context.Context, token string) ([]client.Factor, error) {
	d.mu.Lock()
	d.calls[token]++
	types, known := d.enrolled[token]
	err, delay := d.err, d.delay
	d.mu.Unlock()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	var partial *client.PartialError
	switch {
	case err != nil && !errors.As(err, &partial):
		return nil, err
	case !known:
		return nil, client.ErrUnauthenticated
	}
	list := make([]client.Factor, 0, len(types))
	for _, typ := range types {
		list = append(list, client.Factor{ID: "id-" + string(typ), Type: typ})
	}
	return list, err
}

// enroll sets what the user of a token has enrolled.
func (d *directory) enroll(token string, types ...client.FactorType) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.enrolled[token] = types
}

// revoke makes GenAuth refuse a token.
func (d *directory) revoke(token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.enrolled, token)
}

// fail makes every call end in err; nil ends that.
func (d *directory) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// slow makes every call take that long.
func (d *directory) slow(delay time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.delay = delay
}

// asked returns how often each token was asked about.
func (d *directory) asked() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.calls)
}

func (d *directory) total() int {
	n := 0
	for _, calls := range d.asked() {
		n += calls
	}
	return n
}

// pass lets the bubble's clock run.
func pass(d time.Duration) { <-time.After(d) }

// newEnforcer makes an Enforcer over a lister and closes it with the test.
func newEnforcer(t *testing.T, lister echomfa.FactorLister, change func(*echomfa.Config)) *echomfa.Enforcer {
	t.Helper()
	cfg := echomfa.Config{Client: lister, Namespace: "test", Audience: []string{"app"}}
	if change != nil {
		change(&cfg)
	}
	e, err := echomfa.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	return e
}

// decide returns the outcome for a token, and checks what holds for every
// decision.
func decide(t *testing.T, e *echomfa.Enforcer, token string, p echomfa.Policy) echomfa.Decision {
	t.Helper()
	d, err := e.Decide(t.Context(), token, p)
	allowed := d.Outcome == echomfa.Allowed || d.Outcome == echomfa.Exempted
	assert.Equal(t, allowed, err == nil, "an error for every refusal and for nothing else: %v", err)
	assert.Equal(t, allowed, d.ID == "", "an ID for every refusal and for nothing else")
	assert.Equal(t, d.Outcome == echomfa.NotEnrolled, errors.Is(err, echomfa.ErrNotEnrolled))
	assert.Equal(t, d.Outcome == echomfa.Unauthenticated, errors.Is(err, echomfa.ErrUnauthenticated))
	assert.Equal(t, d.Outcome == echomfa.Unavailable, errors.Is(err, echomfa.ErrUnavailable))
	return d
}
