package integration_test

import (
	"context"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/stretchr/testify/assert"
)

func liveHeap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// crowd are users of one kind, and what they got: the right answer, a wrong one,
// or that they shall come back.
type crowd struct {
	right, wrong, later atomic.Int64
	mu                  sync.Mutex
	took                []time.Duration // by a clock that the machine cannot slow down
}

func (w *crowd) ask(ctx context.Context, r *rig, c caller) {
	begin := time.Now()
	got := r.local(ctx, c)
	took := time.Since(begin)
	want := http.StatusForbidden
	switch {
	case c.has:
		want = http.StatusOK
	case c.browser:
		want = http.StatusFound
	}
	switch got.status {
	case want:
		w.right.Add(1)
	case http.StatusServiceUnavailable:
		w.later.Add(1)
	default:
		w.wrong.Add(1)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took = append(w.took, took)
}

func (w *crowd) slowest() time.Duration { return slices.Max(w.took) }

// sources counts from where the facts came by which requests were let through.
type sources struct{ cached, other atomic.Int64 }

func (s *sources) ObserveDecision(_ context.Context, d echomfa.Decision, _, _ string) {
	switch {
	case d.Outcome != echomfa.Allowed:
	case d.Source == echomfa.Cached:
		s.cached.Add(1)
	default:
		s.other.Add(1)
	}
}

// TestF27Flood sends made-up tokens, a thousand a second, beside 100 warm users, by
// a clock of its own. It runs alone: it measures the heap.
func TestF27Flood(t *testing.T) {
	t.Run("facts stay fresh", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newClockFlood(t, 5*time.Minute, echomfa.LookupConfig{})
			f.run(floodFor, int(floodFor/time.Millisecond))
			f.heedsUsers()
			// Of the others who are let in, each is new.
			assert.Equal(t, f.warmed.right.Load(), f.sources.cached.Load(), "all from the cache")
			assert.Zero(t, f.warmed.slowest(), "they wait for nothing")
			assert.LessOrEqual(t, f.load.mostInASecond(), 100)
		})
	})
	// For three times FreshFor: the flood must not keep active users from
	// being renewed. A hundred of them need about 110 lookups a second.
	t.Run("facts are renewed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newClockFlood(t, time.Second, echomfa.LookupConfig{MaxWait: time.Second, MaxPerSecond: 300})
			f.run(3*time.Second, 3000)
			f.heedsUsers()
			assert.GreaterOrEqual(t, f.sources.other.Load(), int64(2*100), "each was renewed twice at least")
			// The bucket holds a second's worth when it is full.
			assert.LessOrEqual(t, f.load.mostInASecond(), 2*300)
		})
	})
}

// TestF27FloodOverSockets is the same over sockets: whatever the machine has time
// for, nobody gets by, and GenAuth is spared. The siege lasts for minutes.
func TestF27FloodOverSockets(t *testing.T) {
	f := &flood{}
	f.rig = newRig(t, func(s *setup) {
		s.enforcer.Observer = &f.sources
		s.enforcer.Cache.FreshFor = 5 * time.Minute
		s.enforcer.Lookup.MaxWait = 500 * time.Millisecond
	})
	f.front.answer(func(w http.ResponseWriter, req *http.Request) {
		defer f.load.enter()()
		pass(t, 10*time.Millisecond)
		tellTruth(w, req)
	})
	f.begin()
	f.run(floodFor, int(floodFor/time.Millisecond))
}

type flood struct {
	*rig
	sources sources
	load    gauge
	warm    []caller // have the factor
	lacking []caller // have it not
	warmed  crowd    // what the warm users got
	grown   int64    // by how many bytes the heap has grown
}

func newClockFlood(t *testing.T, freshFor time.Duration, lookup echomfa.LookupConfig) *flood {
	t.Helper()
	f := &flood{}
	f.rig = newClockRig(t, func(_ context.Context, token string) ([]client.Factor, error) {
		defer f.load.enter()()
		pass(t, 10*time.Millisecond)
		if factors := truthOf(token); factors != nil {
			return factors, nil
		}
		return nil, client.ErrUnauthenticated
	}, func(c *echomfa.Config) {
		c.Observer, c.Cache.FreshFor, c.Lookup = &f.sources, freshFor, lookup
	})
	f.begin()
	return f
}

