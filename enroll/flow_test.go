package enroll_test

import (
	"crypto/tls"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEachFormLeadsToAPage has that no form is answered with a page, which a browser that
// reloads it or goes back would have to send the form for again, and that the page is the
// same each time: with the secret of before, and without a message more.
func TestEachFormLeadsToAPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	asked := func() int {
		return s.genauth.Calls(sendPath) + s.genauth.Calls(enrollPath) + s.genauth.Calls(resetPath) + s.genauth.Calls(verifyPath)
	}
	stays := func(a answer, keys ...string) answer {
		t.Helper()
		require.NotNil(t, a.from, a.html)
		assert.Equal(t, http.StatusSeeOther, a.from.StatusCode)
		before := asked()
		again := user.reload(a.is(http.StatusOK, keys...)).is(http.StatusOK, keys...)
		assert.Equal(t, normalized(a.html), normalized(again.html))
		assert.Equal(t, before, asked(), "a reload changes nothing")
		return again
	}
	back := []string{"return_to", "/admin?page=2"}
	post := func(step string, fields ...string) answer { return user.post("/mfa/"+step, append(fields, back...)...) }

	app := stays(post("begin", "type", "OTP"), "title.otp")
	secret := app.secret()
	app = stays(post("confirm", "state", app.state(), "code", "000"), "title.otp", "error.code")
	assert.Equal(t, secret, app.secret())
	address := stays(post("begin", "type", "SMS"), "title.address")
	address = stays(post("send", "state", address.state(), "region", "GB", "phone", "x1"), "title.address", "error.phone")
	assert.Contains(t, address.html, `<option value="GB" selected>`)
	sent := stays(post("send", "state", address.state(), "region", "CN", "phone", "13800000000"), "title.sent")
	sent = stays(post("send", "state", sent.state()), "title.sent", "notice.one_a_minute")
	stays(post("confirm", "state", sent.state(), "code", "1"), "title.sent", "error.code")
	stays(post("begin", "type", "FACE"), "title.face")
	recovery := stays(post("confirm", "state", app.state(), "code", user.code(secret)), "title.recovery")
	recovery = stays(post("done", "state", recovery.state()), "title.recovery", "error.not_saved")
	stays(post("begin", "type", "EMAIL"), "title.prove")
	stays(post("begin", "type", "EMAIL", "code", "1"), "title.prove", "error.code")
	stays(post("remove", "type", "OTP"), "title.remove")
	stays(post("remove", "type", "OTP", "confirm", "yes", "understood", "yes", "code", "1"), "title.remove", "error.code")
	stays(post("remove", "type", "OTP", "confirm", "yes", "understood", "yes", "code", user.code(secret)), "title.removed", "notice.removed")
	post("done", "state", recovery.state(), "saved", "yes").goes("/admin?page=2")
}

// TestStepsOfAnEnrollmentHaveOneAddress has forms that are shown again, and the page that
// follows, at the address of the first one.
func TestStepsOfAnEnrollmentHaveOneAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn(email)
	id := func(a answer) string { return strings.Split(a.at, "/")[3] }
	app, other := user.begin(otp), user.begin(otp)
	assert.Regexp(t, "^/mfa/step/[0-9a-f]{16}/app$", app.at)
	assert.NotEqual(t, id(app), id(other), "two tabs")
	wrong := user.post("/mfa/confirm", "state", app.state(), "code", "1")
	assert.Equal(t, app.at, wrong.at)
	assert.Equal(t, id(app), id(user.post("/mfa/confirm", "state", app.state(), "code", user.code(app.secret()))))
	proof := user.post("/mfa/begin", "type", "SMS").is(http.StatusOK, "title.prove")
	step := regexp.MustCompile(`name="step" value="([0-9a-f]+)"`).FindStringSubmatch(proof.html)[1]
	assert.Equal(t, proof.at, user.post("/mfa/begin", "type", "SMS", "step", step, "code", "1").at)
	assert.NotEqual(t, proof.at, user.post("/mfa/begin", "type", "SMS", "step", "../x", "code", "1").at)
	remove := user.post("/mfa/remove", "type", "EMAIL", "step", step)
	assert.Equal(t, step, id(remove))
}

