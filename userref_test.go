package echomfa_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
)

const (
	userRefKey = "0123456789abcdef"
	// userRef was computed by the line of docs/runbook.md, for the id user-1.
	userRef = "IW422ZB5XKDFNLQ4"
)

// tokenOfUser returns a token of user-1 with other claims.
func tokenOfUser(change map[string]any) string {
	claims := map[string]any{"sub": "user-1", "aud": "app"}
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return answertest.JWT(claims)
}

// TestN11UserRefIsComputedFromTheID has what an operator computes.
func TestN11UserRefIsComputedFromTheID(t *testing.T) {
	t.Parallel()
	key := []byte(userRefKey)
	assert.Equal(t, userRef, echomfa.UserRef(key, "user-1"))
	assert.Contains(t, read(t, "docs/runbook.md"), "printf 'echomfa user_ref 1:%s'", "the line that it was computed by")
	assert.NotEqual(t, userRef, echomfa.UserRef(key, "user-2"))
	assert.NotEqual(t, userRef, echomfa.UserRef([]byte("0123456789abcdeg"), "user-1"))
	assert.Empty(t, echomfa.UserRef(key, ""))
	assert.Empty(t, echomfa.UserRef(nil, "user-1"), "everybody has that key")

	changing := bytes.Clone(key)
	e := newEnforcer(t, newDirectory(), func(c *echomfa.Config) { c.UserRefKey = changing })
	clear(changing)
	assert.Equal(t, userRef, e.UserRef("user-1"))
	assert.Empty(t, e.UserRef(""))
	assert.Empty(t, newEnforcer(t, newDirectory(), nil).UserRef("user-1"))
	assert.Empty(t, (*echomfa.Enforcer)(nil).UserRef("user-1"))
}

// TestN11UserRefKeyIsLong has keys that can be guessed.
func TestN11UserRefKeyIsLong(t *testing.T) {
	t.Parallel()
	for key, ok := range map[string]bool{"": false, "0123456789abcde": false, userRefKey: true} {
		e, err := echomfa.New(echomfa.Config{Client: newDirectory(), Namespace: "n", Audience: []string{"app"}, UserRefKey: []byte(key)})
		if ok {
			require.NoError(t, err)
			require.NoError(t, e.Close())
			continue
		}
		require.ErrorContains(t, err, "echomfa: UserRefKey: ", key)
	}
}

// TestN11RefusalsNameTheirUser has each kind of refusal, in the log line, the decision
// and the problem document, with a key and without.
func TestN11RefusalsNameTheirUser(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	lacking, panicking := tokenOfUser(nil), tokenOfUser(map[string]any{"jti": "panic"})
	lister := echomfa.FactorListerFunc(func(ctx context.Context, token string) ([]client.Factor, error) {
		if token == panicking {
			panic("lister")
		}
		return d.ListEnrolledFactors(ctx, token)
	})
	unknown := tokenOfUser(map[string]any{"jti": "unknown"})
	d.enroll(lacking, echomfa.Email)
	d.enroll("an-opaque-token-of-somebody", echomfa.Email)
	for name, row := range map[string]struct {
		token  string
		status int
		want   string
	}{
		"lacks a factor":     {lacking, 403, userRef},
		"revoked":            {unknown, 401, userRef},
		"another app's":      {tokenOfUser(map[string]any{"aud": "other"}), 401, userRef},
		"an ID token":        {tokenOfUser(map[string]any{"nonce": "n"}), 401, userRef},
		"the lister panics":  {panicking, 500, userRef},
		"a machine's":        {tokenOfUser(map[string]any{"sub": nil}), 401, ""},
		"opaque":             {"an-opaque-token-of-somebody", 403, ""},
		"no token":           {"", 401, ""},
		"two subs":           {twoSubs(), 401, ""},
		"not a token at all": {lacking + " x", 401, ""},
	} {
		for _, withKey := range []bool{true, false} {
			var log bytes.Buffer
			var seen echomfa.Decision
			e := newEnforcer(t, lister, func(c *echomfa.Config) {
				c.Logger, c.Observer = slog.New(slog.NewJSONHandler(&log, nil)), observerFunc(func(_ context.Context, d echomfa.Decision, _, _ string) { seen = d })
				if withKey {
					c.UserRefKey = []byte(userRefKey)
				}
			})
			want := row.want
			if !withKey {
				want = ""
			}
			var told error
			h := e.Middleware(echomfa.HandlerConfig{Policy: otp(), ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { told = err }})
			var headers []string
			if row.token != "" {
				headers = []string{"Authorization: Bearer " + row.token}
			}
			w := ask(h(http.NotFoundHandler()), http.MethodGet, "/", headers...)
			assert.Equal(t, row.status, w.Code, name)
			var answer map[string]any
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
			assert.Equal(t, want, textIn(answer, "user_ref"), "%s: answer", name)
			assert.Equal(t, want != "", strings.Contains(w.Body.String(), "user_ref"), "%s: it is left out", name)
			assert.Equal(t, want, seen.UserRef, "%s: decision", name)
			if row.status != http.StatusInternalServerError { // whose error has no type
				assert.Equal(t, want, userRefIn(told), "%s: error", name)
			}
			lines := regexp.MustCompile(`"event":"refused".*"user_ref":"(\w*)"`).FindAllStringSubmatch(log.String(), -1)
			if assert.Len(t, lines, 1, log.String()) {
				assert.Equal(t, want, lines[0][1], "%s: log", name)
			}
			assert.NotContains(t, log.String()+w.Body.String(), "user-1", name)
		}
	}
}

