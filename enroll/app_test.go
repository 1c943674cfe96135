package enroll_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/enroll"
)

func enrolled(t client.FactorType) enroll.Event {
	return enroll.Event{Change: enroll.Enrolled, Type: t}
}

// TestAuthenticatorApp walks the whole way, and the page that was wanted opens
// at once, in this session and the user's other one.
func TestAuthenticatorApp(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	other := s.again(user.id)
	for _, u := range []session{user, other} {
		assert.Equal(t, http.StatusForbidden, u.guarded())
	}
	page := user.post("/mfa/begin", "type", "OTP", "return_to", "/admin?page=2").is(http.StatusOK, "title.otp", "otp.scan.how")
	page.isNot("notice.new_secret")
	assert.Contains(t, page.html, `<img class="qr" src="data:image/png;base64,`)
	assert.Contains(t, page.html, `inputmode="numeric" autocomplete="one-time-code"`)
	assert.Contains(t, page.html, `name="return_to" value="/admin?page=2"`)
	secret := page.secret()
	assert.Equal(t, s.genauth.OTPSecret(user.id), secret)

	typed := user.code(secret)
	page = user.post("/mfa/confirm", "state", page.state(), "code", typed[:3]+" "+typed[3:], "return_to", "/admin?page=2").
		is(http.StatusOK, "title.recovery", "recovery.saved")
	s.assertChanges(user, enrolled(client.OTP))
	for _, u := range []session{user, other} {
		assert.Equal(t, http.StatusNoContent, u.guarded())
	}

	recovery := recoveryCode(page)
	file := user.post("/mfa/recovery", "state", page.state()).is(http.StatusOK)
	assert.Contains(t, file.html, "\n"+recovery+"\n")
	assert.Equal(t, "text/plain; charset=utf-8", file.Header.Get("Content-Type"))

	page = user.post("/mfa/done", "state", page.state(), "return_to", "/admin?page=2").is(http.StatusOK, "title.recovery", "error.not_saved")
	assert.Equal(t, recovery, recoveryCode(page))
	user.post("/mfa/done", "state", page.state(), "saved", "yes", "return_to", "/admin?page=2").goes("/admin?page=2")
	user.post("/mfa/done", "state", page.state(), "saved", "yes").goes("/home")
	user.post("/mfa/done").goes("/home")
	user.get("/mfa").is(http.StatusOK, "start.satisfied")
	assert.NotContains(t, user.get("/mfa").html, recovery)
	s.assertChanges(user, enrolled(client.OTP))
}

func recoveryCode(page answer) string {
	_, rest, _ := strings.Cut(page.html, `<code id="recovery-code" class="secret">`)
	code, _, _ := strings.Cut(rest, "<")
	return code
}

// TestWrongCode says so in place, with the same secret, as often as is allowed.
func TestWrongCode(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	page := user.begin(otp)
	secret := page.secret()
	for _, bad := range []string{"", "12345", "1234567", "12345a", "      ", "-", wrongCode(user.code(secret))} {
		page = user.post("/mfa/confirm", "state", page.state(), "code", bad).is(http.StatusOK, "title.otp", "error.code")
		assert.Contains(t, page.html, `id="code-error"`)
		assert.Equal(t, secret, page.secret())
	}
	assert.Equal(t, 1, s.genauth.Calls(enrollPath))
	user.post("/mfa/confirm", "state", page.state(), "code", user.code(secret)).is(http.StatusOK, "title.recovery")
	assert.Equal(t, 1, s.genauth.Calls(sendPath))
}

// TestNoRecoveryCode goes back at once.
func TestNoRecoveryCode(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	s.withFault(sendPath, begun("otpauth://totp/x?secret=JBSWY3DPEHPK3PXP", ""))
	page := user.begin(otp)
	s.withFault(enrollPath, genauthtest.Data(""))
	user.post("/mfa/confirm", "state", page.state(), "code", "123456").goes("/home")
	s.assertChanges(user, enrolled(client.OTP))
}

// begun is GenAuth's answer to a request to enroll an app.
func begun(uri, recovery string) func(*genauthtest.Answer) {
	return genauthtest.Data(`{"enrollmentToken":"t","otpData":{"qrCodeUri":"` + uri + `","recoveryCode":"` + recovery + `"}}`)
}

