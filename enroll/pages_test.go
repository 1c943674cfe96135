package enroll_test

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/echomfa/echomfa/internal/answertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/enroll"
)

// toured is a site that was toured, and the result.
type toured struct {
	*site

	pages   map[string]answer
	secrets map[string]string // by what they are
}

// tour opens every page and answer there is, in a language.
func tour(t *testing.T, lang string) toured {
	t.Helper()
	s := newSite(t, func(set *setup) {
		set.Policy = echomfa.AnyOf(echomfa.OTP, echomfa.Face).Or(echomfa.AllOf(echomfa.SMS, echomfa.Email))
		set.HostedURL, set.Support = "https://genauth.example/u", "the help desk"
		set.Brand = enroll.Brand{Name: "Example", LogoPath: "/logo.svg"}
		set.Language = func(*http.Request) string { return lang }
	})
	secrets, pages := map[string]string{}, map[string]answer{}
	back := func(fields ...string) []string { return append(fields, "return_to", "/admin?page=2&x=y") }
	user := s.signIn()
	pages["start"] = user.get("/mfa?return_to=/admin%3Fpage=2%26x=y")
	pages["face"] = user.post("/mfa/begin", back("type", "FACE")...)
	address := user.post("/mfa/begin", back("type", "SMS")...)
	pages["address-sms"] = address
	pages["address-sms-error"] = user.post("/mfa/send", back("state", address.state(), "region", "CN", "phone", "x")...)
	sent := user.post("/mfa/send", back("state", address.state(), "region", "CN", "phone", "13912345678")...)
	pages["sent-sms"] = sent
	pages["sent-error"] = user.post("/mfa/send", back("state", sent.state())...)
	secrets["SMS code"], secrets["phone number"] = s.genauth.PassCode(user.id, sms), "13912345678"
	address = user.post("/mfa/begin", back("type", "EMAIL")...)
	pages["address-email"] = address
	pages["address-email-error"] = user.post("/mfa/send", back("state", address.state(), "email", "x")...)
	sent = user.post("/mfa/send", back("state", address.state(), "email", "canary@example.com")...)
	pages["sent-email"] = sent
	secrets["e-mail code"], secrets["e-mail address"] = s.genauth.PassCode(user.id, email), "canary@example.com"
	app := user.post("/mfa/begin", back("type", "OTP")...)
	pages["otp"] = app
	secrets["secret"], secrets["token"] = app.secret(), user.token
	pages["otp-error"] = user.post("/mfa/confirm", back("state", app.state(), "code", "")...)
	expired := s.pages.Backdate(app.state(), user.token, time.Minute)
	app = user.post("/mfa/confirm", back("state", expired, "code", user.code(app.secret()))...)
	pages["otp-new-secret"] = app
	secrets["new secret"], secrets["code"] = app.secret(), user.code(app.secret())
	done := user.post("/mfa/confirm", back("state", app.state(), "code", secrets["code"])...)
	pages["recovery"] = done
	secrets["recovery code"] = recoveryCode(done)
	pages["recovery-error"] = user.post("/mfa/done", back("state", done.state())...)
	pages["recovery-file"] = user.post("/mfa/recovery", back("state", done.state())...)
	pages["already"] = user.post("/mfa/confirm", back("state", pages["otp"].state(), "code", user.code(secrets["secret"]))...)
	pages["done"] = user.post("/mfa/done", back("state", done.state(), "saved", "yes")...)
	pages["prove"] = user.post("/mfa/begin", back("type", "EMAIL")...)
	pages["prove-error"] = user.post("/mfa/begin", back("type", "EMAIL", "code", wrongCode(secrets["code"]))...)
	pages["satisfied"] = user.get("/mfa")
	pages["remove"] = user.post("/mfa/remove", back("type", "OTP")...)
	pages["remove-error"] = user.post("/mfa/remove", back("type", "OTP", "confirm", "yes", "code", secrets["code"])...)
	pages["removed"] = user.post("/mfa/remove", back("type", "OTP", "confirm", "yes", "understood", "yes", "code", secrets["code"])...)
	pages["state-error"] = user.post("/mfa/confirm", back("state", "x")...)
	pages["not-found"] = user.get("/mfa/x")
	pages["method-error"] = user.do(http.MethodPut, "/mfa", nil)
	pages["cross-site"] = user.do(http.MethodPost, "/mfa/begin", nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
	pages["form-error"] = user.get("/mfa?%zz")
	pages["redirect"] = user.get("/mfa/begin")
	pages["signin"] = s.with(user.id, map[string]any{"auth_time": 1}).post("/mfa/begin", back("type", "SMS")...)
	pages["signin-unknown"] = s.with(user.id, nil).post("/mfa/begin", back("type", "SMS")...)
	s.genauth.SetFault(genauthtest.Fault{Path: offerPath, Change: genauthtest.Data("[]"), Times: 1})
	pages["deadend"] = user.get("/mfa")
	nowhere := newSite(t, func(set *setup) {
		set.Policy, set.Support, set.Beside = echomfa.AllOf(echomfa.OTP, echomfa.Face), "the help desk", s.genauth
		set.Brand = enroll.Brand{Name: "Example", LogoPath: "/logo.svg"}
		set.Language = func(*http.Request) string { return lang }
	})
	pages["deadend-hosted"] = session{site: nowhere, token: user.token}.get("/mfa")
	s.withFault(listPath, genauthtest.Data(`[{"factorId":"a","factorType":"SMS","profile":{"phoneNumber":"13900001111"}},{"factorId":"b","factorType":"SMS"}]`))
	pages["remove-choose"] = user.post("/mfa/remove", back("type", "SMS", "confirm", "yes")...)
	s.withFault("*", genauthtest.HTTPStatus(http.StatusBadGateway, ""))
	pages["unavailable"] = user.post("/mfa/begin", back("type", "OTP")...)
	pages["not-signed-in"] = session{site: s}.get("/mfa")
	return toured{s, pages, secrets}
}

// isAnswer reports whether an answer is a redirect or a file, and not a page.
func isAnswer(name string, a answer) bool {
	return a.StatusCode == http.StatusFound || a.StatusCode == http.StatusSeeOther || name == "recovery-file"
}

// TestHeaders has what every page carries, and what none of them has in it.
func TestHeaders(t *testing.T) {
	t.Parallel()
	tour := tour(t, "en")
	policy := "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self' " + tour.genauth.URL() +
		"; base-uri 'none'; frame-ancestors 'none'"
	for name, a := range tour.pages {
		assert.Equal(t, policy, a.Header.Get("Content-Security-Policy"), name)
		assert.Equal(t, "same-origin", a.Header.Get("Referrer-Policy"), name)
		assert.Equal(t, "no-store", a.Header.Get("Cache-Control"), name)
		assert.Equal(t, "nosniff", a.Header.Get("X-Content-Type-Options"), name)
		for _, cookie := range a.Cookies() {
			assert.True(t, strings.HasPrefix(cookie.Name, "echomfa_round_"), "%s: redirects of the Enforcer count their rounds", name)
		}
		if isAnswer(name, a) {
			continue
		}
		assert.Equal(t, "text/html; charset=utf-8", a.Header.Get("Content-Type"), name)
		assert.NotRegexp(t, `(?i)<style|\sstyle=|\son[a-z]+=|javascript:|<base|<iframe|<form[^>]*method="get"`, a.html, name)
		assert.Len(t, regexp.MustCompile(`<script`).FindAllString(a.html, -1), 1, name)
		assert.Regexp(t, `<script src="/mfa/assets/[0-9a-f]{16}\.js" defer></script>`, a.html, name)
		assert.Equal(t, 1, strings.Count(a.html, "<h1>"), name)
		assert.Equal(t, a.StatusCode >= 400 && name != "signin", strings.Contains(a.html, `role="alert"`), name)
		for _, id := range regexp.MustCompile(`(?:for|aria-describedby|aria-labelledby|data-copy|href)="#?([a-z_0-9-]+)"`).FindAllStringSubmatch(a.html, -1) {
			assert.Contains(t, a.html, `id="`+id[1]+`"`, name)
		}
	}
}

// TestSignInPageOnAnotherOrigin may be where a form's redirect leads.
func TestSignInPageOnAnotherOrigin(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) {
		set.MFA.LoginURL, set.MFA.ReturnTo.BaseURL = "https://login.example:8443/in", "https://app.example"
	})
	a := session{site: s}.post("/mfa/begin", "type", "OTP")
	assert.Contains(t, s.signIn().get("/mfa").Header.Get("Content-Security-Policy"), "form-action 'self' https://login.example:8443 http")
	assert.True(t, strings.HasPrefix(a.Header.Get("Location"), "https://login.example:8443/in"))
}

