package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

// silent is a transport that never answers.
func silent() transportFunc {
	return func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
}

// dripping is a transport whose answer gets one byte a second, for ever.
func dripping(status int) transportFunc {
	return func(r *http.Request) (*http.Response, error) {
		body := readerFunc(func(p []byte) (int, error) {
			select {
			case <-r.Context().Done():
				return 0, r.Context().Err()
			case <-time.After(time.Second):
				p[0] = ' '
				return 1, nil
			}
		})
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(body), ContentLength: -1}, nil
	}
}

func TestT38TimeoutCoversTheWholeExchange(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		transport http.RoundTripper
		option    func(*client.Config)
		want      time.Duration
	}{
		"default, silent":           {silent(), func(*client.Config) {}, 2 * time.Second},
		"default, dripping":         {dripping(200), func(*client.Config) {}, 2 * time.Second},
		"configured":                {silent(), func(c *client.Config) { c.Timeout = time.Minute }, time.Minute},
		"configured, dripping":      {dripping(200), func(c *client.Config) { c.Timeout = 5 * time.Second }, 5 * time.Second},
		"user's client is faster":   {silent(), func(c *client.Config) { c.HTTPClient.Timeout = time.Second }, time.Second},
		"user's client is slower":   {silent(), func(c *client.Config) { c.HTTPClient.Timeout = time.Minute }, 2 * time.Second},
		"user's client has no time": {silent(), func(c *client.Config) { c.HTTPClient.Timeout = 0 }, 2 * time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				config := fakeConfig(tt.transport)
				tt.option(&config)
				c, err := client.New(config)
				require.NoError(t, err)
				start := time.Now()
				_, err = c.ListEnrolledFactors(t.Context(), testToken)
				assert.Equal(t, tt.want, time.Since(start))
				assertClass(t, client.ErrUnavailable, err)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				var e *client.TransportError
				require.ErrorAs(t, err, &e)
				assert.True(t, e.Timeout())
				assert.False(t, e.Retryable())
			})
		})
	}
}

// A status that came in time decides, though the body did not come.
func TestTimeoutAfterAFailureStatus(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]error{
		401: client.ErrUnauthenticated, 429: client.ErrRateLimited, 500: client.ErrUnavailable, 404: client.ErrMisconfigured,
	} {
		synctest.Test(t, func(t *testing.T) {
			_, err := newFakeClient(t, dripping(status)).ListEnrolledFactors(t.Context(), testToken)
			assertClass(t, want, err)
			var e *client.APIError
			require.ErrorAs(t, err, &e)
		})
	}
}

func TestContextErrorComesFirst(t *testing.T) {
	t.Parallel()
	failing := transportFunc(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, errors.New("net/http: something else")
	})
	for name, transport := range map[string]transportFunc{
		"silent": silent(), "dripping": dripping(200), "dripping 401": dripping(401), "other error": failing,
	} {
		for ending, want := range map[string]error{"canceled": context.Canceled, "deadline": context.DeadlineExceeded} {
			t.Run(name+" "+ending, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					c := newFakeClient(t, transport)
					for method, call := range everyCall(c) {
						ctx, cancel := context.WithCancelCause(t.Context())
						if want == context.DeadlineExceeded {
							var stop context.CancelFunc
							ctx, stop = context.WithTimeout(ctx, 300*time.Millisecond)
							t.Cleanup(stop)
						}
						timer := time.AfterFunc(500*time.Millisecond, func() { cancel(errors.New("cause-canary")) })
						err := call(ctx, testToken)
						timer.Stop()
						cancel(nil)
						require.ErrorIs(t, err, want, method)
						assertClass(t, nil, err, method)
						assert.Contains(t, err.Error(), method)
						assert.NotContains(t, err.Error(), "canary")
					}
				})
			})
		}
	}
}

func TestEndedContextMakesNoCall(t *testing.T) {
	t.Parallel()
	c := newFakeClient(t, transportFunc(func(*http.Request) (*http.Response, error) {
		t.Error("a call was made")
		return nil, http.ErrServerClosed
	}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for method, call := range everyCall(c) {
		err := call(ctx, testToken)
		require.ErrorIs(t, err, context.Canceled, method)
		assertClass(t, nil, err, method)
	}
}

// TestT19HalfReadConnectionIsNotUsedAgain leaves a call in the middle of its
// answer: the next call must not get the rest of it.
func TestT19HalfReadConnectionIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	half := make(chan string, 1)
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer first" {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"statusCode":200,"data":[{"factorId":"1","factorType":"OTP"}`)
			_ = http.NewResponseController(w).Flush()
			half <- r.RemoteAddr
			<-r.Context().Done()
			return
		}
		w.Header().Set("X-Request-Id", r.RemoteAddr)
		_, _ = io.WriteString(w, `{"statusCode":403}`)
	})
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := c.ListEnrolledFactors(ctx, "first")
			done <- err
		}()
		first := <-half
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)

		_, err := c.ListEnrolledFactors(t.Context(), "second")
		var e *client.APIError
		require.ErrorAs(t, err, &e)
		assert.Equal(t, 403, e.StatusCode)
		assert.NotEqual(t, first, e.RequestID, "the connection was used again")
	}
}
