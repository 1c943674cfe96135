package genauthtest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/genauthtest"
)

// TestStopAndRestart shows that a stopped emulator refuses connections and comes
// back at its address with all that it knew.
func TestStopAndRestart(t *testing.T) {
	t.Parallel()
	s, alice := signedIn(t, genauthtest.Config{}, genauthtest.User{Factors: []genauthtest.FactorType{genauthtest.OTP}})
	address := s.URL()
	require.NoError(t, s.Restart(), "it runs")
	s.Stop()
	s.Stop()
	_, err := alice.try(t.Context(), http.MethodGet, genauthtest.ListEnrolledFactorsPath, "", "")
	require.Error(t, err)
	require.NoError(t, s.Restart())
	assert.Equal(t, address, s.URL())
	assert.Equal(t, []genauthtest.FactorType{genauthtest.OTP}, alice.list().types(t))
	s.Close()
	s.Close()
	require.Error(t, s.Restart(), "closed for good")
}

// TestConfigMistakes shows that they come together, and that a taken address is
// one.
func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"8089", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"} {
		_, err := genauthtest.New(genauthtest.Config{
			Addr: addr, TokenLifetime: time.Millisecond, EnabledFactors: []genauthtest.FactorType{"X", genauthtest.Passkey},
		})
		require.ErrorContains(t, err, fmt.Sprintf("genauthtest: Addr: %q is not a host and a port", addr))
		require.ErrorContains(t, err, "genauthtest: TokenLifetime: 1ms is less than a second")
		require.ErrorContains(t, err, `genauthtest: EnabledFactors: cannot enroll "X": only OTP, SMS, EMAIL and FACE`)
		require.ErrorContains(t, err, `genauthtest: EnabledFactors: cannot enroll "PASSKEY"`)
	}
	taken := start(t)
	_, err := genauthtest.New(genauthtest.Config{Addr: strings.TrimPrefix(taken.URL(), "http://")})
	require.ErrorContains(t, err, "genauthtest: Addr: ")
}

// failed is a test that fails, for Start.
type failed struct{ message string }

func (*failed) Helper()                          {}
func (*failed) Cleanup(cleanup func())           { cleanup() }
func (f *failed) Fatalf(format string, _ ...any) { f.message = format }

// TestStartFailsTheTest shows what Start does with mistakes.
func TestStartFailsTheTest(t *testing.T) {
	t.Parallel()
	var tb failed
	assert.Nil(t, genauthtest.Start(&tb, genauthtest.Config{TokenLifetime: 1}))
	assert.NotEmpty(t, tb.message)
	tb = failed{}
	genauthtest.Start(&tb, genauthtest.Config{}, genauthtest.Config{})
	assert.Contains(t, tb.message, "one Config")
}
