package admission_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/internal/admission"
	"github.com/echomfa/echomfa/internal/claims"
	"github.com/echomfa/echomfa/internal/digest"
)

// TestAdmit has what the claims of a token may say.
func TestAdmit(t *testing.T) {
	t.Parallel()
	user := claims.Claims{JWT: true, Subject: "u", Audience: []string{"x", "app"}}
	changed := func(change func(*claims.Claims)) claims.Claims {
		c := user
		change(&c)
		return c
	}
	rule := admission.Rule{Accepted: []string{"app", "app2"}}
	for name, test := range map[string]struct {
		rule   admission.Rule
		token  claims.Claims
		want   admission.Verdict
		reason string
	}{
		"ours":                 {rule, user, admission.Admitted, ""},
		"opaque":               {rule, claims.Claims{}, admission.Admitted, ""},
		"ID token":             {rule, changed(func(c *claims.Claims) { c.IDToken = true }), admission.NotAccessToken, "ID token"},
		"machine":              {rule, changed(func(c *claims.Claims) { c.Subject = "" }), admission.NotUser, "no user"},
		"another app":          {rule, changed(func(c *claims.Claims) { c.Audience = []string{"x"} }), admission.NotOurs, "another application"},
		"no audience":          {rule, changed(func(c *claims.Claims) { c.Audience = nil }), admission.NotOurs, "another application"},
		"any audience":         {admission.Rule{Any: true}, changed(func(c *claims.Claims) { c.Audience = nil }), admission.Admitted, ""},
		"delegated":            {rule, changed(func(c *claims.Claims) { c.Delegated = true }), admission.Delegated, "somebody else acts"},
		"delegated, of others": {rule, changed(func(c *claims.Claims) { c.Delegated, c.Audience = true, nil }), admission.NotOurs, "another application"},
		"delegated, allowed": {
			admission.Rule{Accepted: rule.Accepted, Delegated: true}, changed(func(c *claims.Claims) { c.Delegated = true }), admission.Admitted, "",
		},
		"any user": {admission.Rule{Any: true}, changed(func(c *claims.Claims) { c.Subject = "" }), admission.NotUser, "no user"},
	} {
		got := test.rule.Admit(&test.token)
		assert.Equal(t, test.want, got, name)
		assert.Contains(t, got.Reason(), test.reason, name)
		assert.Equal(t, test.reason == "", got.Reason() == "", name)
	}
}

func lines(b *bytes.Buffer) int { return strings.Count(b.String(), "\n") }

// TestWatch shows when a refusal is a line: the first one, if no token has been
// accepted, and then once most of the newest are refused, and once an hour.
func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		w := admission.NewWatch(slog.New(slog.NewTextHandler(&out, nil)), []string{"app", "app2"})
		c := &claims.Claims{Audience: []string{"other"}}
		refuse := func(n byte) { w.Refused(t.Context(), digest.Key{n}, admission.NotOurs, c) }
		refuse(1)
		assert.Equal(t, 1, lines(&out))
		assert.Contains(t, out.String(), `refused=1 of=1 expected="app app2" audience=other`)
		for n := range byte(50) {
			refuse(n)
		}
		assert.Equal(t, 1, lines(&out), "it is known")
		for n := range byte(20) {
			w.Accepted(digest.Key{100 + n})
		}
		for n := range byte(20) {
			refuse(n)
		}
		assert.Equal(t, 1, lines(&out), "it was an hour ago at most")
		for n := range byte(20) {
			w.Accepted(digest.Key{100 + n})
		}
		time.Sleep(time.Hour)
		for n := range byte(10) {
			refuse(n)
		}
		assert.Equal(t, 1, lines(&out), "half of them is not most")
		refuse(10)
		assert.Equal(t, 2, lines(&out))
		assert.Contains(t, out.String(), "refused=11 of=20")
	})
}

// TestRefusalWatch shows that most of the last 20, and ten at least, must be refused.
func TestRefusalWatch(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	var w admission.RefusalWatch
	for range 9 {
		w.Note(t.Context(), log, true)
	}
	assert.Equal(t, 0, lines(&out))
	w.Note(t.Context(), log, true)
	assert.Equal(t, 1, lines(&out))
	assert.Contains(t, out.String(), "refused=10 of=10")
	for range 10 {
		w.Note(t.Context(), log, false)
	}
	w.Note(t.Context(), log, true)
	for range 9 {
		w.Note(t.Context(), log, true)
	}
	assert.Equal(t, 1, lines(&out), "half of them is not most")
	w.Note(t.Context(), log, true)
	assert.Equal(t, 2, lines(&out))
	assert.Contains(t, out.String(), "refused=11 of=20")
}
