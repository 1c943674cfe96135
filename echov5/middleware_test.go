package echov5_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/echov5"
)

var errTest = errors.New("test")

// TestMiddlewareCallbacks has what each callback may return.
func TestMiddlewareCallbacks(t *testing.T) {
	t.Parallel()
	type config = echov5.MiddlewareConfig
	jwt := answertest.JWT(map[string]any{"sub": "u1", "aud": "app"})
	tokenIs := func(token string, err error) func(*config) {
		return func(c *config) { c.Token = func(*echo.Context) (string, error) { return token, err } }
	}
	subjectIs := func(subject string, err error) func(*config) {
		return func(c *config) { c.Subject = func(*echo.Context) (string, error) { return subject, err } }
	}
	requires := func(r echomfa.Requirement, err error) func(*config) {
		return func(c *config) {
			c.Policy = echomfa.Policy{}
			c.RequireFunc = func(*echo.Context) (echomfa.Requirement, error) { return r, err }
		}
	}
	policyIs := func(p echomfa.Policy) func(*config) { return requires(echomfa.Requirement{Policy: p}, nil) }
	skips := func(skipper func(*echo.Context) bool) func(*config) {
		return func(c *config) { c.Skipper = skipper }
	}
	rows := map[string]struct {
		token  string
		change func(*config)
		want   int
	}{
		"Token: returns one":                    {"", tokenIs(answertest.Enrolled, nil), 200},
		"Token: instead of the header":          {answertest.Enrolled, tokenIs(answertest.NotEnrolled, nil), 403},
		"Token: none":                           {answertest.Enrolled, tokenIs("", nil), 401},
		"Token: says there is none":             {answertest.Enrolled, tokenIs("x", echomfa.ErrUnauthenticated), 401},
		"Token: judges it":                      {"", tokenIs("", &echomfa.TokenError{Code: "invalid_request"}), 401},
		"Token: malformed":                      {"", tokenIs("a b", nil), 401},
		"Token: fails":                          {answertest.Enrolled, tokenIs(answertest.Enrolled, errTest), 500},
		"Token: fails by Echo's error":          {answertest.Enrolled, tokenIs("", echo.ErrUnauthorized), 500},
		"RequireFunc: satisfied":                {answertest.Enrolled, policyIs(otp()), 200},
		"RequireFunc: not satisfied":            {answertest.Enrolled, policyIs(echomfa.AnyOf(echomfa.Face)), 403},
		"RequireFunc: exempt, without a token":  {"", policyIs(echomfa.Exempt("public")), 200},
		"RequireFunc: zero":                     {answertest.Enrolled, policyIs(echomfa.Policy{}), 500},
		"RequireFunc: invalid":                  {answertest.Enrolled, policyIs(echomfa.AnyOf()), 500},
		"RequireFunc: fails":                    {answertest.Enrolled, requires(echomfa.Requirement{Policy: otp()}, errTest), 500},
		"RequireFunc: nobody is signed in":      {answertest.Enrolled, requires(echomfa.Requirement{Policy: otp()}, echomfa.ErrUnauthenticated), 401},
		"RequireFunc: report only":              {answertest.NotEnrolled, requires(echomfa.Requirement{Policy: otp(), Mode: echomfa.ReportOnly}, nil), 200},
		"RequireFunc: enforce":                  {answertest.NotEnrolled, requires(echomfa.Requirement{Policy: otp(), Mode: echomfa.Enforce}, nil), 403},
		"Subject: an opaque token names nobody": {answertest.Enrolled, subjectIs("u1", nil), 401},
		"Subject: no token at all":              {"no token", subjectIs("u1", nil), 401},
		"Subject: another user":                 {jwt, subjectIs("u2", nil), 401},
		"Subject: nobody":                       {jwt, subjectIs("", nil), 401},
		"Subject: nobody is signed in":          {jwt, subjectIs("", echomfa.ErrUnauthenticated), 401},
		"Subject: fails":                        {jwt, subjectIs("u1", errTest), 500},
		"Subject: the same user":                {jwt, subjectIs("u1", nil), 503}, // the table's GenAuth is down for it
		"Skipper: yes":                          {"", skips(func(*echo.Context) bool { return true }), 200},
		"Skipper: no":                           {"", skips(func(*echo.Context) bool { return false }), 401},
		"Skipper: Echo's own type":              {"", skips(middleware.DefaultSkipper), 401},
		"SkipRoutes: the route":                 {"", skips(echov5.SkipRoutes("/admin/:id")), 200},
		"SkipRoutes: the address is not":        {"", skips(echov5.SkipRoutes("/admin/7", "/admin/*")), 401},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config{Enforcer: table(t, nil), Policy: otp()}
			row.change(&cfg)
			got := serve(t, cfg, func(r *http.Request) {
				if row.token != "" {
					withToken(row.token)(r)
				}
			})
			assert.Equal(t, row.want, got.Code)
			assert.Equal(t, row.want == http.StatusOK, got.ran)
			require.NoError(t, got.err)
		})
	}
}

// TestReportOnly shows what goes on and what is counted, and that errors in the
// application's own code are still refused.
func TestReportOnly(t *testing.T) {
	t.Parallel()
	e := table(t, nil)
	cfg := echov5.MiddlewareConfig{Enforcer: e, Policy: otp(), Mode: echomfa.ReportOnly}
	for _, token := range []string{answertest.Enrolled, answertest.NotEnrolled, "token-unavailable", "token-refused"} {
		got := serve(t, cfg, withToken(token))
		assert.True(t, got.ran, token)
		assert.Equal(t, http.StatusOK, got.Code, token)
	}
	assert.Equal(t, echomfa.WouldBlock{NotEnrolled: 1, Unauthenticated: 1, Unavailable: 1}, e.Stats().WouldBlock)

	got := serve(t, cfg, withToken("token-panicking"))
	assert.False(t, got.ran)
	assert.Equal(t, http.StatusInternalServerError, got.Code)
}

