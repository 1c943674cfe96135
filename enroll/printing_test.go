package enroll_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/hiddentest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/enroll"
)

// TestX14PrintingTellsNoSecret prints all types of this package that can hold a
// secret or personal data. The other types are named with it, so that nobody adds
// one without a thought.
func TestX14PrintingTellsNoSecret(t *testing.T) {
	t.Parallel()
	page := hiddentest.Filled[enroll.Page]()
	require.Equal(t, hiddentest.Canary, page.Secret)
	config := hiddentest.Filled[enroll.Config]()
	require.Equal(t, hiddentest.Canary, string(config.StateKeys[0]))
	holding := map[string]any{
		"enroll.Config":   *config,
		"enroll.Page":     *page,
		"enroll.Choice":   page.Choices[0],
		"enroll.Choosing": page.With(nil),
		"enroll.Handler":  handlerWithKey(t, []byte(hiddentest.Canary+hiddentest.Canary)),
	}
	hiddentest.AssertAllHidden(t, holding)
	// fmt calls no methods on unexported fields.
	hiddentest.AssertHidden(t, struct{ h *enroll.Handler }{handlerWithKey(t, []byte(hiddentest.Canary+hiddentest.Canary))})
	hiddentest.AssertHidden(t, struct{ p *enroll.Choosing }{&enroll.Choosing{Page: page}})
	assert.Equal(t, "[redacted]", fmt.Sprintf("%+v", page))

	without := []string{"enroll.Brand", "enroll.Event", "enroll.RefusalConfig", "enroll.Region", "enroll.SignIn", "enroll.Waiting"}
	assert.ElementsMatch(t, append(slices.Collect(maps.Keys(holding)), without...), hiddentest.ExportedStructs(t, "enroll", "*.go"))
}

// handlerWithKey returns a Handler with a key of its own.
func handlerWithKey(t *testing.T, key []byte) *enroll.Handler {
	t.Helper()
	genauth, err := client.New(client.Config{BaseURL: "https://genauth.example", AppID: "app"})
	require.NoError(t, err)
	mfa, err := echomfa.New(echomfa.Config{Client: genauth})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, mfa.Close()) })
	h, err := enroll.New(enroll.Config{
		Client: genauth, Enforcer: mfa, BasePath: "/mfa", Policy: echomfa.AnyOf(echomfa.OTP), AuthTime: true, StateKeys: [][]byte{key},
	})
	require.NoError(t, err)
	return h
}