// TestKeyURI has which of GenAuth's URIs are good.
func TestKeyURI(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		uri    string
		want   int
		secret string
		qr     bool
	}{
		"good":                 {"otpauth://totp/a:b?secret=JBSWY3DPEHPK3PXP&issuer=a", 200, "JBSW Y3DP EHPK 3PXP", true},
		"lower, padded":        {"otpauth://totp/a?secret=jbswy3dpehpk3px%3D", 200, "JBSW Y3DP EHPK 3PX", true},
		"too long to be":       {"otpauth://totp/" + strings.Repeat("a", 3000) + "?secret=JBSWY3DPEHPK3PXP", 200, "JBSW Y3DP EHPK 3PXP", false},
		"F14: a bare %":        {"otpauth://totp/100%:b?secret=JBSWY3DPEHPK3PXP", 200, "JBSW Y3DP EHPK 3PXP", true},
		"F14: a bare #":        {"otpauth://totp/C#:b?secret=JBSWY3DPEHPK3PXP&issuer=C#", 200, "JBSW Y3DP EHPK 3PXP", true},
		"F14: a bare ?":        {"otpauth://totp/Who?:b?secret=JBSWY3DPEHPK3PXP&issuer=Who?", 200, "JBSW Y3DP EHPK 3PXP", true},
		"F14: capitals":        {"OTPAUTH://TOTP/a?SECRET=JBSWY3DPEHPK3PXP", 200, "JBSW Y3DP EHPK 3PXP", true},
		"F14: blanks":          {"otpauth://totp/a b?secret=jbsw y3dp-ehpk+3pxp", 200, "JBSW Y3DP EHPK 3PXP", true},
		"F14: no label":        {"otpauth://totp?secret=JBSWY3DPEHPK3PXP", 200, "JBSW Y3DP EHPK 3PXP", true},
		"F14: secret at last":  {"otpauth://totp/a?issuer=a&digits=8&period=60&algorithm=SHA256&secret=JBSWY3DPEHPK3PXP", 200, "Settings: SHA256, 8 digits, a new code every 60 seconds", true},
		"F14: another SHA":     {"otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&algorithm=sha-512", 200, "Settings: SHA512, 6 digits, a new code every 30 seconds", true},
		"no secret":            {"otpauth://totp/a", 502, "", false},
		"secret in the label":  {"otpauth://totp/a&secret=JBSWY3DPEHPK3PXP", 502, "", false},
		"short secret":         {"otpauth://totp/a?secret=JBSWY3D", 502, "", false},
		"not base32":           {"otpauth://totp/a?secret=JBSWY3DPEHPK3PX1", 502, "", false},
		"markup":               {"otpauth://totp/a?secret=%3Cscript%3E", 502, "", false},
		"counter":              {"otpauth://hotp/a?secret=JBSWY3DPEHPK3PXP", 502, "", false},
		"script":               {"javascript://totp/a?secret=JBSWY3DPEHPK3PXP", 502, "", false},
		"no URI":               {"otpauth://%zz", 502, "", false},
		"blank":                {" ", 502, "", false},
		"digits: none":         {"otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&digits=", 502, "", false},
		"digits: seven":        {"otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&digits=7", 502, "", false},
		"digits: ten":          {"otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&digits=10", 502, "", false},
		"period: zero":         {"otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&period=0", 502, "", false},
		"algorithm: not known": {"otpauth://totp/a?secret=JBSWY3DPEHPK3PXP&algorithm=MD5", 502, "", false},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			s.withFault(sendPath, begun(row.uri, "r"))
			a := s.signIn().post("/mfa/begin", "type", "OTP").is(row.want)
			assert.Contains(t, a.html, row.secret)
			assert.Equal(t, row.qr, strings.Contains(a.html, "data:image/png;base64,"))
			assert.NotContains(t, a.html, `src="data:,`)
			assert.Equal(t, row.want == http.StatusOK, strings.Contains(a.html, `<a href="otpauth://totp/`))
			if row.want != http.StatusOK {
				a.is(row.want, "error.key")
			}
		})
	}
}

