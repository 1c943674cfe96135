package enroll_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/enroll"
)

// hangingUp is a request whose client goes away as soon as GenAuth is asked for
// a path.
func hangingUp(s *site, path string) func(*http.Request) {
	return func(r *http.Request) {
		s.genauth.SetFault(genauthtest.Fault{Path: path, Delay: 50 * time.Millisecond}) // so that it is seen
		ctx, hangUp := context.WithCancel(r.Context())
		s.t.Cleanup(hangUp)
		s.genauth.OnRequest(func(asked *http.Request) {
			if asked.URL.Path == path {
				hangUp()
			}
		})
		*r = *r.WithContext(ctx)
	}
}

// TestBugHangingUpHidesTheChange has a client that goes away while GenAuth is
// asked: somebody who has taken over a session would add a factor, or remove one,
// and the app would not tell the user.
func TestBugHangingUpHidesTheChange(t *testing.T) {
	t.Parallel()
	t.Run("enroll", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		user := s.signIn()
		assert.Equal(t, http.StatusForbidden, user.guarded())
		page := user.begin(otp)
		form := formOf("state", page.state(), "code", user.code(page.secret()))
		user.do(http.MethodPost, "/mfa/confirm", form, hangingUp(s, enrollPath))
		assert.Equal(t, []genauthtest.FactorType{otp}, s.genauth.Enrolled(user.id))
		s.assertChanges(user, enrolled(client.OTP))
		assert.Equal(t, http.StatusNoContent, user.guarded())
	})
	t.Run("renewed", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, func(set *setup) { set.GenAuth.ReuseOTPSecret = true })
		user := s.signIn()
		page := user.begin(otp)
		form := formOf("state", s.pages.Backdate(page.state(), user.token, time.Minute), "code", user.code(page.secret()))
		user.do(http.MethodPost, "/mfa/confirm", form, hangingUp(s, enrollPath))
		assert.Equal(t, []genauthtest.FactorType{otp}, s.genauth.Enrolled(user.id))
		s.assertChanges(user, enrolled(client.OTP))
	})
	t.Run("remove", func(t *testing.T) {
		t.Parallel()
		s := newSite(t, nil)
		user := s.signIn(email)
		user.do(http.MethodPost, "/mfa/remove", formOf("type", "EMAIL", "confirm", "yes"), hangingUp(s, resetPath))
		assert.Empty(t, s.genauth.Enrolled(user.id))
		s.assertChanges(user, removed(client.Email))
	})
}

// TestBugRemovedWithoutAnAnswer has a removal that GenAuth made and did not say
// so: the app was not told.
func TestBugRemovedWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn(email)
	s.withFault(resetPath, genauthtest.HTTPStatus(http.StatusBadGateway, ""))
	user.post("/mfa/remove", "type", "EMAIL", "confirm", "yes").goes("/home")
	s.assertChanges(user, removed(client.Email))
}

// TestBugUnclearEnrollmentWasNotForgotten has an enrollment whose result is
// unknown, because the list cannot be read either: what was known before must
// not be used.
func TestBugUnclearEnrollmentWasNotForgotten(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	assert.Equal(t, http.StatusForbidden, user.guarded())
	page := user.begin(otp)
	s.after(enrollPath,
		genauthtest.Fault{Path: enrollPath, Change: genauthtest.HTTPStatus(http.StatusBadGateway, "")},
		genauthtest.Fault{Path: listPath, Change: genauthtest.HTTPStatus(http.StatusBadGateway, "")},
	)
	user.post("/mfa/confirm", "state", page.state(), "code", user.code(page.secret())).is(http.StatusServiceUnavailable)
	s.genauth.ClearFaults()
	assert.Equal(t, http.StatusNoContent, user.guarded())
}

// TestBugRemovalSentTwiceRemovedAnother has a form that is sent twice: the
// second time only one factor of the type was left, and that was taken for the
// one that the user had chosen.
func TestBugRemovalSentTwiceRemovedAnother(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	s.genauth.SetFault(
		genauthtest.Fault{Path: listPath, Change: rows("two", "SMS")},
		genauthtest.Fault{Path: resetPath, Change: genauthtest.Data("")},
	)
	for _, id := range []string{"one", "forged"} {
		user.post("/mfa/remove", "type", "SMS", "confirm", "yes", "factor_id", id).goes("/home")
	}
	assert.Zero(t, s.genauth.Calls(resetPath))
	assert.Empty(t, s.changes())
	page := user.post("/mfa/remove", "type", "SMS").is(http.StatusOK)
	assert.Contains(t, page.html, `<input type="hidden" name="factor_id" value="two">`)
	user.post("/mfa/remove", "type", "SMS", "confirm", "yes", "factor_id", "two").goes("/home")
	s.assertChanges(user, removed(client.SMS))
}

// TestBugRenewedWithoutAnAnswer has an enrollment that GenAuth made with a
// second enrollment token, and did not say so: the app was not told, and what
// was known before was gone by.
func TestBugRenewedWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.GenAuth.ReuseOTPSecret = true })
	user := s.signIn()
	assert.Equal(t, http.StatusForbidden, user.guarded())
	page := user.begin(otp)
	s.withFault(enrollPath, genauthtest.HTTPStatus(http.StatusBadGateway, ""))
	user.post("/mfa/confirm", "state", s.pages.Backdate(page.state(), user.token, time.Minute), "code", user.code(page.secret())).
		is(http.StatusOK, "title.recovery")
	s.assertChanges(user, enrolled(client.OTP))
	assert.Equal(t, http.StatusNoContent, user.guarded())
}

