package enroll_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
)

// TestN4WalkIsOneRefusal has one refused request, and then a walk through the pages:
// one line of the log says refused.
func TestN4WalkIsOneRefusal(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	assert.Equal(t, http.StatusForbidden, user.guarded())
	user.get("/mfa?return_to=/admin").is(http.StatusOK)
	user.get("/mfa").is(http.StatusOK)
	user.begin(genauthtest.SMS)
	assert.Equal(t, 1, strings.Count(s.logged.String(), "mfa refused"), s.logged.String())
}

// TestN4PagesSayThatGenAuthIsAway shows that the pages' own log says why they show
// nothing: no decision does.
func TestN4PagesSayThatGenAuthIsAway(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	s.genauth.Stop()
	user.get("/mfa").is(http.StatusServiceUnavailable)
	assert.Equal(t, 1, strings.Count(s.logged.String(), "enrollment call failed"), s.logged.String())
	assert.NotContains(t, s.logged.String(), "mfa refused")
}
