// Package oidc signs users in at GenAuth's hosted pages, by OpenID Connect's code flow
// with PKCE, and renews their access tokens. It is a recipe: copy it, and change what
// your app does otherwise.
package oidc

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/oauth2"

	"github.com/echomfa/echomfa/integration/recipes/jwks"
)

// Config is the configuration of the sign-in.
type Config struct {
	// GenAuth is whose users sign in.
	GenAuth *client.Client
	// AppSecret is the app's secret at GenAuth. Empty if the console says that the app
	// sends none ("none").
	AppSecret string
	// PublicURL is where browsers reach the app, such as "https://app.example.com". The
	// console needs PublicURL + "/callback" as callback address, and PublicURL + "/" as
	// logout callback address.
	PublicURL string
	// IDTokens verifies ID tokens.
	IDTokens *jwks.Verifier
	// HTTPClient makes the calls to GenAuth's token endpoint. Optional. By default one
	// with a Timeout of 10 s.
	HTTPClient *http.Client
	Logger     *slog.Logger
}

// SignIn has the pages that sign users in and out, and their sessions.
type SignIn struct {
	cfg      Config
	oauth    oauth2.Config
	sessions sessions
}

// New returns the sign-in of a configuration. It calls nobody.
func New(cfg Config) *SignIn {
	base := cfg.GenAuth.BaseURL()
	cfg.PublicURL = strings.TrimSuffix(cfg.PublicURL, "/")
	calls := http.Client{Timeout: 10 * time.Second}
	if cfg.HTTPClient != nil {
		calls = *cfg.HTTPClient
	}
	// A redirect would take the code and the app's secret to another place.
	calls.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	cfg.HTTPClient = &calls
	return &SignIn{
		cfg: cfg,
		oauth: oauth2.Config{
			ClientID:     cfg.GenAuth.AppID(),
			ClientSecret: cfg.AppSecret,
			Endpoint: oauth2.Endpoint{
				AuthURL: base + "/oidc/auth", TokenURL: base + "/oidc/token",
				AuthStyle: oauth2.AuthStyleInParams, // the console's client_secret_post, or none
			},
			RedirectURL: cfg.PublicURL + "/callback",
			Scopes:      []string{"openid", "profile", "offline_access"},
		},
		sessions: sessions{byID: make(map[string]*session)},
	}
}

// flow is a sign-in that has begun. It is in a cookie of the browser that began it: the
// server keeps nothing of what anybody can begin.
type flow struct{ Nonce, Verifier, ReturnTo string }

// flowLife is how long a sign-in may take.
const flowLife = 10 * time.Minute

// Login is GET /login, where LoginURL leads. It leads on to GenAuth.
func (s *SignIn) Login(mfa *echomfa.Enforcer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		state := rand.Text()
		f := flow{Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), ReturnTo: mfa.ReturnTo(r.FormValue(mfa.ReturnToParam()))}
		// GenAuth gives a refresh token only where the user has consented. With max_age,
		// the ID token says when the user has given the password.
		prompt, maxAge := "consent", sessionLife
		if r.FormValue("prompt") == "login" {
			prompt, maxAge = "login consent", 0 // the enrollment pages want the password again
		}
		s.setFlow(w, r, state, f)
		http.Redirect(w, r, s.oauth.AuthCodeURL(state,
			oauth2.S256ChallengeOption(f.Verifier),
			oauth2.SetAuthURLParam("nonce", f.Nonce),
			oauth2.SetAuthURLParam("prompt", prompt),
			oauth2.SetAuthURLParam("max_age", strconv.Itoa(int(maxAge.Seconds()))),
		), http.StatusFound)
	}
}

