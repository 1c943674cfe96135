package enroll_test

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/enroll"
)

// TestWhoIsSignedIn says who it is and where to sign out, on each page of a user, and
// nothing of it to nobody.
func TestWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		change func(*setup)
		has    string
	}{
		"nothing": {nil, ""},
		"a link":  {func(set *setup) { set.SignOutURL = "/account?x=1" }, `<a href="/account?x=1">Sign out</a>`},
		"a form": {
			func(set *setup) { set.SignOutURL, set.SignOutPost = "/logout", true },
			`<form method="post" action="/logout"><button class="quiet">Sign out</button></form>`,
		},
		"elsewhere": {func(set *setup) { set.SignOutURL = "https://idp.example/logout" }, `<a href="https://idp.example/logout">`},
		"prefix": {func(set *setup) {
			set.SignOutURL, set.MFA.ReturnTo.BaseURL = "/logout", "https://app.example/tools"
		}, `<a href="/tools/logout">`},
		"name":    {func(set *setup) { set.UserName = func(*http.Request) string { return "ann@example.com" } }, "<span>Signed in as ann@example.com</span>"},
		"markup":  {func(set *setup) { set.UserName = func(*http.Request) string { return "<b>" } }, "Signed in as &lt;b&gt;<"},
		"no name": {func(set *setup) { set.UserName = func(*http.Request) string { return "" } }, ""},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, row.change)
			user := s.signIn()
			for _, a := range []answer{user.get("/mfa"), user.begin(otp), user.post("/mfa/confirm")} {
				assert.Equal(t, row.has != "", strings.Contains(a.html, `class="who"`))
				assert.Contains(t, a.html, row.has)
			}
			assert.NotContains(t, user.get("/mfa/x").html, `class="who"`)
		})
	}
	s := newSite(t, func(set *setup) { set.UserName = func(*http.Request) string { panic(callbackPanic) } })
	s.signIn().get("/mfa").is(http.StatusInternalServerError, "error.internal")
}

// TestCancel leads back to where the user came from, if that lets them in.
func TestCancel(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user, with := s.signIn(), s.signIn(otp)
	const link = `<p class="cancel"><a href="`
	form := []string{"type", "SMS", "return_to", "/account?a=b"}
	assert.Contains(t, user.post("/mfa/begin", form...).is(http.StatusOK, "title.address").html, link+`/mfa?return_to=%2Faccount%3Fa%3Db">`)
	assert.Contains(t, with.post("/mfa/begin", form...).is(http.StatusOK, "title.prove").html, link+`/account?a=b">`)
	assert.Contains(t, with.post("/mfa/remove", "type", "OTP", "return_to", "/account?a=b").html, link+`/account?a=b">`)
	assert.Contains(t, with.post("/mfa/remove", "type", "OTP").html, link+`/mfa">`)
	assert.Contains(t, user.get("/mfa?return_to=/account").html, link+`/home">Not now`)
}

// TestCancelOfAStepFromTheListLeadsBackThere has steps that were begun on the first page,
// by a user whom the page that was wanted lets in: cancel leads back to the list, from
// each page of the step.
func TestCancelOfAStepFromTheListLeadsBackThere(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn(otp)
	const from = `<input type="hidden" name="from" value="list">`
	list := user.get("/mfa?return_to=/account").is(http.StatusOK, "start.satisfied", "start.more")
	assert.Equal(t, strings.Count(list.html, "<form"), strings.Count(list.html, from), "each form says where it is")
	cancels := func(a answer) answer {
		t.Helper()
		assert.Contains(t, a.html, `<p class="cancel"><a href="/mfa?return_to=%2Faccount">`)
		assert.Equal(t, strings.Count(a.html, "<form"), strings.Count(a.html, from), "and so on")
		return a
	}
	form := func(more ...string) []string {
		return append([]string{"return_to", "/account", "from", "list"}, more...)
	}
	removal := cancels(user.post("/mfa/remove", form("type", "OTP")...).is(http.StatusOK, "title.remove"))
	cancels(user.reload(removal))
	cancels(user.post("/mfa/remove", form("type", "OTP", "confirm", "yes")...).is(http.StatusOK, "error.understood"))
	cancels(user.post("/mfa/begin", form("type", "FACE")...).is(http.StatusOK, "face.not_here"))
	cancels(user.post("/mfa/begin", form("type", "SMS")...).is(http.StatusOK, "title.prove"))
	code := s.genauth.OTPCode(user.id)
	address := cancels(user.post("/mfa/begin", form("type", "SMS", "code", code)...).is(http.StatusOK, "title.address"))
	sent := cancels(user.post("/mfa/send", form("state", address.state(), "region", "CN", "phone", "13912345678")...).is(http.StatusOK, "title.sent"))
	cancels(user.do(http.MethodGet, strings.Replace(sent.at, "/code", "/address", 1), nil, with(sent.cookies)).is(http.StatusOK, "title.address"))

	s = newSite(t, func(set *setup) { set.Policy = echomfa.AnyOf(echomfa.SMS) })
	phone := s.signIn(sms)
	late := s.with(phone.id, map[string]any{"auth_time": 1})
	signIn := late.post("/mfa/remove", form("type", "SMS")...).is(http.StatusForbidden, "title.signin")
	assert.Contains(t, signIn.html, `<p class="cancel"><a href="/mfa?return_to=%2Faccount">`)
}

