package echomfa_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
	"github.com/echomfa/echomfa/storetest"
)

// admissionLog is an Enforcer with its log, and tokens that it is sent.
type admissionLog struct {
	t    *testing.T
	log  bytes.Buffer
	e    *echomfa.Enforcer
	d    *directory
	sent int
}

func newAdmissionLog(t *testing.T, store ...echomfa.Store) *admissionLog {
	t.Helper()
	a := &admissionLog{t: t, d: newDirectory()}
	a.e = newEnforcer(t, a.d, func(c *echomfa.Config) {
		c.Audience = []string{"app", "app2"}
		if store != nil {
			c.Cache.Store = store[0]
		}
		c.Logger = slog.New(slog.NewTextHandler(&a.log, &slog.HandlerOptions{Level: slog.LevelError}))
	})
	return a
}

// send sends a new token with the given claims, and reports whether it was let in.
func (a *admissionLog) send(change map[string]any) bool {
	a.t.Helper()
	a.sent++
	claims := map[string]any{"sub": "u1", "aud": "app", "jti": a.sent}
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	token := answertest.JWT(claims)
	a.d.enroll(token, echomfa.OTP)
	_, err := a.e.Decide(a.t.Context(), token, otp())
	return err == nil
}

// lines returns how many lines have the text, of all that were written.
func (a *admissionLog) lines(text string) int {
	found := 0
	for line := range strings.Lines(a.log.String()) {
		if strings.Contains(line, text) {
			found++
		}
	}
	return found
}

func TestN7WrongTokensForEverybody(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		wrong map[string]any
		want  []string
	}{
		"another app's": {map[string]any{"aud": "app of others"}, []string{"AppID", "Audience", `expected="app app2"`, `audience="app of others"`}},
		"machines'":     {map[string]any{"sub": nil}, []string{"name no user"}},
		"ID tokens":     {map[string]any{"nonce": "n"}, []string{"ID tokens"}},
		"delegated":     {map[string]any{"act": map[string]any{"sub": "agent"}}, []string{"event=token_is_delegated", "AllowDelegated"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := newAdmissionLog(t)
				for range 100 {
					require.False(t, a.send(row.wrong))
				}
				assert.Equal(t, 1, a.lines("level=ERROR"), "once, at the first:\n%s", a.log.String())
				assert.Contains(t, a.log.String(), "refused=1 of=1")
				for _, text := range row.want {
					assert.Contains(t, a.log.String(), text)
				}
				require.NoError(t, a.e.Close())
			})
		})
	}
}

// TestOnlyAnAnswerAcceptsAToken shows that a JWT does not count as accepted if GenAuth
// refuses it, or fails when the Store's facts are too old: the first token of another app
// is still said.
func TestOnlyAnAnswerAcceptsAToken(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		before func(a *admissionLog, other *echomfa.Enforcer, token string)
		want   echomfa.Outcome
	}{
		"refused": {func(*admissionLog, *echomfa.Enforcer, string) {}, echomfa.Unauthenticated},
		"fails": {func(a *admissionLog, other *echomfa.Enforcer, token string) {
			a.d.enroll(token, echomfa.Email)
			require.Equal(a.t, echomfa.NotEnrolled, decide(a.t, other, token, otp()).Outcome)
			synctest.Wait() // it is stored
			pass(3 * time.Second)
			a.d.fail(client.ErrUnavailable)
		}, echomfa.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := storetest.NewMemory()
				a := newAdmissionLog(t, store)
				other := fleet(t, 1, store, a.d)[0]
				token := answertest.JWT(map[string]any{"sub": "u1", "aud": "app"})
				row.before(a, other, token)
				require.Equal(t, row.want, decide(t, a.e, token, otp()).Outcome)
				require.False(t, a.send(map[string]any{"aud": "app of others"}))
				assert.Equal(t, 1, a.lines("their audience"), a.log.String())
			})
		})
	}
}

// TestN7WrongSubjectForEverybody has a Subject that never returns the sub, and tokens
// in which there is none to return.
func TestN7WrongSubjectForEverybody(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		token string
		want  string
	}{
		"an e-mail address": {answertest.JWT(map[string]any{"sub": "u1", "aud": "app"}), "it must return the sub"},
		"opaque tokens":     {answertest.NotEnrolled, "it must return the sub"},
		"machines'":         {answertest.JWT(map[string]any{"aud": "app"}), "name no user"},
		"another app's":     {answertest.JWT(map[string]any{"sub": "u1", "aud": "other"}), "their audience"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAdmissionLog(t)
			mount := a.e.Middleware(echomfa.HandlerConfig{
				Policy:  otp(),
				Subject: func(*http.Request) (string, error) { return "bob@example.com", nil },
			})(http.NotFoundHandler())
			for range 3 {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
				r.Header.Set("Authorization", "Bearer "+row.token)
				w := httptest.NewRecorder()
				mount.ServeHTTP(w, r)
				require.Equal(t, http.StatusUnauthorized, w.Code)
			}
			assert.Equal(t, 1, a.lines("level=ERROR"), a.log.String())
			assert.Equal(t, 1, a.lines(row.want), a.log.String())
		})
	}
}