// Callback is GET /callback, where GenAuth leads back to.
func (s *SignIn) Callback(mfa *echomfa.Enforcer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		f, ok := s.takeFlow(w, r, q.Get("state"))
		if !ok { // another browser, another site's link, or a page of yesterday
			s.failed(w, mfa, "", http.StatusBadRequest, "This sign-in was not begun in this browser, or took too long.")
			return
		}
		again := mfa.LoginLocation(f.ReturnTo)
		if code := q.Get("error"); code != "" {
			// Anybody can send these: no more than a line of them is logged.
			s.cfg.Logger.WarnContext(r.Context(), "GenAuth has not signed the user in", "code", fmt.Sprintf("%.40q", code), "description", fmt.Sprintf("%.200q", q.Get("error_description")))
			s.failed(w, mfa, again, http.StatusForbidden, "You have not been signed in.")
			return
		}
		token, err := s.oauth.Exchange(s.calling(r.Context()), q.Get("code"), oauth2.VerifierOption(f.Verifier))
		if err == nil {
			err = s.begin(w, r, f, token)
		}
		if err != nil {
			s.cfg.Logger.ErrorContext(r.Context(), "sign-in failed", "error", err)
			s.failed(w, mfa, again, http.StatusBadGateway, "The sign-in did not work.")
			return
		}
		back := mfa.ReturnTo(f.ReturnTo) // a cookie can be changed
		if back == "" {
			back = mfa.Address("/", "")
		}
		http.Redirect(w, r, back, http.StatusSeeOther)
	}
}

// idToken is what the app reads in an ID token.
type idToken struct {
	jwt.RegisteredClaims

	Nonce           string           `json:"nonce"`
	AuthorizedParty string           `json:"azp"`
	AuthTime        *jwt.NumericDate `json:"auth_time"`
	Name            string           `json:"preferred_username"`
}

// begin verifies who has signed in, and begins the session.
func (s *SignIn) begin(w http.ResponseWriter, r *http.Request, f flow, token *oauth2.Token) error {
	raw, _ := token.Extra("id_token").(string)
	var id idToken
	if err := s.cfg.IDTokens.Verify(r.Context(), raw, &id); err != nil {
		return fmt.Errorf("ID token: %w", err)
	}
	switch {
	case id.Subject == "":
		return errors.New("ID token: it names nobody")
	case id.Nonce != f.Nonce:
		return errors.New("ID token: it is of another sign-in")
	case len(id.Audience) > 1 && id.AuthorizedParty != s.cfg.GenAuth.AppID():
		return errors.New("ID token: it was made for another app")
	}
	now := time.Now()
	started := &session{userID: id.Subject, name: id.Name, idToken: raw, ends: now.Add(sessionLife)}
	if id.AuthTime != nil {
		started.signedIn = id.AuthTime.Time
	} else {
		s.cfg.Logger.ErrorContext(r.Context(), "the ID token has no auth_time: users cannot set up their first factor")
	}
	// One for all requests of the session: it renews the token once for all of them.
	started.tokens = s.oauth.TokenSource(s.calling(context.Background()), token) // it outlives the request
	if token.RefreshToken == "" {
		s.cfg.Logger.WarnContext(r.Context(), "there is no refresh token: users sign in again when the access token has expired")
		started.tokens = oauth2.StaticTokenSource(token) // the guard refuses it then
	}
	s.setCookie(w, s.cookieName("session"), s.sessions.begin(s.sessionID(r), started), sessionLife)
	return nil
}

// Logout is POST /logout. A page leads on to GenAuth, and not a redirect: the
// Content-Security-Policy of the page with the form may not let one out of the app.
func (s *SignIn) Logout(mfa *echomfa.Enforcer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		to := mfa.Address("/", "")
		if ended := s.sessions.end(s.sessionID(r)); ended != nil {
			s.revoke(r.Context(), mfa, ended)
			// Else the next visit to /login would sign in without a question.
			to = s.cfg.GenAuth.BaseURL() + "/oidc/session/end?" + url.Values{
				"id_token_hint": {ended.idToken}, "post_logout_redirect_uri": {s.cfg.PublicURL + "/"},
			}.Encode()
		}
		s.setCookie(w, s.cookieName("session"), "", -1)
		w.Header().Set("Refresh", "0;url="+to)
		s.page(w, http.StatusOK, "You have signed out.", to, "Continue")
	}
}

