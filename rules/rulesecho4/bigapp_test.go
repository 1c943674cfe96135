package rulesecho4_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/rulesecho4"
	"github.com/echomfa/echomfa/rules/rulestest"
)

// bigApp is an app of more than 200 routes in nested groups. change may leave a guard out
// or name a route otherwise.
func bigApp(r *rig, set *rulesecho4.Set, change map[string]string) *echo.Echo {
	named := func(path string) string {
		if other, ok := change[path]; ok {
			return other
		}
		return path
	}
	guards := func(path string, policies ...echomfa.Policy) (list []echo.MiddlewareFunc) {
		for _, p := range policies {
			if change["guard of "+path] == "" {
				list = append(list, middleware.Secure(), r.Require(p))
			}
		}
		return list
	}
	e := echo.New()
	if change["Install"] == "" {
		set.Install(e)
	}
	e.GET("/healthz", ok)
	e.Any("/login", ok)
	e.GET("/mfa", ok)
	e.POST("/mfa/:step", ok)
	e.RouteNotFound("/app/*", ok)
	for _, area := range []string{"orders", "customers", "invoices", "reports", "payouts"} {
		group := e.Group("/api").Group("/v1", middleware.Secure()).Group("/"+area, guards(area, echomfa.AllOf(echomfa.OTP))...)
		for _, part := range []string{"", "/items", "/notes", "/files", "/history", "/shares"} {
			nested := group.Group(part)
			nested.GET(named("/list"), ok)
			nested.POST("/list", ok)
			nested.GET("/:id", ok)
			nested.PUT("/:id", ok)
			nested.DELETE("/:id", ok)
			nested.POST("/:id/approve", ok, guards(area+part+"/approve", echomfa.AllOf(echomfa.Face).Named("face"))...)
		}
	}
	e.Host("admin.example.com", middleware.Secure()).GET("/users/:id", ok)
	return e
}

const bigFile = `
version: 1
policies:
  authenticator: OTP or FACE
  two-methods: OTP and FACE
default: {require: authenticator}
rules:
  - {name: public, public: sign-in and enrollment, routes: ["GET /healthz", /login], under: [/mfa]}
  - name: export
    exempt: {reason: the batch client moves, owner: billing, expires: 2031-03-31}
    routes: ["GET /api/v1/reports/list"]
  - {name: admins, require: two-methods, under: [/api/v1/customers], when: {role: [admin]}}
  - {name: payouts, require: two-methods, under: [/api/v1/payouts], mode: report-only}
  - {name: orders, require: OTP, under: [/api/v1/orders]}
`

// TestCoverageOfABigApp holds an app of more than 200 routes against a golden file.
func TestCoverageOfABigApp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	set, err := rulesecho4.New(rulesecho4.Config{Rules: r.Rules(t, bigFile), Identity: nobody})
	require.NoError(t, err)
	e := bigApp(r, set, nil)
	require.Greater(t, len(e.Routes()), 200)
	rulestest.AssertCoverage(t, e, set, "testdata/mfa-coverage.golden")

	mounts := rulesecho4.WithoutRules(rulesecho4.Config{})
	coverage, err := mounts.Coverage(bigApp(r, mounts, nil))
	require.NoError(t, err)
	var open *rules.UnguardedError
	require.ErrorAs(t, coverage.Err(), &open)
	assert.Len(t, open.Routes, 16) // those at the top, and the host's
}

// failing is a test that is expected to fail.
type failing struct {
	testing.TB

	said strings.Builder
}

func (f *failing) Helper()                           {}
func (f *failing) Errorf(format string, args ...any) { fmt.Fprintf(&f.said, format+"\n", args...) }

// TestCoverageNoticesChanges shows what the golden file and the check say after one line
// of the app has changed.
func TestCoverageNoticesChanges(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		change map[string]string
		want   []string
	}{
		"a guard is removed": {
			map[string]string{"guard of invoices/files/approve": "removed"},
			[]string{
				"- POST /api/v1/invoices/files/:id/approve -> rule default: authenticator (OTP or FACE); and a mount: OTP; and a mount: face (FACE)\n",
				"+ POST /api/v1/invoices/files/:id/approve -> rule default: authenticator (OTP or FACE); and a mount: OTP\n",
			},
		},
		"a group's guard is removed": {
			map[string]string{"guard of payouts": "removed"},
			[]string{"+ GET /api/v1/payouts/list -> rule payouts: two-methods (OTP and FACE), report only\n"},
		},
		"a route is renamed": {
			map[string]string{"/list": "/all"},
			[]string{
				"- GET /api/v1/reports/list -> rule export: exempt until 2031-04-01T00:00:00Z (billing, the batch client moves), then rule default: authenticator (OTP or FACE); and a mount: OTP\n",
				"+ GET /api/v1/reports/all -> rule default: authenticator (OTP or FACE); and a mount: OTP\n",
			},
		},
		"Install is deleted": {map[string]string{"Install": "removed"}, []string{"not installed: call Install before the first route"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			set, err := rulesecho4.New(rulesecho4.Config{Rules: r.Rules(t, bigFile), Identity: nobody})
			require.NoError(t, err)
			failed := &failing{TB: t}
			rulestest.AssertCoverage[*echo.Echo](failed, bigApp(r, set, row.change), set, "testdata/mfa-coverage.golden")
			for _, want := range row.want {
				assert.Contains(t, failed.said.String(), want)
			}
		})
	}
}

// TestRenamedRouteLeavesARuleWithoutRoutes has the check of a file name the rule that meets
// nothing any more, by the coverage that the app has written.
func TestRenamedRouteLeavesARuleWithoutRoutes(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		change map[string]string
		want   string
	}{{nil, ""}, {map[string]string{"/list": "/all"}, "export"}} {
		r := newRig(t)
		file := r.Rules(t, bigFile)
		set, err := rulesecho4.New(rulesecho4.Config{Rules: file, Identity: nobody, Service: "shop", Version: "1.2.3", Revision: "abc"})
		require.NoError(t, err)
		written, err := set.Coverage(bigApp(r, set, row.change))
		require.NoError(t, err)
		data, err := written.JSON()
		require.NoError(t, err)
		read, err := rules.ReadCoverage(data)
		require.NoError(t, err)
		assert.Equal(t, written, read)
		again, err := read.JSON()
		require.NoError(t, err)
		assert.Equal(t, string(data), string(again))
		var found []string
		for _, m := range file.File().Check(rules.CheckOptions{At: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), Routes: read.Registered()}) {
			if !m.Note {
				found = append(found, m.Message)
			}
		}
		if row.want == "" {
			assert.Empty(t, found)
		} else {
			assert.Contains(t, strings.Join(found, "\n"), row.want)
		}
	}
}