// TestN7OneWrongTokenAmongGoodOnes shows that what one client sends is not taken for
// a wrong configuration, and that what most of them send is, once while it lasts.
func TestN7OneWrongTokenAmongGoodOnes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		wrong := map[string]any{"aud": "other"}
		a := newAdmissionLog(t)
		require.True(t, a.send(nil))
		for range 100 {
			same := answertest.JWT(map[string]any{"sub": "u1", "aud": "other"})
			decide(t, a.e, same, otp())
		}
		for range 9 {
			a.send(nil)
			a.send(wrong)
		}
		assert.Zero(t, a.lines("level=ERROR"), "half of them, and one of them often:\n%s", a.log.String())
		for range 20 {
			a.send(wrong)
		}
		assert.Equal(t, 1, a.lines("their audience"), "most of them:\n%s", a.log.String())
		for range 20 {
			a.send(nil)
		}
		for range 20 {
			a.send(wrong)
		}
		assert.Equal(t, 1, a.lines("level=ERROR"), "a client cannot fill the log by turns")
		time.Sleep(time.Hour)
		a.send(wrong)
		assert.Equal(t, 2, a.lines("their audience"), "it is back, an hour later")
		time.Sleep(2 * time.Hour)
		for range 100 {
			a.send(wrong)
		}
		assert.Equal(t, 2, a.lines("level=ERROR"), "once while it lasts")
		require.NoError(t, a.e.Close())
	})
}

// TestN7TextOfClientsIsBounded shows that the audience of a token, which nobody has
// verified, is logged only if it is short and printable.
func TestN7TextOfClientsIsBounded(t *testing.T) {
	t.Parallel()
	for _, audience := range []any{
		strings.Repeat("x", 200), "a\nlevel=ERROR", "\u202eapp", []string{"a", "b", "c", "d", "e"}, nil,
	} {
		a := newAdmissionLog(t)
		a.send(map[string]any{"aud": audience})
		assert.Equal(t, 1, a.lines(`audience=""`), "%v: %s", audience, a.log.String())
	}
	a := newAdmissionLog(t)
	a.send(map[string]any{"aud": []string{"a", "b"}})
	assert.Equal(t, 1, a.lines(`audience="a b"`), a.log.String())
}

// TestN7OpaqueTokensSayNothing shows that a token without claims is
// not taken for a sign that the app id is right.
func TestN7OpaqueTokensSayNothing(t *testing.T) {
	t.Parallel()
	a := newAdmissionLog(t)
	a.d.enroll("opaque", echomfa.OTP)
	decide(t, a.e, "opaque", otp())
	a.send(map[string]any{"aud": "other"})
	assert.Equal(t, 1, a.lines("their audience"))
}

// TestN7NoTokenIsAccepted shows that it is said once, at Error, if none of the first
// tokens is accepted, by whatever they are refused, and that clients cannot cause it later.
func TestN7NoTokenIsAccepted(t *testing.T) {
	t.Parallel()
	refused := errors.New("wrong issuer")
	for name, row := range map[string]struct {
		token string // with %d
		want  string
	}{
		"GenAuth refuses them":    {"unknown-%d", "token was rejected"},
		"CheckToken refuses them": {"verify-%d", "wrong issuer"},
		"quoted, as some store":   {`"quoted-%d"`, "malformed"},
		"not a JWT after all":     {"e30.%d.x", "malformed"},
	} {
		for _, before := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				var log bytes.Buffer
				d := newDirectory()
				e := newEnforcer(t, d, func(c *echomfa.Config) {
					c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
					c.CheckToken = func(_ context.Context, token string) error {
						if strings.HasPrefix(token, "verify") {
							return refused
						}
						return nil
					}
				})
				if before {
					d.enroll("good", echomfa.OTP)
					decide(t, e, "good", otp())
				}
				for i := range 30 {
					if i == 9 {
						assert.NotContains(t, log.String(), "since the start", "nine may be one client's")
					}
					for range 3 {
						token := fmt.Sprintf(row.token, i)
						d.revoke(token)
						_, err := e.Decide(t.Context(), token, otp())
						require.ErrorIs(t, err, echomfa.ErrUnauthenticated)
					}
				}
				if before {
					assert.Empty(t, log.String())
					return
				}
				assert.Equal(t, 1, strings.Count(log.String(), "level=ERROR"), log.String())
				assert.Contains(t, log.String(), "no token has been accepted since the start")
				assert.Contains(t, log.String(), row.want)
			})
		}
	}
}

// TestN7MalformedTokensForASubject is the same where the user of the token is compared first.
func TestN7MalformedTokensForASubject(t *testing.T) {
	t.Parallel()
	a := newAdmissionLog(t)
	handler := a.e.Middleware(echomfa.HandlerConfig{
		Policy:  otp(),
		Subject: func(*http.Request) (string, error) { return "u1", nil },
	})(http.NotFoundHandler())
	for i := range 20 {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.Header.Set("Authorization", fmt.Sprintf("Bearer e30.%d.x", i))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		require.Equal(t, http.StatusUnauthorized, w.Code)
	}
	assert.Equal(t, 1, a.lines("since the start"), a.log.String())
}
