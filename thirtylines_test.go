package echomfa_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
)

// pair is a route behind the thirty lines of docs/faq.md, and one behind the
// Enforcer, with one GenAuth.
type pair struct {
	genauth  *genauthtest.Server
	homemade *homemade
	enforcer *echomfa.Enforcer
	theirs   http.Handler
	ours     http.Handler
}

func newPair(t *testing.T, cfg genauthtest.Config) *pair {
	t.Helper()
	genauth := genauthtest.Start(t, cfg)
	genauth.AddUser(genauthtest.User{ID: "alice", Factors: []genauthtest.FactorType{genauthtest.OTP}})
	genauth.AddUser(genauthtest.User{ID: "bob"})
	c, err := client.New(client.Config{BaseURL: genauth.URL(), AppID: genauth.AppID()})
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	p := &pair{genauth: genauth, enforcer: newEnforcerOf(t, echomfa.Config{Client: c, EnrollURL: "/mfa"})}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	p.homemade = newHomemade(genauth.URL(), genauth.AppID(), transport)
	p.theirs, p.ours = behind(p.homemade.requireOTP), behind(p.enforcer.Require(echomfa.AnyOf(echomfa.OTP)))
	return p
}

// newHomemade has the timeout of http.DefaultClient: none.
func newHomemade(host, appID string, transport http.RoundTripper) *homemade {
	return &homemade{host: host, appID: appID, client: &http.Client{Transport: transport}, cache: make(map[string]known)}
}

func newEnforcerOf(t *testing.T, cfg echomfa.Config) *echomfa.Enforcer {
	t.Helper()
	enforcer, err := echomfa.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, enforcer.Close()) })
	return enforcer
}

func behind(guard echo.MiddlewareFunc) http.Handler {
	e := echo.New()
	e.GET("/admin", hello, guard)
	return e
}

// answers returns the status that each of the two gives to a token.
func (p *pair) answers(token string, headers ...string) (theirs, ours int) {
	headers = append(headers, "Authorization: Bearer "+token)
	return ask(p.theirs, http.MethodGet, "/admin", headers...).Code, ask(p.ours, http.MethodGet, "/admin", headers...).Code
}

// TestThirtyLinesOfYourOwn holds each row of the table in docs/faq.md: what the thirty
// lines answer, and what the Enforcer does.
func TestThirtyLinesOfYourOwn(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		cfg          genauthtest.Config
		play         func(t *testing.T, p *pair) (theirs, ours int)
		theirs, ours int
	}{
		"a user with OTP": {
			play: func(_ *testing.T, p *pair) (theirs, ours int) {
				return p.answers(p.genauth.AccessToken("alice"))
			},
			theirs: http.StatusOK, ours: http.StatusOK,
		},
		"GenAuth fails in a body with HTTP 200": {
			play: func(_ *testing.T, p *pair) (theirs, ours int) {
				p.genauth.SetFault(genauthtest.Fault{Change: genauthtest.Envelope(500, 0)})
				return p.answers(p.genauth.AccessToken("alice"))
			},
			theirs: http.StatusForbidden, ours: http.StatusServiceUnavailable,
		},
		"and is well again": {
			play: func(_ *testing.T, p *pair) (theirs, ours int) {
				token := p.genauth.AccessToken("alice")
				p.genauth.SetFault(genauthtest.Fault{Change: genauthtest.Envelope(500, 0)})
				p.answers(token)
				p.genauth.ClearFaults()
				return p.answers(token)
			},
			theirs: http.StatusForbidden, ours: http.StatusOK,
		},
		"GenAuth is down": {
			play: func(_ *testing.T, p *pair) (theirs, ours int) {
				p.genauth.Stop()
				return p.answers(p.genauth.AccessToken("alice"))
			},
			theirs: http.StatusInternalServerError, ours: http.StatusServiceUnavailable,
		},
		"a token that GenAuth rejects": {
			play: func(_ *testing.T, p *pair) (theirs, ours int) {
				token := p.genauth.AccessToken("alice")
				p.genauth.Revoke(token)
				return p.answers(token)
			},
			theirs: http.StatusForbidden, ours: http.StatusUnauthorized,
		},
		"a token of another app": {
			cfg: genauthtest.Config{AcceptAnyAudience: true},
			play: func(_ *testing.T, p *pair) (theirs, ours int) {
				return p.answers(p.genauth.Mint(genauthtest.Token{UserID: "alice", Audience: "another-app"}))
			},
			theirs: http.StatusOK, ours: http.StatusUnauthorized,
		},
		"a user who comes back from setting up OTP": {
			play: func(t *testing.T, p *pair) (theirs, ours int) {
				t.Helper()
				token := p.genauth.AccessToken("bob")
				p.answers(token)
				p.genauth.Enroll("bob", genauthtest.OTP)
				require.NoError(t, p.enforcer.Invalidate(t.Context(), token))
				return p.answers(token)
			},
			theirs: http.StatusForbidden, ours: http.StatusOK,
		},
		"a browser without OTP": {
			play: func(_ *testing.T, p *pair) (theirs, ours int) {
				return p.answers(p.genauth.AccessToken("bob"), "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
			},
			theirs: http.StatusForbidden, ours: http.StatusFound,
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			theirs, ours := row.play(t, newPair(t, row.cfg))
			assert.Equal(t, row.theirs, theirs, "thirty lines")
			assert.Equal(t, row.ours, ours, "Enforcer")
		})
	}
}

