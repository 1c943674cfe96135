package enroll_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/enroll"
)

// TestFieldF25SignInThatWasNone has users whose sign-in is too long ago, and a sign-in page
// that lets them pass by single sign-on: the page is told not to, and who comes back as
// before gets a page that says so, and no other round.
func TestFieldF25SignInThatWasNone(t *testing.T) {
	t.Parallel()
	const back = "return_to=%2Fmfa%2Fsigned-in%3Freturn_to%3D%252Fadmin"
	rows := map[string]struct {
		change func(*setup)
		want   string // where the button leads
	}{
		"LoginURL":                   {nil, "/login?" + back + "&prompt=login"},
		"LoginURL, with a query":     {func(set *setup) { set.MFA.LoginURL = "/login?a=b#c" }, "/login?a=b&" + back + "&prompt=login#c"},
		"ReauthURL":                  {func(set *setup) { set.ReauthURL = "/again" }, "/again?" + back},
		"ReauthURL, with a query":    {func(set *setup) { set.ReauthURL = "/again?max_age=0" }, "/again?max_age=0&" + back},
		"ReauthURL, behind a prefix": {func(set *setup) { set.ReauthURL, set.MFA.ReturnTo.BaseURL = "/again", "https://app.example/tools" }, "/tools/again?return_to=%2Ftools%2Fmfa%2Fsigned-in%3Freturn_to%3D%252Ftools%252Fadmin"},
		"ReauthURL, elsewhere": {func(set *setup) {
			set.ReauthURL, set.MFA.ReturnTo.BaseURL = "https://idp.example/?x", "https://app.example"
		}, "https://idp.example/?x&return_to=https%3A%2F%2Fapp.example%2Fmfa%2Fsigned-in%3Freturn_to%3D%252Fadmin"},
		"none": {func(set *setup) { set.MFA.LoginURL = "" }, ""},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, row.change)
			id := s.genauth.AddUser(genauthtest.User{}).ID
			old, fresh := s.with(id, map[string]any{"auth_time": time.Now().Add(-time.Hour).Unix()}), s.again(id)
			a := old.post("/mfa/begin", "type", "SMS", "return_to", "/admin").is(http.StatusForbidden, "title.signin", "signin")
			assert.Equal(t, row.want != "", strings.Contains(a.text, `<a class="button" href="`+row.want+`"`) && row.want != "", a.html)
			assert.NotContains(t, a.html, `role="alert"`)

			a = old.get("/mfa/signed-in?return_to=%2Fadmin").is(http.StatusForbidden, "title.signin", "error.same_sign_in")
			a.isNot("signin")
			fresh.get("/mfa/signed-in?return_to=%2Fadmin").goes(a.startOf("/mfa?return_to="))
			fresh.get("/mfa/signin").goes(strings.TrimSuffix(a.startOf("/mfa"), "?"))
		})
	}
	s := newSite(t, nil)
	with := s.with(s.genauth.AddUser(genauthtest.User{Factors: []genauthtest.FactorType{otp}}).ID, nil)
	with.get("/mfa/signin").goes("/mfa") // a code proves more
	s.with(s.genauth.AddUser(genauthtest.User{}).ID, nil).get("/mfa/signin").is(http.StatusForbidden, "error.sign_in_unknown")
}

// startOf is the address of the first page, as the page's cancel link has it.
func (a answer) startOf(begin string) string {
	a.t.Helper()
	_, rest, _ := strings.Cut(a.html, `<p class="cancel"><a href="`)
	address, _, _ := strings.Cut(rest, `"`)
	if begin == "/mfa" {
		address, _, _ = strings.Cut(address, "?")
	}
	return address
}

// TestN3ExemptPolicy has a PolicyFunc that exempts what is wanted: nothing is missing, and
// the user is still somebody whose token GenAuth has accepted.
func TestN3ExemptPolicy(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) {
		set.Policy = echomfa.Policy{}
		set.PolicyFunc = func(*http.Request, string) (echomfa.Policy, error) { return echomfa.Exempt("for everybody"), nil }
	})
	for _, user := range []session{s.signIn(), s.signIn(email)} {
		a := user.get("/mfa?return_to=%2Fhelp").is(http.StatusOK, "title.start", "start.satisfied")
		a.isNot("start.needs", "start.needs_one")
		assert.Contains(t, a.html, `<a class="button" href="/help">`)
		assert.Contains(t, a.html, `action="/mfa/begin"`)
	}
	s.signIn().get("/mfa").is(http.StatusOK, "start.none", "start.first")
	s.signIn(email).get("/mfa").is(http.StatusOK, "start.have", "start.more")
	session{site: s}.get("/mfa").is(http.StatusFound)
	calls := s.genauth.Calls(offerPath)
	forged := session{site: s, token: s.genauth.Mint(genauthtest.Token{UserID: s.genauth.AddUser(genauthtest.User{}).ID, Kind: genauthtest.KindID})}
	forged.get("/mfa").is(http.StatusFound)
	assert.Equal(t, calls, s.genauth.Calls(offerPath), "no token passes for the policy's sake")
	user := s.signIn()
	page := user.begin(otp)
	user.post("/mfa/confirm", "state", page.state(), "code", user.code(page.secret())).is(http.StatusOK, "title.recovery")
}

