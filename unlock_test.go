package echomfa_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
)

// site is an app that needs OTP, served over a socket, whose GenAuth is the
// emulator over another.
type site struct {
	genauth  *genauthtest.Server
	enforcer *echomfa.Enforcer
	url      string
	http     *http.Client
}

// newSite serves an app for one user, alice, who has enrolled the given types.
func newSite(t *testing.T, cache echomfa.CacheConfig, enrolled ...genauthtest.FactorType) *site {
	t.Helper()
	genauth := genauthtest.Start(t)
	genauth.AddUser(genauthtest.User{ID: "alice", Factors: enrolled})
	c, err := client.New(client.Config{BaseURL: genauth.URL(), AppID: genauth.AppID(), Timeout: patience})
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	enforcer := newEnforcer(t, c, func(cfg *echomfa.Config) {
		cfg.Audience, cfg.Namespace, cfg.Cache, cfg.Lookup.Timeout = nil, "", cache, patience
	})
	app := echo.New()
	app.GET("/", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) }, enforcer.Require(otp()))
	server := httptest.NewServer(app)
	t.Cleanup(server.Close)
	return &site{genauth: genauth, enforcer: enforcer, url: server.URL, http: server.Client()}
}

// visit returns the status of a request, or 0 if there was no answer.
func (s *site) visit(t *testing.T, token string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url, http.NoBody)
	if !assert.NoError(t, err) {
		return 0
	}
	withToken(token)(r)
	resp, err := s.http.Do(r)
	if !assert.NoError(t, err) {
		return 0
	}
	assert.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// statusFor is what the app answers to a user who has enrolled OTP or has not.
func statusFor(enrolled bool) int {
	if enrolled {
		return http.StatusNoContent
	}
	return http.StatusForbidden
}

// set makes alice have OTP or not.
func (s *site) set(enrolled bool) {
	if enrolled {
		s.genauth.Enroll("alice", genauthtest.OTP)
		return
	}
	s.genauth.Reset("alice")
}

// TestEnrollingUnlocksAfterDenyFreshFor shows that enrolling at GenAuth lets in
// the first request that comes later than DenyFreshFor after the refusal, with
// nobody telling the Enforcer, and that until then GenAuth is not asked again.
func TestEnrollingUnlocksAfterDenyFreshFor(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		cache echomfa.CacheConfig
		wait  time.Duration
	}{
		"the default, 2 s": {echomfa.CacheConfig{}, 2 * time.Second},
		"50 ms":            {echomfa.CacheConfig{DenyFreshFor: 50 * time.Millisecond}, 50 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, row.cache)
			jwt := s.genauth.AccessToken("alice")
			require.Equal(t, http.StatusForbidden, s.visit(t, jwt))
			refused := time.After(row.wait)
			s.set(true)
			<-refused
			assert.Equal(t, http.StatusNoContent, s.visit(t, jwt), "the first request is let in")
			assert.Equal(t, 2, s.genauth.ListCalls())
			assert.Equal(t, http.StatusNoContent, s.visit(t, jwt))
			assert.Equal(t, 2, s.genauth.ListCalls(), "what was learned is kept")
		})
	}
}

// TestT48InvalidateActsAtOnce shows that a change at GenAuth counts for the first
// request after Invalidate: with facts in the cache, and with an older lookup
// whose answer is on its way and arrives last.
func TestT48InvalidateActsAtOnce(t *testing.T) {
	t.Parallel()
	invalidate := map[string]func(context.Context, *echomfa.Enforcer, string) error{
		"Invalidate": func(ctx context.Context, e *echomfa.Enforcer, jwt string) error {
			return e.Invalidate(ctx, jwt)
		},
		"InvalidateUser": func(ctx context.Context, e *echomfa.Enforcer, _ string) error {
			return e.InvalidateUser(ctx, "alice")
		},
		"InvalidateRequest": func(ctx context.Context, e *echomfa.Enforcer, jwt string) error {
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/mfa", nil)
			withToken(jwt)(r)
			return e.InvalidateRequest(r)
		},
	}
	for how, drop := range invalidate {
		for what, enrolled := range map[string]bool{"just enrolled": true, "just removed": false} {
			t.Run(how+", "+what+", cached", func(t *testing.T) {
				t.Parallel()
				s := newSite(t, echomfa.CacheConfig{})
				s.set(!enrolled)
				jwt := s.genauth.AccessToken("alice")
				require.Equal(t, statusFor(!enrolled), s.visit(t, jwt))
				s.set(enrolled)
				s.actsAtOnce(t, jwt, enrolled, drop)
			})
			t.Run(how+", "+what+", older lookup under way", func(t *testing.T) {
				t.Parallel()
				s := newSite(t, echomfa.CacheConfig{})
				s.set(!enrolled)
				jwt := s.genauth.AccessToken("alice")
				computed, held := make(chan struct{}), make(chan struct{})
				release := sync.OnceFunc(func() { close(held) })
				t.Cleanup(release) // the emulator's Close would wait for it
				s.genauth.SetFault(genauthtest.Fault{Times: 1, Change: func(*genauthtest.Answer) {
					close(computed)
					<-held
				}})
				older := make(chan int, 1)
				go func() { older <- s.visit(t, jwt) }()
				<-computed // it says what was true before
				s.set(enrolled)
				s.actsAtOnce(t, jwt, enrolled, drop)
				release()
				assert.Equal(t, statusFor(!enrolled), <-older, "its own caller gets its answer")
				assert.Equal(t, statusFor(enrolled), s.visit(t, jwt), "it is not kept")
			})
		}
	}
}

func (s *site) actsAtOnce(t *testing.T, jwt string, enrolled bool,
	drop func(context.Context, *echomfa.Enforcer, string) error,
) {
	t.Helper()
	require.NoError(t, drop(t.Context(), s.enforcer, jwt))
	assert.Equal(t, statusFor(enrolled), s.visit(t, jwt))
}