// TestThirtyLinesCallForEachRequest shows ten requests of one unknown token at once:
// the thirty lines make ten calls, the Enforcer one.
func TestThirtyLinesCallForEachRequest(t *testing.T) {
	t.Parallel()
	const atOnce = 10
	for name, expected := range map[string]int{"theirs": atOnce, "ours": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				slow := &slowGenAuth{delay: time.Second}
				handler := slow.route(t, name)
				var wg sync.WaitGroup
				for range atOnce {
					wg.Go(func() {
						assert.Equal(t, http.StatusOK, ask(handler, http.MethodGet, "/admin", "Authorization: Bearer one-token").Code)
					})
				}
				wg.Wait()
				assert.Equal(t, expected, slow.calls)
			})
		})
	}
}

// TestThirtyLinesHang shows a GenAuth that does not answer for an hour, in virtual time.
func TestThirtyLinesHang(t *testing.T) {
	t.Parallel()
	for name, expected := range map[string]time.Duration{"theirs": time.Hour, "ours": 2 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				slow := &slowGenAuth{delay: time.Hour}
				handler, begin := slow.route(t, name), time.Now()
				ask(handler, http.MethodGet, "/admin", "Authorization: Bearer one-token")
				assert.Equal(t, expected, time.Since(begin))
			})
		})
	}
}

// slowGenAuth lists OTP for every token, after a while.
type slowGenAuth struct {
	delay time.Duration
	mu    sync.Mutex
	calls int
}

func (s *slowGenAuth) wait(ctx context.Context) error {
	s.mu.Lock()
	s.calls++
	s.mu.Unlock()
	select {
	case <-time.After(s.delay):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slowGenAuth) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := s.wait(r.Context()); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	_, _ = fmt.Fprint(w, `{"statusCode":200,"data":[{"factorId":"1","factorType":"OTP"}]}`)
	return w.Result(), nil
}

func (s *slowGenAuth) ListEnrolledFactors(ctx context.Context, _ string) ([]client.Factor, error) {
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	return []client.Factor{{ID: "1", Type: client.OTP}}, nil
}

func (s *slowGenAuth) route(t *testing.T, whose string) http.Handler {
	t.Helper()
	if whose == "theirs" {
		return behind(newHomemade("https://genauth.example", "app", s).requireOTP)
	}
	enforcer := newEnforcerOf(t, echomfa.Config{Client: s, Namespace: "test", Audience: []string{"app"}})
	return behind(enforcer.Require(echomfa.AnyOf(echomfa.OTP)))
}

// TestThirtyLinesKeepEveryToken shows made-up tokens: the thirty lines keep each of them,
// whole; the Enforcer keeps none of them as a token that is good, and only so many.
func TestThirtyLinesKeepEveryToken(t *testing.T) {
	t.Parallel()
	p := newPair(t, genauthtest.Config{})
	const madeUp = 20
	for i := range madeUp {
		theirs, ours := p.answers(fmt.Sprintf("made-up-token-number-%d", i))
		assert.Equal(t, http.StatusForbidden, theirs)
		assert.Equal(t, http.StatusUnauthorized, ours)
	}
	assert.Len(t, p.homemade.cache, madeUp)
	assert.Zero(t, p.enforcer.Stats().Entries)
}
