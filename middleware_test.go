package echomfa_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
)

// answers has the golden file of each row, rewritten by
// go test -run TestAnswersHTTP . -update.
const answers = "testdata/answers"

// TestAnswersEcho runs the table of answers over Echo, mounted on a group, on
// routes and on the whole server.
func TestAnswersEcho(t *testing.T) {
	t.Parallel()
	mounts := map[string]answertest.Mount{
		"group": func(e *echomfa.Enforcer, p echomfa.Policy, handler http.Handler) http.Handler {
			app := echo.New()
			app.Group("", e.Require(p)).Any("/*", echo.WrapHandler(handler))
			return app
		},
		"route": func(e *echomfa.Enforcer, p echomfa.Policy, handler http.Handler) http.Handler {
			app := echo.New()
			app.Any("/*", echo.WrapHandler(handler), e.Require(p))
			return app
		},
		"server": func(e *echomfa.Enforcer, p echomfa.Policy, handler http.Handler) http.Handler {
			app := echo.New()
			app.Use(e.Require(p))
			app.Any("/*", echo.WrapHandler(handler))
			return app
		},
	}
	for name, mount := range mounts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answertest.Run(t, mount, answers)
		})
	}
}

// TestAnswersHTTP runs the same table over net/http.
func TestAnswersHTTP(t *testing.T) {
	t.Parallel()
	answertest.Run(t, func(e *echomfa.Enforcer, p echomfa.Policy, handler http.Handler) http.Handler {
		return e.Middleware(echomfa.HandlerConfig{Policy: p})(handler)
	}, answers)
}

var errTest = errors.New("test")

// served is the result of a request to an Echo app.
type served struct {
	*httptest.ResponseRecorder
	ran bool
	err error // what the middleware returned
}

// serve sends one request for GET /admin/:id through the middleware. setup may
// change the request.
func serve(t *testing.T, cfg echomfa.MiddlewareConfig, setup func(*http.Request)) (got served) {
	t.Helper()
	got.ResponseRecorder = httptest.NewRecorder()
	app := echo.New()
	app.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			got.err = next(c)
			return got.err
		}
	})
	app.GET("/admin/:id", func(c echo.Context) error {
		got.ran = true
		return c.String(http.StatusOK, "secret page")
	}, echomfa.WithConfig(cfg))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin/7", nil)
	if setup != nil {
		setup(r)
	}
	app.ServeHTTP(got, r)
	return got
}

func withToken(token string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
}

// table makes an Enforcer whose GenAuth is that of the table of answers.
func table(t *testing.T, change func(*echomfa.Config)) *echomfa.Enforcer {
	t.Helper()
	return newEnforcer(t, echomfa.FactorListerFunc(answertest.Lister), change)
}

func otp() echomfa.Policy { return echomfa.AnyOf(echomfa.OTP) }