// TestN9RouteAsksForMore has a route that asks for more than the pages do: they say what
// it may be, and the log says whose policies do not go together.
func TestN9RouteAsksForMore(t *testing.T) {
	t.Parallel()
	const warning = "enrollment pages ask for less than a route"
	mounted := func(s *site, p echomfa.Policy) { s.mfa.Middleware(echomfa.HandlerConfig{Policy: p}) }
	s := newSite(t, nil)
	mounted(s, echomfa.AllOf(echomfa.OTP, echomfa.SMS).Or(echomfa.AllOf(echomfa.OTP, echomfa.Email)))
	user := s.signIn(otp)
	a := user.get("/mfa?return_to=%2Fvault").is(http.StatusOK, "start.satisfied", "start.perhaps")
	assert.Contains(t, a.text, "<li>text message (SMS)</li>\n<li>e-mail</li>")
	user.get("/mfa?return_to=%2Fvault")
	assert.Equal(t, 1, strings.Count(s.logged.String(), warning))
	user.get("/mfa").is(http.StatusOK, "start.satisfied").isNot("start.perhaps") // nothing was refused
	s.signIn(otp, sms).get("/mfa?return_to=%2Fvault").is(http.StatusOK).isNot("start.perhaps")
	s.signIn().get("/mfa?return_to=%2Fvault").is(http.StatusOK, "title.needed").isNot("start.perhaps")

	face := newSite(t, func(set *setup) { set.Support = "the help desk" })
	mounted(face, echomfa.AllOf(echomfa.OTP, echomfa.Face).Or(echomfa.AllOf(echomfa.OTP, echomfa.SMS)))
	a = face.signIn(otp).get("/mfa?return_to=%2Fvault").is(http.StatusOK, "start.satisfied", "start.perhaps")
	assert.Contains(t, a.text, "<li>text message (SMS)</li>\n<li>face: you cannot set it up here. Ask the help desk.</li>")

	for name, change := range map[string]func(*setup){
		"a route that asks for as much": nil,
		"PolicyFunc knows": func(set *setup) {
			set.Policy = echomfa.Policy{}
			set.PolicyFunc = func(*http.Request, string) (echomfa.Policy, error) { return echomfa.AnyOf(echomfa.OTP), nil }
		},
	} {
		s := newSite(t, change)
		if change != nil {
			mounted(s, echomfa.AllOf(echomfa.OTP, echomfa.SMS))
		}
		s.signIn(otp).get("/mfa?return_to=%2Fadmin").is(http.StatusOK, "start.satisfied").isNot("start.perhaps")
		assert.NotContains(t, s.logged.String(), warning, name)
	}
}

// TestX7StepsAskGenAuthAnew has an authenticator app that is enrolled elsewhere in the
// middle: what the enforcer has in its cache says nothing of it, and from then on each
// step that binds something takes a code of it.
func TestX7StepsAskGenAuthAnew(t *testing.T) {
	t.Parallel()
	var events []enroll.Event
	s := newSite(t, func(set *setup) {
		set.OnChange = func(_ context.Context, e enroll.Event) { events = append(events, e) }
	})
	user := s.signIn()
	address, mail, app := user.begin(sms), user.begin(email), user.begin(otp)
	sent := user.post("/mfa/send", "state", mail.state(), "email", "mallory@example.com").is(http.StatusOK, "title.sent")
	s.genauth.Enroll(user.id, otp) // and nobody tells the enforcer
	calls := s.genauth.Calls(enrollPath) + s.genauth.Calls(sendPath)

	user.post("/mfa/send", "state", address.state(), "region", "CN", "phone", "13800000000").is(http.StatusBadRequest, "error.state")
	user.post("/mfa/confirm", "state", sent.state(), "code", s.genauth.PassCode(user.id, email)).is(http.StatusBadRequest, "error.state")
	user.post("/mfa/confirm", "state", app.state(), "code", user.code(app.secret())).is(http.StatusOK, "notice.already")
	assert.Equal(t, calls, s.genauth.Calls(enrollPath)+s.genauth.Calls(sendPath))
	assert.Equal(t, []genauthtest.FactorType{otp}, s.genauth.Enrolled(user.id))
	assert.Empty(t, events)

	for name, change := range map[string]func(*genauthtest.Answer){
		"unavailable": genauthtest.HTTPStatus(http.StatusBadGateway, ""), "partial": partial("1", "SMS"),
	} {
		other := s.signIn()
		address := other.begin(email)
		sent := other.post("/mfa/send", "state", address.state(), "email", name+"@example.com").is(http.StatusOK, "title.sent")
		s.withFault(listPath, change)
		other.post("/mfa/confirm", "state", sent.state(), "code", s.genauth.PassCode(other.id, email)).is(http.StatusServiceUnavailable, "error.unavailable")
		other.post("/mfa/send", "state", address.state(), "email", "a@example.com").is(http.StatusServiceUnavailable, "error.unavailable")
		s.genauth.ClearFaults()
		assert.Empty(t, s.genauth.Enrolled(other.id), name)
		other.post("/mfa/confirm", "state", sent.state(), "code", s.genauth.PassCode(other.id, email)).is(http.StatusOK, "title.enrolled")
		s.assertEnrolled(other, client.Email)
	}
}

func (s *site) assertEnrolled(user session, want ...genauthtest.FactorType) {
	s.t.Helper()
	assert.Equal(s.t, want, s.genauth.Enrolled(user.id))
}