// TestStepCookie has what the cookie of a page is, and that it is of no use for another
// page, another user, or as the state of a form.
func TestStepCookie(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user, mallory := s.signIn(), s.signIn()
	page, other := user.begin(otp), user.begin(otp)
	require.Len(t, page.cookies, 1)
	cookie := page.cookies[0]
	assert.Equal(t, "echomfa_step", cookie.Name)
	assert.Equal(t, strings.TrimSuffix(page.at, "/app"), cookie.Path)
	assert.True(t, cookie.HttpOnly)
	assert.False(t, cookie.Secure, "on plain http, a browser would not take it")
	assert.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
	assert.InDelta(t, (15 * time.Minute).Seconds(), cookie.MaxAge, 40)
	assert.Less(t, len(cookie.String()), 2048)

	gone := func(u session, at string, cookies ...*http.Cookie) {
		t.Helper()
		a := u.do(http.MethodGet, at+"?return_to=%2Fadmin", nil, with(cookies)).is(http.StatusOK, "title.needed", "notice.gone")
		assert.Contains(t, a.html, `name="return_to" value="/admin"`, "it is not lost")
		assert.NotContains(t, a.html, page.secret())
	}
	gone(user, page.at)
	gone(mallory, page.at, cookie)
	gone(user, other.at, cookie)
	gone(user, strings.Replace(page.at, "/app", "/recovery", 1), cookie)
	gone(user, strings.Replace(page.at, "/app", "/address", 1), cookie)
	gone(user, page.at, &http.Cookie{Name: cookie.Name, Value: page.state()})
	user.post("/mfa/confirm", "state", cookie.Value, "code", "123456").is(http.StatusBadRequest, "error.state")
	user.do(http.MethodGet, page.at, nil, with(append(other.cookies, cookie))).is(http.StatusOK, "title.otp") // an outer Path
	for _, nowhere := range []string{"/mfa/step/", "/mfa/step/x/app", "/mfa/step/0123456789abcdef", "/mfa/step/0123456789abcdef/", "/mfa/step/0123456789abcdef/app/x"} {
		user.get(nowhere).is(http.StatusNotFound, "error.not_found")
	}
	user.post(page.at).is(http.StatusMethodNotAllowed, "error.method")
}

// TestStepCookieOverHTTPS is for https alone, and below what a proxy takes off.
func TestStepCookieOverHTTPS(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.MFA.ReturnTo.BaseURL = "https://app.example/tools" })
	cookie := s.signIn().begin(otp).cookies[0]
	assert.True(t, cookie.Secure)
	assert.Equal(t, "__Secure-echomfa_step", cookie.Name)
	assert.True(t, strings.HasPrefix(cookie.Path, "/tools/mfa/step/"), cookie.Path)
	direct := newSite(t, nil).signIn().do(http.MethodPost, "/mfa/begin", formOf("type", "OTP"), func(r *http.Request) { r.TLS = &tls.ConnectionState{} })
	assert.True(t, direct.cookies[0].Secure)
}

// TestStateThatNoCookieHolds is shown in answer to the form.
func TestStateThatNoCookieHolds(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	s.withFault(sendPath, begun("otpauth://totp/"+strings.Repeat("a", 3000)+"?secret=JBSWY3DPEHPK3PXP", "r"))
	page := user.post("/mfa/begin", "type", "OTP").is(http.StatusOK, "title.otp")
	assert.Nil(t, page.from)
	assert.Empty(t, page.Cookies())
	assert.NotEmpty(t, page.state())
	s.genauth.ClearFaults()
	for length := 0; length < 2500; length += 100 { // with a long return-to, too
		page = user.post("/mfa/begin", "type", "SMS", "return_to", "/"+strings.Repeat("a", length)).is(http.StatusOK, "title.address")
		if page.from == nil {
			assert.Greater(t, length, 1000)
			continue
		}
		head := 0
		for name, values := range page.from.Header {
			for _, value := range values {
				head += len(name) + len(value) + 4
			}
		}
		assert.Less(t, head, 4096-256, "nginx reads no more by default")
	}
}