// TestMiddlewareCallbacks has what each callback may return.
func TestMiddlewareCallbacks(t *testing.T) {
	t.Parallel()
	type config = echomfa.MiddlewareConfig
	jwt := answertest.JWT(map[string]any{"sub": "u1", "aud": "app"})
	tokenIs := func(token string, err error) func(*config) {
		return func(c *config) { c.Token = func(echo.Context) (string, error) { return token, err } }
	}
	subjectIs := func(subject string, err error) func(*config) {
		return func(c *config) { c.Subject = func(echo.Context) (string, error) { return subject, err } }
	}
	requireIs := func(required echomfa.Requirement, err error) func(*config) {
		return func(c *config) {
			c.Policy = echomfa.Policy{}
			c.RequireFunc = func(echo.Context) (echomfa.Requirement, error) { return required, err }
		}
	}
	modeIs := func(m echomfa.Mode) func(*config) { return requireIs(echomfa.Requirement{Policy: otp(), Mode: m}, nil) }
	policyIs := func(p echomfa.Policy, err error) func(*config) {
		return requireIs(echomfa.Requirement{Policy: p}, err)
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
		"RequireFunc: satisfied":                {answertest.Enrolled, policyIs(otp(), nil), 200},
		"RequireFunc: not satisfied":            {answertest.Enrolled, policyIs(echomfa.AnyOf(echomfa.Face), nil), 403},
		"RequireFunc: exempt, without a token":  {"", policyIs(echomfa.Exempt("public"), nil), 200},
		"RequireFunc: zero":                     {answertest.Enrolled, policyIs(echomfa.Policy{}, nil), 500},
		"RequireFunc: invalid":                  {answertest.Enrolled, policyIs(echomfa.AnyOf(), nil), 500},
		"RequireFunc: fails":                    {answertest.Enrolled, policyIs(otp(), errTest), 500},
		"RequireFunc: nobody is signed in":      {answertest.Enrolled, policyIs(otp(), echomfa.ErrUnauthenticated), 401},
		"Subject: an opaque token names nobody": {answertest.Enrolled, subjectIs("u1", nil), 401},
		"Subject: no token at all":              {"no token", subjectIs("u1", nil), 401},
		"Subject: a JWT that cannot be read":    {"e30.e30", subjectIs("u1", nil), 401},
		"Subject: another user":                 {jwt, subjectIs("u2", nil), 401},
		"Subject: nobody":                       {jwt, subjectIs("", nil), 401},
		"Subject: nobody is signed in":          {jwt, subjectIs("", echomfa.ErrUnauthenticated), 401},
		"Subject: fails":                        {jwt, subjectIs("u1", errTest), 500},
		"Subject: the same user":                {jwt, subjectIs("u1", nil), 503}, // the table's GenAuth is down for it
		"Skipper: yes":                          {"", func(c *config) { c.Skipper = func(echo.Context) bool { return true } }, 200},
		"Skipper: no":                           {"", func(c *config) { c.Skipper = func(echo.Context) bool { return false } }, 401},
		"SkipRoutes: the route":                 {"", func(c *config) { c.Skipper = echomfa.SkipRoutes("/admin/:id") }, 200},
		"SkipRoutes: the address is not":        {"", func(c *config) { c.Skipper = echomfa.SkipRoutes("/admin/7", "/admin/*") }, 401},
		"RequireFunc: report only":              {answertest.NotEnrolled, modeIs(echomfa.ReportOnly), 200},
		"RequireFunc: enforce":                  {answertest.NotEnrolled, modeIs(echomfa.Enforce), 403},
		"RequireFunc: nonsense enforces":        {answertest.NotEnrolled, modeIs(7), 403},
		"RequireFunc: fails, report only":       {answertest.NotEnrolled, requireIs(echomfa.Requirement{Policy: otp(), Mode: echomfa.ReportOnly}, errTest), 500},
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
			assert.NotContains(t, got.Body.String()+got.Header().Get("WWW-Authenticate"), errTest.Error()+"\n")
		})
	}
}

// TestReportOnly shows what goes on, what is counted and how it is logged, and that
// errors in the application's own code are still a 500.
func TestReportOnly(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	e := table(t, func(c *echomfa.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	cfg := echomfa.MiddlewareConfig{Enforcer: e, Policy: otp(), Mode: echomfa.ReportOnly}
	for _, token := range []string{answertest.Enrolled, answertest.NotEnrolled, "token-unavailable", "token-refused"} {
		got := serve(t, cfg, withToken(token))
		assert.True(t, got.ran, token)
		assert.Equal(t, http.StatusOK, got.Code, token)
	}
	assert.Equal(t, echomfa.WouldBlock{NotEnrolled: 1, Unauthenticated: 1, Unavailable: 1}, e.Stats().WouldBlock)
	assert.Equal(t, 3, strings.Count(log.String(), `msg="mfa would refuse" event=refused`), "these went on")
	assert.NotContains(t, log.String(), "mfa refused")

	got := serve(t, cfg, withToken("token-panicking"))
	assert.False(t, got.ran)
	assert.Equal(t, http.StatusInternalServerError, got.Code)

	cfg = echomfa.MiddlewareConfig{Enforcer: e, RequireFunc: func(echo.Context) (echomfa.Requirement, error) {
		return echomfa.Requirement{Mode: echomfa.ReportOnly}, nil
	}}
	got = serve(t, cfg, withToken(answertest.Enrolled))
	assert.False(t, got.ran)
	assert.Equal(t, http.StatusInternalServerError, got.Code)
	assert.Equal(t, 3, strings.Count(log.String(), "mfa would refuse"))
	assert.Equal(t, 2, strings.Count(log.String(), `msg="mfa refused" event=refused`), "these did not go on")
}

// TestT42PanicsInCallbacks shows that a panic lets nobody through, and that the next
// request works.
func TestT42PanicsInCallbacks(t *testing.T) {
	t.Parallel()
	rows := map[string]func(*echomfa.MiddlewareConfig, *recorder){
		"Skipper": func(c *echomfa.MiddlewareConfig, _ *recorder) { c.Skipper = func(echo.Context) bool { panic("x") } },
		"Token": func(c *echomfa.MiddlewareConfig, _ *recorder) {
			c.Token = func(echo.Context) (string, error) { panic("x") }
		},
		"Subject": func(c *echomfa.MiddlewareConfig, _ *recorder) {
			c.Subject = func(echo.Context) (string, error) { panic("x") }
		},
		"RequireFunc": func(c *echomfa.MiddlewareConfig, _ *recorder) {
			c.Policy = echomfa.Policy{}
			c.RequireFunc = func(echo.Context) (echomfa.Requirement, error) { panic("x") }
		},
		"Observer": func(c *echomfa.MiddlewareConfig, seen *recorder) {
			c.Enforcer = table(t, func(cfg *echomfa.Config) { cfg.Observer = panickingObserver{seen} })
		},
		"Token and Observer": func(c *echomfa.MiddlewareConfig, seen *recorder) {
			c.Enforcer = table(t, func(cfg *echomfa.Config) { cfg.Observer = panickingObserver{seen} })
			c.Token = func(echo.Context) (string, error) { panic("x") }
		},
	}
	for name, change := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := &recorder{}
			cfg := echomfa.MiddlewareConfig{Enforcer: table(t, func(cfg *echomfa.Config) { cfg.Observer = seen }), Policy: otp()}
			change(&cfg, seen)
			for range 2 {
				got := serve(t, cfg, withToken(answertest.Enrolled))
				assert.False(t, got.ran)
				assert.Equal(t, http.StatusInternalServerError, got.Code)
			}
			once := observed{echomfa.InternalError, "/admin/:id", "GET"}
			if name == "Observer" {
				once.outcome = echomfa.Allowed // before it panicked
			}
			assert.Equal(t, []observed{once, once}, seen.seen)
			good := serve(t, echomfa.MiddlewareConfig{Enforcer: table(t, nil), Policy: otp()}, withToken(answertest.Enrolled))
			assert.True(t, good.ran)
		})
	}
}

