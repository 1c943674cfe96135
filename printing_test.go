package echomfa_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/echomfa/echomfa/internal/hiddentest"
)

const printed = hiddentest.Canary

// TestX14PrintingTellsNoSecret prints all types that can hold a secret or
// personal data, and what is made of them. The other types are named with it, so
// that nobody adds one without a thought. (enroll and redisstore have tests of
// their own. The emulator's secrets are made up, and a test that fails should show
// them.)
func TestX14PrintingTellsNoSecret(t *testing.T) {
	t.Parallel()
	factor := client.Factor{ID: "1", Type: client.SMS, Profile: map[string]any{"phoneNumber": printed}}
	holding := map[string]any{
		"client.Factor":             factor,
		"client.EnrollRequest":      *hiddentest.Filled[client.EnrollRequest](),
		"client.Enrollment":         *hiddentest.Filled[client.Enrollment](),
		"client.OTPEnrollment":      *hiddentest.Filled[client.OTPEnrollment](),
		"client.EnrollConfirmation": *hiddentest.Filled[client.EnrollConfirmation](),
		"echomfa.Enforcer":          newEnforcer(t, quotingLister{printed}, nil),
		"echomfa.Config":            *hiddentest.Filled[echomfa.Config](),
	}
	hiddentest.AssertAllHidden(t, holding)
	assert.Equal(t, "{1 SMS}", fmt.Sprint(factor))
	assert.Equal(t, "[]client.Factor{{1 SMS}}", fmt.Sprintf("%#v", []client.Factor{factor}))
	text, err := json.Marshal([]client.Factor{factor})
	require.NoError(t, err)
	assert.JSONEq(t, `[{"id":"1","type":"SMS"}]`, string(text))

	without := []string{
		// An address and an app's id are not secrets, and no error keeps what it is about.
		"client.Client", "client.Config", "client.APIError", "client.CheckError", "client.PartialError", "client.TransportError",
		"client.MFATokenInfo",
		"echomfa.CacheConfig", "echomfa.Decision", "echomfa.Evaluation", "echomfa.FactorSet",
		"echomfa.Guard", "echomfa.GuardConfig", "echomfa.HandlerConfig", "echomfa.LookupConfig",
		"echomfa.LookupError", "echomfa.LookupStats", "echomfa.MiddlewareConfig", "echomfa.Mount", "echomfa.NotEnrolledError", "echomfa.Policy",
		"echomfa.PolicySyntaxError", "echomfa.Refusal", "echomfa.RefusalPage", "echomfa.Requirement", "echomfa.ReturnToConfig", "echomfa.Stats", "echomfa.StoreEvent",
		"echomfa.StoreStats", "echomfa.StoredFacts", "echomfa.TokenError", "echomfa.WouldBlock",
	}
	all := append(hiddentest.ExportedStructs(t, "echomfa", "*.go"), hiddentest.ExportedStructs(t, "client", "client/*.go")...)
	assert.ElementsMatch(t, append(slices.Collect(maps.Keys(holding)), without...), all)
}

// quotingLister is a Client of an app that holds a secret.
type quotingLister struct{ secret string }

func (quotingLister) ListEnrolledFactors(context.Context, string) ([]client.Factor, error) {
	return nil, client.ErrUnavailable
}

// TestX14EnforcerKeepsNoToken prints an Enforcer, its decisions and its errors
// after they have seen a token.
func TestX14EnforcerKeepsNoToken(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	d.enroll(printed, echomfa.OTP)
	e := newEnforcer(t, d, nil)
	for _, p := range []echomfa.Policy{otp(), echomfa.AnyOf(echomfa.Face)} {
		decision, err := e.Decide(t.Context(), printed, p)
		hiddentest.AssertHidden(t, decision)
		hiddentest.AssertHidden(t, err)
	}
	_, err := e.Decide(t.Context(), printed+"%20", otp())
	require.Error(t, err)
	hiddentest.AssertHidden(t, err)
	hiddentest.AssertHidden(t, e)
	hiddentest.AssertHidden(t, e.Stats())
}

// TestN13OneFactorType compiles only if the emulator's factor type is the
// library's.
func TestN13OneFactorType(t *testing.T) {
	t.Parallel()
	user := genauthtest.User{Factors: []echomfa.FactorType{echomfa.OTP, client.Passkey, genauthtest.SMS}}
	p := echomfa.AllOf(genauthtest.OTP, echomfa.SMS, genauthtest.Passkey)
	require.NoError(t, p.Err())
	assert.True(t, p.Evaluate(echomfa.Factors(user.Factors...)).Satisfied)
	listed := append([]genauthtest.FactorType(nil), p.Types()...)
	assert.Equal(t, echomfa.Factors(user.Factors...).Types(), listed)
	for _, same := range [][2]echomfa.FactorType{
		{genauthtest.OTP, echomfa.OTP},
		{genauthtest.SMS, echomfa.SMS},
		{genauthtest.Email, echomfa.Email},
		{genauthtest.Face, echomfa.Face},
		{genauthtest.Passkey, echomfa.Passkey},
	} {
		assert.Equal(t, same[0], same[1])
	}
}
