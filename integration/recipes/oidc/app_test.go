package oidc_test

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSignInEnrollAndComeBack is the whole way: the wanted page, GenAuth's sign-in, the
// enrollment, and back with the query.
func TestSignInEnrollAndComeBack(t *testing.T) {
	t.Parallel()
	x := newRig(t, genauthtest.Config{})
	b := x.browser()
	form := b.get("/reports?page=2&sort=a%2Fb")
	assert.Equal(t, "S256", form.at.Query().Get("code_challenge_method"))
	list := b.fills(form, "bob")
	require.Equal(t, "/mfa", list.at.Path, list.body)
	wanted := b.setsUpApp(list)
	assert.Equal(t, "/reports?page=2&sort=a%2Fb", wanted.at.RequestURI())
	assert.Equal(t, "Hello, bob\n", wanted.body)
	for _, cookie := range b.http.Jar.Cookies(wanted.at) {
		assert.NotContains(t, cookie.Name, "signin-", "it was used up")
	}
	assert.NotContains(t, x.log.String(), "level=ERROR")
	assert.NotContains(t, x.log.String(), "there is no refresh token")
}

// TestRolesHavePolicies has an administrator asked for more than the staff, by the routes
// and by the enrollment pages.
func TestRolesHavePolicies(t *testing.T) {
	t.Parallel()
	x := newRig(t, genauthtest.Config{})
	x.genauth.Enroll("alice-id", genauthtest.OTP)
	x.genauth.Enroll("bob-id", genauthtest.OTP)
	bob, alice := x.browser(), x.browser()
	assert.Equal(t, "Hello, bob\n", bob.fills(bob.get("/reports"), "bob").body)
	list := alice.fills(alice.get("/reports"), "alice")
	assert.Equal(t, "/mfa", list.at.Path)
	assert.Contains(t, list.body, `value="EMAIL"`, "the pages ask for what the route asks for")
	x.genauth.Enroll("alice-id", genauthtest.Email)
	x.genauth.AddUser(genauthtest.User{ID: "eve-id", Username: "eve"})
	eve := x.browser()
	assert.Equal(t, http.StatusInternalServerError, eve.fills(eve.get("/reports"), "eve").status, "no role, no policy")
}

// TestSeveralTabs begins a sign-in in each of several tabs, and finishes all of them.
func TestSeveralTabs(t *testing.T) {
	t.Parallel()
	x := newRig(t, genauthtest.Config{})
	x.genauth.Enroll("bob-id", genauthtest.OTP)
	b := x.browser()
	tabs := []page{b.get("/reports?tab=1"), b.get("/reports?tab=2"), b.get("/reports?tab=3")}
	for i, tab := range slices.Backward(tabs) {
		assert.Equal(t, tab.at.Query().Get("redirect_uri"), x.publicURL+"/callback")
		shown := b.fills(tab, "bob")
		assert.Equal(t, []string{"tab=1", "tab=2", "tab=3"}[i], shown.at.RawQuery, shown.body)
	}
	// Sign-ins that nobody finishes do not make requests too long.
	for range 60 {
		b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		b.get("/login?return_to=" + url.QueryEscape("/reports?q="+strings.Repeat("x", 500)))
	}
	length := 0
	app, err := url.Parse(x.publicURL)
	require.NoError(t, err)
	for _, cookie := range b.http.Jar.Cookies(app) {
		length += len(cookie.String())
	}
	assert.Less(t, length, 6000)
}

// callback is the address by which GenAuth leads back.
func (b *browser) callback(form page) string {
	b.t.Helper()
	b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	defer func() { b.http.CheckRedirect = nil }()
	answer := b.goes(http.MethodPost, form.at.String(), url.Values{"username": {"bob"}, "password": {"password"}})
	require.Equal(b.t, http.StatusFound, answer.status, answer.body)
	return answer.header.Get("Location")
}

