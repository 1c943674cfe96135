package rulesecho5_test

import (
	"net/http"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/labstack/echo/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/internal/adaptertest"
	"github.com/echomfa/echomfa/rules/rulesecho5"
)

// TestReloadsUnderRequests reads a hundred changed files while a thousand requests are
// answered.
func TestReloadsUnderRequests(t *testing.T) {
	t.Parallel()
	adaptertest.TestReloadsUnderRequests(t, 100, 1000, func(file *rules.Set) http.Handler {
		set, err := rulesecho5.New(rulesecho5.Config{Rules: file})
		require.NoError(t, err)
		e := newApp()
		set.Install(e)
		e.GET("/x", func(c *echo.Context) error {
			d, _ := echomfa.DecisionFrom(c.Request().Context())
			return c.String(http.StatusOK, adaptertest.Versioned(d))
		})
		e.GET("/open/*", ok)
		e.GET("/closed", ok)
		return e
	})
}

// TestFilesAreHeldAgainstTheApp has the same check at the start and at each change.
func TestFilesAreHeldAgainstTheApp(t *testing.T) {
	t.Parallel()
	adaptertest.TestFilesAreHeldAgainstTheApp(t, func(file *rules.Set) (adaptertest.App, error) {
		set, err := rulesecho5.New(rulesecho5.Config{Rules: file})
		if err != nil {
			return adaptertest.App{}, err
		}
		e := newApp()
		set.Install(e)
		e.GET("/login", ok)
		e.GET("/mfa/:step", ok)
		return adaptertest.App{Handler: e, CheckCoverage: func() error { return set.CheckCoverage(e) }}, nil
	})
}

// TestChangesWhileTheCoverageIsAsked has Install called again while others ask: the race
// detector finds what is read without the lock.
func TestChangesWhileTheCoverageIsAsked(t *testing.T) {
	t.Parallel()
	e, set := newRig(t).install(t, "version: 1\ndefault: {require: OTP}\n")
	e.GET("/x", ok)
	again := make(chan struct{})
	go func() {
		defer close(again)
		set.Install(e)
	}()
	_, _ = set.Coverage(e)
	<-again
	_, err := set.Coverage(e)
	assert.ErrorContains(t, err, "called twice")
}