// TestCanary looks for what is secret in all that comes out: it is in the body
// of its page, and nowhere else.
func TestCanary(t *testing.T) {
	t.Parallel()
	tour := tour(t, "en")
	logged := tour.logged.String()
	assert.Contains(t, logged, "enrollment")
	for what, secret := range tour.secrets {
		require.NotEmpty(t, secret, what)
		assert.NotContains(t, logged, secret, what)
		for name, a := range tour.pages {
			headers := []http.Header{a.Header}
			if a.from != nil {
				headers = append(headers, a.from.Header) // with the cookie of the page
			}
			for _, header := range headers {
				for _, values := range header {
					assert.NotContains(t, strings.Join(values, "\n"), secret, "%s: %s", name, what)
				}
			}
			for _, found := range regexp.MustCompile(`(?:href|src|action|name="state" value)="([^"]*)"`).FindAllStringSubmatch(a.html, -1) {
				if !strings.HasPrefix(found[1], "data:image/png;base64,") && !strings.HasPrefix(found[1], "otpauth://totp/") {
					assert.NotContains(t, found[1], secret, "%s: %s", name, what)
				}
			}
		}
	}
	for what, on := range map[string][]string{
		"secret": {"otp", "otp-error"}, "new secret": {"otp-new-secret"}, "recovery code": {"recovery", "recovery-error", "recovery-file"},
		"phone number": {"sent-sms", "sent-error"}, "e-mail address": {"sent-email"},
		"token": nil, "code": nil, "SMS code": nil, "e-mail code": nil,
	} {
		var have []string
		for name, a := range tour.pages {
			if strings.Contains(strings.ReplaceAll(a.text, " ", ""), tour.secrets[what]) {
				have = append(have, name)
			}
		}
		assert.ElementsMatch(t, on, have, what)
	}
}

