package genauthtest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/genauthtest"
)

const (
	appCallback = "https://app.example/callback"
	// The pair of RFC 7636, appendix B.
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// hostedBrowser is a browser at the hosted pages.
type hostedBrowser struct {
	*caller
	cookie string
}

// asks follows a link of the app to the hosted pages, with some parameters in the place
// of the usual ones: a value of "-" leaves one out.
func (b *hostedBrowser) asks(form string, pairs ...string) *reply {
	b.t.Helper()
	q := url.Values{
		"client_id": {b.server.AppID()}, "redirect_uri": {appCallback}, "response_type": {"code"}, "scope": {"openid profile"},
		"state": {"s1"}, "nonce": {"n1"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "-" {
			q.Del(pairs[i])
		}
	}
	b.header.Set("Cookie", b.cookie)
	method := http.MethodGet
	if form != "" {
		method = http.MethodPost
	}
	r := b.do(method, "/oidc/auth?"+q.Encode(), "application/x-www-form-urlencoded", form)
	if set := r.Header.Get("Set-Cookie"); set != "" {
		b.cookie, _, _ = strings.Cut(set, ";")
	}
	return r
}

// back is the query that a browser comes back to the app with.
func back(t *testing.T, r *reply) url.Values {
	t.Helper()
	require.Equal(t, http.StatusFound, r.HTTPStatus, r.Body)
	to, err := url.Parse(r.Header.Get("Location"))
	require.NoError(t, err)
	require.Equal(t, appCallback, to.Scheme+"://"+to.Host+to.Path)
	return to.Query()
}

const alicesForm = "username=alice&password=password"

func newHosted(t *testing.T, cfg ...genauthtest.Config) *hostedBrowser {
	t.Helper()
	s := start(t, cfg...)
	s.AddUser(genauthtest.User{ID: "a1", Username: "alice"})
	return &hostedBrowser{caller: as(t, s, "")}
}

type tokens struct {
	AccessToken  string `json:"access_token"`
	IDToken      string `json:"id_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"`
	Error        string `json:"error"`
}

func (b *hostedBrowser) exchange(code string, pairs ...string) tokens {
	b.t.Helper()
	return decode[tokens](b.t, b.form("/oidc/token", append([]string{
		"grant_type", "authorization_code", "client_id", b.server.AppID(), "client_secret", b.server.AppSecret(),
		"redirect_uri", appCallback, "code", code, "code_verifier", verifier,
	}, pairs...)...))
}

// TestCodeFlow walks it: the form, the code, the tokens, and without the form the second
// time.
func TestCodeFlow(t *testing.T) {
	t.Parallel()
	b := newHosted(t)
	page := b.asks("")
	assert.Equal(t, http.StatusOK, page.HTTPStatus)
	assert.Contains(t, page.Body, `<form method="post" action="/oidc/auth?client_id=`)
	assert.Contains(t, b.asks("username=alice&password=no").Body, "The user name or the password is wrong.")
	q := back(t, b.asks(alicesForm))
	assert.Equal(t, "s1", q.Get("state"))
	set := b.exchange(q.Get("code"))
	require.Empty(t, set.Error)
	claims := claimsOf(t, set.IDToken)
	assert.Equal(t, "a1", claims["sub"])
	assert.Equal(t, "n1", claims["nonce"])
	assert.Equal(t, b.server.AppID(), claims["aud"])
	assert.Equal(t, "alice", claims["preferred_username"])
	assert.NotContains(t, claims, "auth_time", "no max_age was asked for")
	assert.Empty(t, set.RefreshToken)
	assert.Equal(t, 7200, set.ExpiresIn)
	assert.Equal(t, 200, as(t, b.server, set.AccessToken).list().StatusCode)
	assert.Equal(t, "invalid_grant", b.exchange(q.Get("code")).Error, "it is good once")

	q = back(t, b.asks("", "prompt", "none"))
	require.NotEmpty(t, q.Get("code"), "the browser has a session")
	b.server.Advance(10*time.Minute - time.Second)
	assert.Empty(t, b.exchange(q.Get("code")).Error)
	q = back(t, b.asks(""))
	b.server.Advance(10 * time.Minute)
	assert.Equal(t, "invalid_grant", b.exchange(q.Get("code")).Error, "it is good for ten minutes")
}

// TestPKCE has who may spend a code.
func TestPKCE(t *testing.T) {
	t.Parallel()
	b := newHosted(t)
	b.asks(alicesForm)
	for name, row := range map[string]struct {
		ask, exchange []string
		ok            bool
	}{
		"S256":                  {ok: true},
		"S256, public client":   {exchange: []string{"client_secret", ""}, ok: true},
		"S256, none":            {exchange: []string{"code_verifier", ""}},
		"S256, another":         {exchange: []string{"code_verifier", verifier + "x"}},
		"S256, the challenge":   {exchange: []string{"code_verifier", challenge}},
		"plain":                 {ask: []string{"code_challenge_method", "plain"}, exchange: []string{"code_verifier", challenge}, ok: true},
		"plain by default":      {ask: []string{"code_challenge_method", "-"}, exchange: []string{"code_verifier", challenge}, ok: true},
		"plain, another":        {ask: []string{"code_challenge_method", "plain"}},
		"without":               {ask: []string{"code_challenge_method", "-", "code_challenge", "-"}, exchange: []string{"code_verifier", ""}, ok: true},
		"without, but verified": {ask: []string{"code_challenge_method", "-", "code_challenge", "-"}},
		"another redirect_uri":  {exchange: []string{"redirect_uri", appCallback + "2"}},
		"wrong secret":          {exchange: []string{"client_secret", "no"}},
	} {
		set := b.exchange(back(t, b.asks("", row.ask...)).Get("code"), row.exchange...)
		assert.Equal(t, row.ok, set.AccessToken != "", "%s: %s", name, set.Error)
	}
}

// TestAuthorizationRefusals has what leads back with an error, and what leads nowhere.
func TestAuthorizationRefusals(t *testing.T) {
	t.Parallel()
	b := newHosted(t, genauthtest.Config{RedirectURIs: []string{appCallback}})
	for name, row := range map[string]struct {
		ask  []string
		want string
	}{
		"response_type":     {[]string{"response_type", "token"}, "unsupported_response_type"},
		"response_mode":     {[]string{"response_mode", "form_post"}, "unsupported_response_mode"},
		"no openid":         {[]string{"scope", "profile"}, "invalid_request"},
		"no state":          {[]string{"state", "-"}, "invalid_request"},
		"short challenge":   {[]string{"code_challenge", "x"}, "invalid_request"},
		"method alone":      {[]string{"code_challenge", "-"}, "invalid_request"},
		"unknown method":    {[]string{"code_challenge_method", "S512"}, "invalid_request"},
		"unknown prompt":    {[]string{"prompt", "often"}, "invalid_request"},
		"none with another": {[]string{"prompt", "none login"}, "invalid_request"},
		"none, no session":  {[]string{"prompt", "none"}, "login_required"},
	} {
		q := back(t, b.asks("", row.ask...))
		assert.Equal(t, row.want, q.Get("error"), name)
		assert.Equal(t, row.want == "invalid_request" && name == "no state", q.Get("state") == "", name)
	}
	for name, ask := range map[string][]string{
		"another app":    {"client_id", "x"},
		"not registered": {"redirect_uri", appCallback + "2"},
		"no address":     {"redirect_uri", "-"},
		"a path":         {"redirect_uri", "/callback"},
	} {
		r := b.asks(alicesForm, ask...)
		assert.Equal(t, http.StatusBadRequest, r.HTTPStatus, name)
		assert.Empty(t, r.Header.Get("Location"), name)
	}
	b.asks(alicesForm)
	b.server.SetDisabled("a1", true)
	assert.Equal(t, "login_required", back(t, b.asks("", "prompt", "none")).Get("error"))
}

// TestSignInAgain has when the form is shown to who has a session, and what the ID token
// says of the sign-in.
func TestSignInAgain(t *testing.T) {
	t.Parallel()
	b := newHosted(t)
	authTime := func(r *reply) any { return claimsOf(t, b.exchange(back(t, r).Get("code")).IDToken)["auth_time"] }
	first := b.server.Now().Unix()
	assert.InDelta(t, first, authTime(b.asks(alicesForm, "max_age", "60")), 2)
	b.server.Advance(time.Minute - 5*time.Second)
	assert.InDelta(t, first, authTime(b.asks("", "max_age", "60")), 2, "the session is young enough")
	b.server.Advance(10 * time.Second)
	assert.Equal(t, http.StatusOK, b.asks("", "max_age", "60").HTTPStatus, "the form")
	assert.Equal(t, "login_required", back(t, b.asks("", "max_age", "60", "prompt", "none")).Get("error"))
	assert.Equal(t, http.StatusOK, b.asks("", "prompt", "login").HTTPStatus, "the form")
	assert.InDelta(t, first+65, authTime(b.asks(alicesForm, "prompt", "login consent", "max_age", "0")), 2)

	deaf := newHosted(t, genauthtest.Config{IgnoreMaxAge: true})
	q := back(t, deaf.asks(alicesForm, "max_age", "0"))
	assert.NotContains(t, claimsOf(t, deaf.exchange(q.Get("code")).IDToken), "auth_time")
	assert.Equal(t, http.StatusFound, deaf.asks("", "max_age", "0").HTTPStatus)
}

// TestRefreshTokenNeedsConsent shows what GenAuth documents of the code flow.
func TestRefreshTokenNeedsConsent(t *testing.T) {
	t.Parallel()
	b := newHosted(t)
	b.asks(alicesForm)
	for _, row := range []struct {
		scope, prompt string
		want          bool
	}{
		{"openid offline_access", "consent", true}, {"openid offline_access", "-", false}, {"openid", "consent", false},
	} {
		set := b.exchange(back(t, b.asks("", "scope", row.scope, "prompt", row.prompt)).Get("code"))
		assert.Equal(t, row.want, set.RefreshToken != "", row)
	}
}

// TestEndSession has where the end of a session leads to.
func TestEndSession(t *testing.T) {
	t.Parallel()
	const bye = "https://app.example/bye"
	b := newHosted(t, genauthtest.Config{LogoutRedirectURIs: []string{bye}})
	idToken := b.exchange(back(t, b.asks(alicesForm)).Get("code")).IDToken
	b.header.Set("Cookie", b.cookie)
	for name, row := range map[string]struct{ hint, to, want string }{
		"hint":           {idToken, bye, bye + "?state=x"},
		"no hint":        {"", bye, ""},
		"access token":   {b.server.AccessToken("a1"), bye, ""},
		"not registered": {idToken, bye + "2", ""},
		"no address":     {idToken, "", ""},
	} {
		r := b.get("/oidc/session/end?" + url.Values{"id_token_hint": {row.hint}, "post_logout_redirect_uri": {row.to}, "state": {"x"}}.Encode())
		assert.Equal(t, row.want, r.Header.Get("Location"), name)
		assert.Contains(t, r.Header.Get("Set-Cookie"), "Max-Age=0", name)
	}
	assert.Equal(t, "login_required", back(t, b.asks("", "prompt", "none")).Get("error"), "the cookie alone is of no use")
}

// TestHS256IDTokens verifies such a token by the secret.
func TestHS256IDTokens(t *testing.T) {
	t.Parallel()
	b := newHosted(t, genauthtest.Config{HS256IDTokens: true})
	set := b.exchange(back(t, b.asks(alicesForm)).Get("code"))
	input, signature, _ := strings.Cut(set.IDToken, ".")
	payload, signature, _ := strings.Cut(signature, ".")
	mac := hmac.New(sha256.New, []byte(b.server.AppSecret()))
	_, err := fmt.Fprint(mac, input+"."+payload)
	require.NoError(t, err)
	assert.Equal(t, base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), signature)
	head, err := base64.RawURLEncoding.DecodeString(input)
	require.NoError(t, err)
	assert.JSONEq(t, `{"alg":"HS256","typ":"JWT"}`, string(head))
	document := decode[map[string]any](t, b.get("/oidc/.well-known/openid-configuration"))
	assert.Equal(t, []any{"HS256"}, document["id_token_signing_alg_values_supported"])
	access, _, _ := strings.Cut(set.AccessToken, ".")
	head, err = base64.RawURLEncoding.DecodeString(access)
	require.NoError(t, err)
	assert.Contains(t, string(head), "RS256")
}

// TestRotateKey has the key set before, during and after a change of keys.
func TestRotateKey(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.AddUser(genauthtest.User{ID: "alice"})
	anybody := as(t, s, "")
	kids := func() []string {
		var found []string
		for _, key := range decode[struct{ Keys []struct{ Kid string } }](t, anybody.get("/oidc/.well-known/jwks.json")).Keys {
			found = append(found, key.Kid)
		}
		return found
	}
	kid := func(token string) string {
		head, _, _ := strings.Cut(token, ".")
		raw, err := base64.RawURLEncoding.DecodeString(head)
		require.NoError(t, err)
		_, rest, _ := strings.Cut(string(raw), `"kid":"`)
		id, _, _ := strings.Cut(rest, `"`)
		return id
	}
	old := s.AccessToken("alice")
	assert.Equal(t, []string{kid(old)}, kids())
	s.RotateKey()
	renewed := s.AccessToken("alice")
	assert.NotEqual(t, kid(old), kid(renewed))
	assert.Equal(t, []string{kid(renewed), kid(old)}, kids())
	s.RetireKeys()
	assert.Equal(t, []string{kid(renewed)}, kids())
	for _, token := range []string{old, renewed} {
		assert.Equal(t, 200, as(t, s, token).list().StatusCode)
	}
	other := start(t)
	other.AddUser(genauthtest.User{ID: "alice"})
	assert.Equal(t, kid(old), kid(other.AccessToken("alice")), "other servers go on with the key of the process")
}
