package integration_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/integration/nginxtest"
)

// gateway is nginx with its own limits in front of GenAuth, and an Enforcer that asks
// through it.
type gateway struct {
	t       *testing.T
	genauth *genauthtest.Server
	e       *echomfa.Enforcer
	log     logText
	users   []string
}

// newGateway starts them, with a number of users who are known.
func newGateway(t *testing.T, http2 bool, users int, change func(*echomfa.Config)) *gateway {
	t.Helper()
	g := &gateway{t: t, genauth: genauthtest.Start(t)}
	nginx := nginxtest.Listen(t)
	nginx.HTTP2 = http2
	nginx.Serve(t, "location / { proxy_pass "+g.genauth.URL()+"; }")
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	t.Cleanup(transport.CloseIdleConnections)
	if http2 {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	lister, err := client.New(client.Config{
		BaseURL: "http://" + nginx.Address, AppID: g.genauth.AppID(), Timeout: patience, HTTPClient: &http.Client{Transport: transport},
	})
	require.NoError(t, err)
	cfg := echomfa.Config{Client: lister, Logger: slog.New(slog.NewTextHandler(&g.log, &slog.HandlerOptions{Level: slog.LevelError}))}
	change(&cfg)
	g.e, err = echomfa.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, g.e.Close()) })
	for i := range users {
		id := fmt.Sprintf("user-%d", i)
		g.genauth.AddUser(genauthtest.User{ID: id})
		g.genauth.Enroll(id, genauthtest.OTP)
		g.users = append(g.users, g.genauth.AccessToken(id))
	}
	return g
}

// ask makes a request and returns the answer.
func (g *gateway) ask(token string) (echomfa.Outcome, error) {
	d, err := g.e.Decide(context.Background(), token, otpPolicy())
	return d.Outcome, err
}

// beside does something while the lookup of a user who comes for the first time is under
// way, on a connection that others have used. That one is not tried again, and must succeed.
func (g *gateway) beside(do func()) {
	g.t.Helper()
	g.genauth.AddUser(genauthtest.User{ID: "late"})
	g.genauth.Enroll("late", genauthtest.OTP)
	release := g.genauth.Hold()
	var late sync.WaitGroup
	late.Go(func() {
		got, err := g.ask(g.genauth.AccessToken("late"))
		assert.NoError(g.t, err)
		assert.Equal(g.t, echomfa.Allowed, got)
	})
	assert.NoError(g.t, g.genauth.WaitHeld(g.t.Context(), 1))
	do()
	release()
	late.Wait()
}

// tooLong returns a made-up token that nginx refuses.
func tooLong(i int) string {
	token := fmt.Sprintf("made-up-%d-", i)
	return token + strings.Repeat("~", client.MaxTokenBytes-len(token))
}

// TestX2BehindNginx has users whose facts are renewed all the time, and ten made-up tokens
// of 8,192 bytes, which nginx as it is installed refuses: over HTTP/2 it ends the
// connection, which must not be the one that the users' lookups are on. No active user gets a 503, lookups do
// not stop, and what the log says is the length.
func TestX2BehindNginx(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGateway(t, http2, 8, func(c *echomfa.Config) {
				c.Cache.FreshFor, c.Cache.DenyFreshFor = shortly, shortly
				c.Lookup = echomfa.LookupConfig{Timeout: patience, MaxWait: patience / 2, MaxPerSecond: 1e6}
			})
			for _, user := range g.users {
				_, err := g.ask(user)
				require.NoError(t, err)
			}
			g.beside(func() {
				got, err := g.ask(tooLong(-1))
				assert.Equal(t, echomfa.Unavailable, got)
				assert.ErrorContains(t, err, "8192 bytes is too long")
			})
			over := make(chan struct{})
			var work sync.WaitGroup
			for _, user := range g.users {
				work.Go(func() {
					for {
						_, err := g.ask(user)
						assert.NoError(t, err)
						select {
						case <-over:
							return
						default:
							pass(t, shortly)
						}
					}
				})
			}
			for i := range 10 {
				got, err := g.ask(tooLong(i))
				assert.Equal(t, echomfa.Unavailable, got)
				assert.NotErrorIs(t, err, echomfa.ErrMisconfigured)
				assert.ErrorContains(t, err, "8192 bytes is too long")
				assert.False(t, g.e.Stats().BreakerOpen)
				pass(t, shortly)
			}
			close(over)
			work.Wait()
			s := g.e.Stats()
			assert.Equal(t, 1, g.log.count("level=ERROR"), "%s", g.log.text.String())
			assert.Equal(t, 1, g.log.count("msg=\"mfa token is too long on the way to GenAuth"))
			assert.Zero(t, s.Lookups.Misconfigured)
			assert.Greater(t, s.Lookups.Succeeded, uint64(len(g.users)), "they were renewed")
		})
	}
}
