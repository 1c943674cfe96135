package genauthtest_test

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/genauthtest"
)

// inFlight starts a list call and returns how to get its answer.
func inFlight(t *testing.T, ctx context.Context, c *caller) func() (*reply, error) { // the context of the call, not of the test
	t.Helper()
	var (
		wg  sync.WaitGroup
		got *reply
		err error
	)
	wg.Go(func() { got, err = c.try(ctx, http.MethodGet, genauthtest.ListEnrolledFactorsPath, "", "") })
	return func() (*reply, error) {
		wg.Wait()
		return got, err
	}
}

func TestHoldSendsWhatWasTrueBefore(t *testing.T) {
	t.Parallel()
	s := start(t)
	user := s.AddUser(genauthtest.User{})
	alice := as(t, s, s.AccessToken(user.ID))

	release := s.Hold()
	older := inFlight(t, t.Context(), alice)
	require.NoError(t, s.WaitHeld(t.Context(), 1))
	s.Enroll(user.ID, genauthtest.OTP)
	release()
	release() // a second time does nothing

	r, err := older()
	require.NoError(t, err)
	assert.Empty(t, r.types(t), "the answer of before")
	assert.Equal(t, []genauthtest.FactorType{genauthtest.OTP}, alice.list().types(t))
}

func TestHoldBeforeSendsWhatIsTrueAtTheRelease(t *testing.T) {
	t.Parallel()
	s := start(t)
	user := s.AddUser(genauthtest.User{})
	alice := as(t, s, s.AccessToken(user.ID))

	release := s.HoldBefore()
	call := inFlight(t, t.Context(), alice)
	require.NoError(t, s.WaitHeld(t.Context(), 1))
	require.NoError(t, s.WaitCalls(t.Context(), 1), "a held call counts")
	s.Enroll(user.ID, genauthtest.Face)
	release()

	r, err := call()
	require.NoError(t, err)
	assert.Equal(t, []genauthtest.FactorType{genauthtest.Face}, r.types(t))
}

func TestSeveralHoldsAddUp(t *testing.T) {
	t.Parallel()
	s := start(t)
	alice := as(t, s, s.AccessToken(s.AddUser(genauthtest.User{}).ID))
	first, second := s.Hold(), s.Hold()
	call := inFlight(t, t.Context(), alice)
	require.NoError(t, s.WaitHeld(t.Context(), 1))
	first()
	require.NoError(t, s.WaitHeld(t.Context(), 1), "the second holds it still")
	second()
	_, err := call()
	require.NoError(t, err)
}

func TestHoldsEndWithTheClientAndTheServer(t *testing.T) {
	t.Parallel()
	s := start(t)
	alice := as(t, s, s.AccessToken(s.AddUser(genauthtest.User{}).ID))
	s.Hold()
	s.HoldBefore()

	ctx, cancel := context.WithCancel(t.Context())
	left := inFlight(t, ctx, alice)
	require.NoError(t, s.WaitHeld(t.Context(), 1))
	cancel()
	_, err := left()
	require.ErrorIs(t, err, context.Canceled)

	cutOff := inFlight(t, t.Context(), alice)
	require.NoError(t, s.WaitCalls(t.Context(), 2))
	s.Close()
	_, err = cutOff()
	require.Error(t, err)
}

func TestObservations(t *testing.T) {
	t.Parallel()
	s := start(t)
	alice := as(t, s, s.AccessToken(s.AddUser(genauthtest.User{}).ID))
	var seen []string
	s.OnRequest(func(r *http.Request) { seen = append(seen, r.URL.Path) })
	assert.Nil(t, s.LastRequest(genauthtest.ListEnrolledFactorsPath))

	alice.list()
	alice.get("/api/v3/get-profile?x=1")
	s.OnRequest(nil)
	alice.list()

	assert.Equal(t, []string{genauthtest.ListEnrolledFactorsPath, "/api/v3/get-profile"}, seen)
	assert.Equal(t, 2, s.ListCalls())
	assert.Equal(t, 1, s.Calls("/api/v3/get-profile"))
	assert.Equal(t, 1, s.MaxInFlight())
	assert.Equal(t, 1, s.Connections(), "one connection kept alive")
	last := s.LastRequest("/api/v3/get-profile")
	assert.Equal(t, "x=1", last.URL.RawQuery)
	assert.Equal(t, alice.header.Get("Authorization"), last.Header.Get("Authorization"))
	last.Header.Set("Authorization", "changed")
	assert.NotEqual(t, "changed", s.LastRequest("/api/v3/get-profile").Header.Get("Authorization"), "a copy")
}

func TestMaxInFlightCountsAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	alice := as(t, s, s.AccessToken(s.AddUser(genauthtest.User{}).ID))
	release := s.Hold()
	calls := make([]func() (*reply, error), 3)
	for i := range calls {
		calls[i] = inFlight(t, t.Context(), alice)
	}
	require.NoError(t, s.WaitHeld(t.Context(), 3))
	release()
	for _, call := range calls {
		_, err := call()
		require.NoError(t, err)
	}
	alice.list()
	assert.Equal(t, 3, s.MaxInFlight())
	assert.Equal(t, 3, s.Connections())
}

func TestWaitSaysWhatItWaitedFor(t *testing.T) {
	t.Parallel()
	s := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.WaitCalls(ctx, 2)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "2 calls, have 0")
	require.ErrorContains(t, s.WaitHeld(ctx, 1), "1 held requests")
}
