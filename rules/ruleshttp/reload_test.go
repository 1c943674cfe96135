package ruleshttp_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules"
	"github.com/echomfa/echomfa/rules/internal/adaptertest"
	"github.com/echomfa/echomfa/rules/ruleshttp"
)

// TestReloadsUnderRequests reads a hundred changed files while a thousand requests are
// answered.
func TestReloadsUnderRequests(t *testing.T) {
	t.Parallel()
	adaptertest.TestReloadsUnderRequests(t, 100, 1000, func(file *rules.Set) http.Handler {
		set, err := ruleshttp.New(ruleshttp.Config{Rules: file})
		require.NoError(t, err)
		var mux ruleshttp.Mux
		mux.HandleFunc("GET /x", func(w http.ResponseWriter, r *http.Request) {
			d, _ := echomfa.DecisionFrom(r.Context())
			_, _ = io.WriteString(w, adaptertest.Versioned(d))
		})
		mux.HandleFunc("GET /open/{page}", ok)
		mux.HandleFunc("GET /closed", ok)
		return set.Guard(&mux)
	})
}

// TestFilesAreHeldAgainstTheApp has the same check at the start and at each change.
func TestFilesAreHeldAgainstTheApp(t *testing.T) {
	t.Parallel()
	adaptertest.TestFilesAreHeldAgainstTheApp(t, func(file *rules.Set) (adaptertest.App, error) {
		set, err := ruleshttp.New(ruleshttp.Config{Rules: file})
		if err != nil {
			return adaptertest.App{}, err
		}
		var mux ruleshttp.Mux
		mux.HandleFunc("GET /login", ok)
		mux.HandleFunc("GET /mfa/{step}", ok)
		return adaptertest.App{Handler: set.Guard(&mux), CheckCoverage: func() error { return set.CheckCoverage(&mux) }}, nil
	})
}
