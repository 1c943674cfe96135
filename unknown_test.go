package echomfa_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

// TestPartialAnswerDoesNotReplaceWholeFacts shows that an answer that left
// something out counts as malformed for a policy that it does not satisfy.
func TestPartialAnswerDoesNotReplaceWholeFacts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDirectory()
		d.enroll(token, echomfa.OTP)
		e := newEnforcer(t, d, stale)
		decide(t, e, token, otp())
		pass(61 * time.Second)
		partially(echomfa.Email)(d)
		assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome)
	})
}

// TestUnknownIsNotNoWhateverElseIsSaid shows that an error which matches
// ErrUnauthenticated, and says too that there was no verdict, is neither a 401
// nor remembered as one, and that no stale facts stand in for it.
func TestUnknownIsNotNoWhateverElseIsSaid(t *testing.T) {
	t.Parallel()
	for _, unknown := range []error{
		client.ErrUnavailable, client.ErrRateLimited, client.ErrMalformed, client.ErrMisconfigured,
		echomfa.ErrUnavailable, context.DeadlineExceeded, context.Canceled, &net.OpError{Op: "dial", Err: errors.New("no route")},
	} {
		cause := fmt.Errorf("%w: keys: %w", client.ErrUnauthenticated, unknown)
		synctest.Test(t, func(t *testing.T) {
			d := newDirectory()
			d.enroll(token, echomfa.OTP)
			verdict := cause
			e := newEnforcer(t, d, func(c *echomfa.Config) {
				c.CheckToken = func(context.Context, string) error { return verdict }
				c.Cache.StaleIfError = 5 * time.Minute
			})
			got, err := e.Decide(t.Context(), token, otp())
			assert.Equal(t, echomfa.Unavailable, got.Outcome, "CheckToken: %v", err)
			assert.Zero(t, d.total(), "what is not verified is not asked about")

			verdict = nil
			assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome, "not remembered as a refusal: %v", cause)
			pass(61 * time.Second)
			d.fail(cause)
			got, err = e.Decide(t.Context(), token, otp())
			assert.Equal(t, echomfa.Unavailable, got.Outcome, "lister: %v", err)
			pass(61 * time.Second) // for the pause after a 429
			d.fail(nil)
			assert.Equal(t, echomfa.Allowed, decide(t, e, token, otp()).Outcome, "not remembered as a refusal: %v", cause)
		})
	}
}

// TestPartialListDoesNotOutvoteARefusal shows that a list which comes with a
// refusal lets nobody through, although what is left of a list may.
func TestPartialListDoesNotOutvoteARefusal(t *testing.T) {
	t.Parallel()
	for _, refusal := range []error{client.ErrUnauthenticated, client.ErrMisconfigured} {
		e := newEnforcer(t, echomfa.FactorListerFunc(func(context.Context, string) ([]client.Factor, error) {
			return []client.Factor{{ID: "id", Type: echomfa.OTP}}, errors.Join(&client.PartialError{Skipped: 1}, refusal)
		}), nil)
		got, err := e.Decide(t.Context(), token, otp())
		assert.Equal(t, echomfa.Unavailable, got.Outcome, "%v", err)
	}
}