// TestNotFoundSaysSo has the heading of a page that is not there.
func TestNotFoundSaysSo(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.Brand.Name = "Example" })
	a := s.signIn().get("/mfa/x").is(http.StatusNotFound, "error.not_found", "again")
	assert.Contains(t, a.html, "<title>Page not found · Example</title>")
	assert.Contains(t, a.html, "<h1>Page not found</h1>")
}

// TestMethods lists each factor once, with as much of a number or an address as tells it
// apart, and its own way to remove it.
func TestMethods(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn(sms, otp)
	assert.Equal(t, http.StatusNoContent, user.guarded())
	list := genauthtest.Data(`[
		{"factorId":"one","factorType":"SMS","profile":{"phoneNumber":"13800001111"}},
		{"factorId":"two","factorType":"sms","profile":{"phoneNumber":"13800002222"}},
		{"factorId":"three","factorType":"OTP"}]`)
	s.withFault(listPath, list)
	a := user.get("/mfa").is(http.StatusOK, "start.have")
	for _, want := range []string{"text message (SMS) …1111", "text message (SMS) …2222", "authenticator app"} {
		assert.Equal(t, 1, strings.Count(a.text, "<li><span>"+want+"</span>"), want)
		assert.Contains(t, a.text, `aria-label="Remove: `+want+`"`)
	}
	assert.NotContains(t, a.html, "1380000")
	s.withFault(listPath, list)
	a = user.post("/mfa/remove", "type", "SMS", "factor_id", "two")
	s.withFault(listPath, list)
	assert.Regexp(t, `value="two" checked`, user.reload(a).html)

	s.withFault(listPath, genauthtest.HTTPStatus(http.StatusBadGateway, ""))
	a = user.get("/mfa").is(http.StatusOK, "start.have")
	assert.Contains(t, a.text, "<li><span>text message (SMS)</span>", "what the enforcer knows")
}

// TestStartGoesByWhatGenAuthHasNow has a factor that was set up elsewhere: the overview
// shows it, and the route lets the user in.
func TestStartGoesByWhatGenAuthHasNow(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	assert.Equal(t, http.StatusForbidden, user.guarded())
	s.genauth.Enroll(user.id, otp)
	user.get("/mfa").is(http.StatusOK, "start.satisfied", "start.have")
	assert.Equal(t, http.StatusNoContent, user.guarded())
	s.genauth.Reset(user.id)
	user.get("/mfa").is(http.StatusOK, "title.needed")
	assert.Equal(t, http.StatusForbidden, user.guarded())
}

// TestWhatIsMissingIsListedOnce has what the page says beside the buttons.
func TestWhatIsMissingIsListedOnce(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		policy  echomfa.Policy
		given   []genauthtest.FactorType
		listed  []string
		heading string
	}{
		"one":               {echomfa.AnyOf(echomfa.OTP), nil, nil, "title.needed"},
		"face not offered":  {echomfa.AnyOf(echomfa.OTP, echomfa.Face), nil, nil, "title.needed"},
		"one of two":        {echomfa.AnyOf(echomfa.OTP, echomfa.SMS), nil, nil, "title.needed"},
		"two together":      {echomfa.AllOf(echomfa.OTP, echomfa.SMS), nil, nil, "title.needed"},
		"the second of two": {echomfa.AllOf(echomfa.OTP, echomfa.SMS), []genauthtest.FactorType{sms}, nil, "title.needed_more"},
		"one or two": {
			echomfa.AnyOf(echomfa.OTP).Or(echomfa.AllOf(echomfa.SMS, echomfa.Email)), nil,
			[]string{"authenticator app", "text message (SMS) together with e-mail"},
			"title.needed",
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(set *setup) { set.Policy = row.policy })
			a := s.signIn(row.given...).get("/mfa").is(http.StatusOK, row.heading, "start.why")
			var listed []string
			for _, found := range regexp.MustCompile(`<li>([^<]+)</li>`).FindAllStringSubmatch(a.text, -1) {
				listed = append(listed, found[1])
			}
			assert.Equal(t, row.listed, listed)
			assert.NotContains(t, strings.ToLower(a.text), "face")
		})
	}
}

