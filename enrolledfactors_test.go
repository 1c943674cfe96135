package echomfa_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
)

// TestN4AskingIsNotRefusing has what EnrolledFactors returns, and that none of it is
// logged, observed or counted as a refusal.
func TestN4AskingIsNotRefusing(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		token string
		want  echomfa.FactorSet
		err   error
	}{
		"one":           {answertest.Enrolled, echomfa.Factors(echomfa.OTP), nil},
		"another":       {answertest.NotEnrolled, echomfa.Factors(echomfa.Email), nil},
		"refused":       {"token-refused", echomfa.FactorSet{}, echomfa.ErrUnauthenticated},
		"none":          {"", echomfa.FactorSet{}, echomfa.ErrUnauthenticated},
		"not a token":   {"a b", echomfa.FactorSet{}, echomfa.ErrUnauthenticated},
		"unknown":       {"token-unavailable", echomfa.FactorSet{}, echomfa.ErrUnavailable},
		"misconfigured": {"token-misconfigured", echomfa.FactorSet{}, echomfa.ErrMisconfigured},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			seen := &recorder{}
			e := table(t, func(c *echomfa.Config) { c.Logger, c.Observer = slog.New(slog.NewTextHandler(&log, nil)), seen })
			got, err := e.EnrolledFactors(t.Context(), row.token)
			assert.ErrorIs(t, err, row.err)
			assert.Equal(t, row.want, got)
			assert.NotContains(t, log.String(), "mfa refused")
			assert.Empty(t, seen.seen)
			assert.Equal(t, echomfa.WouldBlock{}, e.Stats().WouldBlock)
		})
	}
	_, err := (&echomfa.Enforcer{}).EnrolledFactors(t.Context(), "token")
	require.Error(t, err)
}

// TestN4EnrolledFactorsOfAPartialList has the factors that are known with the error that
// says that there may be more.
func TestN4EnrolledFactorsOfAPartialList(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	d.enroll("token", echomfa.OTP)
	d.fail(&client.PartialError{})
	got, err := newEnforcer(t, d, nil).EnrolledFactors(t.Context(), "token")
	assert.Equal(t, echomfa.Factors(echomfa.OTP), got)
	require.ErrorIs(t, err, echomfa.ErrUnavailable)
}

// TestN4EnrolledFactorsPanic has a lister that panics.
func TestN4EnrolledFactorsPanic(t *testing.T) {
	t.Parallel()
	got, err := table(t, nil).EnrolledFactors(t.Context(), "token-panicking")
	require.Error(t, err)
	assert.Equal(t, echomfa.FactorSet{}, got)
}

// TestN4EnrolledFactorsAreFresh shows that facts which let a request through for
// FreshFor are shown for DenyFreshFor only.
func TestN4EnrolledFactorsAreFresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll("token", echomfa.OTP)
		e := newEnforcer(t, d, nil)
		_, err := e.Decide(t.Context(), "token", otp())
		require.NoError(t, err)
		d.enroll("token")
		got, err := e.EnrolledFactors(t.Context(), "token")
		require.NoError(t, err)
		assert.True(t, got.Has(echomfa.OTP), "asked a moment ago")
		assert.Equal(t, 1, d.total())
		pass(2*time.Second + time.Millisecond)
		got, err = e.EnrolledFactors(t.Context(), "token")
		require.NoError(t, err)
		assert.Equal(t, echomfa.FactorSet{}, got)
		assert.Equal(t, 2, d.total())
	})
}

// TestN4RefusedRequestIsOneLine has one refused request, and then the user looking at
// what they have.
func TestN4RefusedRequestIsOneLine(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	seen := &recorder{}
	e := table(t, func(c *echomfa.Config) { c.Logger, c.Observer = slog.New(slog.NewTextHandler(&log, nil)), seen })
	assert.Equal(t, http.StatusForbidden, send(t, guarded(t, e), "GET", "/admin", lackingBearer).Code)
	for range 5 {
		_, err := e.EnrolledFactors(t.Context(), answertest.NotEnrolled)
		require.NoError(t, err)
	}
	assert.Equal(t, 1, bytes.Count(log.Bytes(), []byte("mfa refused")))
	assert.Len(t, seen.seen, 1)
}
