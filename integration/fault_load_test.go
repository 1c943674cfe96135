package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// signIn checks that a caller's token counts as none.
func (r *rig) signIn(got reply) {
	r.t.Helper()
	if got.browser {
		assert.Equal(r.t, http.StatusFound, got.status)
		assert.Equal(r.t, "/login?return_to=%2Fadmin%3Fpage%3D1", got.header.Get("Location"))
		return
	}
	assert.Equal(r.t, http.StatusUnauthorized, got.status)
}

// TestF28OneBadTokenRepeated spreads 10,000 requests over a minute.
func TestF28OneBadTokenRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls []time.Duration
		begin := time.Now()
		r := newClockRig(t, func(context.Context, string) ([]client.Factor, error) {
			calls = append(calls, time.Since(begin))
			return nil, client.ErrUnauthenticated
		}, nil)
		for range 100 {
			for i := range 20 {
				r.signIn(r.local(t.Context(), caller{browser: i%2 == 0, token: "nobody"}))
			}
			pass(t, 600*time.Millisecond)
		}
		assert.Len(t, calls, 12)
		for i, at := range calls {
			assert.GreaterOrEqual(t, at, time.Duration(i)*5*time.Second, "a call each 5 s")
		}
		assert.Empty(t, r.ran)
	})
}

func TestF28OneBadTokenRepeatedOverSockets(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(s *setup) { s.enforcer.Cache.RefusedFor = 30 * time.Second })
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 2000 / 8 {
				r.signIn(r.local(t.Context(), caller{browser: i%2 == 0, token: "nobody"}))
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, r.front.calls(), 1+int(time.Since(begin)/(30*time.Second)))
	assert.Empty(t, r.ran)
}

func TestF29LongTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	long := func(n int) caller {
		return caller{has: true, token: tokenWith(strings.Repeat("x", n-len(withOTP)))}
	}
	r.granted(r.ask(long(client.MaxTokenBytes)))
	assert.Equal(t, 1, r.front.calls())
	for _, n := range []int{client.MaxTokenBytes + 1, 64 << 10, 1 << 20} {
		for _, browser := range []bool{false, true} {
			c := long(n)
			c.browser = browser
			got := r.ask(c)
			if got.status != http.StatusRequestHeaderFieldsTooLarge { // net/http's own limit
				want := map[bool]int{false: http.StatusUnauthorized, true: http.StatusFound}
				assert.Equal(t, want[browser], got.status)
				assert.NotContains(t, got.body+got.header.Get("Location"), "xxxx")
				assert.NotContains(t, got.header.Get("Location"), "/mfa")
			}
			assert.Zero(t, r.runs(c.token))
		}
	}
	assert.Equal(t, 1, r.front.calls(), "no call for a token that is too long")
}

// TestF29CacheIsBoundedInBytes runs alone: it measures what stays in the heap.
func TestF29CacheIsBoundedInBytes(t *testing.T) {
	const tokens = 500
	e := newInMemory(t, func(_ context.Context, token string) ([]client.Factor, error) {
		if strings.HasPrefix(token, withOTP) {
			return listing(client.OTP), nil
		}
		return nil, client.ErrUnauthenticated
	}, func(c *echomfa.Config) { c.Lookup.MaxPerSecond = 1e6 })
	before := liveHeap()
	for i := range tokens {
		name := strconv.Itoa(i)
		padding := strings.Repeat("x", client.MaxTokenBytes-len(withOTP)-len(name))
		_, err := e.Decide(t.Context(), withOTP+name+padding, otpPolicy())
		require.NoError(t, err)
		_, err = e.Decide(t.Context(), strings.Repeat("y", len(withOTP))+name+padding, otpPolicy())
		require.ErrorIs(t, err, echomfa.ErrUnauthenticated)
	}
	grown := int64(liveHeap()) - int64(before)
	stats := e.Stats()
	assert.Equal(t, tokens, stats.Entries)
	assert.Equal(t, tokens, stats.Refusals)
	assert.Less(t, grown, int64(2*tokens*1024), "of 8 KiB tokens, less than 1 KiB each is kept")
	t.Logf("%d bytes a token", grown/(2*tokens))
}

