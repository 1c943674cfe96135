package echomfa_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/echomfa/echomfa/internal/answertest"
)

// TestT10OddTokensAreNeverTaken sends every truncation of a good value, and
// values that are close to it.
func TestT10OddTokensAreNeverTaken(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	good := answertest.JWT(map[string]any{"sub": "u", "aud": "app"})
	d.enroll(good, echomfa.OTP)
	d.enroll("", echomfa.OTP) // a GenAuth that takes an empty token
	app := guarded(t, newEnforcer(t, d, nil))
	value := "Bearer " + good
	for n := range len(value) {
		assert.Equal(t, 401, send(t, app, http.MethodGet, "/", "Authorization: "+value[:n]).Code, value[:n])
	}
	for _, odd := range []string{
		"Bearer", "Bearer ", "Bearer  ", "Bearer\t" + good, "Bearer " + good + " x", "Bearer " + good + ",", "Bearer \"" + good + "\"",
		"Bearer " + good + "\x00", "Bearer ü", good, "Basic " + good, "Token " + good, "Bearer=" + good, "Bearer " + strings.Repeat("a", 8193),
	} {
		asked := d.total()
		assert.Equal(t, 401, send(t, app, http.MethodGet, "/", "Authorization: "+odd).Code, odd)
		assert.Equal(t, asked, d.total(), "%q is not even asked about", odd)
	}
	assert.Equal(t, 200, send(t, app, http.MethodGet, "/", "Authorization: "+value).Code)
}

// TestT45MFATokenIsNoAccessToken shows the hole, a GenAuth that takes the token
// of an unfinished sign-in, and what closes it.
func TestT45MFATokenIsNoAccessToken(t *testing.T) {
	t.Parallel()
	genauth, err := genauthtest.New(genauthtest.Config{AcceptMFATokens: true})
	require.NoError(t, err)
	t.Cleanup(genauth.Close)
	genauth.AddUser(genauthtest.User{ID: "alice", Username: "alice"})
	genauth.Enroll("alice", genauthtest.OTP)
	c, err := client.New(client.Config{BaseURL: genauth.URL(), AppID: genauth.AppID(), Timeout: patience})
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	e := newEnforcer(t, c, func(cfg *echomfa.Config) {
		cfg.Audience = nil
		cfg.CheckToken = func(ctx context.Context, token string) error {
			info, err := c.IntrospectMFAToken(ctx, token)
			if err == nil && info.Active {
				return fmt.Errorf("the sign-in is not finished: %w", echomfa.ErrUnauthenticated)
			}
			return err
		}
	})
	unfinished := genauth.Mint(genauthtest.Token{Kind: genauthtest.KindMFA, UserID: "alice", Opaque: true})
	assert.Equal(t, echomfa.Unauthenticated, decide(t, e, unfinished, otp()).Outcome)
	assert.Zero(t, genauth.ListCalls(), "it was not even asked")
	assert.Equal(t, echomfa.Allowed, decide(t, e, genauth.AccessToken("alice"), otp()).Outcome)

	open := newEnforcer(t, c, nil)
	assert.Equal(t, echomfa.Allowed, decide(t, open, unfinished, otp()).Outcome, "this is why CheckToken exists")
}

// TestT46AndT47TokensForOthers shows that GenAuth accepting a token is not
// enough: it must be an access token, of a user, for this application.
func TestT46AndT47TokensForOthers(t *testing.T) {
	t.Parallel()
	genauth, err := genauthtest.New(genauthtest.Config{AcceptAnyAudience: true, AcceptIDTokens: true})
	require.NoError(t, err)
	t.Cleanup(genauth.Close)
	genauth.AddUser(genauthtest.User{ID: "alice", Username: "alice"})
	genauth.Enroll("alice", genauthtest.OTP)
	c, err := client.New(client.Config{BaseURL: genauth.URL(), AppID: genauth.AppID(), Timeout: patience})
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	e := newEnforcer(t, c, func(cfg *echomfa.Config) { cfg.Audience = nil })
	for name, other := range map[string]genauthtest.Token{
		"T46 of another application": {UserID: "alice", Audience: "another-app"},
		"T47 an ID token":            {UserID: "alice", Kind: genauthtest.KindID},
		"T47 of a machine":           {Kind: genauthtest.KindMachine},
	} {
		d, err := e.Decide(t.Context(), genauth.Mint(other), otp())
		assert.Equal(t, echomfa.Unauthenticated, d.Outcome, name)
		var refused *echomfa.TokenError
		require.ErrorAs(t, err, &refused, name)
		assert.Equal(t, "invalid_token", refused.Code, name)
		assert.NotEmpty(t, refused.Reason, name)
	}
	assert.Zero(t, genauth.ListCalls())
	assert.Equal(t, echomfa.Allowed, decide(t, e, genauth.AccessToken("alice"), otp()).Outcome)
}