// TestForeignCallbacks has what signs nobody in.
func TestForeignCallbacks(t *testing.T) {
	t.Parallel()
	x := newRig(t, genauthtest.Config{})
	mallory, alice := x.browser(), x.browser()
	mallorys := mallory.callback(mallory.get("/login"))
	got := alice.get(mallorys)
	assert.Equal(t, http.StatusBadRequest, got.status, "a link that somebody else has made")
	assert.Contains(t, got.body, `<a href="/login">Sign in again</a>`)

	state := alice.get("/login").at.Query().Get("state")
	stolen, err := url.Parse(mallorys)
	require.NoError(t, err)
	q := stolen.Query()
	q.Set("state", state)
	stolen.RawQuery = q.Encode()
	got = alice.get(stolen.String())
	assert.Equal(t, http.StatusBadGateway, got.status, "the code of another sign-in: PKCE")
	assert.Contains(t, x.log.String(), "invalid_grant")

	refused := alice.get("/login?return_to=/reports").at.Query()
	got = alice.get("/callback?error=access_denied&error_description=%3Cb%3E" + strings.Repeat("long", 5000) + "&state=" + refused.Get("state"))
	assert.Less(t, len(x.log.String()), 10000)
	assert.Equal(t, http.StatusForbidden, got.status)
	assert.Contains(t, got.body, `href="/login?return_to=%2Freports"`)
	assert.NotContains(t, got.body, "<b>")
	got = alice.get("/callback?code=x&state=" + refused.Get("state"))
	assert.Equal(t, http.StatusBadRequest, got.status, "its cookie was used up")
	assert.Equal(t, http.StatusBadRequest, alice.get("/callback").status)

	evil := alice.fills(alice.get("/login?return_to="+url.QueryEscape("https://evil.example/")), "bob")
	assert.Equal(t, x.publicURL+"/", evil.at.String())
}

// TestReturnToInTheCookie has a cookie that was changed, and an address that would make it
// too long for browsers.
func TestReturnToInTheCookie(t *testing.T) {
	t.Parallel()
	x := newRig(t, genauthtest.Config{})
	b := x.browser()
	form := b.get("/login?return_to=/reports")
	app, err := url.Parse(x.publicURL)
	require.NoError(t, err)
	for _, cookie := range b.http.Jar.Cookies(app) {
		raw, err := base64.RawURLEncoding.DecodeString(cookie.Value)
		require.NoError(t, err)
		changed := strings.Replace(string(raw), `"/reports"`, `"https://evil.example/"`, 1)
		require.NotEqual(t, string(raw), changed)
		cookie.Value, cookie.Path, cookie.Secure = base64.RawURLEncoding.EncodeToString([]byte(changed)), "/", true
		b.http.Jar.SetCookies(app, []*http.Cookie{cookie})
	}
	assert.Equal(t, x.publicURL+"/", b.fills(form, "bob").at.String())

	b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, n := range []int{2400, 5000} {
		for _, set := range b.get("/login?return_to=/reports?q=" + strings.Repeat("x", n)).header.Values("Set-Cookie") {
			pair, _, _ := strings.Cut(set, ";")
			assert.Less(t, len(pair), 4096, "%d", n)
		}
	}
}

// TestIDTokenIsVerified has ID tokens that are not of this sign-in.
func TestIDTokenIsVerified(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		claims map[string]any
		want   string
	}{
		"nonce of another":  {map[string]any{"nonce": "x"}, "it is of another sign-in"},
		"no nonce":          {map[string]any{"nonce": nil}, "it is of another sign-in"},
		"another app's":     {map[string]any{"aud": "x"}, "invalid audience"},
		"of several apps":   {map[string]any{"aud": []string{"APP", "x"}}, "it was made for another app"},
		"another issuer's":  {map[string]any{"iss": "https://x.example/oidc"}, "invalid issuer"},
		"expired":           {map[string]any{"exp": 1000000000}, "token is expired"},
		"it never expires":  {map[string]any{"exp": nil}, "exp claim is required"},
		"nobody's":          {map[string]any{"sub": nil}, "it names nobody"},
		"signature changed": {nil, "signature is invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newRig(t, genauthtest.Config{})
			b := x.browser()
			form := b.get("/reports")
			x.genauth.SetFault(genauthtest.Fault{Path: "/oidc/token", Change: func(a *genauthtest.Answer) {
				a.Body = x.replaceIDToken(a.Body, form.at.Query().Get("nonce"), row.claims)
			}})
			got := b.fills(form, "bob")
			assert.Equal(t, http.StatusBadGateway, got.status)
			assert.Contains(t, x.log.String(), row.want)
			assert.Equal(t, "/callback", b.get("/reports").at.Path, "nobody is signed in")
		})
	}
}

