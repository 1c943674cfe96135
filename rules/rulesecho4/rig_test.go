package rulesecho4_test

import (
	"net/http"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/internal/adaptertest"
	"github.com/echomfa/echomfa/rules/rulesecho4"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is an Enforcer that remembers its decisions and its log.
type rig struct{ *adaptertest.Rig }

func newRig(tb testing.TB, change ...func(*echomfa.Config)) *rig {
	tb.Helper()
	return &rig{adaptertest.NewRig(tb, change...)}
}

// install makes an app that has the rules.
func (r *rig) install(tb testing.TB, text string) (*echo.Echo, *rulesecho4.Set) {
	tb.Helper()
	set, err := rulesecho4.New(rulesecho4.Config{Rules: r.Rules(tb, text), Identity: nobody})
	require.NoError(tb, err)
	e := echo.New()
	set.Install(e)
	return e, set
}

// nobody is the identity of everybody.
func nobody(echo.Context) (rules.Identity, error) { return rules.Identity{}, nil }

func ok(c echo.Context) error { return c.String(http.StatusOK, "page") }
