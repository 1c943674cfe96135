package echomfa_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
)

// TestBreakerRule4LongTokensFindNoConnection has a network that limits how many connections are made.
// Each long token needs one of its own, so it is the number of these that is limited: neither
// somebody who makes them up nor one user who has many stops the lookups of others, of whom
// none is made meanwhile. If those of five users with long tokens find none, nobody does.
func TestBreakerRule4LongTokensFindNoConnection(t *testing.T) {
	t.Parallel()
	long := func(user int, i int) string {
		return answertest.JWT(map[string]any{"sub": fmt.Sprintf("long-%d", user), "aud": "app", "jti": i, "pad": strings.Repeat("x", 3000)})
	}
	for name, row := range map[string]struct {
		token func(i int) string
		known bool
		open  bool
	}{
		"made-up":    {token: madeUp},
		"one user":   {token: func(i int) string { return long(0, i) }, known: true},
		"four users": {token: func(i int) string { return long(i%4, i) }, known: true},
		"five users": {token: func(i int) string { return long(i%5, i) }, known: true, open: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o := newOffice(t)
				require.Equal(t, echomfa.Allowed, o.ask(workers()[0]))
				tokens := make(map[string]bool)
				for i := range 100 {
					tokens[row.token(i)] = true
					if row.known {
						require.Equal(t, echomfa.Allowed, o.ask(row.token(i)))
						pass(50 * time.Millisecond)
					}
				}
				pass(2 * time.Minute)
				o.does(func(_ context.Context, token string) error {
					if tokens[token] {
						return dead()
					}
					return nil
				})
				for i := range 100 {
					o.later(row.token(i))
					pass(100 * time.Millisecond)
				}
				o.over()
				assert.Positive(t, o.calls())
				assert.Equal(t, row.open, o.open(), "%+v", o.e.Stats())
				if !row.open {
					assert.Equal(t, echomfa.Allowed, o.ask(workers()[0]))
				}
			})
		})
	}
}

// TestX18NoMisconfiguration shows that what a gateway says of a long token is neither a
// misconfiguration nor asked about again at once, and is logged once a minute.
func TestX18NoMisconfiguration(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	for name, err := range map[string]error{
		"400":    &client.APIError{HTTPStatus: 400},
		"413":    &client.APIError{HTTPStatus: 413},
		"431":    &client.APIError{HTTPStatus: 431},
		"GOAWAY": &client.TransportError{Err: errors.New("http2: server sent GOAWAY and closed the connection")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				d := newDirectory()
				d.enroll("user", echomfa.OTP)
				e := newEnforcer(t, d, func(c *echomfa.Config) {
					c.Logger, c.MaxTokenBytes = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError})), 6000
				})
				decide(t, e, "user", otp())
				d.fail(err)
				for range 10 {
					_, got := e.Decide(t.Context(), long, otp())
					require.ErrorIs(t, got, echomfa.ErrUnavailable)
					require.NotErrorIs(t, got, echomfa.ErrMisconfigured)
				}
				assert.Equal(t, 1, d.asked()[long], "it is held at once")
				assert.Zero(t, e.Stats().Lookups.Misconfigured)
				for i := range 59 {
					_, _ = e.Decide(t.Context(), strconv.Itoa(i)+long, otp())
					pass(time.Second)
				}
				assert.Equal(t, 1, strings.Count(log.String(), "level=ERROR"), "%.2000s", log.String())
				assert.Contains(t, log.String(), "length=5000 max_token_bytes=6000")
				assert.NotContains(t, log.String(), long)
				pass(2 * time.Second)
				_, _ = e.Decide(t.Context(), "again"+long, otp())
				assert.Equal(t, 2, strings.Count(log.String(), "level=ERROR"))
			})
		})
	}
}

// TestX18MaxTokenBytes shows the limit where tokens are read, and its mistakes.
func TestX18MaxTokenBytes(t *testing.T) {
	t.Parallel()
	e := newEnforcer(t, newDirectory(), func(c *echomfa.Config) { c.MaxTokenBytes = 100 })
	for length, calls := range map[int]string{100: "the token was rejected", 101: "the token is too long"} {
		_, err := e.Decide(t.Context(), strings.Repeat("x", length), otp())
		require.ErrorIs(t, err, echomfa.ErrUnauthenticated)
		require.ErrorContains(t, err, calls)
	}
	require.ErrorContains(t, e.Invalidate(t.Context(), strings.Repeat("x", 101)), "the token is too long")
	for n, want := range map[int]string{
		-1: "MaxTokenBytes: -1 is negative", 15: "MaxTokenBytes: 15 is below 16", client.MaxTokenBytes + 1: "MaxTokenBytes: 8193 is above 8192",
		16: "", client.MaxTokenBytes: "",
	} {
		e, err := echomfa.New(echomfa.Config{Client: newDirectory(), Namespace: "n", Audience: []string{"a"}, MaxTokenBytes: n})
		if want == "" {
			require.NoError(t, err)
			require.NoError(t, e.Close())
			continue
		}
		require.ErrorContains(t, err, want)
	}
}
