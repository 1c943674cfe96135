package operator_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/echomfa/echomfa/integration/recipes/operator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const anns = "anns-key-0123456789abcdef0123456789"

// rig is an app with the endpoint.
type rig struct {
	t       *testing.T
	genauth *genauthtest.Server
	app     http.Handler
	ops     http.Handler
	log     bytes.Buffer
}

func newRig(t *testing.T, keys map[string]string) *rig {
	t.Helper()
	x := &rig{t: t, genauth: genauthtest.Start(t)}
	x.genauth.AddUser(genauthtest.User{ID: "alice", Factors: []genauthtest.FactorType{genauthtest.OTP}})
	x.genauth.AddUser(genauthtest.User{ID: "bob"})
	genauth, err := client.New(client.Config{BaseURL: x.genauth.URL(), AppID: x.genauth.AppID()})
	require.NoError(t, err)
	mfa, err := echomfa.New(echomfa.Config{Client: genauth})
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, mfa.Close())
		genauth.CloseIdleConnections()
	})
	ops := &operator.Operator{MFA: mfa, Keys: keys, Logger: slog.New(slog.NewTextHandler(&x.log, nil))}
	x.ops = ops.Handler()
	policy := echomfa.AnyOf(echomfa.OTP)
	e := echo.New()
	e.GET("/admin", func(c echo.Context) error { return c.NoContent(http.StatusOK) }, echomfa.WithConfig(echomfa.MiddlewareConfig{
		Enforcer: mfa,
		RequireFunc: func(echo.Context) (echomfa.Requirement, error) {
			return echomfa.Requirement{Policy: policy, Mode: ops.Mode()}, nil
		},
	}))
	x.app = e
	return x
}

func (x *rig) send(h http.Handler, method, target, key string) *httptest.ResponseRecorder {
	x.t.Helper()
	r := httptest.NewRequestWithContext(x.t.Context(), method, target, nil)
	if key != "" {
		r.Header.Set("Authorization", key)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// asks is bob, without the factor, with a new token.
func (x *rig) asks() int {
	x.t.Helper()
	return x.send(x.app, http.MethodGet, "/admin", "Bearer "+x.genauth.AccessToken("bob")).Code
}

func (x *rig) does(target string) int {
	x.t.Helper()
	return x.send(x.ops, http.MethodPost, target, "Bearer "+anns).Code
}

// TestOperatorActs has what an operator does, seen from the app.
func TestOperatorActs(t *testing.T) {
	t.Parallel()
	x := newRig(t, map[string]string{"ann": anns})
	require.Equal(t, 403, x.asks())
	require.Equal(t, 200, x.does("/mode/report-only"))
	assert.Equal(t, 200, x.asks())
	require.Equal(t, 200, x.does("/mode/enforce"))
	assert.Equal(t, 403, x.asks())

	token := x.genauth.AccessToken("alice")
	again := func() int { return x.send(x.app, http.MethodGet, "/admin", "Bearer "+token).Code }
	require.Equal(t, 200, again())
	x.genauth.Reset("alice", genauthtest.OTP)
	require.Equal(t, 200, again())
	require.Equal(t, 200, x.does("/users/alice/forget"))
	assert.Equal(t, 403, again())

	x.genauth.Stop()
	require.Equal(t, 503, x.asks())
	assert.Equal(t, 409, x.does("/unknown-users/allow"), "for how long?")
	assert.Equal(t, 409, x.does("/unknown-users/allow?for=25h"))
	require.Equal(t, 200, x.does("/unknown-users/allow?for=30m"))
	assert.Equal(t, 200, x.asks())
	require.Equal(t, 200, x.does("/unknown-users/refuse"))
	assert.Equal(t, 503, x.asks())

	w := x.send(x.ops, http.MethodGet, "/stats", "Bearer "+anns)
	var got struct {
		ReportOnly bool `json:"report_only"`
		Stats      echomfa.Stats
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got), w.Body)
	assert.False(t, got.ReportOnly)
	assert.NotZero(t, got.Stats.WouldBlock.NotEnrolled)
	assert.NotZero(t, got.Stats.Lookups.Unavailable)
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	for _, want := range []string{"who=ann did=/mode/report-only", "did=/users/alice/forget", "did=/unknown-users/allow for=30m"} {
		assert.Contains(t, x.log.String(), want)
	}
	assert.NotContains(t, x.log.String(), anns)
}

// TestOperatorsOnly has who is refused, and that nothing happens.
func TestOperatorsOnly(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		keys map[string]string
		key  string
	}{
		"no key":                {map[string]string{"ann": anns}, ""},
		"another key":           {map[string]string{"ann": anns}, "Bearer " + strings.ToUpper(anns)},
		"the beginning":         {map[string]string{"ann": anns}, "Bearer " + anns[:len(anns)-1]},
		"without its scheme":    {map[string]string{"ann": anns}, anns},
		"nobody has a key":      {nil, "Bearer "},
		"an empty key":          {map[string]string{"ann": ""}, "Bearer "},
		"a key that is guessed": {map[string]string{"ann": "secret"}, "Bearer secret"},
	} {
		x := newRig(t, row.keys)
		for _, target := range []string{"/mode/report-only", "/unknown-users/allow?for=1h", "/users/bob/forget", "/nowhere"} {
			assert.Equal(t, 401, x.send(x.ops, http.MethodPost, target, row.key).Code, "%s: %s", name, target)
		}
		assert.Equal(t, 401, x.send(x.ops, http.MethodGet, "/stats", row.key).Code, name)
		assert.Equal(t, 403, x.asks(), name)
	}
}