// TestRecoveryFile names the account and the day, and says what the code is for.
func TestRecoveryFile(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"": "Recovery code\nAccount: ", "ann@example.com": "Recovery code of Example\nAccount: ann@example.com\n",
	} {
		s := newSite(t, func(set *setup) {
			set.Brand = enroll.Brand{Name: map[string]string{"": "", "ann@example.com": "Example"}[name], ProviderName: "Acme ID"}
			set.UserName = func(*http.Request) string { return name }
		})
		user := s.signIn()
		page := user.begin(otp)
		page = user.post("/mfa/confirm", "state", page.state(), "code", user.code(page.secret())).is(http.StatusOK, "recovery.added", "print")
		assert.Contains(t, page.text, "when Acme ID asks for a code from the app as you sign in")
		file := user.post("/mfa/recovery", "state", page.state()).is(http.StatusOK)
		today := time.Now().UTC().Format(time.DateOnly)
		assert.Equal(t, `attachment; filename="recovery-code-`+today+`.txt"`, file.Header.Get("Content-Disposition"))
		assert.True(t, strings.HasPrefix(file.html, want), file.html)
		assert.Contains(t, file.html, "Date: "+today+"\n\n"+recoveryCode(page)+"\n\nFor when you lose your phone: when Acme ID asks")
		assert.NotContains(t, file.html, "We show it only now", "the file is what was kept")
	}
}

// TestWaiting says how long, and until when, in words, and only as long as it is so.
func TestWaiting(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	address := user.begin(email)
	sent := user.post("/mfa/send", "state", address.state(), "email", "ann@example.com").is(http.StatusOK, "title.sent")
	found := regexp.MustCompile(`data-wait="(\d+)" data-text="[^"]*%s[^"]*%s[^"]*" data-over="You can request a new code now.">` +
		`You can request a new code in (\d+) seconds, at (\d\d:\d\d:\d\d UTC)\.</span><span role="status"></span>`)
	wait := found.FindStringSubmatch(sent.html)
	require.NotNil(t, wait, sent.html)
	assert.Equal(t, wait[1], wait[2])
	seconds, err := strconv.Atoi(wait[1])
	require.NoError(t, err)
	assert.True(t, 20 < seconds && seconds <= 60, seconds)
	again := user.post("/mfa/send", "state", sent.state()).is(http.StatusOK, "notice.one_a_minute")
	assert.NotContains(t, again.html, `role="alert"`, "it is not an error")
	assert.Regexp(t, found, again.html)
	late := s.pages.Backdate(sent.state(), user.token, time.Minute)
	wrong := user.post("/mfa/confirm", "state", late, "code", "1").is(http.StatusOK, "title.sent")
	assert.NotContains(t, wrong.html, "data-wait")

	for range 10 {
		user.post("/mfa/confirm", "state", sent.state(), "code", "123456")
	}
	many := user.post("/mfa/confirm", "state", sent.state(), "code", "123456").is(http.StatusOK, "error.too_many")
	assert.Regexp(t, `Try again in \d+ seconds, at \d\d:\d\d:\d\d UTC\.`, many.text)
}

// TestWhatWasTickedStays has a form that is shown again because of its code.
func TestWhatWasTickedStays(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn(otp)
	a := user.post("/mfa/remove", "type", "OTP", "confirm", "yes", "understood", "yes", "code", "1").is(http.StatusOK, "title.remove", "error.code")
	assert.Contains(t, a.html, `id="understood" name="understood" value="yes" checked`)
	assert.Equal(t, 1, strings.Count(a.text, english(t)["error.code"]), "it is said once")
	assert.NotContains(t, a.html, `value="1"`, "a code is not kept")
	assert.Equal(t, 1, strings.Count(a.html, "autofocus"))
	assert.Regexp(t, `<input id="code"[^>]* aria-describedby="code-error" autofocus>`, a.html)
	assert.NotContains(t, user.post("/mfa/remove", "type", "OTP").html, " checked")
}

// TestRegions are listed by their names, in the order of the language.
func TestRegions(t *testing.T) {
	t.Parallel()
	first := map[string][]string{
		"en":    {"Afghanistan (+93)", "Åland Islands (+358)", "Albania (+355)"},
		"zh-CN": {"阿尔巴尼亚 (+355)", "阿尔及利亚 (+213)", "阿富汗 (+93)"},
	}
	for lang, want := range first {
		s := newSite(t, func(set *setup) { set.Language = func(*http.Request) string { return lang } })
		var names []string
		for _, found := range regexp.MustCompile(`<option value="[A-Z]{2}"(?: selected)?>([^<]+)</option>`).FindAllStringSubmatch(s.signIn().begin(sms).text, -1) {
			names = append(names, found[1])
		}
		require.Len(t, names, 245)
		assert.Equal(t, want, names[:3])
		sorted := slices.Clone(names)
		slices.Sort(sorted)
		assert.Len(t, slices.Compact(sorted), 245, "each once")
	}
}
