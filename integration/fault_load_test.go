package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestF28OneBadTokenRepeated(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 10000 / 8 {
				got := r.local(t.Context(), caller{browser: i%2 == 0, token: "nobody"})
				if got.browser {
					assert.Equal(t, "/login?return_to=%2Fadmin%3Fpage%3D1", got.header.Get("Location"))
				} else {
					assert.Equal(t, http.StatusUnauthorized, got.status)
				}
			}
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, r.front.calls(), 1+int(time.Since(begin)/(5*time.Second)), "a call each 5 s")
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
	const tokens = 2000
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
	assert.Equal(t, tokens, stats.Refused)
	assert.Less(t, grown, int64(2*tokens*1024), "of 8 KiB tokens, less than 1 KiB each is kept")
	t.Logf("%d bytes a token", grown/(2*tokens))
}

func TestF30OneColdTokenAThousandTimes(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		caller caller
		begin  func(*rig)
		status int
	}{
		"has the factor":  {callers()[2], func(*rig) {}, 200},
		"has it not":      {callers()[3], func(*rig) {}, 403},
		"browser without": {callers()[1], func(*rig) {}, 302},
		"refused":         {caller{token: "nobody"}, func(*rig) {}, 401},
		"fault":           {callers()[2], spoil(500, ""), 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			row.begin(r)
			release := r.front.hold()
			var wg sync.WaitGroup
			for range 1000 {
				wg.Go(func() { assert.Equal(t, row.status, r.local(t.Context(), row.caller).status) })
			}
			for r.enforcer.Stats().Misses < 1000 || r.front.calls() == 0 {
				pass(t, time.Millisecond)
			}
			release()
			wg.Wait()
			if name == "fault" { // a failure is not kept: who came late asks again
				assert.LessOrEqual(t, r.front.calls(), 2)
			} else {
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
	for _, c := range callers() {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			release := r.front.hold()
			first, leave := context.WithCancel(t.Context())
			defer leave()
			gone := make(chan reply, 1)
			go func() { gone <- r.local(first, c) }()
			for r.front.calls() == 0 {
				pass(t, time.Millisecond)
			}
			var wg sync.WaitGroup
			for range 999 {
				wg.Go(func() { r.right(r.local(t.Context(), c)) })
			}
			pass(t, 5*time.Millisecond)
			leave()
			left := <-gone
			assert.Equal(t, http.StatusServiceUnavailable, left.status, "the first is gone before the answer")
			release()
			wg.Wait()
			assert.Equal(t, 1, r.front.calls())
			assert.Equal(t, map[bool]int{true: 999, false: 0}[c.has], r.runs(c.token))
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

// TestF32AllCallersGo runs alone: it counts goroutines.
func TestF32AllCallersGo(t *testing.T) {
	const within = time.Second
	r := newRig(t, func(s *setup) { s.enforcer.Lookup.Timeout = within })
	r.granted(r.local(t.Context(), caller{has: true, token: tokenWith("before")}))
	r.genauth.CloseIdleConnections()
	r.front.end()
	there := goleak.IgnoreCurrent()
	ended := make(chan time.Time, 2)
	r.front.answer(func(_ http.ResponseWriter, req *http.Request) {
		<-req.Context().Done()
		ended <- time.Now()
	})
	ctx, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var arrived, late atomic.Int64
	begin := time.Now()
	for i := range 1000 {
		wg.Go(func() {
			arrived.Add(1)
			w := &strictWriter{ResponseRecorder: *httptest.NewRecorder(), late: &late}
			r.echo.ServeHTTP(w, newRequest(ctx, caller{browser: i%2 == 0, token: callers()[2].token}))
			w.over.Store(true)
			assert.Equal(t, http.StatusServiceUnavailable, w.Code)
		})
	}
	for arrived.Load() < 1000 {
		pass(t, 5*time.Millisecond)
	}
	leave()
	wg.Wait()
	assert.LessOrEqual(t, (<-ended).Sub(begin), within+overtime, "the call ends by its deadline")
	assert.NoError(t, goleak.Find(there), "a goroutine is left after a second")
	assert.Zero(t, r.enforcer.Stats().InFlight)
	assert.Zero(t, late.Load(), "writes to a finished response")
	assert.Equal(t, 1, r.front.calls(callers()[2].token))
	assert.Zero(t, r.runs(callers()[2].token))
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
	const users, requests, workers = 200, 2000, 8
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
