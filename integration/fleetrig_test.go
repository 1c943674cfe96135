package integration_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/echomfa/echomfa/redisstore"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fleetRig is several instances of an app that share a Redis, each through a
// toxiproxy of its own, and a GenAuth.
type fleetRig struct {
	t         *testing.T
	server    *redistest.Server
	genauth   *genauthtest.Server
	instances []*appInstance
	clock     *redisRig // which waits
}

// appInstance is an Enforcer with its Store before one page.
type appInstance struct {
	toxic   *toxic
	store   *keptStore
	mfa     *echomfa.Enforcer
	guarded http.Handler
	log     *logText
}

// keptStore counts what was kept.
type keptStore struct {
	*redisstore.Store
	kept atomic.Int64
}

func (s *keptStore) Set(ctx context.Context, facts echomfa.StoredFacts, v echomfa.StoreVersion, keep time.Duration) error {
	err := s.Store.Set(ctx, facts, v, keep)
	if err == nil {
		s.kept.Add(1)
	}
	return err
}

// logText is a log that several goroutines write.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// newFleet starts instances, and waits until each relies on what the first has
// asked.
func newFleet(t *testing.T, n int, cache echomfa.CacheConfig) *fleetRig {
	t.Helper()
	r := &fleetRig{t: t, server: redistest.New(t), genauth: genauthtest.Start(t), clock: &redisRig{t: t}}
	for range n {
		r.instances = append(r.instances, r.newInstance(cache))
	}
	for _, i := range r.instances[1:] {
		r.clock.eventually("the store is not relied upon", func() bool {
			token := r.genauth.Mint(genauthtest.Token{UserID: r.user(genauthtest.OTP), Opaque: true})
			r.ask(r.instances[0], token)
			pass(t, 20*time.Millisecond)
			r.ask(i, token)
			return i.mfa.Stats().Store.Hits > 0
		})
	}
	return r
}

func (r *fleetRig) newInstance(cache echomfa.CacheConfig) *appInstance {
	r.t.Helper()
	i := &appInstance{toxic: &toxic{}, log: &logText{}}
	genauth, err := client.New(client.Config{BaseURL: r.genauth.URL(), AppID: r.genauth.AppID(), Timeout: patience})
	require.NoError(r.t, err)
	r.t.Cleanup(genauth.CloseIdleConnections)
	store, err := redisstore.New(redisstore.Config{
		Redis:   rueidis.ClientOption{InitAddress: []string{i.toxic.start(r.t, r.server.Addr)}},
		Secrets: [][]byte{make([]byte, 32)},
	})
	require.NoError(r.t, err)
	r.t.Cleanup(func() { assert.NoError(r.t, store.Close()) })
	i.store = &keptStore{Store: store}
	cache.Store, cache.Size = i.store, fewUsers
	i.mfa, err = echomfa.New(echomfa.Config{
		Client: genauth,
		Cache:  cache,
		Lookup: echomfa.LookupConfig{MaxPerSecond: 1e6, Timeout: patience},
		Logger: slog.New(slog.NewTextHandler(i.log, nil)),
	})
	require.NoError(r.t, err)
	r.t.Cleanup(func() { assert.NoError(r.t, i.mfa.Close()) })
	guard := i.mfa.Middleware(echomfa.HandlerConfig{Policy: otpPolicy()})
	i.guarded = guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	return i
}

// user makes a user and returns the id.
func (r *fleetRig) user(factors ...genauthtest.FactorType) string {
	return r.genauth.AddUser(genauthtest.User{Factors: factors}).ID
}

// ask asks an instance for the page.
func (r *fleetRig) ask(i *appInstance, token string) (status int) {
	w := httptest.NewRecorder()
	i.guarded.ServeHTTP(w, newRequest(r.t.Context(), caller{token: token}))
	return w.Code
}

// askAll asks all instances and expects one status.
func (r *fleetRig) askAll(token string, want int) {
	r.t.Helper()
	for n, i := range r.instances {
		assert.Equal(r.t, want, r.ask(i, token), "instance %d", n)
	}
}

// until asks all instances, again and again, until each has given a status. That is
// long before FreshFor ends, or it fails.
func (r *fleetRig) until(token string, want int) {
	r.t.Helper()
	for n, i := range r.instances {
		for begin := time.Now(); r.ask(i, token) != want; pass(r.t, time.Millisecond) {
			require.Less(r.t, time.Since(begin), givenUp, "instance %d", n)
		}
	}
}

// keep asks an instance until what it has learned is in the store, and returns when it
// asked: a busy machine may not get that done in time, and then the instance goes without.
func (r *fleetRig) keep(i *appInstance, token string, want int) (asked time.Time) {
	r.t.Helper()
	r.clock.eventually("it is not kept", func() bool {
		before := i.store.kept.Load()
		asked = time.Now()
		require.Equal(r.t, want, r.ask(i, token))
		for range 40 {
			if i.store.kept.Load() > before {
				return true
			}
			pass(r.t, 5*time.Millisecond)
		}
		// It asks again, but not soon: what is asked for within 2 s of an invalidation may
		// be from before it, by another clock, and no other instance believes it.
		_ = i.mfa.Invalidate(r.t.Context(), token)
		pass(r.t, 3*time.Second)
		return false
	})
	return asked
}

// tell has an instance invalidate, again where the machine is too busy for Redis to
// answer in time: that is an error, and nobody may count upon it then.
func (r *fleetRig) tell(invalidate func() error) {
	r.t.Helper()
	r.clock.eventually("nobody can be told", func() bool {
		err := invalidate()
		return err == nil || errors.Is(err, echomfa.ErrUserNotIndexed) // all have been told of those that name the user
	})
}

// asides counts how often instances could not rely on the store, and had to ask for
// themselves.
func (r *fleetRig) asides() (n int) {
	for _, i := range r.instances {
		stats := i.mfa.Stats().Store
		n += int(stats.Failed+stats.Skipped) + i.log.count("mfa store is not heard")
	}
	return n
}

// command sends a command to Redis, not through a toxiproxy.
func (r *fleetRig) command(words ...string) rueidis.RedisResult {
	r.t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{r.server.Addr}, DisableCache: true})
	require.NoError(r.t, err)
	defer c.Close()
	return c.Do(r.t.Context(), c.B().Arbitrary(words...).Build())
}
