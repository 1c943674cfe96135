package enroll_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/echomfa/echomfa/storetest"
	"github.com/stretchr/testify/assert"
)

const profilePath = "/api/v3/get-profile"

// TestX4ManyUsersDoNotSpendTheQuota has many users open pages at once: what all of them
// together make the pages ask is bounded, by a share of what the Enforcer may.
func TestX4ManyUsersDoNotSpendTheQuota(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.MFA.Lookup.MaxPerSecond = 40 })
	assert.InDelta(t, 10, s.pages.StopRefill(), 0)
	var users []session
	for range 10 {
		users = append(users, s.signIn())
	}
	served, limited := 0, 0
	for range 12 {
		for _, user := range users {
			if a := user.get("/mfa"); a.StatusCode == http.StatusTooManyRequests {
				limited++
				a.is(http.StatusTooManyRequests, "error.too_fast")
				continue
			}
			served++
		}
	}
	assert.Equal(t, 60, served, "as many as one user may open at once")
	assert.Equal(t, 60, limited)
	assert.Equal(t, http.StatusForbidden, users[0].guarded(), "the app's own routes are not limited")
}

// TestX4WhatIsOfferedIsRemembered has a page that is opened again ask GenAuth once what the
// app offers, but for a change of the user.
func TestX4WhatIsOfferedIsRemembered(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user, other := s.signIn(), s.signIn()
	for range 5 {
		user.get("/mfa").is(http.StatusOK, "title.needed")
	}
	assert.Equal(t, 1, s.genauth.Calls(offerPath))
	other.get("/mfa").is(http.StatusOK, "title.needed")
	assert.Equal(t, 2, s.genauth.Calls(offerPath), "what is offered may be another user's matter")
	user.post("/mfa/check").is(http.StatusOK)
	user.get("/mfa").is(http.StatusOK, "title.needed")
	assert.Equal(t, 3, s.genauth.Calls(offerPath))
	s.withFault(offerPath, genauthtest.HTTPStatus(http.StatusServiceUnavailable, ""))
	s.signIn().get("/mfa").is(http.StatusServiceUnavailable)
	s.genauth.ClearFaults()
	s.signIn().get("/mfa").is(http.StatusOK, "title.needed")
}

// TestX4UserIsNotAskedForWithoutEnd has GenAuth not say whose an opaque token is: to ask
// for each page, also for those that are turned away, would be a call for each.
func TestX4UserIsNotAskedForWithoutEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	user.token = s.genauth.Mint(genauthtest.Token{UserID: user.id, Opaque: true})
	s.withFault(profilePath, genauthtest.HTTPStatus(http.StatusServiceUnavailable, ""))
	for range 100 {
		user.get("/mfa")
	}
	assert.LessOrEqual(t, s.genauth.Calls(profilePath), 5)
	s.genauth.ClearFaults()
}

// TestX4CheckedPageIsLimited opens the page that says what a check has found without end: it
// asks GenAuth as the first page does.
func TestX4CheckedPageIsLimited(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	page, before := user.post("/mfa/check"), s.genauth.Calls(listPath)
	limited := 0
	for range 300 {
		if user.reload(page).StatusCode == http.StatusTooManyRequests {
			limited++
		}
	}
	assert.Positive(t, limited)
	assert.Less(t, s.genauth.Calls(listPath)-before, 200)
}

// TestX15InstancesCountTogether has an attacker try codes at four instances, which have
// a Store that counts in common.
func TestX15InstancesCountTogether(t *testing.T) {
	t.Parallel()
	store, tries := storetest.NewMemory(), 0
	first := newSite(t, func(set *setup) { set.MFA.Cache.Store = store })
	victim := first.signIn(otp)
	for i := range 4 {
		s := first
		if i > 0 {
			s = newSite(t, func(set *setup) { set.MFA.Cache.Store, set.Beside = store, first.genauth })
		}
		user := s.again(victim.id)
		for {
			a := user.post("/mfa/begin", "type", "SMS", "code", wrongCode(s.genauth.OTPCode(user.id))).is(http.StatusOK)
			if strings.Contains(a.text, english(t)["error.too_many"]) {
				break
			}
			tries++
		}
	}
	assert.Equal(t, 10+3, tries, "ten, and at each other instance the one by which it learns of them")
}

// TestX15MessagesOfInstancesCountTogether has a session send codes to many numbers
// through two instances.
func TestX15MessagesOfInstancesCountTogether(t *testing.T) {
	t.Parallel()
	store := storetest.NewMemory()
	first := newSite(t, func(set *setup) { set.MFA.Cache.Store = store })
	second := newSite(t, func(set *setup) { set.MFA.Cache.Store, set.Beside = store, first.genauth })
	id := first.signIn().id
	for i, s := range []*site{first, second} {
		user := s.again(id)
		for n := range 8 {
			page := user.begin(sms)
			user.post("/mfa/send", "state", page.state(), "region", "CN", "phone", fmt.Sprintf("138%d000000%d", i, n)).is(http.StatusOK)
		}
		assert.Equal(t, []int{8, 10}[i], s.genauth.Calls(sendPath))
	}
}