// TestBackToTheAddress lets a user who has typed a wrong number correct it, and not only
// while the page of the number is still there.
func TestBackToTheAddress(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	address := user.begin(sms)
	sent := user.post("/mfa/send", "state", address.state(), "region", "GB", "phone", "7700900123", "return_to", "/admin").is(http.StatusOK, "title.sent")
	correct := regexp.MustCompile(`<a href="(/mfa/step/[^"]+/address\?return_to=%2Fadmin)">`).FindStringSubmatch(sent.html)
	require.NotNil(t, correct, sent.html)
	again := user.do(http.MethodGet, correct[1], nil, with(sent.cookies)).is(http.StatusOK, "title.address")
	assert.Contains(t, again.html, `value="7700900123"`)
	assert.Contains(t, again.html, `<option value="GB" selected>`)
	sent = user.post("/mfa/send", "state", again.state(), "region", "GB", "phone", "7700900124").is(http.StatusOK, "title.sent")
	assert.Contains(t, sent.text, "+44 7700900124")
	sent.isNot("notice.sent_again")
	user.post("/mfa/confirm", "state", sent.state(), "code", s.genauth.PassCode(user.id, sms)).is(http.StatusOK, "title.enrolled").goes("/home")
}

// TestFinishedIsFinished has what the addresses of an enrollment are after it: the recovery
// code is not shown once more to who goes back.
func TestFinishedIsFinished(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	app := user.begin(otp)
	recovery := user.post("/mfa/confirm", "state", app.state(), "code", user.code(app.secret())).is(http.StatusOK, "title.recovery")
	// The cookie is the same one, so that the page before has no secret to show.
	user.do(http.MethodGet, app.at, nil, with(recovery.cookies)).is(http.StatusOK, "notice.gone", "start.satisfied")
	done := user.post("/mfa/done", "state", recovery.state(), "saved", "yes", "return_to", "/admin")
	require.Len(t, done.cookies, 1)
	assert.Negative(t, done.cookies[0].MaxAge)
	assert.Equal(t, recovery.cookies[0].Path, done.cookies[0].Path)
	user.get(recovery.at).is(http.StatusOK, "notice.gone", "start.satisfied")

	mail := s.signIn()
	address := mail.begin(email)
	sent := mail.post("/mfa/send", "state", address.state(), "email", "ann@example.com")
	added := mail.post("/mfa/confirm", "state", sent.state(), "code", s.genauth.PassCode(mail.id, email), "return_to", "/admin").
		is(http.StatusOK, "title.enrolled", "notice.enrolled")
	assert.Equal(t, "0;url=/admin", added.Header.Get("Refresh"))
	mail.do(http.MethodGet, sent.at, nil, with(added.cookies)).is(http.StatusOK, "notice.gone")
}

// TestFailureLeadsBackToTheStep lets a user try again what GenAuth was not there for,
// with the secret that the app has already.
func TestFailureLeadsBackToTheStep(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	app := user.begin(otp)
	s.withFault(listPath, genauthtest.HTTPStatus(http.StatusServiceUnavailable, ""))
	a := user.post("/mfa/confirm", "state", app.state(), "code", user.code(app.secret()), "return_to", "/admin").is(http.StatusServiceUnavailable, "error.unavailable", "retry")
	assert.Contains(t, a.html, `href="`+app.at+`?return_to=%2Fadmin"`)
	s.genauth.ClearFaults()
	again := user.reload(app).is(http.StatusOK, "title.otp")
	user.post("/mfa/confirm", "state", again.state(), "code", user.code(app.secret())).is(http.StatusOK, "title.recovery")
	s.assertChanges(user, enrolled(client.OTP))
}

// TestTypedAddressKeepsTheWay has the address of a form asked for, as it is in a history
// or typed.
func TestTypedAddressKeepsTheWay(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	for _, step := range steps() {
		user.get(step + "?return_to=%2Fadmin%3Fpage%3D2").goes("/mfa?return_to=%2Fadmin%3Fpage%3D2")
	}
	nowhere := user.get("/mfa/elsewhere?return_to=%2Fadmin").is(http.StatusNotFound, "error.not_found")
	assert.Contains(t, nowhere.html, `href="/mfa?return_to=%2Fadmin"`)
	gone := session{site: s}
	at := user.begin(otp).at
	assert.Equal(t, "/login?return_to="+strings.ReplaceAll(strings.ReplaceAll(at, "/", "%2F"), "?", "%3F"), gone.get(at).Header.Get("Location"))
}

