package enroll_test

import (
	"testing"
)

// TestBugEscapedReturnToThePages has return-tos that lead to the pages once
// they are decoded, as net/http routes them.
func TestBugEscapedReturnToThePages(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn(otp)
	for _, back := range []string{"/%6dfa", "/%6Dfa?x=y", "/mf%61/begin", "/mfa%2Fbegin"} {
		user.post("/mfa/check", "return_to", back).goes("/home")
	}
	user.post("/mfa/check", "return_to", "/%6dfax").goes("/%6dfax")
}