// normalized returns a page without what differs each time.
func normalized(page string) string {
	for _, v := range []struct {
		what *regexp.Regexp
		with string
	}{
		{stateField, `name="state" value="STATE"`},
		{regexp.MustCompile(`data:image/png;base64,[^"]+`), "data:image/png;base64,PICTURE"},
		{regexp.MustCompile(`otpauth://totp/[^"]+`), "otpauth://totp/KEY"},
		{regexp.MustCompile(`Example:[0-9a-f]{24}<`), "Example:USER<"},
		{regexp.MustCompile(`(Reference: |参考编号：)<code>[A-Z2-7]{26}<`), "$1<code>REFERENCE<"},
		{regexp.MustCompile(`class="secret">[^<]+<`), `class="secret">SECRET<`},
		{regexp.MustCompile(`/step/[0-9a-f]{16}/`), "/step/ID/"},
		{regexp.MustCompile(`name="step" value="[0-9a-f]{16}"`), `name="step" value="ID"`},
		{regexp.MustCompile(`data-wait="\d+"`), `data-wait="SECONDS"`},
		{regexp.MustCompile(`\d+( seconds, at | 秒后（)\d\d:\d\d:\d\d UTC`), "SECONDS${1}TIME UTC"},
		{regexp.MustCompile(`/assets/[0-9a-f]{16}\.`), "/assets/DIGEST."},
		{regexp.MustCompile(`name="factor_id" value="[0-9a-f]{24}"`), `name="factor_id" value="ID"`},
	} {
		page = v.what.ReplaceAllString(page, v.with)
	}
	return page
}

// TestGolden compares all pages with testdata/pages, rewritten by
// go test -run TestGolden . -update.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, lang := range []string{"en", "zh-CN"} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			pages := map[string]string{}
			for name, a := range tour(t, lang).pages {
				if isAnswer(name, a) {
					continue
				}
				pages[name] = a.Status + "\n" + normalized(a.html)
			}
			answertest.Golden(t, filepath.Join("testdata", "pages", lang), pages)
		})
	}
}