// TestAbortHandlerGoesOn shows that the one panic which is not a failure is left
// alone.
func TestAbortHandlerGoesOn(t *testing.T) {
	t.Parallel()
	cfg := echomfa.MiddlewareConfig{Enforcer: table(t, nil), Policy: otp(), Token: func(echo.Context) (string, error) {
		panic(http.ErrAbortHandler)
	}}
	assert.PanicsWithError(t, http.ErrAbortHandler.Error(), func() { serve(t, cfg, nil) })
}

// TestMountMistakes has what is refused at start-up.
func TestMountMistakes(t *testing.T) {
	t.Parallel()
	e := table(t, nil)
	required := func(echo.Context) (echomfa.Requirement, error) { return echomfa.Requirement{Policy: otp()}, nil }
	rows := map[string]struct {
		config echomfa.MiddlewareConfig
		want   []string
	}{
		"nothing":        {echomfa.MiddlewareConfig{}, []string{"Enforcer", "Policy"}},
		"zero Enforcer":  {echomfa.MiddlewareConfig{Enforcer: &echomfa.Enforcer{}, Policy: otp()}, []string{"Enforcer"}},
		"invalid Policy": {echomfa.MiddlewareConfig{Enforcer: e, Policy: echomfa.AllOf()}, []string{"echomfa: Policy: invalid policy"}},
		"two policies":   {echomfa.MiddlewareConfig{Enforcer: e, Policy: otp(), RequireFunc: required}, []string{"RequireFunc"}},
		"unknown Mode":   {echomfa.MiddlewareConfig{Enforcer: e, Policy: otp(), Mode: 9}, []string{"Mode"}},
		"two modes":      {echomfa.MiddlewareConfig{Enforcer: e, Mode: echomfa.ReportOnly, RequireFunc: required}, []string{"RequireFunc"}},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mw, err := row.config.ToMiddleware()
			assert.Nil(t, mw)
			for _, field := range row.want {
				require.ErrorContains(t, err, field)
			}
			assert.Panics(t, func() { echomfa.WithConfig(row.config) })
		})
	}
	assert.Panics(t, func() { e.Require(echomfa.Policy{}) })
	assert.Panics(t, func() { e.Middleware(echomfa.HandlerConfig{}) })
	mw, err := e.NewMiddleware(echomfa.HandlerConfig{Mode: 9})
	assert.Nil(t, mw)
	require.ErrorContains(t, err, "echomfa: Policy: ")
	require.ErrorContains(t, err, "echomfa: Mode: ")
	assert.Panics(t, func() { echomfa.SkipRoutes() })
	for _, pattern := range []string{"", "mfa", " /mfa", "*"} { // no route is called so
		assert.PanicsWithError(t, fmt.Sprintf("echomfa: SkipRoutes: %q skips nothing: routes begin with a slash", pattern), func() {
			echomfa.SkipRoutes("/mfa", pattern)
		})
	}
}

// TestInvalidPolicyOfAMountIsNamed shows that a mount says what is wrong with its policy,
// and that it is the policy.
func TestInvalidPolicyOfAMountIsNamed(t *testing.T) {
	t.Parallel()
	_, err := echomfa.MiddlewareConfig{Enforcer: table(t, nil), Policy: echomfa.AtLeast(3, echomfa.OTP)}.ToMiddleware()
	require.ErrorIs(t, err, echomfa.ErrInvalidPolicy)
	assert.ErrorContains(t, err, "echomfa: Policy: ")
}