func TestF36TwoRoutesOneToken(t *testing.T) {
	t.Parallel()
	for _, order := range [][]string{{"/admin", "/face"}, {"/face", "/admin"}} {
		t.Run(strings.Join(order, " "), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.echo.GET("/face", r.secret, r.enforcer.Require(echomfa.AnyOf(echomfa.Face)))
			for _, c := range []caller{callers()[0], callers()[2]} {
				for range 2 {
					for _, path := range order {
						got := r.send(http.MethodGet, r.app.URL+path, c)
						switch {
						case path == "/admin":
							r.granted(got)
						case c.browser:
							assert.Equal(t, "/mfa?return_to=%2Fface", got.header.Get("Location"))
						default:
							assert.Equal(t, http.StatusForbidden, got.status)
						}
					}
				}
				assert.Equal(t, 2, r.runs(c.token), "of four requests")
				assert.Equal(t, 1, r.front.calls(c.token), "facts are shared")
			}
		})
	}
}

func TestF37TwoTenantsOneProcess(t *testing.T) {
	t.Parallel()
	const token = withOTP + "both"
	t.Run("two addresses", func(t *testing.T) {
		t.Parallel()
		a, b := newRig(t), newRig(t)
		allHave("EMAIL")(b)
		for i := range 4 {
			a.granted(a.ask(caller{browser: i%2 == 0, has: true, token: token}))
			b.sentToEnroll(b.ask(caller{browser: i%2 == 0, has: false, token: token}))
		}
		assert.Equal(t, 1, a.front.calls())
		assert.Equal(t, 1, b.front.calls())
	})
	t.Run("two apps at one address", func(t *testing.T) {
		t.Parallel()
		a := newRig(t)
		a.front.answer(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Authing-App-Id") == "b" {
				_, _ = io.WriteString(w, envelope("EMAIL"))
				return
			}
			tellTruth(w, r)
		})
		b := newRig(t, func(s *setup) { s.client.BaseURL, s.client.AppID = "http://"+a.front.addr, "b" })
		for i := range 4 {
			a.granted(a.ask(caller{browser: i%2 == 0, has: true, token: token}))
			b.sentToEnroll(b.ask(caller{browser: i%2 == 0, has: false, token: token}))
		}
		assert.Equal(t, 2, a.front.calls())
	})
}

// TestF38CancelsOverSockets has 200 users with a factor set each, of whom a tenth
// hang up in the middle: no answer may reach another user.
func TestF38CancelsOverSockets(t *testing.T) {
	t.Parallel()
	const users, requests, workers = 200, 800, 8
	r := newRig(t, func(s *setup) {
		s.enforcer.Cache.Size, s.enforcer.Lookup.MaxPerSecond = 8, 1e6
		s.enforcer.KeepDecision = true
	})
	r.front.answer(func(w http.ResponseWriter, req *http.Request) {
		name := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
		types := []string{name}
		if i, err := strconv.Atoi(strings.TrimPrefix(name, "user-")); err == nil && i%2 == 0 {
			types = append(types, "OTP")
		}
		_, _ = io.WriteString(w, envelope(types...))
	})
	r.echo.GET("/who", func(c echo.Context) error {
		d, _ := echomfa.DecisionFrom(c.Request().Context())
		return c.JSON(http.StatusOK, map[string]any{"enrolled": d.Enrolled.Types()})
	}, r.enforcer.Require(otpPolicy()))
	var wrong, left, refused atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for n := range requests / workers {
				i := (n*31 + w*17) % users
				ctx, cancel := context.WithCancel(t.Context())
				if n%10 == 0 {
					time.AfterFunc(time.Duration(n%7)*100*time.Microsecond, cancel)
				}
				status, enrolled, err := r.who(ctx, fmt.Sprintf("user-%d", i))
				switch want := map[bool]int{true: http.StatusOK, false: http.StatusForbidden}[i%2 == 0]; {
				case err != nil && ctx.Err() != nil:
					left.Add(1)
				case err != nil, status != want, !slices.Contains(enrolled, fmt.Sprintf("USER-%d", i)):
					wrong.Add(1)
				case status == http.StatusForbidden:
					refused.Add(1)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	assert.Zero(t, wrong.Load())
	assert.Positive(t, left.Load())
	assert.InDelta(t, requests/2, refused.Load(), requests/10)
}

// who asks, over a socket, what the service takes the user of a token to have.
func (r *rig) who(ctx context.Context, token string) (status int, enrolled []string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.app.URL+"/who", nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := r.browser.Do(req)
	if err != nil {
		return 0, nil, err
	}
	var body struct{ Enrolled []string }
	err = json.NewDecoder(res.Body).Decode(&body)
	return res.StatusCode, body.Enrolled, errors.Join(err, res.Body.Close())
}
