package echomfa_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

// TestT16TwoAppsInOneProcess shows that one token string is two tokens at two
// GenAuth apps.
func TestT16TwoAppsInOneProcess(t *testing.T) {
	t.Parallel()
	one, two := newDirectory(), newDirectory()
	one.enroll(token, echomfa.OTP)
	two.enroll(token)
	a := newEnforcer(t, one, func(c *echomfa.Config) { c.Namespace = "one" })
	b := newEnforcer(t, two, func(c *echomfa.Config) { c.Namespace = "two" })
	for range 2 {
		assert.Equal(t, echomfa.Allowed, decide(t, a, token, otp()).Outcome)
		assert.Equal(t, echomfa.NotEnrolled, decide(t, b, token, otp()).Outcome)
	}
}

// TestT18FactsAreCachedAndVerdictsAreNot has policies change between requests
// that are all answered from the cache.
func TestT18FactsAreCachedAndVerdictsAreNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll(token, echomfa.OTP, echomfa.SMS)
		e := newEnforcer(t, d, nil)
		for text, want := range map[string]echomfa.Outcome{
			"OTP": echomfa.Allowed, "SMS": echomfa.Allowed, "OTP and SMS": echomfa.Allowed, "OTP or FACE": echomfa.Allowed,
			"FACE": echomfa.NotEnrolled, "OTP and FACE": echomfa.NotEnrolled, "3 of (OTP, SMS, EMAIL)": echomfa.NotEnrolled,
		} {
			p, err := echomfa.ParsePolicy(text)
			assert.NoError(t, err)
			assert.Equal(t, want, decide(t, e, token, p).Outcome, text)
		}
		assert.Equal(t, 1, d.total())
	})
}

// TestT20EchosContextIsNotKept has callers leave while their lookup is under
// way, and Echo reuse their contexts for others. The race detector watches.
func TestT20EchosContextIsNotKept(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	e := newEnforcer(t, echomfa.FactorListerFunc(func(_ context.Context, token string) ([]client.Factor, error) {
		<-release
		if token == "good" {
			return []client.Factor{{ID: "1", Type: client.OTP}}, nil
		}
		return nil, nil
	}), nil)
	app := echo.New()
	app.GET("/admin/:id", func(c echo.Context) error { return c.String(http.StatusOK, c.Param("id")) }, e.Require(otp()))
	call := func(ctx context.Context, token, id string) (int, string) {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/admin/"+id, nil)
		withToken(token)(r)
		w := httptest.NewRecorder()
		app.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	gone, leave := context.WithCancel(t.Context())
	var left sync.WaitGroup
	for range 20 {
		left.Go(func() {
			code, _ := call(gone, "good", "left")
			assert.Equal(t, http.StatusServiceUnavailable, code)
		})
	}
	leave()
	left.Wait()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			code, body := call(t.Context(), "good", "mine")
			assert.Equal(t, http.StatusOK, code)
			assert.Equal(t, "mine", body)
		})
		wg.Go(func() {
			code, _ := call(t.Context(), "lacking", "theirs")
			assert.Equal(t, http.StatusForbidden, code)
		})
	}
	close(release)
	wg.Wait()
}

// TestT35FloodEvictsNoGoodEntry shows that refused tokens live in a table of
// their own.
func TestT35FloodEvictsNoGoodEntry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll(token, echomfa.OTP)
		e := newEnforcer(t, d, func(c *echomfa.Config) { c.Cache.Size = 4; c.Cache.FreshFor = 5 * time.Minute })
		decide(t, e, token, otp())
		for i := range 500 {
			assert.Equal(t, echomfa.Unauthenticated, decide(t, e, manyTokens(i), otp()).Outcome)
			pass(100 * time.Millisecond)
		}
		assert.Equal(t, echomfa.Cached, decide(t, e, token, otp()).Source)
		assert.Equal(t, 1, d.asked()[token])
	})
}

// TestT41LabelsAreNotTheClients shows that an Observer is given the registered
// route and a known method, whatever the request line says.
func TestT41LabelsAreNotTheClients(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := make(map[[2]string]bool)
	e := table(t, func(c *echomfa.Config) {
		c.Observer = observerFunc(func(_ context.Context, _ echomfa.Decision, route, method string) {
			mu.Lock()
			defer mu.Unlock()
			seen[[2]string{route, method}] = true
		})
	})
	app := echo.New()
	app.Use(e.Require(otp()))
	app.Any("/admin/:id", func(c echo.Context) error { return c.NoContent(http.StatusOK) })
	for _, target := range []string{"/admin/1", "/admin/2", "/admin/a%20b", "/admin/1?x=y"} {
		for _, method := range []string{"GET", "BREW", "MOVE", "X~Y"} {
			send(t, app, method, target, lackingBearer)
		}
	}
	assert.LessOrEqual(t, len(seen), 4, "%v", seen)
	for label := range seen {
		assert.NotContains(t, label[0], "/admin/1")
		assert.Contains(t, []string{"GET", "_OTHER"}, label[1])
	}
}

// observerFunc is a function that is an Observer.
type observerFunc func(ctx context.Context, d echomfa.Decision, route, method string)

func (f observerFunc) ObserveDecision(ctx context.Context, d echomfa.Decision, route, method string) {
	f(ctx, d, route, method)
}
