package echomfa

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/client"
)

// TestPauseFor shows what GenAuth must say to be left alone: that there were too
// many questions, or when to come back.
func TestPauseFor(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		err    error
		want   time.Duration
		pauses bool
	}{
		"429":                  {&client.APIError{HTTPStatus: http.StatusTooManyRequests}, time.Second, true},
		"429 with Retry-After": {&client.APIError{HTTPStatus: http.StatusTooManyRequests, RetryAfter: time.Minute}, time.Minute, true},
		"503":                  {&client.APIError{HTTPStatus: http.StatusServiceUnavailable}, 0, false},
		"503 with Retry-After": {&client.APIError{HTTPStatus: http.StatusServiceUnavailable, RetryAfter: 3 * time.Second}, 3 * time.Second, true},
		"401 with Retry-After": {&client.APIError{HTTPStatus: http.StatusUnauthorized, RetryAfter: time.Minute}, 0, false},
		"a limit of a lister":  {client.ErrRateLimited, time.Second, true},
		"no connection":        {client.ErrUnavailable, 0, false},
		"an answer":            {nil, 0, false},
	} {
		got, pauses := pauseFor(row.err)
		assert.Equal(t, row.pauses, pauses, name)
		if pauses {
			assert.Equal(t, row.want, got, name)
		}
	}
}