// begin warms a hundred users.
func (f *flood) begin() {
	t := f.t
	t.Helper()
	for i := range 100 {
		c := caller{browser: i%2 == 0, has: true, token: tokenWith("warm-" + strconv.Itoa(i))}
		for got := f.local(t.Context(), c); got.status != http.StatusOK; got = f.local(t.Context(), c) {
			pass(t, 10*time.Millisecond)
		}
		f.warm = append(f.warm, c)
	}
	for i := range 4 {
		f.lacking = append(f.lacking, caller{browser: i%2 == 0, token: tokenWithout("lacking-" + strconv.Itoa(i))})
	}
	f.sources.cached.Store(0)
	f.sources.other.Store(0)
}

// heedsUsers checks what a machine that keeps up has for active users, and what
// the flood costs.
func (f *flood) heedsUsers() {
	f.t.Helper()
	assert.Zero(f.t, f.warmed.later.Load(), "warm users are right every time")
	assert.Less(f.t, f.grown, int64(32<<20), "heap")
}

// run floods for a time, and checks what holds of every flood, however slow.
func (f *flood) run(lasts time.Duration, tokens int) {
	t := f.t
	t.Helper()
	var lacking, first crowd
	var wg, waves sync.WaitGroup
	var over atomic.Bool
	for i, c := range slices.Concat(f.warm, f.lacking) {
		users := &f.warmed
		if !c.has {
			users = &lacking
		}
		wg.Go(func() {
			pass(t, time.Duration(i)*time.Millisecond)
			ticker := time.NewTicker(100 * time.Millisecond)
			defer ticker.Stop()
			for !over.Load() {
				users.ask(t.Context(), f.rig, c)
				<-ticker.C
			}
		})
	}
	// Users who sign in while it lasts: what they get is reported.
	wg.Go(func() {
		for i := 0; !over.Load(); i++ {
			c := caller{browser: i%2 == 0, has: true, token: tokenWith("first-" + strconv.Itoa(i))}
			wg.Go(func() { first.ask(t.Context(), f.rig, c) })
			pass(t, 50*time.Millisecond)
		}
	})
	before := liveHeap()
	var peak atomic.Uint64
	wg.Go(func() {
		for !over.Load() {
			peak.Store(max(peak.Load(), liveHeap()))
			pass(t, lasts/5)
		}
	})
	var answers [600]atomic.Int64
	const wave = 20 * time.Millisecond
	perWave := tokens / int(lasts/wave)
	ticker := time.NewTicker(wave)
	defer ticker.Stop()
	// More than may wait for a lookup, and few enough that what is measured is
	// not the callers' own memory.
	present := make(chan struct{}, 1200)
	for sent := 0; sent < tokens; sent += perWave {
		for n := range perWave {
			present <- struct{}{}
			waves.Go(func() {
				defer func() { <-present }()
				answers[f.local(t.Context(), caller{token: "made-up-" + strconv.Itoa(sent+n)}).status].Add(1)
			})
		}
		<-ticker.C
	}
	waves.Wait()
	over.Store(true)
	wg.Wait()
	warm := &f.warmed
	f.grown = int64(max(peak.Load(), liveHeap())) - int64(before)
	assert.Zero(t, warm.wrong.Load(), "active users get the right answer or are told to come back")
	assert.Zero(t, lacking.wrong.Load(), "nobody gets by")
	assert.Zero(t, first.wrong.Load())
	assert.Equal(t, f.sources.cached.Load()+f.sources.other.Load(), warm.right.Load()+first.right.Load(), "nobody else was let through")
	assert.Equal(t, int64(tokens), answers[401].Load()+answers[503].Load())
	assert.Positive(t, answers[401].Load())
	assert.LessOrEqual(t, f.load.most(), 64)
	t.Logf("warm users: %d right, each within %v, %d from the cache, %d renewed; flood: %d times 401, %d times 503; "+
		"first-seen users: %d right, %d told to come back; users without the factor: %d right, %d told to come back; "+
		"lookups: %d at once, %d in a second; heap: %d KiB",
		warm.right.Load(), warm.slowest(), f.sources.cached.Load(), f.sources.other.Load(), answers[401].Load(), answers[503].Load(),
		first.right.Load(), first.later.Load(), lacking.right.Load(), lacking.later.Load(), f.load.most(), f.load.mostInASecond(), f.grown>>10)
}