// TestX15StoreThatDoesNotCount leaves the limits to each instance.
func TestX15StoreThatDoesNotCount(t *testing.T) {
	t.Parallel()
	store := storetest.NewMemory()
	s := newSite(t, func(set *setup) { set.MFA.Cache.Store = struct{ echomfa.Store }{store} })
	user := s.signIn(otp)
	for range 10 {
		user.post("/mfa/begin", "type", "SMS", "code", wrongCode(s.genauth.OTPCode(user.id))).is(http.StatusOK, "error.code")
	}
	user.post("/mfa/begin", "type", "SMS", "code", s.genauth.OTPCode(user.id)).is(http.StatusOK, "error.too_many")
}

// TestFieldF04TokenEndsDuringAStep has GenAuth end the session between the check of a form
// and the call that it is for: the user comes back to the step, too.
func TestFieldF04TokenEndsDuringAStep(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	page := user.post("/mfa/begin", "type", "OTP", "return_to", "/admin")
	step := strings.Split(page.at, "/")[3]
	s.withFault(enrollPath, genauthtest.HTTPStatus(http.StatusUnauthorized, ""))
	a := user.post("/mfa/confirm", "state", page.state(), "step", step, "code", user.code(page.secret()), "return_to", "/admin").is(http.StatusSeeOther)
	assert.Equal(t, "/login?return_to=%2Fmfa%2Fstep%2F"+step+"%2Fnow%3Freturn_to%3D%252Fadmin", a.Header.Get("Location"))
}

// TestContinueDoesNotHideWhereALinkIsFrom has a link of another site to the page that leads
// on by itself. What the page asks for is this site's own: a cookie that is SameSite=Strict
// comes along, and Sec-Fetch-Site is same-origin. So a user leads on, and not the page.
func TestContinueDoesNotHideWhereALinkIsFrom(t *testing.T) {
	t.Parallel()
	user := newSite(t, nil).signIn()
	for site, leads := range map[string]bool{"cross-site": false, "same-site": false, "same-origin": true, "none": true, "": true} {
		a := user.do(http.MethodGet, "/mfa/continue?return_to=/admin", nil, func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", site)
		}).is(http.StatusOK, "title.continue")
		assert.Equal(t, leads, a.Header.Get("Refresh") != "", site)
		assert.Contains(t, a.html, `href="/admin"`)
	}
	added := user.post("/mfa/begin", "type", "EMAIL")
	added = user.post("/mfa/send", "state", added.state(), "email", "ann@example.com")
	added = user.post("/mfa/confirm", "state", added.state(), "code", user.genauth.PassCode(user.id, email), "return_to", "/admin").is(http.StatusOK, "title.enrolled")
	assert.NotEmpty(t, added.Header.Get("Refresh"))
	again := user.do(http.MethodGet, added.at, nil, with(added.cookies), func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
	assert.Empty(t, again.is(http.StatusOK, "title.enrolled").Header.Get("Refresh"))
}

// TestX4TurnedAwayLeadsBackToTheStep has a form turned away, and one that could not be
// checked: the page that says so leads to the step, which nothing is asked for.
func TestX4TurnedAwayLeadsBackToTheStep(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	page := user.post("/mfa/begin", "type", "OTP", "return_to", "/admin")
	step := strings.Split(page.at, "/")[3]
	confirm := func() answer {
		return user.post("/mfa/confirm", "state", page.state(), "step", step, "code", "1", "return_to", "/admin")
	}
	leadsBack := func(a answer) {
		t.Helper()
		assert.Contains(t, a.html, `href="/mfa/step/`+step+`/now?return_to=%2Fadmin">`+english(t)["retry"])
	}
	for a := confirm(); ; a = confirm() {
		if a.StatusCode == http.StatusTooManyRequests {
			leadsBack(a.is(http.StatusTooManyRequests, "error.too_fast"))
			break
		}
	}
	user.reload(page).is(http.StatusOK, "title.otp")
	user = s.again(user.id)
	s.withFault(listPath, genauthtest.HTTPStatus(http.StatusServiceUnavailable, ""))
	leadsBack(confirm().is(http.StatusServiceUnavailable, "error.unavailable"))
}

// TestFieldN10FormSentTwiceIsNoAttempt has forms that come twice with a right code.
func TestFieldN10FormSentTwiceIsNoAttempt(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	page := user.begin(otp)
	for range 15 {
		user.post("/mfa/confirm", "state", page.state(), "code", user.code(page.secret())).is(http.StatusOK, "title.recovery")
	}
}
