package integration_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	faultAppID = "65a1b2c3d4e5f60718293a4b"
	// patience is what a busy machine is given where time is not the point. How
	// long things take exactly is tested by a clock that no machine can slow down.
	patience = time.Minute
	givenUp  = 10 * patience // when a test gives up waiting for what should come
	// deadline is Lookup.Timeout where a fault lasts: nothing else ends it.
	deadline = 200 * time.Millisecond
	// shortly is the rigs' FreshFor where facts are to grow old.
	shortly = 50 * time.Millisecond
)

// rig is a service behind the middleware, and a GenAuth that can be spoiled,
// both on real sockets.
type rig struct {
	t         *testing.T
	front     *front // GenAuth
	enforcer  *echomfa.Enforcer
	genauth   *client.Client
	echo      *echo.Echo
	app       *httptest.Server // the service
	browser   *http.Client
	elsewhere *front // a host that nobody has any business with
	dials     *dialLog
	toxic     *toxic
	tls       *tlsRig
	spoiled   time.Time // before the fault began

	mu  sync.Mutex
	ran map[string]int // how often the handler ran, by token
}

// setup is what a row may want otherwise.
type setup struct {
	enforcer echomfa.Config
	client   client.Config
	mount    echomfa.MiddlewareConfig
	before   []echo.MiddlewareFunc
	tls      *tlsRig  // GenAuth speaks TLS
	toxic    *toxic   // a proxy stands between
	dials    *dialLog // what the client dials is noted
}

// fewUsers is the size of a rig's cache. What a cache reserves for the default size
// takes the race detector longer to follow than most tests last.
const fewUsers = 1024

func otpPolicy() echomfa.Policy { return echomfa.AnyOf(echomfa.OTP) }

// newRig starts a service and a good GenAuth. Of every rig it is checked that
// every request over a socket ends, and that no other host has been asked.
func newRig(t *testing.T, change ...func(*setup)) *rig {
	t.Helper()
	r := &rig{t: t, ran: make(map[string]int)}
	r.elsewhere = newFront(t, nil)
	var s setup
	s.enforcer.EnrollURL, s.enforcer.LoginURL = "/mfa", "/login"
	s.enforcer.Cache.Size = fewUsers
	s.enforcer.Lookup.Timeout, s.enforcer.Lookup.MaxWait = patience, patience/2
	s.client.AppID, s.client.Timeout = faultAppID, patience
	for _, f := range change {
		f(&s)
	}
	r.toxic, r.tls, r.dials = s.toxic, s.tls, s.dials
	r.front = newFront(t, s.tls)
	r.front.elsewhere = "http://" + r.elsewhere.addr
	address := r.front.addr
	if s.tls != nil && !s.tls.untrusted {
		s.client.HTTPClient = s.tls.client()
	}
	if s.dials != nil {
		s.client.HTTPClient = s.dials.client(s.client.HTTPClient, address)
	}
	if s.toxic != nil {
		address = s.toxic.start(t, address)
	}
	if s.client.BaseURL == "" {
		s.client.BaseURL = "http://" + address
		if s.tls != nil {
			s.client.BaseURL = "https://" + address
		}
	}
	var err error
	r.genauth, err = client.New(s.client)
	require.NoError(t, err)
	t.Cleanup(r.genauth.CloseIdleConnections)
	s.enforcer.Client = r.genauth
	r.enforcer, err = echomfa.New(s.enforcer)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.enforcer.Close()) })
	r.serve(s.mount, s.before)
	t.Cleanup(r.nothingElsewhere)
	return r
}

// newClockRig is newRig without a socket, for rows that need a clock of their own:
// GenAuth is a function, and callers ask by local.
func newClockRig(t *testing.T, genauth echomfa.FactorListerFunc, change func(*echomfa.Config)) *rig {
	t.Helper()
	r := &rig{t: t, ran: make(map[string]int)}
	r.enforcer = newInMemory(t, genauth, func(c *echomfa.Config) {
		c.EnrollURL, c.LoginURL = "/mfa", "/login"
		c.Cache.Size = fewUsers
		if change != nil {
			change(c)
		}
	})
	r.route(echomfa.MiddlewareConfig{}, nil)
	return r
}

