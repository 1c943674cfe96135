package rulesecho5_test

import (
	"log/slog"
	"net/http"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/echov5"
	"github.com/labstack/echo/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/internal/adaptertest"
	"github.com/echomfa/echomfa/rules/rulesecho5"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is an Enforcer that remembers its decisions and its log.
type rig struct{ *adaptertest.Rig }

func newRig(tb testing.TB, change ...func(*echomfa.Config)) *rig {
	tb.Helper()
	return &rig{adaptertest.NewRig(tb, change...)}
}

// install makes an app that has the rules.
func (r *rig) install(tb testing.TB, text string) (*echo.Echo, *rulesecho5.Set) {
	tb.Helper()
	set, err := rulesecho5.New(rulesecho5.Config{Rules: r.Rules(tb, text), Identity: nobody})
	require.NoError(tb, err)
	e := newApp()
	set.Install(e)
	return e, set
}

// nobody is the identity of everybody.
func nobody(*echo.Context) (rules.Identity, error) { return rules.Identity{}, nil }

// require is the mount of a policy.
func (r *rig) require(p echomfa.Policy) echo.MiddlewareFunc { return echov5.Require(r.Enforcer, p) }

// newApp returns an Echo that logs nothing.
func newApp() *echo.Echo {
	return echo.NewWithConfig(echo.Config{Logger: slog.New(slog.DiscardHandler)})
}

func ok(c *echo.Context) error { return c.String(http.StatusOK, "page") }