// replaceIDToken puts another ID token into an answer of the token endpoint: the same with
// other claims, or with another signature if there are none.
func (x *rig) replaceIDToken(body []byte, nonce string, claims map[string]any) []byte {
	all := map[string]any{"nonce": nonce}
	for name, value := range claims {
		if list, ok := value.([]string); ok {
			value = append([]string{x.genauth.AppID()}, list[1:]...)
		}
		all[name] = value
	}
	raw := x.genauth.Mint(genauthtest.Token{Kind: genauthtest.KindID, UserID: "bob-id", Claims: all})
	if claims == nil {
		raw = raw[:len(raw)-8] + "AAAAAAAA"
	}
	return regexp.MustCompile(`"id_token":"[^"]*"`).ReplaceAll(body, []byte(`"id_token":"`+raw+`"`))
}

// TestTokenIsRenewed has one renewal for all requests of a session, and none that fails
// while GenAuth is away take the session with it.
func TestTokenIsRenewed(t *testing.T) {
	t.Parallel()
	x := newRig(t, genauthtest.Config{TokenLifetime: 9 * time.Second}) // below the 10 s in which x/oauth2 renews
	x.genauth.Enroll("bob-id", genauthtest.OTP)
	b := x.browser()
	form := b.get("/reports")
	require.Equal(t, "Hello, bob\n", b.fills(form, "bob").body)
	renewals := func() int { return x.genauth.Calls("/oidc/token") - 1 }
	before := renewals()
	assert.Equal(t, "Hello, bob\n", b.get("/reports").body)
	assert.Equal(t, before+1, renewals(), "each request renews a token that lives so shortly")

	x.genauth.SetFault(genauthtest.Fault{Path: "/oidc/token", Change: genauthtest.HTTPStatus(http.StatusServiceUnavailable, "")})
	got := b.get("/reports")
	assert.Equal(t, http.StatusServiceUnavailable, got.status)
	assert.NotEmpty(t, got.header.Get("Retry-After"))
	x.genauth.ClearFaults()
	assert.Equal(t, "Hello, bob\n", b.get("/reports").body, "the session is still there")

	x.genauth.SetDisabled("bob-id", true)
	assert.Equal(t, "/oidc/auth", b.get("/reports").at.Path, "GenAuth has refused to renew it: sign in again")
	before = x.genauth.Calls("/oidc/token")
	assert.Equal(t, "/oidc/auth", b.get("/reports").at.Path)
	assert.Equal(t, before, x.genauth.Calls("/oidc/token"), "the session has ended")
}

// TestRequestsShareARenewal sends requests of one session at the moment at which its token
// has to be renewed: GenAuth's refresh token may be good once only.
func TestRequestsShareARenewal(t *testing.T) {
	t.Parallel()
	x := newRig(t, genauthtest.Config{})
	x.genauth.Enroll("bob-id", genauthtest.OTP)
	b := x.browser()
	x.genauth.SetFault(genauthtest.Fault{Path: "/oidc/token", Times: 1, Change: func(a *genauthtest.Answer) {
		a.Body = bytes.Replace(a.Body, []byte(`"expires_in":7200`), []byte(`"expires_in":5`), 1)
	}})
	to := b.callback(b.get("/login"))
	b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	require.Equal(t, http.StatusSeeOther, b.get(to).status)
	before := x.genauth.Calls("/oidc/token")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { assert.Equal(t, "Hello, bob\n", b.get("/reports").body) })
	}
	wg.Wait()
	assert.Equal(t, before+1, x.genauth.Calls("/oidc/token"))
}

// TestSignInAgain has the enrollment pages ask for a new sign-in, and the app find out when
// it was: also if somebody at an open browser leaves out what asks for the password.
func TestSignInAgain(t *testing.T) {
	t.Parallel()
	x := newRig(t, genauthtest.Config{})
	b := x.browser()
	list := b.fills(b.get("/reports"), "bob")
	require.Equal(t, "/mfa", list.at.Path)
	again := b.get("/login?prompt=login&return_to=/mfa")
	require.Equal(t, "/oidc/auth", again.at.Path, "GenAuth asks for the password")
	assert.Equal(t, "login consent", again.at.Query().Get("prompt"))
	assert.Equal(t, "0", again.at.Query().Get("max_age"))
	q := again.at.Query()
	q.Del("prompt")
	q.Del("max_age")
	again.at.RawQuery = q.Encode()
	list = b.get(again.at.String())
	require.Equal(t, "/mfa", list.at.Path, "GenAuth did not ask")
	assert.Contains(t, x.log.String(), "the ID token has no auth_time")
	step := b.presses(list, "begin", "type", "OTP")
	require.Equal(t, "/mfa/signin", step.at.Path, "nobody has proved to be bob")
	link := regexp.MustCompile(`href="(/login[^"]*)"`).FindStringSubmatch(step.body)
	require.NotNil(t, link, step.body)
	back := b.fills(b.get(strings.ReplaceAll(link[1], "&amp;", "&")), "bob")
	require.Equal(t, http.StatusOK, back.status, back.body)
	assert.Equal(t, "Hello, bob\n", b.setsUpApp(b.get("/mfa?return_to=/reports")).body)
}