// serve starts the service, and a browser.
func (r *rig) serve(mount echomfa.MiddlewareConfig, before []echo.MiddlewareFunc) {
	r.route(mount, before)
	r.app = httptest.NewServer(r.echo)
	r.t.Cleanup(r.app.Close)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	r.t.Cleanup(transport.CloseIdleConnections)
	r.browser = &http.Client{
		Transport:     transport,
		Timeout:       2 * patience, // or it hangs
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// route makes the service: one protected page, and the pages that a browser may
// be sent to.
func (r *rig) route(mount echomfa.MiddlewareConfig, before []echo.MiddlewareFunc) {
	mount.Enforcer = r.enforcer
	if mount.Policy.Err() != nil && mount.RequireFunc == nil {
		mount.Policy = otpPolicy()
	}
	r.echo = echo.New()
	r.echo.Use(before...)
	guarded := echomfa.WithConfig(mount)
	r.echo.Any("/admin", r.secret, guarded)
	r.echo.Add("BREW", "/admin", r.secret, guarded)
	for _, path := range []string{"/mfa", "/login"} {
		r.echo.GET(path, func(c echo.Context) error { return c.String(http.StatusOK, "page "+c.Path()) })
	}
}

// secret is the protected handler: a page, or what a script opens.
func (r *rig) secret(c echo.Context) error {
	r.mu.Lock()
	r.ran[strings.TrimPrefix(c.Request().Header.Get("Authorization"), "Bearer ")]++
	r.mu.Unlock()
	if c.Request().Header.Get("Upgrade") == "websocket" {
		conn, _, err := c.Response().Hijack()
		if err != nil {
			return err
		}
		_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		return errors.Join(err, conn.Close())
	}
	return c.String(http.StatusOK, "the secret page")
}

func (r *rig) runs(token string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ran[token]
}

// granted checks that the handler ran.
func (r *rig) granted(got reply) {
	r.t.Helper()
	require.True(r.t, got.has, "only for a user who has the factor: %v", got.caller)
	assert.Equal(r.t, http.StatusOK, got.status, got.caller)
	assert.Equal(r.t, "the secret page", got.body, got.caller)
}

// sentToEnroll checks that the user was told truthfully that the factor is
// missing.
func (r *rig) sentToEnroll(got reply) {
	r.t.Helper()
	require.False(r.t, got.has, "only for a user who has it not: %v", got.caller)
	if got.browser {
		assert.Equal(r.t, http.StatusFound, got.status, got.caller)
		assert.Equal(r.t, "/mfa?return_to=%2Fadmin%3Fpage%3D1", got.header.Get("Location"), got.caller)
	} else {
		assert.Equal(r.t, http.StatusForbidden, got.status, got.caller)
	}
	assert.Zero(r.t, r.runs(got.token), got.caller)
}

// right checks the answer to a user of whom the truth is known.
func (r *rig) right(got reply) {
	r.t.Helper()
	if got.has {
		r.granted(got)
	} else {
		r.sentToEnroll(got)
	}
}

// refused checks an answer that is due to a fault: 401 if GenAuth has spoken
// about the token, else 503.
func (r *rig) refused(got reply, status int) {
	r.t.Helper()
	t := r.t
	assert.Equal(t, "no-store", got.header.Get("Cache-Control"), got.caller)
	assert.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"), got.caller)
	assert.Contains(t, got.header.Get("Vary"), "Sec-Fetch-Mode", got.caller)
	assert.NotContains(t, got.body, got.token, got.caller)
	assert.NotContains(t, got.body, upstreamMark, "nothing of GenAuth's answer goes to the client")
	if status == http.StatusUnauthorized && got.browser {
		assert.Equal(t, http.StatusFound, got.status, got.caller)
		assert.Equal(t, "/login?return_to=%2Fadmin%3Fpage%3D1", got.header.Get("Location"), got.caller)
		return
	}
	assert.Equal(t, status, got.status, got.caller)
	assert.Empty(t, got.header.Get("Location"), got.caller)
	want := "application/problem+json"
	if got.browser {
		want = "text/html; charset=utf-8"
	}
	assert.Equal(t, want, got.header.Get("Content-Type"), got.caller)
	if status == http.StatusUnauthorized {
		assert.Contains(t, got.header.Get("Www-Authenticate"), `Bearer realm="mfa", error="invalid_token"`, got.caller)
		return
	}
	assert.Empty(t, got.header.Get("Www-Authenticate"), got.caller)
	assert.GreaterOrEqual(t, retryAfter(t, got), 1, got.caller)
}

func retryAfter(t *testing.T, got reply) int {
	t.Helper()
	seconds, err := strconv.Atoi(got.header.Get("Retry-After"))
	require.NoError(t, err)
	return seconds
}

// fault is a row of the matrix.
type fault struct {
	// setup is what the rig needs, if anything.
	setup func(*setup)
	// begin spoils GenAuth.
	begin func(*rig)
	// lasts is whether nothing but the deadline of the lookup ends it.
	lasts bool
	// status is the answer: 503 unless it is set.
	status int
	// stale is whether facts past FreshFor let requests through if the operator allows it.
	stale bool
	// after checks what else must hold. The four callers have asked.
	after func(*testing.T, *rig, []reply)
	// later checks what must hold where there were facts past FreshFor.
	later func(*testing.T, *rig)
	// whole is whether facts past FreshFor are tried without StaleIfError as well: that
	// they do not then is one rule, for all faults.
	whole bool
}

// run runs the row for all clients: without any facts, with facts past their
// time where StaleIfError is on, and with those where it is not.
func (f fault) run(t *testing.T) {
	t.Helper()
	t.Parallel()
	if f.status == 0 {
		f.status = http.StatusServiceUnavailable
	}
	t.Run("cold", func(t *testing.T) {
		t.Parallel()
		r := f.rig(t, 0, 0)
		r.spoiled = time.Now()
		f.begin(r)
		replies := r.askAll(callers())
		for _, got := range replies {
			r.refused(got, f.status)
			assert.Zero(t, r.runs(got.token), got.caller)
		}
		if f.after != nil {
			f.after(t, r, replies)
		}
	})
	if f.whole || allRows {
		t.Run("past FreshFor", func(t *testing.T) {
			t.Parallel()
			f.warm(t, 0, false)
		})
	}
	t.Run("past FreshFor, StaleIfError", func(t *testing.T) {
		t.Parallel()
		f.warm(t, time.Minute, f.stale)
	})
}

func (f fault) rig(t *testing.T, freshFor, staleIfError time.Duration) *rig {
	t.Helper()
	return newRig(t, func(s *setup) {
		s.enforcer.Cache.FreshFor, s.enforcer.Cache.StaleIfError = freshFor, staleIfError
		if f.lasts {
			s.enforcer.Lookup.Timeout, s.enforcer.Lookup.MaxWait = deadline, 0
		}
		if f.setup != nil {
			f.setup(s)
		}
	})
}

// warm lets facts grow old before the fault. A user without the factor is never refused
// by old facts.
func (f fault) warm(t *testing.T, staleIfError time.Duration, served bool) {
	t.Helper()
	r := f.rig(t, shortly, staleIfError)
	all := callers()
	r.warmUp(all)
	pass(t, shortly+time.Millisecond)
	before := r.enforcer.Stats().Stale
	f.begin(r)
	for _, got := range r.askAll(all) {
		switch {
		case got.has && served:
			r.granted(got)
		default:
			r.refused(got, f.status)
			want := 0
			if got.has {
				want = 1
			}
			assert.Equal(t, want, r.runs(got.token), got.caller)
		}
	}
	stale := uint64(0)
	if served {
		stale = 2
	}
	assert.Equal(t, stale, r.enforcer.Stats().Stale-before)
	if f.later != nil {
		f.later(t, r)
	}
}

// warmUp has all callers ask once, or more often where a busy machine spends the
// short deadline by itself.
func (r *rig) warmUp(all []caller) {
	r.t.Helper()
	begin := time.Now()
	for _, c := range all {
		got := r.ask(c)
		for got.status == http.StatusServiceUnavailable && time.Since(begin) < givenUp {
			pass(r.t, shortly)
			got = r.ask(c)
		}
		r.right(got)
	}
}

// eventually waits until something is so.
func (r *rig) eventually(otherwise string, so func() bool) {
	r.t.Helper()
	for begin := time.Now(); !so(); pass(r.t, 5*time.Millisecond) {
		require.Less(r.t, time.Since(begin), givenUp, otherwise)
	}
}

// nothingElsewhere checks that nobody has followed an answer to another host.
func (r *rig) nothingElsewhere() {
	r.t.Helper()
	// Requests, and not connections: some other test's client may be looking for a server
	// that had this port before.
	assert.Zero(r.t, r.elsewhere.calls(), "requests to another host")
	if r.dials != nil {
		for _, address := range r.dials.all() {
			assert.Equal(r.t, r.dials.home, address, "a connection to another host")
		}
	}
}

// pass waits: these tests run by the real clock, because they run over sockets.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}
