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
// nothing, for no decision does, and that the user is told in the pages' own language.
func TestN4PagesSayThatGenAuthIsAway(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	s.genauth.Stop()
	a := user.do(http.MethodGet, "/mfa?return_to=/admin", nil, func(r *http.Request) { r.Header.Set("Accept-Language", "zh-CN") })
	a.is(http.StatusServiceUnavailable)
	assert.Equal(t, "zh-CN", a.Header.Get("Content-Language"))
	assert.NotEmpty(t, a.Header.Get("Retry-After"))
	assert.Contains(t, a.html, `href="/mfa?return_to=%2Fadmin">重试</a>`)
	assert.Equal(t, 1, strings.Count(s.logged.String(), "enrollment call failed"), s.logged.String())
	assert.NotContains(t, s.logged.String(), "mfa refused")
}
