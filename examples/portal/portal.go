package main

import (
	"bytes"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/enroll"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/rulesecho4"
	"github.com/labstack/echo/v4"
)

//go:embed pages assets
var files embed.FS

// portal is the web app.
type portal struct {
	settings settings
	demo     *genauthtest.Server // or nil
	genauth  *client.Client
	mfa      *echomfa.Enforcer
	enroll   *enroll.Handler
	sessions *sessions
	pages    map[string]*template.Template // by language
	csrf     *http.CrossOriginProtection
	ops      *operations
	metrics  *metrics
	set      *rulesecho4.Set
	app      *echo.Echo
	endRules func()
}

func newPortal(s settings, demo *genauthtest.Server) (*portal, error) {
	ops := &operations{}
	seen, err := newMetrics(ops)
	if err != nil {
		return nil, err
	}
	ops.metrics = seen.handler
	genauth, err := client.New(client.Config{BaseURL: s.host, AppID: s.appID, WrapTransport: seen.Transport})
	if err != nil {
		return nil, fmt.Errorf("GENAUTH_HOST, GENAUTH_APP_ID: %w", err)
	}
	userRefKey := make([]byte, 32)
	_, _ = rand.Read(userRefKey) // documented never to fail
	p := &portal{settings: s, demo: demo, genauth: genauth, sessions: &sessions{byID: make(map[string]session)}, ops: ops, metrics: seen}
	brand := enroll.Brand{Name: "Northwind Portal", LogoPath: "/assets/logo.svg", Color: "#0f5c4c"}
	hosted := genauth.BaseURL() + "/u" // GenAuth's personal center
	if demo != nil {
		hosted = "" // which the emulator does not have
	}
	refusal, err := enroll.RefusalPage(enroll.RefusalConfig{Brand: brand, HostedURL: hosted, Language: languageOf})
	if err != nil {
		return nil, err
	}
	logger := slog.New(slog.NewTextHandler(io.MultiWriter(os.Stderr, p.ops), nil))
	p.mfa, err = echomfa.New(echomfa.Config{
		Client:      genauth,
		Token:       p.sessions.token,
		EnrollURL:   s.enrollURL,
		LoginURL:    "/login",
		ReturnTo:    echomfa.ReturnToConfig{BaseURL: s.baseURL},
		RefusalPage: refusal,
		Cache:       echomfa.CacheConfig{FreshFor: s.freshFor},
		Logger:      logger,
		UserRefKey:  userRefKey,
		Observer:    seen,
	})
	if err != nil {
		return nil, fmt.Errorf("ENROLL_URL, BASE_URL, FRESH_FOR: %w", err)
	}
	p.sessions.path = p.at("/")
	p.csrf = http.NewCrossOriginProtection()
	if base, err := url.Parse(s.baseURL); err == nil && base.Host != "" {
		// A proxy may hand on another Host than the one that browsers ask for.
		if err := p.csrf.AddTrustedOrigin(base.Scheme + "://" + base.Host); err != nil {
			return nil, fmt.Errorf("BASE_URL: %w", err)
		}
	}
	p.enroll, err = enroll.New(enroll.Config{
		Client:   genauth,
		Enforcer: p.mfa,
		BasePath: s.enrollPath(),
		Policy:   s.policy,
		// The sessions are in the memory of this process, so a key may be too.
		StateKeys:    [][]byte{enroll.InsecureRandomKey()},
		RecentSignIn: p.sessions.recentSignIn,
		UserName:     p.sessions.userName,
		SignOutURL:   "/logout",
		SignOutPost:  true,
		Home:         "/account",
		Brand:        brand,
		HostedURL:    hosted,
		Language:     languageOf,
		Logger:       logger,
	})
	if err != nil {
		return nil, fmt.Errorf("ENROLL_URL: %w", err)
	}
	p.ops.mfa = p.mfa
	if p.pages, err = newTemplates(p.at); err != nil {
		return nil, err
	}
	if err := p.guard(logger); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// guard puts the rules before all routes, and says whether that leaves one unguarded.
func (p *portal) guard(logger *slog.Logger) error {
	held, end, err := openRules(&p.settings, p.mfa, logger)
	if err != nil {
		return fmt.Errorf("RULES_FILE: %w", err)
	}
	p.endRules = end
	if err := p.metrics.watch(p.mfa, held); err != nil {
		return err
	}
	if p.set, err = rulesecho4.New(rulesecho4.Config{Rules: held, Service: "portal"}); err != nil {
		return err
	}
	p.app = p.routes()
	p.ops.rules, p.ops.file = held, p.settings.rulesFile
	p.ops.coverage = func() (rules.Coverage, error) { return p.set.Coverage(p.app) }
	return p.set.CheckCoverage(p.app)
}

func (p *portal) close() {
	if p.endRules != nil {
		p.endRules()
	}
	_ = p.metrics.close()
	_ = p.mfa.Close()
	p.genauth.CloseIdleConnections()
}

// handler has the portal. A form of another site must not sign anybody in or out.
func (p *portal) handler() http.Handler { return p.csrf.Handler(p.app) }

// routes has the pages. Which of them need what, the rules say.
func (p *portal) routes() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = func(err error, c echo.Context) { p.failed(e, c, err) }
	p.set.Install(e)
	e.GET("/", p.page("home"))
	e.GET("/login", p.loginPage)
	e.POST("/login", p.signIn)
	e.POST("/logout", p.signOut)
	e.GET("/account", p.account)
	e.StaticFS("/assets", echo.MustSubFS(files, "assets"))
	e.GET("/healthz", func(c echo.Context) error { return c.String(http.StatusOK, "ok\n") })
	if p.demo != nil {
		e.GET("/demo", p.demoPhone)
	}
	// Echo's wildcard does not match the path itself.
	e.Any(p.settings.enrollPath(), echo.WrapHandler(p.enroll))
	e.Any(p.settings.enrollPath()+"/*", echo.WrapHandler(p.enroll))

	e.GET("/admin", p.page("admin"))
	// Only who is let in is told that there is nothing.
	e.GET("/admin/*", func(echo.Context) error { return echo.ErrNotFound })
	e.GET("/api/admin", func(c echo.Context) error {
		return c.JSON(http.StatusOK, map[string]string{"message": "Hello, admin"})
	})
	e.RouteNotFound("/*", func(echo.Context) error { return echo.ErrNotFound })
	return e
}

