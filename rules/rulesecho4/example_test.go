package rulesecho4_test

import (
	"fmt"
	"log"
	"net/http"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/labstack/echo/v4"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/internal/adaptertest"
	"github.com/echomfa/echomfa/rules/rulesecho4"
	"github.com/echomfa/echomfa/rules/rulestest"
)

func Example() {
	mfa, err := echomfa.New(echomfa.Config{
		Client: echomfa.FactorListerFunc(adaptertest.Lister), Namespace: "shop", InsecureAnyAudience: true, // of this example
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := app(mfa); err != nil {
		log.Fatal(err)
	}
	_ = mfa.Close()
	// Output:
	// requests that match no route -> rule default: authenticator (OTP or FACE)
	// POST /admin/payouts/:id -> rule payout: two-methods (OTP and FACE)
	// GET /healthz -> rule public: open (health)
}

// A test of an app compares its coverage with a golden file.
func Example_golden() {
	_ = func(t *testing.T, e *echo.Echo, set *rulesecho4.Set) { //nolint:thelper // it is a test
		rulestest.AssertCoverage(t, e, set, "testdata/mfa-coverage.golden")
	}
	// Output:
}

func app(mfa *echomfa.Enforcer) error {
	file, err := rules.Open("testdata/rules.yaml", rules.Config{Enforcer: mfa})
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	set, err := rulesecho4.New(rulesecho4.Config{Rules: file})
	if err != nil {
		return err
	}
	e := echo.New()
	set.Install(e) // where e.Use(mfa.Require(...)) would stand
	e.GET("/healthz", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })
	e.POST("/admin/payouts/:id", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) })
	if err := set.CheckCoverage(e); err != nil {
		return err
	}

	coverage, err := set.Coverage(e)
	for _, route := range coverage.Routes {
		fmt.Println(route)
	}
	return err
}
