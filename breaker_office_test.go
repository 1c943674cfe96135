package echomfa_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
)

const (
	usersAtWork = 3000
	attackFor   = 20 * time.Second
	tick        = 10 * time.Millisecond
)

// office is an Enforcer with the default budgets, users who are cached, and a GenAuth that
// does as it is told, all in virtual time.
type office struct {
	t    *testing.T
	e    *echomfa.Enforcer
	wg   sync.WaitGroup
	log  lockedBuffer
	here int // how many users are active

	mu      sync.Mutex
	behave  func(ctx context.Context, token string) error
	began   []time.Time            // of the calls of GenAuth
	of      map[string][]time.Time // by token
	atOnce  int
	most    int
	answers map[echomfa.Outcome]int // to users who are cached
}

// lockedBuffer is a buffer for the lines of many.
type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, here: usersAtWork, of: make(map[string][]time.Time), answers: make(map[echomfa.Outcome]int)}
	o.e = newEnforcer(t, o, func(c *echomfa.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&o.log, &slog.HandlerOptions{Level: slog.LevelError}))
	})
	return o
}

// ListEnrolledFactors is GenAuth, which takes 10 ms.
func (o *office) ListEnrolledFactors(ctx context.Context, token string) ([]client.Factor, error) {
	o.mu.Lock()
	now := time.Now()
	o.began, o.of[token] = append(o.began, now), append(o.of[token], now)
	o.atOnce++
	o.most = max(o.most, o.atOnce)
	behave := o.behave
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.atOnce--
	}()
	pass(10 * time.Millisecond)
	if behave != nil {
		if err := behave(ctx, token); err != nil {
			return nil, err
		}
	}
	return []client.Factor{{ID: "id", Type: echomfa.OTP}}, nil
}

// over waits until all requests have their answers, and the lookups that end in the same
// moment have given back their places.
func (o *office) over() {
	o.wg.Wait()
	synctest.Wait()
}

// does changes how GenAuth does; nil is well.
func (o *office) does(behave func(ctx context.Context, token string) error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.behave = behave
	o.began, o.most, o.of = nil, o.atOnce, make(map[string][]time.Time)
}

func (o *office) calls() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.began)
}

// ask makes a request and returns the answer.
func (o *office) ask(token string) echomfa.Outcome {
	d, _ := o.e.Decide(context.Background(), token, otp())
	return d.Outcome
}

var workers = sync.OnceValue(func() []string { //nolint:gochecknoglobals // made once
	tokens := make([]string, usersAtWork)
	for i := range tokens {
		tokens[i] = answertest.JWT(map[string]any{"sub": fmt.Sprintf("user-%d", i), "aud": "app"})
	}
	return tokens
})

// arrive has the users come to work, one every 20 ms, so that the ends of their facts are
// spread.
func (o *office) arrive() {
	o.t.Helper()
	o.here = 0
	o.work(usersAtWork*2*tick, func(i int) {
		if o.here = i / 2; i%2 == 0 {
			o.later(workers()[o.here])
		}
	})
	o.here = usersAtWork
	clear(o.answers)
	o.work(4*time.Second, nil)
	require.Equal(o.t, map[echomfa.Outcome]int{echomfa.Allowed: 2 * usersAtWork}, o.answers)
	clear(o.answers)
}

// work has each user make a request every two seconds, for a time, and others do
// something each 10 ms.
func (o *office) work(d time.Duration, others func(i int)) {
	o.t.Helper()
	const each = usersAtWork * int(tick) / int(2*time.Second)
	for i := range int(d / tick) {
		for u := range each {
			user := userOf(i*each + u)
			if user >= o.here {
				continue
			}
			o.wg.Go(func() {
				got := o.ask(workers()[user])
				o.mu.Lock()
				defer o.mu.Unlock()
				o.answers[got]++
			})
		}
		if others != nil {
			others(i)
		}
		pass(tick)
	}
	o.over()
}

// userOf returns whose request the nth is: in another order than they came.
func userOf(n int) int { return n * 1013 % usersAtWork }

// neverOpen returns what others do each 10 ms, and looks whether lookups stop.
func (o *office) neverOpen(others func(i int)) func(int) {
	return func(i int) {
		s := o.e.Stats()
		assert.False(o.t, s.BreakerOpen || s.ColdStart, "%+v", s)
		others(i)
	}
}

// nobodyNoticed checks that all cached users were let in.
func (o *office) nobodyNoticed() {
	o.t.Helper()
	assert.Equal(o.t, map[echomfa.Outcome]int{echomfa.Allowed: usersAtWork / 2 * int(attackFor/time.Second)}, o.answers)
	assert.NotContains(o.t, o.log.String(), "keep failing")
}

// until makes a step each 10 ms until something is so.
func (o *office) until(limit time.Duration, so func() bool, step func(i int)) {
	o.t.Helper()
	begin := time.Now()
	for i := 0; !so(); i++ {
		if time.Since(begin) > limit {
			require.Fail(o.t, "not in time", "%v: %+v", limit, o.e.Stats())
		}
		if step != nil {
			step(i)
		}
		pass(tick)
	}
}

func (o *office) open() bool { return o.e.Stats().BreakerOpen }

// later makes a request that nobody waits for.
func (o *office) later(token string) { o.wg.Go(func() { o.ask(token) }) }

func isMadeUp(token string) bool { return strings.HasPrefix(token, "made-up") }

// madeUp returns a token of 8,192 bytes.
func madeUp(i int) string {
	token := fmt.Sprintf("made-up-%d-", i)
	return token + strings.Repeat("x", client.MaxTokenBytes-len(token))
}

func always(err error) func(context.Context, string) error {
	return func(context.Context, string) error { return err }
}

var errServer = &client.APIError{HTTPStatus: 500}
