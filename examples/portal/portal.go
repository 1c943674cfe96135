package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/labstack/echo/v4"
)

// cookieName holds the access token. A real app keeps it on the server and puts
// a session id here.
const cookieName = "portal_session"

// portal is the web app.
type portal struct {
	settings settings
	genauth  *client.Client
	mfa      *echomfa.Enforcer
	pages    *template.Template
}

func newPortal(s settings) (*portal, error) {
	genauth, err := client.New(client.Config{BaseURL: s.host, AppID: s.appID})
	if err != nil {
		return nil, fmt.Errorf("GENAUTH_HOST, GENAUTH_APP_ID: %w", err)
	}
	mfa, err := echomfa.New(echomfa.Config{
		Client:    genauth,
		Token:     tokenOf,
		EnrollURL: s.enrollURL,
		LoginURL:  "/login",
		ReturnTo:  echomfa.ReturnToConfig{BaseURL: s.baseURL},
		Cache:     echomfa.CacheConfig{FreshFor: s.freshFor},
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return nil, fmt.Errorf("ENROLL_URL, BASE_URL, FRESH_FOR: %w", err)
	}
	return &portal{settings: s, genauth: genauth, mfa: mfa, pages: template.Must(template.New("").Parse(pages))}, nil
}

func (p *portal) close() {
	_ = p.mfa.Close()
	p.genauth.CloseIdleConnections()
}

// tokenOf reads the Authorization header if there is one, else the session.
// Both, and different, leaves open who is asking.
func tokenOf(r *http.Request) (string, error) {
	session := ""
	if cookies := r.CookiesNamed(cookieName); len(cookies) == 1 {
		session = cookies[0].Value
	} else if len(cookies) > 1 {
		return "", &echomfa.TokenError{Code: "invalid_request", Reason: "more than one session"}
	}
	lines := r.Header.Values("Authorization")
	if len(lines) == 0 {
		return session, nil
	}
	scheme, token, _ := strings.Cut(lines[0], " ")
	token = strings.TrimLeft(token, " ")
	if len(lines) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" || session != "" && session != token {
		return "", &echomfa.TokenError{Code: "invalid_request", Reason: "more than one credential, or not a bearer token"}
	}
	return token, nil
}

func (p *portal) handler() http.Handler {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	guard := p.mfa.Require(p.settings.policy)
	e.GET("/", p.page("home"))
	e.GET("/login", p.loginPage)
	e.POST("/login", p.signIn)
	e.POST("/logout", p.signOut)
	e.GET("/account", p.account)
	e.GET("/mfa", p.enrollPage)
	e.POST("/mfa", p.checkAgain)
	e.GET("/admin", p.page("admin"), guard)
	e.GET("/admin/*", p.page("admin"), guard)
	e.GET("/api/admin", func(c echo.Context) error {
		return c.JSON(http.StatusOK, map[string]string{"message": "Hello, admin"})
	}, guard)
	e.GET("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	// A form of another site must not sign anybody in or out.
	return http.NewCrossOriginProtection().Handler(e)
}

// view is what a page shows.
type view struct {
	SignedIn bool
	ReturnTo string
	Message  string
	Policy   string
	Factors  []echomfa.FactorType
}

func (p *portal) render(c echo.Context, status int, name string, v view) error {
	token, err := p.mfa.Token(c.Request())
	v.SignedIn = err == nil && token != ""
	v.Policy = p.settings.policy.String()
	var b bytes.Buffer
	if err := p.pages.ExecuteTemplate(&b, name, v); err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
	return c.HTMLBlob(status, b.Bytes())
}

func (p *portal) page(name string) echo.HandlerFunc {
	return func(c echo.Context) error { return p.render(c, http.StatusOK, name, view{}) }
}

func (p *portal) loginPage(c echo.Context) error {
	return p.render(c, http.StatusOK, "login", view{ReturnTo: p.mfa.ReturnTo(c.QueryParam("return_to"))})
}

// signIn trades name and password for an access token at GenAuth.
func (p *portal) signIn(c echo.Context) error {
	back := p.mfa.ReturnTo(c.FormValue("return_to"))
	token, err := p.passwordSignIn(c.Request().Context(), c.FormValue("username"), c.FormValue("password"))
	if err != nil {
		return p.render(c, http.StatusUnauthorized, "login", view{ReturnTo: back, Message: "Name or password is wrong, or GenAuth cannot be reached."})
	}
	c.SetCookie(&http.Cookie{
		Name: cookieName, Value: token, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: c.IsTLS(),
	})
	if back == "" {
		back = "/account"
	}
	return c.Redirect(http.StatusSeeOther, back)
}

func (p *portal) passwordSignIn(ctx context.Context, username, password string) (string, error) {
	body, err := json.Marshal(map[string]any{
		"connection": "PASSWORD", "client_id": p.genauth.AppID(),
		"passwordPayload": map[string]string{"username": username, "password": password},
	})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.genauth.BaseURL()+"/api/v3/signin", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Authing-App-Id", p.genauth.AppID())
	// A redirect would take the password to another place.
	once := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := once.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	var answer struct {
		StatusCode int `json:"statusCode"`
		Data       struct {
			AccessToken string `json:"access_token"`
		} `json:"data"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&answer); err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusOK || answer.StatusCode != http.StatusOK || !client.ValidToken(answer.Data.AccessToken) {
		return "", errors.New("sign-in refused")
	}
	return answer.Data.AccessToken, nil
}

func (p *portal) signOut(c echo.Context) error {
	c.SetCookie(&http.Cookie{Name: cookieName, Path: "/", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return c.Redirect(http.StatusSeeOther, "/")
}

// account is for any signed-in user. Whether they meet the policy does not
// matter here: that GenAuth accepts the token does, and what it tells of them.
func (p *portal) account(c echo.Context) error {
	token, err := p.mfa.Token(c.Request())
	if err == nil {
		var known echomfa.Decision
		known, err = p.mfa.Decide(c.Request().Context(), token, p.settings.policy)
		if err == nil || errors.Is(err, echomfa.ErrNotEnrolled) {
			return p.render(c, http.StatusOK, "account", view{Factors: known.Enrolled.Types()})
		}
	}
	p.mfa.WriteRefusal(c.Response(), c.Request(), err)
	return nil
}

func (p *portal) enrollPage(c echo.Context) error {
	return p.render(c, http.StatusOK, "enroll", view{ReturnTo: p.mfa.ReturnTo(c.QueryParam("return_to"))})
}

// checkAgain forgets what is known, so that a factor enrolled a moment ago
// counts, and goes back.
func (p *portal) checkAgain(c echo.Context) error {
	if err := p.mfa.InvalidateRequest(c.Request()); err != nil {
		p.mfa.WriteRefusal(c.Response(), c.Request(), err)
		return nil
	}
	back := p.mfa.ReturnTo(c.FormValue("return_to"))
	if back == "" {
		back = "/admin"
	}
	return c.Redirect(http.StatusSeeOther, back)
}
