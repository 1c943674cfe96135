package integration_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"
)

// TestF30OneColdTokenAThousandTimes has all of them wait before there is an
// answer, the failure included, which is not kept for who comes late.
func TestF30OneColdTokenAThousandTimes(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		caller caller
		err    error
		status int
	}{
		"has the factor":  {callers()[2], nil, 200},
		"has it not":      {callers()[3], nil, 403},
		"browser without": {callers()[1], nil, 302},
		"refused":         {caller{token: "nobody"}, client.ErrUnauthenticated, 401},
		"fault":           {callers()[2], client.ErrUnavailable, 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int64
				r := newClockRig(t, func(_ context.Context, token string) ([]client.Factor, error) {
					calls.Add(1)
					pass(t, 200*time.Millisecond)
					return truthOf(token), row.err
				}, nil)
				begin := time.Now()
				var wg sync.WaitGroup
				for range crowdOf(name == "has the factor") {
					wg.Go(func() { assert.Equal(t, row.status, r.local(t.Context(), row.caller).status) })
				}
				wg.Wait()
				assert.Equal(t, int64(1), calls.Load())
				assert.Equal(t, 200*time.Millisecond, time.Since(begin))
			})
		})
	}
}

// crowdOf returns how many callers one row has, and how many the others.
func crowdOf(large bool) int {
	if large || allRows {
		return 1000
	}
	return 100
}

func TestF30OneColdTokenOverSockets(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		caller caller
		begin  func(*rig)
		status int
	}{
		"has the factor": {callers()[2], func(*rig) {}, 200},
		"has it not":     {callers()[3], func(*rig) {}, 403},
		"refused":        {caller{token: "nobody"}, func(*rig) {}, 401},
		"fault":          {callers()[2], spoil(500, ""), 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const callers = 200
			r := newRig(t, func(s *setup) { s.enforcer.Cache.DenyFreshFor = 30 * time.Second })
			row.begin(r)
			release := r.front.hold()
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() { assert.Equal(t, row.status, r.local(t.Context(), row.caller).status) })
			}
			for r.enforcer.Stats().Misses < callers || r.front.calls() == 0 {
				pass(t, time.Millisecond)
			}
			release()
			wg.Wait()
			if name != "fault" { // a failure is not kept: who came late asks again
				assert.Equal(t, 1, r.front.calls())
			}
		})
	}
}

// hold keeps answers back until release is called, or their caller goes.
func (f *front) hold() (release func()) {
	f.mu.Lock()
	next := f.handler
	f.mu.Unlock()
	released := make(chan struct{})
	f.answer(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-released:
			next(w, r)
		case <-r.Context().Done():
		}
	})
	return func() { close(released) }
}

func TestF31FirstCallerGoes(t *testing.T) {
	t.Parallel()
	for i, c := range callers() {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			others := crowdOf(i == 0) - 1
			r := newRig(t, func(s *setup) { s.enforcer.Cache.DenyFreshFor = 30 * time.Second })
			release := r.front.hold()
			first, leave := context.WithCancel(t.Context())
			defer leave()
			gone := make(chan reply, 1)
			go func() { gone <- r.local(first, c) }()
			for r.front.calls() == 0 {
				pass(t, time.Millisecond)
			}
			var wg sync.WaitGroup
			for range others {
				wg.Go(func() { r.right(r.local(t.Context(), c)) })
			}
			pass(t, 5*time.Millisecond)
			leave()
			left := <-gone
			assert.Equal(t, http.StatusServiceUnavailable, left.status, "the first is gone before the answer")
			release()
			wg.Wait()
			assert.Equal(t, 1, r.front.calls())
			assert.Equal(t, map[bool]int{true: others, false: 0}[c.has], r.runs(c.token))
		})
	}
}

// strictWriter notes what is written after the request was over.
type strictWriter struct {
	httptest.ResponseRecorder
	over atomic.Bool
	late *atomic.Int64
}

func (w *strictWriter) note() {
	if w.over.Load() {
		w.late.Add(1)
	}
}

func (w *strictWriter) Write(b []byte) (int, error) { w.note(); return w.ResponseRecorder.Write(b) }
func (w *strictWriter) WriteHeader(status int)      { w.note(); w.ResponseRecorder.WriteHeader(status) }

// leaveAll has a thousand callers ask at once, and all of them leave before there
// is an answer.
func (r *rig) leaveAll(token string) {
	r.t.Helper()
	ctx, leave := context.WithCancel(r.t.Context())
	defer leave()
	var wg sync.WaitGroup
	var arrived, late atomic.Int64
	for i := range 1000 {
		wg.Go(func() {
			arrived.Add(1)
			w := &strictWriter{ResponseRecorder: *httptest.NewRecorder(), late: &late}
			r.echo.ServeHTTP(w, newRequest(ctx, caller{browser: i%2 == 0, token: token}))
			w.over.Store(true)
			assert.Equal(r.t, http.StatusServiceUnavailable, w.Code)
		})
	}
	for arrived.Load() < 1000 {
		pass(r.t, 5*time.Millisecond)
	}
	leave()
	wg.Wait()
	assert.Zero(r.t, late.Load(), "writes to a finished response")
	assert.Zero(r.t, r.runs(token))
}

func TestF32AllCallersGo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ended []time.Duration
		begin := time.Now()
		r := newClockRig(t, func(ctx context.Context, _ string) ([]client.Factor, error) {
			<-ctx.Done()
			ended = append(ended, time.Since(begin))
			return nil, ctx.Err()
		}, nil)
		r.leaveAll(callers()[2].token)
		assert.Less(t, time.Since(begin), time.Second, "nobody is kept")
		pass(t, 2*time.Second)
		synctest.Wait()
		assert.Equal(t, []time.Duration{2 * time.Second}, ended, "the call ends by its deadline")
		assert.Zero(t, r.enforcer.Stats().InFlight)
	})
}

// TestF32AllCallersGoOverSockets runs alone: it counts goroutines.
func TestF32AllCallersGoOverSockets(t *testing.T) {
	r := newRig(t, func(s *setup) { s.enforcer.Lookup.Timeout, s.enforcer.Lookup.MaxWait = time.Second, 0 })
	r.warmUp([]caller{{has: true, token: tokenWith("before")}})
	r.genauth.CloseIdleConnections()
	r.browser.CloseIdleConnections()
	r.front.end()
	there := goleak.IgnoreCurrent()
	ended := make(chan struct{}, 1000)
	r.front.answer(func(_ http.ResponseWriter, req *http.Request) {
		<-req.Context().Done()
		ended <- struct{}{}
	})
	r.leaveAll(callers()[2].token)
	if r.front.calls(callers()[2].token) > 0 {
		<-ended
	}
	r.eventually("a goroutine is left", func() bool { return goleak.Find(there) == nil })
	assert.Zero(t, r.enforcer.Stats().InFlight)
}