// TestBugSignInProvedBesideAnApp has an enrollment that was begun by a recent
// sign-in, and goes on after the user has enrolled an authenticator app: from
// then on the proof is a code of the app.
func TestBugSignInProvedBesideAnApp(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	address, mail, app := user.begin(sms), user.begin(email), user.begin(otp)
	sent := user.post("/mfa/send", "state", mail.state(), "email", "mallory@example.com").is(http.StatusOK)
	s.genauth.Enroll(user.id, otp)
	require.NoError(t, s.mfa.Invalidate(t.Context(), user.token))

	calls := s.genauth.Calls(enrollPath) + s.genauth.Calls(sendPath)
	user.post("/mfa/send", "state", address.state(), "region", "CN", "phone", "13800000000").is(http.StatusBadRequest, "error.state")
	code := s.genauth.PassCode(user.id, email)
	user.post("/mfa/confirm", "state", sent.state(), "code", code).is(http.StatusBadRequest, "error.state")
	for _, by := range []time.Duration{0, time.Minute} {
		state := s.pages.Backdate(app.state(), user.token, by)
		user.post("/mfa/confirm", "state", state, "code", user.code(app.secret())).is(http.StatusOK, "notice.already")
	}
	assert.Equal(t, calls, s.genauth.Calls(enrollPath)+s.genauth.Calls(sendPath))
	assert.Equal(t, []genauthtest.FactorType{otp}, s.genauth.Enrolled(user.id))
	assert.Empty(t, s.changes())

	proved := user.post("/mfa/begin", "type", "SMS", "code", s.genauth.OTPCode(user.id)).is(http.StatusOK)
	user.post("/mfa/send", "state", proved.state(), "region", "CN", "phone", "13800000000").is(http.StatusOK, "title.sent")
}

// TestBugStateTooLargeToComeBack has secrets of GenAuth that no form can carry:
// the page was shown, and its form was refused as one that was open for too long.
func TestBugStateTooLargeToComeBack(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	s.withFault(sendPath, genauthtest.Data(`{"enrollmentToken":"`+strings.Repeat("x", 16<<10)+`","otpData":{"qrCodeUri":"otpauth://totp/a?secret=HZ2F6J3AGNAVSOTV"}}`))
	user.post("/mfa/begin", "type", "OTP").is(http.StatusServiceUnavailable, "error.unavailable")
	address := user.begin(sms)
	user.post("/mfa/send", "state", address.state(), "region", "CN", "phone", "13800000000").is(http.StatusServiceUnavailable, "error.unavailable")
}

// TestBugTemplateThatCannotWork has templates that parse and can never be
// executed: New did not find them.
func TestBugTemplateThatCannotWork(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no such template": `{{define "otp"}}{{template "tpo" .}}{{end}}`,
		"no such field":    `{{define "recovery"}}{{.Recovery}}{{end}}`,
		"in a part":        `{{define "code"}}{{.Code}}{{end}}`,
		"bad context":      `{{define "face"}}<a href="{{if .Hosted}}x"{{end}}>{{end}}`,
	} {
		cfg := goodConfig(t)
		cfg.Templates = fstest.MapFS{"own.html": {Data: []byte(text)}}
		_, err := enroll.New(cfg)
		assert.ErrorContains(t, err, "enroll: Templates: ", name)
	}
}

// TestBugFormLeadsToGenAuthsSignIn has an app whose sign-in page leads to
// GenAuth's at once. Chromium holds that redirect against form-action as well,
// and a user who sent a form without a session stayed on the page, without any
// message.
func TestBugFormLeadsToGenAuthsSignIn(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	a := session{site: s}.post("/mfa/begin", "type", "OTP").is(http.StatusSeeOther)
	page := s.signIn().get("/mfa")
	for _, policy := range []string{a.Header.Get("Content-Security-Policy"), page.Header.Get("Content-Security-Policy")} {
		assert.Contains(t, policy, "; form-action 'self' "+s.genauth.URL()+";")
	}
}

// TestBugSecondOfATypeWithoutAnAnswer has a second number that GenAuth enrolled
// and did not say so: as there was one before, the app was not told.
func TestBugSecondOfATypeWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for want, list := range map[string]func(*genauthtest.Answer){
		"told":         rows("one", "SMS", "two", "sms"),
		"not enrolled": rows("one", "SMS"),
	} {
		s := newSite(t, nil)
		user := s.signIn(sms)
		s.withFault(sendPath, genauthtest.Data(`{"enrollmentToken":"token"}`))
		sent := user.post("/mfa/send", "state", user.begin(sms).state(), "region", "CN", "phone", "13800000000").is(http.StatusOK)
		s.after(enrollPath,
			genauthtest.Fault{Path: enrollPath, Change: genauthtest.HTTPStatus(http.StatusBadGateway, "")},
			genauthtest.Fault{Path: listPath, Change: list},
		)
		a := user.post("/mfa/confirm", "state", sent.state(), "code", "123456")
		if want == "told" {
			a.goes("/home")
			s.assertChanges(user, enrolled(client.SMS))
			continue
		}
		a.is(http.StatusServiceUnavailable, "error.unavailable")
		assert.Empty(t, s.changes())
	}
}

// TestBugWideDigits has a code and a number as a Chinese input method may write
// them: they were refused as no digits.
func TestBugWideDigits(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	wide := func(digits string) string {
		return strings.Map(func(c rune) rune { return c - '0' + '０' }, digits)
	}
	page := user.post("/mfa/send", "state", user.begin(sms).state(), "region", "CN", "phone", wide("139")+"\u3000"+wide("12345678")).
		is(http.StatusOK, "title.sent")
	assert.Contains(t, page.text, "+86 13912345678")
	user.post("/mfa/confirm", "state", page.state(), "code", wide(s.genauth.PassCode(user.id, sms))).goes("/home")
	s.assertChanges(user, enrolled(client.SMS))
}
