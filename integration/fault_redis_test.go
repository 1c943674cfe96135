package integration_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/echomfa/echomfa/redisstore"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// redisRig is an instance that reaches Redis through a toxiproxy, and another
// that reaches it directly.
type redisRig struct {
	t      *testing.T
	server *redistest.Server
	toxic  *toxic
	spoilt *redisstore.Store
	direct *redisstore.Store
	dials  atomic.Int64 // of the spoilt one
}

func newRedisRig(t *testing.T) *redisRig {
	t.Helper()
	r := &redisRig{t: t, server: redistest.New(t), toxic: &toxic{}}
	c := redisstore.Config{Secrets: [][]byte{make([]byte, 32)}}
	open := func() *redisstore.Store {
		s, err := redisstore.New(c)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, s.Close()) })
		return s
	}
	c.Redis.InitAddress = []string{r.server.Addr}
	c.Redis.ConnWriteTimeout = patience // nothing of its own is tested
	r.direct = open()
	c.Redis.InitAddress = []string{r.toxic.start(t, r.server.Addr)}
	c.Redis.ConnWriteTimeout = 0
	c.Redis.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
		r.dials.Add(1)
		return d.DialContext(ctx, "tcp", addr)
	}
	r.spoilt = open()
	return r
}

func storeKey() echomfa.StoreKey {
	var k echomfa.StoreKey
	rand.Read(k[:])
	return k
}

func storedFacts(kind echomfa.FactorType) echomfa.StoredFacts {
	return echomfa.StoredFacts{Key: storeKey(), User: storeKey(), Types: []echomfa.FactorType{kind}, Asked: time.Now()}
}

// keep stores facts. It tries again where the machine is busy.
func (r *redisRig) keep(s echomfa.Store, facts echomfa.StoredFacts) {
	r.t.Helper()
	r.eventually("it does not work", func() bool {
		_, _, v, err := s.Get(r.t.Context(), facts.Key, facts.User)
		if err != nil || s.Set(r.t.Context(), facts, v, time.Minute) != nil {
			return false
		}
		got, found, _, err := s.Get(r.t.Context(), facts.Key, facts.User)
		return err == nil && found && assert.Equal(r.t, facts.Types, got.Types)
	})
}

func (r *redisRig) eventually(otherwise string, so func() bool) {
	r.t.Helper()
	for begin := time.Now(); !so(); pass(r.t, 5*time.Millisecond) {
		require.Less(r.t, time.Since(begin), givenUp, otherwise)
	}
}

// briefly calls do with a context that ends soon.
func (r *redisRig) briefly(do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(r.t.Context(), 50*time.Millisecond)
	defer cancel()
	return do(ctx)
}

// askBriefly asks for known facts. They are found as they are, or not at all.
func (r *redisRig) askBriefly(all []echomfa.StoredFacts) (errs int) {
	r.t.Helper()
	for _, facts := range all {
		var version echomfa.StoreVersion
		err := r.briefly(func(ctx context.Context) error {
			got, found, v, err := r.spoilt.Get(ctx, facts.Key, facts.User)
			version = v
			if found {
				assert.NoError(r.t, err)
				assert.Equal(r.t, facts.Types, got.Types, "another's facts")
				assert.Equal(r.t, facts.Key, got.Key)
			}
			return err
		})
		if err == nil {
			err = r.briefly(func(ctx context.Context) error { return r.spoilt.Set(ctx, facts, version, time.Minute) })
		}
		if err != nil {
			errs++
		}
	}
	stranger := storeKey()
	for _, do := range []func(ctx context.Context) error{
		func(ctx context.Context) error { return r.spoilt.Delete(ctx, stranger, storeKey()) },
		func(ctx context.Context) error { return r.spoilt.DeleteUser(ctx, stranger) },
	} {
		if r.briefly(do) != nil {
			errs++
		}
	}
	return errs
}

// hear watches, and returns what is heard.
func (r *redisRig) hear(s echomfa.Store) <-chan echomfa.StoreEvent {
	r.t.Helper()
	heard := make(chan echomfa.StoreEvent, 10000)
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	done := make(chan error, 1)
	go func() {
		done <- s.Watch(ctx, func(event echomfa.StoreEvent) { heard <- event })
	}()
	r.t.Cleanup(func() {
		cancel()
		assert.NoError(r.t, <-done)
	})
	r.until(heard, echomfa.StoreEvent{Kind: echomfa.Hearing})
	return heard
}

// until waits for an event, and passes by all others.
func (r *redisRig) until(heard <-chan echomfa.StoreEvent, want echomfa.StoreEvent) {
	r.t.Helper()
	deadline := time.After(givenUp)
	for {
		select {
		case event := <-heard:
			if event == want {
				return
			}
		case <-deadline:
			require.Failf(r.t, "not heard", "%v", want)
		}
	}
}

