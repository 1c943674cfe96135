package enroll_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestBugOwnEnglishInOtherLanguages has texts of the app in English, and a
// language, whose tag comes before "en", that lacks them.
func TestBugOwnEnglishInOtherLanguages(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{"de", "fr"} {
		s := newSite(t, func(set *setup) {
			set.Messages = map[string]map[string]string{"en": {"footer": "Ask us."}, tag: {"check": "x"}}
			set.Language = func(*http.Request) string { return tag }
		})
		assert.Contains(t, s.signIn().get("/mfa").html, "Ask us.", tag)
	}
}

// TestBugPercentInAText has a percent sign that is no "%s".
func TestBugPercentInAText(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) {
		set.Messages = map[string]map[string]string{"en": {"start.needs": "100 % sure, 5%d: %s."}}
	})
	assert.Contains(t, s.signIn().get("/mfa").html, "100 % sure, 5%d: authenticator app.")
}
