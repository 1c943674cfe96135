package redirectloop_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/internal/redirectloop"
)

// TestRounds follows a browser that comes back with its cookies until it is not sent
// away any more, and shows that another page counts for itself.
func TestRounds(t *testing.T) {
	t.Parallel()
	ask := func(path string, cookies ...*http.Cookie) *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		for _, c := range cookies {
			r.AddCookie(c)
		}
		return r
	}
	var cookies []*http.Cookie
	for round := range 4 {
		cookie, ok := redirectloop.Next(ask("/a", cookies...), true)
		require.True(t, ok, round)
		assert.True(t, strings.HasPrefix(cookie.Name, "__Host-echomfa_round_"))
		assert.True(t, redirectloop.Owns(cookie.Name))
		assert.Equal(t, "/", cookie.Path)
		assert.Equal(t, 30, cookie.MaxAge)
		assert.True(t, cookie.Secure && cookie.HttpOnly)
		cookies = append([]*http.Cookie{cookie}, cookies...) // of several, the most counts
	}
	_, ok := redirectloop.Next(ask("/a", cookies...), true)
	assert.False(t, ok)
	cookie, ok := redirectloop.Next(ask("/b", cookies...), false)
	assert.True(t, ok)
	assert.Equal(t, "1", cookie.Value)
	assert.False(t, cookie.Secure)
	assert.True(t, strings.HasPrefix(cookie.Name, "echomfa_round_"), "a browser takes no __Host- without Secure")
	assert.True(t, redirectloop.Owns(cookie.Name))
	assert.False(t, redirectloop.Owns("__Host-session"))

	for count, want := range map[string]bool{"3": true, "4": false, "9": false, "10": true, "/": true, ":": true, "": true, "x": true} {
		_, ok := redirectloop.Next(ask("/a", &http.Cookie{Name: cookies[0].Name, Value: count}), true)
		assert.Equal(t, want, ok, count)
	}
}

// TestCookiesAreFew visits many pages: there are no more than 64 cookies.
func TestCookiesAreFew(t *testing.T) {
	t.Parallel()
	names := make(map[string]bool)
	for page := range 10_000 {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/"+strconv.Itoa(page), nil)
		cookie, ok := redirectloop.Next(r, true)
		require.True(t, ok)
		names[cookie.Name] = true
	}
	assert.Len(t, names, 64)
}

// TestAlarmIsDueOnceAMinute shows that clients cannot fill the log.
func TestAlarmIsDueOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var alarm redirectloop.Alarm
		assert.True(t, alarm.Due())
		assert.False(t, alarm.Due())
		time.Sleep(time.Minute - time.Nanosecond)
		assert.False(t, alarm.Due())
		time.Sleep(time.Nanosecond)
		assert.True(t, alarm.Due())
		assert.False(t, alarm.Due())
	})
}