// TestF40RedisBehindAToxicNetwork: calls are errors or misses while it lasts, no
// facts are wrong, and all is well afterwards: what was invalidated
// meanwhile is known, or it is known that something was missed.
func TestF40RedisBehindAToxicNetwork(t *testing.T) {
	t.Parallel()
	toxics := func(texts ...string) func(*redisRig) {
		return func(r *redisRig) {
			for _, text := range texts {
				r.toxic.add(r.t, text)
			}
		}
	}
	reset := func(r *redisRig) { r.toxic.proxy.Toxics.ResetToxics(r.t.Context()) }
	for name, row := range map[string]struct {
		begin, end func(*redisRig)
		works      bool // calls may succeed meanwhile
		whole      bool // for `make slow` alone
	}{
		"gone":        {begin: func(r *redisRig) { r.toxic.proxy.Stop() }, end: func(r *redisRig) { require.NoError(r.t, r.toxic.proxy.Start()) }, whole: true},
		"slow":        {begin: toxics(`{"type":"latency","attributes":{"latency":1000}}`), end: reset, whole: true},
		"silent":      {begin: toxics(`{"type":"timeout","attributes":{"timeout":0}}`), end: reset},
		"deaf":        {begin: toxics(`{"type":"timeout","stream":"upstream","attributes":{"timeout":0}}`), end: reset, whole: true},
		"resets":      {begin: toxics(`{"type":"reset_peer","attributes":{"timeout":0}}`), end: reset, whole: true},
		"breaks off":  {begin: toxics(`{"type":"limit_data","attributes":{"bytes":700}}`), end: reset, works: true},
		"in pieces":   {begin: toxics(`{"type":"slicer","attributes":{"average_size":3,"size_variation":2,"delay":10}}`), end: reset, works: true, whole: true},
		"a trickle":   {begin: toxics(`{"type":"bandwidth","attributes":{"rate":1}}`), end: reset, works: true, whole: true},
		"flaky delay": {begin: toxics(`{"type":"latency","attributes":{"latency":45,"jitter":40}}`), end: reset, works: true, whole: true},
	} {
		if row.whole && !allRows {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRedisRig(t)
			heard := r.hear(r.spoilt)
			all := []echomfa.StoredFacts{storedFacts("A"), storedFacts("B"), storedFacts("C")}
			for _, facts := range all {
				r.keep(r.spoilt, facts)
			}
			row.begin(r)
			for range 3 {
				errs := r.askBriefly(all)
				if !row.works {
					assert.Equal(t, len(all)+2, errs)
				}
			}
			require.NoError(t, r.direct.DeleteUser(t.Context(), all[0].User))
			row.end(r)

			for _, facts := range all {
				r.keep(r.spoilt, facts)
				r.keep(r.direct, facts)
			}
			// A connection that was not lost has had its say by now, or is about
			// to: what is invalidated from here on is heard.
			r.eventually("it is not heard", func() bool {
				require.NoError(t, r.direct.DeleteUser(t.Context(), all[1].User))
				select {
				case event := <-heard:
					return event.User == all[1].User
				case <-time.After(100 * time.Millisecond):
					return false
				}
			})
			assert.Zero(t, r.spoilt.Stats().Rejected)
		})
	}
}

// TestF40RedisFlaps: the connection comes and goes while many ask.
func TestF40RedisFlaps(t *testing.T) {
	t.Parallel()
	r := newRedisRig(t)
	heard := r.hear(r.spoilt)
	all := []echomfa.StoredFacts{storedFacts("A"), storedFacts("B"), storedFacts("C"), storedFacts("D")}
	for _, facts := range all {
		r.keep(r.spoilt, facts)
	}
	for range 10 {
		r.toxic.proxy.Stop()
		r.askBriefly(all)
		require.NoError(t, r.toxic.proxy.Start())
		r.askBriefly(all)
	}
	for len(heard) > 0 { // from before
		<-heard
	}
	r.until(heard, echomfa.StoreEvent{Kind: echomfa.Hearing})
	for _, facts := range all {
		r.keep(r.spoilt, facts)
	}
	assert.Zero(t, r.spoilt.Stats().Rejected)
}

// TestF40RedisRestartsBetweenPublishAndDelivery: an invalidation is accepted, and
// Redis dies before an instance has heard it. The instance is told that it has
// missed something.
func TestF40RedisRestartsBetweenPublishAndDelivery(t *testing.T) {
	t.Parallel()
	r := newRedisRig(t)
	heard := r.hear(r.spoilt)
	r.toxic.add(t, `{"name":"held","type":"latency","attributes":{"latency":60000}}`)
	user := storeKey()
	require.NoError(t, r.direct.DeleteUser(t.Context(), user))
	r.server.Stop(t)
	r.toxic.proxy.Toxics.ResetToxics(t.Context())
	r.server.Start(t)
	deadline := time.After(givenUp)
	for resumed := false; !resumed; {
		select {
		case event := <-heard:
			resumed = event.Kind == echomfa.Rewound
		case <-deadline:
			require.Fail(t, "not rewound")
		}
	}
	user = storeKey()
	r.eventually("it does not work again", func() bool { return r.direct.DeleteUser(t.Context(), user) == nil })
	r.until(heard, echomfa.StoreEvent{User: user})
}

// TestF40SilentConnectionIsNoticed: a peer that is gone without a word is noticed
// by a ping, while nobody asks anything.
func TestF40SilentConnectionIsNoticed(t *testing.T) {
	t.Parallel()
	r := newRedisRig(t)
	heard := r.hear(r.spoilt)
	before := r.dials.Load()
	r.toxic.add(t, `{"type":"timeout","attributes":{"timeout":0}}`)
	r.eventually("it goes unnoticed", func() bool { return r.dials.Load() > before })
	for len(heard) > 0 { // from before
		<-heard
	}
	r.toxic.proxy.Toxics.ResetToxics(t.Context())
	r.until(heard, echomfa.StoreEvent{Kind: echomfa.Hearing})
}