// twoSubs is a token whose claims can be read in two ways.
func twoSubs() string {
	parts := strings.Split(tokenOfUser(nil), ".")
	return parts[0] + ".eyJzdWIiOiJ1c2VyLTEiLCJzdWIiOiJ1c2VyLTIifQ." + parts[2]
}

func textIn(object map[string]any, name string) string {
	text, _ := object[name].(string)
	return text
}

// userRefIn returns what an ErrorHandler can read.
func userRefIn(err error) string {
	var (
		missing *echomfa.NotEnrolledError
		token   *echomfa.TokenError
		lookup  *echomfa.LookupError
	)
	switch {
	case errors.As(err, &missing):
		return missing.Decision.UserRef
	case errors.As(err, &token):
		return token.UserRef
	case errors.As(err, &lookup):
		return lookup.UserRef
	}
	return ""
}

// TestN11UnknownUsersAreNamed has a 503, in report-only mode as well, and a user who is
// let in, whom nothing names.
func TestN11UnknownUsersAreNamed(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	var log bytes.Buffer
	e := newEnforcer(t, d, func(c *echomfa.Config) {
		c.Logger, c.UserRefKey = slog.New(slog.NewTextHandler(&log, nil)), []byte(userRefKey)
	})
	good := tokenOfUser(map[string]any{"jti": "good"})
	d.enroll(good, echomfa.OTP)
	assert.Empty(t, decide(t, e, good, otp()).UserRef)
	assert.Empty(t, log.String())
	d.fail(client.ErrUnavailable)
	assert.Equal(t, userRef, decide(t, e, tokenOfUser(nil), otp()).UserRef)
	reported := e.Middleware(echomfa.HandlerConfig{Policy: otp(), Mode: echomfa.ReportOnly})(http.NotFoundHandler())
	ask(reported, http.MethodGet, "/", "Authorization: Bearer "+tokenOfUser(map[string]any{"jti": "other"}))
	assert.Equal(t, 2, strings.Count(log.String(), "user_ref="+userRef))
}

// TestN11RefusalPageIsGivenTheUser has the app's own page.
func TestN11RefusalPageIsGivenTheUser(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	d.enroll(tokenOfUser(nil), echomfa.Email)
	e := newEnforcer(t, d, func(c *echomfa.Config) {
		c.UserRefKey = []byte(userRefKey)
		c.RefusalPage = func(_ *http.Request, about echomfa.Refusal) (echomfa.RefusalPage, error) {
			return echomfa.RefusalPage{HTML: template.HTML("<p>own " + about.UserRef + "</p>")}, nil
		}
	})
	w := ask(guarded(t, e), http.MethodGet, "/admin", navigation, "Authorization: Bearer "+tokenOfUser(nil))
	assert.Contains(t, w.Body.String(), "own "+userRef)
}
