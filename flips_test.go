package echomfa_test

import (
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestT12FlippedBitsNeverAllow damages the answer about a user without OTP, by
// one bit to eight, or cuts it off, and has the user ask for a page that needs
// OTP. Each answer has an enforcer of its own: after five failures in a row, one
// would not ask any more.
func TestT12FlippedBitsNeverAllow(t *testing.T) {
	t.Parallel()
	const good = `{"statusCode":200,"apiCode":0,"message":"ok","data":[{"factorId":"1","factorType":"SMS","profile":{"a":"OTP"}},` +
		`{"factorId":"2","factorType":"EMAIL"},{"factorId":"3","factorType":"FACE"}]}`
	patient := echomfa.LookupConfig{Timeout: time.Minute, MaxWait: 30 * time.Second} // of a busy machine
	random := rand.New(rand.NewPCG(12, 3))
	seen := make(map[echomfa.Outcome]int)
	for n := range 8_000 {
		body := []byte(good)
		if n < len(good) {
			body = body[:n]
		} else {
			for range 1 + random.IntN(8) {
				body[random.IntN(len(body))] ^= 1 << random.IntN(8)
			}
		}
		var asked atomic.Int32
		c, err := client.New(client.Config{
			BaseURL: "https://pool.example.com", AppID: "app",
			HTTPClient: &http.Client{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
				asked.Add(1)
				return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(body))), Request: r}, nil
			})},
		})
		require.NoError(t, err)
		e, err := echomfa.New(echomfa.Config{Client: c, Lookup: patient})
		require.NoError(t, err)
		d, err := e.Decide(t.Context(), "token", otp())
		require.Error(t, err, "%q", body)
		require.NotEqual(t, echomfa.Allowed, d.Outcome, "%q", body)
		require.False(t, d.Enrolled.Has(echomfa.OTP), "%q", body)
		require.Positive(t, asked.Load())
		require.NoError(t, e.Close())
		seen[d.Outcome]++
	}
	assert.Greater(t, seen[echomfa.NotEnrolled], 200, "what is never believed shows nothing")
	assert.Greater(t, seen[echomfa.Unavailable], len(good))
}
