package redirectloop_test

import (
	"net/http"
	"net/http/httptest"
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
		cookie, ok := redirectloop.Next(ask("/a", cookies...), "/a", true)
		require.True(t, ok, round)
		assert.Equal(t, redirectloop.CookieName, cookie.Name)
		assert.Equal(t, "/a", cookie.Path)
		assert.Equal(t, 30, cookie.MaxAge)
		assert.True(t, cookie.Secure && cookie.HttpOnly)
		cookies = append([]*http.Cookie{cookie}, cookies...) // of several, the most counts
	}
	_, ok := redirectloop.Next(ask("/a", cookies...), "/a", true)
	assert.False(t, ok)
	cookie, ok := redirectloop.Next(ask("/b", cookies...), "/b", false)
	assert.True(t, ok)
	assert.True(t, strings.HasSuffix(cookie.Value, ".1"))
	assert.False(t, cookie.Secure)

	mark, _, _ := strings.Cut(cookies[0].Value, ".")
	for count, want := range map[string]bool{"3": true, "4": false, "9": false, "10": true, "/": true, ":": true, "": true, "x": true} {
		_, ok := redirectloop.Next(ask("/a", &http.Cookie{Name: redirectloop.CookieName, Value: mark + "." + count}), "/a", true)
		assert.Equal(t, want, ok, count)
	}
}

// TestPathOfTheCookie has the paths that a cookie can be set for.
func TestPathOfTheCookie(t *testing.T) {
	t.Parallel()
	long := "/" + strings.Repeat("a", 63)
	for path, want := range map[string]string{"/a/b": "/a/b", "/a;b": "", "/a%20b": "", long: long, long + "a": ""} {
		cookie, ok := redirectloop.Next(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), path, true)
		require.True(t, ok)
		assert.Equal(t, want, cookie.Path)
	}
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
