package rulesecho5_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/echov5"
	"github.com/labstack/echo/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/rulesecho5"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lister knows tokens by the factors of their users, such as "OTP+FACE".
func lister(_ context.Context, token string) ([]client.Factor, error) {
	var factors []client.Factor
	for name := range strings.SplitSeq(token, "+") {
		if name != "nothing" {
			factors = append(factors, client.Factor{ID: name, Type: client.FactorType(name)})
		}
	}
	return factors, nil
}

// rig is an Enforcer that remembers its decisions and its log.
type rig struct {
	*echomfa.Enforcer

	mu   sync.Mutex
	seen []echomfa.Decision
	log  bytes.Buffer
}

// ObserveDecision remembers a decision.
func (r *rig) ObserveDecision(_ context.Context, d echomfa.Decision, _, _ string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, d)
}

func newRig(tb testing.TB, change ...func(*echomfa.Config)) *rig {
	tb.Helper()
	r := &rig{}
	cfg := echomfa.Config{
		Client: echomfa.FactorListerFunc(lister), Namespace: "test", InsecureAnyAudience: true, Observer: r,
		Logger: slog.New(slog.NewJSONHandler(&r.log, nil)),
	}
	for _, f := range change {
		f(&cfg)
	}
	e, err := echomfa.New(cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, e.Close()) })
	r.Enforcer = e
	return r
}

// rules returns a Set of a text.
func (r *rig) rules(tb testing.TB, text string) *rules.Set {
	tb.Helper()
	f, err := rules.Parse([]byte(text), "rules.yaml")
	require.NoError(tb, err)
	s, err := rules.New(f, rules.Config{Enforcer: r.Enforcer, Roles: []string{"admin", "clerk"}})
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, s.Close()) })
	return s
}

// install makes an app that has the rules.
func (r *rig) install(tb testing.TB, text string) (*echo.Echo, *rulesecho5.Set) {
	tb.Helper()
	set, err := rulesecho5.New(rulesecho5.Config{Rules: r.rules(tb, text)})
	require.NoError(tb, err)
	e := newApp()
	set.Install(e)
	return e, set
}

// ask sends a request of a user who has some factors, such as "OTP+FACE", or "nothing", or
// "" for no token.
func ask(t *testing.T, app http.Handler, method, target, has string) *httptest.ResponseRecorder {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	if has != "" {
		req.Header.Set("Authorization", "Bearer "+has)
	}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, req)
	return w
}

// require is the mount of a policy.
func (r *rig) require(p echomfa.Policy) echo.MiddlewareFunc { return echov5.Require(r.Enforcer, p) }

// newApp returns an Echo that logs nothing.
func newApp() *echo.Echo {
	return echo.NewWithConfig(echo.Config{Logger: slog.New(slog.DiscardHandler)})
}

func ok(c *echo.Context) error { return c.String(http.StatusOK, "page") }