// TestSecretsStayAtGenAuth has a token endpoint that redirects.
func TestSecretsStayAtGenAuth(t *testing.T) {
	t.Parallel()
	x := newRig(t, genauthtest.Config{})
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the code went elsewhere") }))
	t.Cleanup(elsewhere.Close)
	x.genauth.SetFault(genauthtest.Fault{Path: "/oidc/token", Change: genauthtest.Redirect(http.StatusTemporaryRedirect, elsewhere.URL)})
	b := x.browser()
	assert.Equal(t, http.StatusBadGateway, b.fills(b.get("/reports"), "bob").status)
	for _, secret := range []string{x.genauth.AppSecret(), "code="} {
		assert.NotContains(t, x.log.String(), secret)
	}
}

// TestSignOut ends the session here and at GenAuth, and its refresh token.
func TestSignOut(t *testing.T) {
	t.Parallel()
	x := newRig(t, genauthtest.Config{})
	x.genauth.Enroll("bob-id", genauthtest.OTP)
	b := x.browser()
	b.fills(b.get("/reports"), "bob")
	assert.Equal(t, "Hello, bob\n", b.get("/reports").body)
	assert.Equal(t, http.StatusMethodNotAllowed, b.get("/logout").status)
	bye := b.goes(http.MethodPost, "/logout", nil)
	_, to, found := strings.Cut(bye.header.Get("Refresh"), "url=")
	require.True(t, found, bye.body)
	assert.Equal(t, x.publicURL+"/", b.get(to).at.String(), "through GenAuth")
	assert.Equal(t, 1, x.genauth.Calls("/oidc/token/revocation"))
	assert.Equal(t, 1, x.genauth.Calls("/oidc/session/end"))
	form := b.get("/reports")
	assert.Equal(t, "/oidc/auth", form.at.Path)
	assert.Contains(t, form.body, "Password", "GenAuth asks again")
	assert.NotContains(t, x.log.String(), "level=ERROR")
	assert.NotContains(t, x.log.String(), "GenAuth was not told")

	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, x.publicURL+"/logout", http.NoBody)
	require.NoError(t, err)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := b.http.Do(r)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	assert.Equal(t, http.StatusForbidden, res.StatusCode)
}

// TestCookiesOfTheSignIn has what the browser is told of them.
func TestCookiesOfTheSignIn(t *testing.T) {
	t.Parallel()
	x := newRig(t, genauthtest.Config{})
	b := x.browser()
	b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	begun := b.get("/login")
	set := begun.header.Values("Set-Cookie")
	require.Len(t, set, 1)
	for _, want := range []string{"__Host-signin-", "; Path=/;", "; Max-Age=600;", "; HttpOnly;", "; Secure;", "; SameSite=Lax"} {
		assert.Contains(t, set[0]+";", want)
	}
	assert.Equal(t, "no-store", begun.header.Get("Cache-Control"))
}

// TestWithoutRefreshToken has users sign in again when the access token has expired.
func TestWithoutRefreshToken(t *testing.T) {
	t.Parallel()
	x := newRig(t, genauthtest.Config{TokenLifetime: time.Second})
	x.genauth.Enroll("bob-id", genauthtest.OTP)
	b := x.browser()
	x.genauth.SetFault(genauthtest.Fault{Path: "/oidc/token", Change: func(a *genauthtest.Answer) {
		a.Body = regexp.MustCompile(`,"refresh_token":"[^"]*"`).ReplaceAll(a.Body, nil)
	}})
	to := b.callback(b.get("/login"))
	assert.Equal(t, http.StatusOK, b.get(to).status)
	assert.Contains(t, x.log.String(), "there is no refresh token")
	b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	statuses := make(map[int]bool)
	assert.Eventually(t, func() bool {
		answer := b.get("/reports")
		statuses[answer.status] = true
		return answer.header.Get("Location") == "/login?return_to=%2Freports"
	}, time.Minute, 50*time.Millisecond)
	assert.NotContains(t, statuses, http.StatusServiceUnavailable, "nothing is unavailable: the token has expired")
}