type panickingObserver struct{}

func (panickingObserver) ObserveDecision(context.Context, echomfa.Decision, string, string) {
	panic("observer")
}

// TestPanicsInCallbacks shows that a panic opens nothing, and that the next request
// works.
func TestPanicsInCallbacks(t *testing.T) {
	t.Parallel()
	type config = echov5.MiddlewareConfig
	rows := map[string]func(*config){
		"Skipper": func(c *config) { c.Skipper = func(*echo.Context) bool { panic("x") } },
		"Token":   func(c *config) { c.Token = func(*echo.Context) (string, error) { panic("x") } },
		"Subject": func(c *config) { c.Subject = func(*echo.Context) (string, error) { panic("x") } },
		"RequireFunc": func(c *config) {
			c.Policy = echomfa.Policy{}
			c.RequireFunc = func(*echo.Context) (echomfa.Requirement, error) { panic("x") }
		},
	}
	for name, change := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := table(t, nil)
			cfg := config{Enforcer: e, Policy: otp()}
			change(&cfg)
			for range 2 {
				got := serve(t, cfg, withToken(answertest.Enrolled))
				assert.False(t, got.ran)
				assert.Equal(t, http.StatusInternalServerError, got.Code)
			}
			good := serve(t, config{Enforcer: e, Policy: otp()}, withToken(answertest.Enrolled))
			assert.True(t, good.ran)
		})
	}
	observed := table(t, func(c *echomfa.Config) { c.Observer = panickingObserver{} })
	got := serve(t, config{Enforcer: observed, Policy: otp()}, withToken(answertest.Enrolled))
	assert.False(t, got.ran)
	assert.Equal(t, http.StatusInternalServerError, got.Code)
}

// TestAbortHandlerGoesOn shows that the one panic which is not a failure is left
// alone, also through Echo's Recover.
func TestAbortHandlerGoesOn(t *testing.T) {
	t.Parallel()
	abort := func(*echo.Context) (string, error) { panic(fmt.Errorf("%w: with a secret", http.ErrAbortHandler)) }
	cfg := echov5.MiddlewareConfig{Enforcer: table(t, nil), Policy: otp(), Token: abort}
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { serve(t, cfg, nil) })

	app := newApp(echo.Config{})
	app.Use(middleware.Recover())
	app.GET("/", func(*echo.Context) error { t.Error("the handler ran"); return nil }, echov5.WithConfig(cfg))
	assert.PanicsWithValue(t, http.ErrAbortHandler, func() { ask(t, app, http.MethodGet, "/", "") })
}

// TestMountMistakes has what is refused at start-up.
func TestMountMistakes(t *testing.T) {
	t.Parallel()
	type config = echov5.MiddlewareConfig
	e := table(t, nil)
	require1 := func(*echo.Context) (echomfa.Requirement, error) { return echomfa.Requirement{Policy: otp()}, nil }
	rows := map[string]struct {
		config config
		want   []string
	}{
		"nothing":              {config{}, []string{"Enforcer", "Policy"}},
		"zero Enforcer":        {config{Enforcer: &echomfa.Enforcer{}, Policy: otp()}, []string{"Enforcer"}},
		"invalid Policy":       {config{Enforcer: e, Policy: echomfa.AllOf()}, []string{"echomfa: Policy: invalid policy"}},
		"two requirements":     {config{Enforcer: e, Policy: otp(), RequireFunc: require1}, []string{"RequireFunc"}},
		"unknown Mode":         {config{Enforcer: e, Policy: otp(), Mode: 9}, []string{"Mode"}},
		"Mode and RequireFunc": {config{Enforcer: e, Mode: echomfa.ReportOnly, RequireFunc: require1}, []string{"Mode", "RequireFunc"}},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mw, err := row.config.ToMiddleware()
			assert.Nil(t, mw)
			for _, field := range row.want {
				require.ErrorContains(t, err, field)
			}
			assert.Panics(t, func() { echov5.WithConfig(row.config) })
		})
	}
	assert.Panics(t, func() { echov5.Require(e, echomfa.Policy{}) })
	assert.Panics(t, func() { echov5.Require(nil, otp()) })
	assert.Panics(t, func() { echov5.SkipRoutes() })
	for _, pattern := range []string{"", "mfa", " /mfa", "*"} { // no route is called so
		assert.PanicsWithError(t, fmt.Sprintf("echov5: SkipRoutes: %q skips nothing: routes begin with a slash", pattern), func() {
			echov5.SkipRoutes("/mfa", pattern)
		})
	}
	var _ echo.MiddlewareConfigurator = config{} // Echo's name for what has ToMiddleware
}

// TestKeepDecision shows that handlers read the decision only if it is kept.
func TestKeepDecision(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		e := table(t, func(c *echomfa.Config) { c.KeepDecision = keep })
		app := newApp(echo.Config{})
		app.GET("/", func(c *echo.Context) error {
			d, ok := echomfa.DecisionFrom(c.Request().Context())
			assert.Equal(t, keep, ok)
			assert.Equal(t, keep, d.Outcome == echomfa.Allowed)
			return c.NoContent(http.StatusOK)
		}, echov5.Require(e, otp()))
		assert.Equal(t, http.StatusOK, ask(t, app, http.MethodGet, "/", answertest.Enrolled).Code)
	}
}