// at is where browsers find a path of the portal: a proxy may take something off.
func (p *portal) at(path string) string { return p.mfa.Address(path, "") }

// view is what a page shows.
type view struct {
	Lang                 string
	Name, Title, Message string
	Demo                 bool
	User                 string
	Policy, Enroll       string
	ReturnTo, Username   string
	Factors              []echomfa.FactorType
	Phones               []phone
}

// title returns the heading of a page.
func title(name string) string {
	return map[string]string{
		"home": "Welcome", "login": "Sign in", "account": "Your account", "admin": "Admin", "demo": "Demo phone",
		"not-found": "Page not found", "failed": "That did not work",
	}[name]
}

// factorName returns what people call a factor.
func factorName(t echomfa.FactorType) string {
	switch t {
	case echomfa.OTP:
		return "Authenticator app"
	case echomfa.SMS:
		return "Text message"
	case echomfa.Email:
		return "E-mail"
	case echomfa.Face:
		return "Face"
	case echomfa.Passkey:
		return "Passkey"
	default:
		return string(t)
	}
}

func (p *portal) render(c echo.Context, status int, v view) error {
	current, _ := p.sessions.of(c.Request())
	v.Lang = languageOf(c.Request())
	v.Title, v.Message = translated(v.Lang, title(v.Name)), translated(v.Lang, v.Message)
	v.User, v.Demo = current.user, p.demo != nil
	v.Policy, v.Enroll = policyName(v.Lang, p.settings.policy), p.at(p.settings.enrollPath())
	var b bytes.Buffer
	if err := p.pages[v.Lang].ExecuteTemplate(&b, v.Name, v); err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Language", v.Lang)
	h.Add("Vary", "Accept-Language")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	return c.HTMLBlob(status, b.Bytes())
}

// failed answers what no handler has answered: a page for browsers, and what Echo says
// for programs.
func (p *portal) failed(e *echo.Echo, c echo.Context, err error) {
	status, httpErr := http.StatusInternalServerError, (*echo.HTTPError)(nil)
	if errors.As(err, &httpErr) {
		status = httpErr.Code
	}
	name := "failed"
	if status == http.StatusNotFound {
		name = "not-found"
	}
	html := strings.Contains(c.Request().Header.Get("Accept"), "text/html")
	if !html || c.Response().Committed || p.render(c, status, view{Name: name}) != nil {
		e.DefaultHTTPErrorHandler(err, c)
	}
}

func (p *portal) page(name string) echo.HandlerFunc {
	return func(c echo.Context) error { return p.render(c, http.StatusOK, view{Name: name}) }
}

func (p *portal) loginPage(c echo.Context) error {
	return p.render(c, http.StatusOK, view{Name: "login", ReturnTo: p.mfa.ReturnTo(c.QueryParam("return_to"))})
}

func (p *portal) signIn(c echo.Context) error {
	back, user := p.mfa.ReturnTo(c.FormValue("return_to")), c.FormValue("username")
	token, err := p.passwordSignIn(c.Request().Context(), user, c.FormValue("password"))
	id := ""
	if err == nil {
		id, err = p.genauth.UserID(c.Request().Context(), token)
	}
	if err != nil {
		status, message := http.StatusServiceUnavailable, "GenAuth cannot be reached. Please try again in a moment."
		switch {
		case errors.Is(err, errRefused):
			status, message = http.StatusUnauthorized, "The user name or the password is wrong."
		case errors.Is(err, errSettings):
			message = "This app is not set up correctly: GenAuth does not know it. Please tell the operator."
		}
		return p.render(c, status, view{Name: "login", ReturnTo: back, Username: user, Message: message})
	}
	p.sessions.begin(c, user, id, token)
	if back == "" {
		back = p.at("/account")
	}
	return c.Redirect(http.StatusSeeOther, back)
}

func (p *portal) signOut(c echo.Context) error {
	p.sessions.end(c)
	return c.Redirect(http.StatusSeeOther, p.at("/"))
}

// account is for any signed-in user. Whether they meet the policy does not matter
// here: that GenAuth accepts the token does, and what it tells of them.
func (p *portal) account(c echo.Context) error {
	token, err := p.mfa.Token(c.Request())
	if err == nil {
		var enrolled echomfa.FactorSet
		if enrolled, err = p.mfa.EnrolledFactors(c.Request().Context(), token); err == nil {
			return p.render(c, http.StatusOK, view{Name: "account", Factors: enrolled.Types()})
		}
	}
	p.mfa.WriteRefusal(c.Response(), c.Request(), err)
	return nil
}