// TestLongWayIsKept has a return-to that makes an address too long for a redirect: the page
// is shown in answer to the form then.
func TestLongWayIsKept(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	way := "/admin?q=" + strings.Repeat("%2F", 800)
	page := user.post("/mfa/begin", "type", "OTP", "return_to", way).is(http.StatusOK, "title.otp")
	assert.Nil(t, page.from)
	assert.Contains(t, page.text, `name="return_to" value="`+way+`"`)
	page = user.post("/mfa/confirm", "state", page.state(), "code", user.code(page.secret()), "return_to", way).is(http.StatusOK, "title.recovery")
	assert.Contains(t, page.text, `name="return_to" value="`+way+`"`)
	left := user.post("/mfa/done", "state", page.state(), "saved", "yes", "return_to", way).is(http.StatusOK, "title.continue")
	assert.Equal(t, "0;url="+way, left.Header.Get("Refresh"))
	old := s.with(s.genauth.AddUser(genauthtest.User{}).ID, map[string]any{"auth_time": 1})
	assert.Nil(t, old.post("/mfa/begin", "type", "SMS", "return_to", way).is(http.StatusForbidden, "title.signin").from)
}

// TestSessionThatEndsInTheMiddle comes back to the step that the form was of, with the
// secret that the app has by then.
func TestSessionThatEndsInTheMiddle(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	page := user.post("/mfa/begin", "type", "OTP", "return_to", "/admin")
	step := regexp.MustCompile(`name="step" value="([0-9a-f]+)"`).FindStringSubmatch(page.html)[1]
	nobody := session{site: s}
	a := nobody.post("/mfa/confirm", "state", page.state(), "step", step, "code", "123456", "return_to", "/admin").is(http.StatusSeeOther)
	assert.Equal(t, "/login?return_to=%2Fmfa%2Fstep%2F"+step+"%2Fnow%3Freturn_to%3D%252Fadmin", a.Header.Get("Location"))
	again := s.again(user.id).do(http.MethodGet, "/mfa/step/"+step+"/now?return_to=%2Fadmin", nil, with(page.cookies)).is(http.StatusOK, "title.otp")
	assert.Equal(t, page.secret(), again.secret())
	assert.Contains(t, again.html, `name="return_to" value="/admin"`)
	user.post("/mfa/confirm", "state", again.state(), "code", user.code(again.secret())).is(http.StatusOK, "title.recovery")
}

// TestFieldF17NoFormLeadsAway has that no form is answered with a redirect out of the
// pages: Chromium holds all that follow it against form-action.
func TestFieldF17NoFormLeadsAway(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn(otp)
	for _, row := range [][]string{{"check"}, {"done", "saved", "yes"}} {
		a := user.post("/mfa/"+row[0], append(row[1:], "return_to", "/go?to=https://idp.example/a;b&q=你")...).is(http.StatusOK, "title.continue", "continue")
		assert.Equal(t, "/mfa/continue?return_to=%2Fgo%3Fto%3Dhttps%3A%2F%2Fidp.example%2Fa%3Bb%26q%3D%E4%BD%A0", a.from.Header.Get("Location"))
		assert.Equal(t, "0;url=/go?to=https://idp.example/a;b&q=%E4%BD%A0", a.Header.Get("Refresh"))
		a.goes("/go?to=https://idp.example/a;b&q=你")
	}
	for _, elsewhere := range elsewhere() {
		a := user.get("/mfa/continue?return_to=" + strings.NewReplacer("%", "%25", " ", "%20", "\t", "%09", "\n", "%0A", "\r", "%0D", "\x00", "%00", "#", "%23", "&", "%26", "?", "%3F").Replace(elsewhere))
		if a.StatusCode == http.StatusOK {
			assert.Equal(t, "0;url=/home", a.Header.Get("Refresh"), elsewhere)
		}
	}
	user.post("/mfa/continue").is(http.StatusMethodNotAllowed, "error.method")
}

// TestCheckedAgain shows that who checks again and has nothing new stays here and is told,
// and goes back as soon as it is enough.
func TestCheckedAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	user.post("/mfa/check", "return_to", "/admin").is(http.StatusOK, "title.needed", "notice.none")
	s.genauth.Enroll(user.id, otp)
	user.post("/mfa/check", "return_to", "/admin").goes("/admin")
}