// revoke ends the refresh token at GenAuth. The session has ended whether or not it works.
func (s *SignIn) revoke(ctx context.Context, mfa *echomfa.Enforcer, ended *session) {
	token, err := ended.tokens.Token()
	if err != nil {
		return // it has ended already
	}
	form := url.Values{"token": {token.RefreshToken}, "token_type_hint": {"refresh_token"}, "client_id": {s.oauth.ClientID}, "client_secret": {s.oauth.ClientSecret}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.GenAuth.BaseURL()+"/oidc/token/revocation", strings.NewReader(form.Encode()))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		var res *http.Response
		if res, err = s.cfg.HTTPClient.Do(req); err == nil {
			err = res.Body.Close()
		}
	}
	if err = errors.Join(err, mfa.Invalidate(ctx, token.AccessToken)); err != nil {
		s.cfg.Logger.WarnContext(ctx, "sign-out: GenAuth was not told", "error", err)
	}
}

// calling is the context of a call by package oauth2.
func (s *SignIn) calling(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, s.cfg.HTTPClient)
}

// Each sign-in has a cookie of its own: a user may begin one in each of several tabs.
func (s *SignIn) flowCookie(state string) string { return s.cookieName("signin-" + state) }

// setFlow gives the browser the cookie of a sign-in. If it has many of them already,
// which nobody has finished, they go: too many make a request too long.
func (s *SignIn) setFlow(w http.ResponseWriter, r *http.Request, state string, f flow) {
	if len(r.Header.Get("Cookie")) > 2048 {
		for _, old := range r.Cookies() {
			if strings.HasPrefix(old.Name, s.flowCookie("")) {
				s.setCookie(w, old.Name, "", -1)
			}
		}
	}
	raw, _ := json.Marshal(f) // three strings
	s.setCookie(w, s.flowCookie(state), base64.RawURLEncoding.EncodeToString(raw), flowLife)
}

// takeFlow returns the sign-in of a state, and takes its cookie away. No cookie, no
// sign-in: a link that somebody else has made signs nobody in.
func (s *SignIn) takeFlow(w http.ResponseWriter, r *http.Request, state string) (f flow, ok bool) {
	cookie, err := r.Cookie(s.flowCookie(state))
	if state == "" || err != nil {
		return flow{}, false
	}
	s.setCookie(w, cookie.Name, "", -1)
	raw, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	return f, err == nil && json.Unmarshal(raw, &f) == nil && f.Nonce != "" && f.Verifier != ""
}

// cookieName is a name that no other host of the domain can set, where there is TLS.
func (s *SignIn) cookieName(name string) string {
	if s.secure() {
		return "__Host-" + name
	}
	return name
}

func (s *SignIn) secure() bool { return strings.HasPrefix(s.cfg.PublicURL, "https://") }

// setCookie sets a cookie; a negative life takes it away. GenAuth leads back to the app
// by a link from another site, so SameSite is Lax and not Strict.
func (s *SignIn) setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	age := int(life.Seconds())
	if life < 0 {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: age, HttpOnly: true, Secure: s.secure(), SameSite: http.SameSiteLaxMode,
	})
	w.Header().Set("Cache-Control", "no-store")
}

// failed is the page of a sign-in that has not worked.
func (s *SignIn) failed(w http.ResponseWriter, mfa *echomfa.Enforcer, again string, status int, text string) {
	if again == "" {
		again = mfa.LoginLocation("")
	}
	s.page(w, status, text, again, "Sign in again")
}

func (s *SignIn) page(w http.ResponseWriter, status int, text, to, link string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	if err := page.Execute(w, struct{ Text, To, Link string }{text, to, link}); err != nil {
		s.cfg.Logger.Error("page failed", "error", err)
	}
}

var page = template.Must(template.New("").Parse(`<!DOCTYPE html><html lang="en"><title>{{.Text}}</title>
<h1>{{.Text}}</h1><p><a href="{{.To}}">{{.Link}}</a></p></html>
`))