// TestExpired has what becomes of a minute that is over, and whether GenAuth gives the
// secret of before or another.
func TestExpired(t *testing.T) {
	t.Parallel()
	rows := map[string]struct{ reuse, right bool }{
		"a new secret":                {false, true},
		"the same secret":             {true, true},
		"the same secret, wrong code": {true, false},
		"a new secret, a wrong code":  {false, false},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(set *setup) { set.GenAuth.ReuseOTPSecret = row.reuse })
			user := s.signIn()
			page := user.begin(otp)
			secret := page.secret()
			s.genauth.Advance(61 * time.Second)
			code := user.code(secret)
			if !row.right {
				code = wrongCode(code)
			}
			a := user.post("/mfa/confirm", "state", s.pages.Backdate(page.state(), user.token, time.Minute), "code", code)
			assert.Equal(t, 2, s.genauth.Calls(sendPath), "one fresh token")
			switch {
			case !row.reuse:
				a.is(http.StatusOK, "title.otp", "notice.new_secret")
				assert.NotEqual(t, secret, a.secret())
				user.post("/mfa/confirm", "state", a.state(), "code", user.code(a.secret())).is(http.StatusOK, "title.recovery")
			case !row.right:
				a.is(http.StatusOK, "title.otp", "error.code")
				assert.Equal(t, secret, a.secret())
				user.post("/mfa/confirm", "state", a.state(), "code", user.code(secret)).is(http.StatusOK, "title.recovery")
			default:
				a.is(http.StatusOK, "title.recovery")
			}
			s.assertChanges(user, enrolled(client.OTP))
			assert.Equal(t, http.StatusNoContent, user.guarded())
		})
	}
}

// TestFieldF12CodeRefusedWithoutAReason has GenAuth refuse a code and say no more than a
// status. That is for the code while the enrollment token is young, and for the token
// afterwards.
func TestFieldF12CodeRefusedWithoutAReason(t *testing.T) {
	t.Parallel()
	refused := func(status int) func(*genauthtest.Answer) { return genauthtest.Envelope(status, 0) }
	rows := map[string]struct {
		change func(*genauthtest.Answer)
		age    time.Duration
		want   int
		text   string
		asked  int // for an enrollment token
	}{
		"400":                     {refused(400), 0, 200, "error.code", 1},
		"422":                     {refused(422), 0, 200, "error.code", 1},
		"499":                     {refused(499), 0, 200, "error.code", 1},
		"a code of its own":       {genauthtest.Envelope(400, 1234567), 0, 200, "error.code", 1},
		"as an HTTP status":       {genauthtest.HTTPStatus(400, `{"message":"no"}`), 0, 200, "error.code", 1},
		"nearly a minute":         {refused(400), 50 * time.Second, 200, "error.code", 1},
		"a minute":                {refused(400), time.Minute, 200, "notice.new_secret", 2},
		"404 is not for the code": {refused(404), 0, 503, "error.unavailable", 1},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			user := s.signIn()
			page := user.begin(otp)
			s.withFault(enrollPath, row.change)
			state := s.pages.Backdate(page.state(), user.token, row.age)
			a := user.post("/mfa/confirm", "state", state, "code", wrongCode(user.code(page.secret()))).is(row.want, row.text)
			assert.Equal(t, row.asked, s.genauth.Calls(sendPath))
			if row.want == http.StatusServiceUnavailable {
				return
			}
			assert.Equal(t, row.asked == 1, a.secret() == page.secret())
			s.genauth.ClearFaults()
			user.post("/mfa/confirm", "state", a.state(), "code", user.code(a.secret())).is(http.StatusOK, "title.recovery")
		})
	}
}

// TestJustBeforeTheMinute tries what it has.
func TestJustBeforeTheMinute(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	page := user.begin(otp)
	state := s.pages.Backdate(page.state(), user.token, 30*time.Second)
	user.post("/mfa/confirm", "state", state, "code", user.code(page.secret())).is(http.StatusOK, "title.recovery")
	assert.Equal(t, 1, s.genauth.Calls(sendPath))
}