// TestT47DelegatedTokens shows that a token with which somebody else acts for its user
// is refused without a call, wherever tokens are decided about, unless that is allowed:
// the factors would be the user's.
func TestT47DelegatedTokens(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		claim     string
		value     any
		delegated bool
	}{
		"an agent":              {"act", map[string]any{"sub": "agent"}, true},
		"a chain":               {"act", map[string]any{"sub": "agent", "act": map[string]any{"sub": "u1"}}, true},
		"nobody is named":       {"act", map[string]any{}, true},
		"not as the RFC has it": {"act", "agent", true},
		"false":                 {"act", false, true},
		"null says nothing":     {"act", nil, false},
		"who may act does not":  {"may_act", map[string]any{"sub": "agent"}, false},
	} {
		token := answertest.JWT(map[string]any{"sub": "u1", "aud": "app", row.claim: row.value})
		d := newDirectory()
		d.enroll(token, echomfa.OTP)
		allowing := newEnforcer(t, d, func(c *echomfa.Config) { c.AllowDelegated = true })
		assert.Equal(t, echomfa.Allowed, decide(t, allowing, token, otp()).Outcome, name)
		asked := d.total()

		e := newEnforcer(t, d, nil)
		if !row.delegated {
			assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome, name)
			continue
		}
		for range 2 {
			decision, err := e.Decide(t.Context(), token, otp())
			assert.Equal(t, echomfa.Unauthenticated, decision.Outcome, name)
			var refused *echomfa.TokenError
			require.ErrorAs(t, err, &refused, name)
			assert.Equal(t, "invalid_token", refused.Code, name)
			assert.Contains(t, refused.Reason, "delegated", name)
		}
		_, err := e.EnrolledFactors(t.Context(), token)
		require.ErrorIs(t, err, echomfa.ErrUnauthenticated, "%s: the enrollment pages ask by it", name)
		served := e.Middleware(echomfa.HandlerConfig{Policy: otp(), Subject: func(*http.Request) (string, error) { return "u1", nil }})
		w := ask(served(http.NotFoundHandler()), http.MethodGet, "/", "Authorization: Bearer "+token)
		assert.Equal(t, http.StatusUnauthorized, w.Code, "%s: the sub is the session's", name)
		assert.Equal(t, asked, d.total(), "%s: GenAuth is not asked", name)
	}
}

// TestT46ClaimsAreReadOneWay shows that a token whose claims two readers may
// read differently is refused without a call: which of two members counts is
// left to the reader (RFC 7519, section 4).
func TestT46ClaimsAreReadOneWay(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	e := newEnforcer(t, d, nil)
	encode := base64.RawURLEncoding.EncodeToString
	for claims, want := range map[string]echomfa.Outcome{
		`{"sub":"u","aud":"app"}`:                        echomfa.Allowed,
		`{"sub":"u","aud":"app","AUD":"other"}`:          echomfa.Allowed,
		`{"sub":"u","AUD":"app"}`:                        echomfa.Unauthenticated,
		`{"sub":"u","aud":"other","aud":"app"}`:          echomfa.Unauthenticated,
		`{"sub":"u","aud":"app","aud":"other"}`:          echomfa.Unauthenticated,
		`{"sub":"v","sub":"u","aud":"app"}`:              echomfa.Unauthenticated,
		`{"sub":"u","aud":"app","exp":1,"exp":9e9}`:      echomfa.Unauthenticated,
		`{"sub":"u","aud":"app","nonce":1,"nonce":null}`: echomfa.Unauthenticated,
	} {
		token := encode([]byte(`{"alg":"RS256"}`)) + "." + encode([]byte(claims)) + ".c2ln"
		d.enroll(token, echomfa.OTP)
		asked := d.total()
		assert.Equal(t, want, decide(t, e, token, otp()).Outcome, claims)
		assert.Equal(t, want == echomfa.Allowed, d.total() > asked, claims)
	}
}
