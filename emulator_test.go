package echomfa_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
)

// patience is what a busy machine is given over sockets, where time is not the point.
const patience = time.Minute

// overSockets makes an Enforcer whose GenAuth is the emulator, with one user who
// has enrolled OTP and one who has nothing.
func overSockets(t *testing.T) (*genauthtest.Server, *echomfa.Enforcer) {
	t.Helper()
	genauth := genauthtest.Start(t)
	genauth.AddUser(genauthtest.User{ID: "alice", Username: "alice"})
	genauth.AddUser(genauthtest.User{ID: "bob", Username: "bob"})
	genauth.Enroll("alice", genauthtest.OTP)
	c, err := client.New(client.Config{BaseURL: genauth.URL(), AppID: genauth.AppID(), Timeout: patience})
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	return genauth, newEnforcer(t, c, func(cfg *echomfa.Config) {
		cfg.Audience, cfg.Namespace, cfg.Lookup.Timeout = nil, "", patience
	})
}

// TestStampede shows, over real sockets, that a thousand requests with one cold
// token make one call, and that the first to leave takes nothing from the others.
func TestStampede(t *testing.T) {
	t.Parallel()
	genauth, e := overSockets(t)
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	t.Cleanup(release) // the emulator's Close would wait for it
	genauth.SetFault(genauthtest.Fault{Change: func(*genauthtest.Answer) { <-held }})
	jwt := genauth.AccessToken("alice")
	handler := e.Middleware(echomfa.HandlerConfig{Policy: otp()})(http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	serve := func(ctx context.Context) int {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		withToken(jwt)(r)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	first, leave := context.WithCancel(t.Context())
	go serve(first)
	require.NoError(t, genauth.WaitCalls(t.Context(), 1))
	leave()
	codes := make([]int, 999)
	var wg sync.WaitGroup
	for i := range codes {
		wg.Go(func() { codes[i] = serve(t.Context()) })
	}
	for e.Stats().Misses < 1000 {
		runtime.Gosched()
	}
	release()
	wg.Wait()
	for _, code := range codes {
		assert.Equal(t, http.StatusNoContent, code)
	}
	assert.Equal(t, 1, genauth.ListCalls())
	for range 50 {
		assert.Equal(t, http.StatusNoContent, serve(t.Context()))
	}
	assert.Equal(t, 1, genauth.ListCalls())
}

// TestTwoRoutesOneToken shows that facts are shared and verdicts are not, in
// both orders.
func TestTwoRoutesOneToken(t *testing.T) {
	t.Parallel()
	verdicts := map[string]echomfa.Outcome{"OTP": echomfa.Allowed, "FACE": echomfa.NotEnrolled}
	for _, order := range [][]string{{"OTP", "FACE"}, {"FACE", "OTP"}} {
		genauth, e := overSockets(t)
		jwt := genauth.AccessToken("alice")
		for _, text := range order {
			p, err := echomfa.ParsePolicy(text)
			require.NoError(t, err)
			assert.Equal(t, verdicts[text], decide(t, e, jwt, p).Outcome)
		}
		assert.Equal(t, 1, genauth.ListCalls())
	}
}

// TestT17OneUsersFactsNeverServeAnother runs random users over a cache that is
// far too small for them.
func TestT17OneUsersFactsNeverServeAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const users = 200
		d := newDirectory()
		for i := range users {
			if i%2 == 0 {
				d.enroll(manyTokens(i), echomfa.OTP)
			} else {
				d.enroll(manyTokens(i), echomfa.Email)
			}
		}
		e := newEnforcer(t, d, func(c *echomfa.Config) {
			c.Cache.Size = 20
			c.Lookup = echomfa.LookupConfig{MaxConcurrent: 1000, MaxPerSecond: 1e6}
		})
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				for i := range 5000 {
					user := (i*7 + worker*13) % users
					got, _ := e.Decide(t.Context(), manyTokens(user), otp())
					want := echomfa.NotEnrolled
					if user%2 == 0 {
						want = echomfa.Allowed
					}
					if got.Outcome != want {
						t.Errorf("user %d: %v", user, got.Outcome)
					}
				}
			})
		}
		wg.Wait()
		assert.LessOrEqual(t, e.Stats().Entries, 20)
	})
}