// TestRenewingFails has GenAuth give no fresh enrollment token, or take it
// back.
func TestRenewingFails(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		path   string
		change func(*genauthtest.Answer)
		want   int
		text   string
	}{
		"refused":         {sendPath, genauthtest.Envelope(422, 0), 409, "error.not_offered"},
		"unavailable":     {sendPath, genauthtest.HTTPStatus(500, ""), 503, "error.unavailable"},
		"limited":         {sendPath, genauthtest.RateLimited(""), 503, "error.unavailable"},
		"confirm limited": {enrollPath, genauthtest.RateLimited(""), 503, "error.unavailable"},
		"token refused":   {sendPath, genauthtest.Envelope(401, 2020), 303, ""},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(set *setup) { set.GenAuth.ReuseOTPSecret = true })
			user := s.signIn()
			page := user.begin(otp)
			state := s.pages.Backdate(page.state(), user.token, time.Minute)
			s.withFault(row.path, row.change)
			a := user.post("/mfa/confirm", "state", state, "code", user.code(page.secret())).is(row.want)
			if row.text != "" {
				a.is(row.want, row.text)
			}
			assert.Empty(t, s.changes())
		})
	}
}

// TestSentTwice is the same as sent once.
func TestSentTwice(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	page := user.begin(otp)
	form := []string{"state", page.state(), "code", user.code(page.secret()), "return_to", "/admin"}
	first := user.post("/mfa/confirm", form...).is(http.StatusOK, "title.recovery")
	second := user.post("/mfa/confirm", form...).is(http.StatusOK, "title.recovery")
	assert.Equal(t, recoveryCode(first), recoveryCode(second))
	assert.Equal(t, []genauthtest.FactorType{otp}, s.genauth.Enrolled(user.id))
	s.assertChanges(user, enrolled(client.OTP)) // it is told once
}

// TestAnotherTabWasFaster says so, and does not take its app for this one's.
func TestAnotherTabWasFaster(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	slow, fast := user.begin(otp), user.begin(otp)
	user.post("/mfa/confirm", "state", fast.state(), "code", user.code(fast.secret())).is(http.StatusOK, "title.recovery")
	a := user.post("/mfa/confirm", "state", slow.state(), "code", user.code(slow.secret()), "return_to", "/admin?page=2").
		is(http.StatusOK, "title.message", "notice.already", "continue")
	assert.Contains(t, a.html, `href="/admin?page=2"`)
	assert.Equal(t, fast.secret(), s.genauth.OTPSecret(user.id))
	s.assertChanges(user, enrolled(client.OTP))
}

// TestAnswerLost has an enrollment that GenAuth made and did not say so.
func TestAnswerLost(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	assert.Equal(t, http.StatusForbidden, user.guarded())
	page := user.begin(otp)
	s.withFault(enrollPath, genauthtest.HTTPStatus(http.StatusBadGateway, ""))
	user.post("/mfa/confirm", "state", page.state(), "code", user.code(page.secret())).is(http.StatusOK, "title.recovery")
	s.assertChanges(user, enrolled(client.OTP))
	assert.Equal(t, http.StatusNoContent, user.guarded())
}

// TestConfirmFails has what becomes of a code that GenAuth does not judge.
func TestConfirmFails(t *testing.T) {
	t.Parallel()
	unavailable := genauthtest.Fault{Path: enrollPath, Change: refuseWith(http.StatusBadGateway)}
	rows := map[string]struct {
		faults []genauthtest.Fault
		want   int
		text   string
	}{
		"unavailable":              {[]genauthtest.Fault{unavailable}, 503, "error.unavailable"},
		"and so is the list":       {[]genauthtest.Fault{unavailable, {Path: listPath, Change: genauthtest.HTTPStatus(500, "")}}, 503, "error.unavailable"},
		"limited":                  {[]genauthtest.Fault{{Path: enrollPath, Change: genauthtest.RateLimited("5")}}, 503, "error.unavailable"},
		"token refused":            {[]genauthtest.Fault{{Path: enrollPath, Change: genauthtest.Envelope(401, 2020)}}, 303, ""},
		"wrong code, as a success": {[]genauthtest.Fault{{Path: enrollPath, Change: genauthtest.Envelope(400, 2001)}}, 200, "error.code"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			user := s.signIn()
			page := user.begin(otp)
			s.genauth.SetFault(row.faults...)
			a := user.post("/mfa/confirm", "state", page.state(), "code", wrongCode(user.code(page.secret()))).is(row.want)
			if row.text != "" {
				a.is(row.want, row.text)
			}
			assert.Empty(t, s.changes())
		})
	}
}

func refuseWith(status int) func(*genauthtest.Answer) {
	return genauthtest.HTTPStatus(status, "")
}
