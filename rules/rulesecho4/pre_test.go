package rulesecho4_test

import (
	"net/http"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules/internal/adaptertest"
)

// TestMethodsThatPreChanges shows why Pre must change the request itself: the router does not
// see another one in its place, and the rules do. That is among what the coverage cannot see.
func TestMethodsThatPreChanges(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		change func(c echo.Context)
		runs   string
	}{
		"the request itself": {func(c echo.Context) { c.Request().Method = http.MethodGet }, "GET"},
		"another request": {func(c echo.Context) {
			other := c.Request().Clone(c.Request().Context())
			other.Method = http.MethodGet
			c.SetRequest(other)
		}, "POST"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, set := newRig(t).install(t, "version: 1\ndefault: {require: OTP}\nrules:\n  - {name: open, public: a, routes: [GET /]}\n")
			e.Pre(func(next echo.HandlerFunc) echo.HandlerFunc {
				return func(c echo.Context) error {
					row.change(c)
					return next(c)
				}
			})
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				e.Add(method, "/", func(c echo.Context) error { return c.String(http.StatusOK, method) })
			}
			coverage, err := set.Coverage(e)
			require.NoError(t, err)
			assert.Contains(t, coverage.Unseen, "a method or a host that middleware of Use changes, or of Pre by SetRequest: the rules then see the changed one")
			assert.Equal(t, row.runs, adaptertest.Ask(t, e, http.MethodPost, "/", "nothing").Body.String())
		})
	}
}
