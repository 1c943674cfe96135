package enroll_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
)

// TestMessages walks through SMS and e-mail.
func TestMessages(t *testing.T) {
	t.Parallel()
	rows := map[genauthtest.FactorType]struct {
		fields  []string
		address string
		texts   []string
	}{
		sms:   {[]string{"region", "GB", "phone", "(07700) 900-123"}, "+44 7700900123", []string{"address.sms", "address.region"}},
		email: {[]string{"email", " ann@example.com "}, "ann@example.com", []string{"address.email", "address.email.label"}},
	}
	for typ, row := range rows {
		t.Run(string(typ), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(set *setup) { set.Policy = echomfa.AnyOf(typ) })
			user := s.signIn()
			page := user.post("/mfa/begin", "type", string(typ), "return_to", "/admin").is(http.StatusOK, append(row.texts, "title.address")...)
			assert.Equal(t, typ == sms, strings.Contains(page.html, `<option value="CN" selected>`))
			assert.Zero(t, s.genauth.Calls(sendPath), "nothing is sent before there is an address")

			page = user.post("/mfa/send", append(row.fields, "state", page.state(), "return_to", "/admin")...).is(http.StatusOK, "title.sent", "sent", "code.sent", "sent.again")
			assert.Contains(t, page.text, "a code to "+row.address+".")
			page.isNot("notice.sent_again")
			code := s.genauth.PassCode(user.id, typ)
			page = user.post("/mfa/confirm", "state", page.state(), "code", wrongCode(code)).is(http.StatusOK, "title.sent", "error.code")
			assert.Contains(t, page.text, row.address)
			user.post("/mfa/confirm", "state", page.state(), "code", "123").is(http.StatusOK, "title.sent", "error.code")
			user.post("/mfa/confirm", "state", page.state(), "code", "12345678901").is(http.StatusOK, "title.sent", "error.code")

			user.post("/mfa/confirm", "state", page.state(), "code", code, "return_to", "/admin").goes("/admin")
			s.assertChanges(user, enrolled(typ))
			assert.Equal(t, []genauthtest.FactorType{typ}, s.genauth.Enrolled(user.id))
			user.get("/mfa").is(http.StatusOK, "start.satisfied")
		})
	}
}

// TestSendAgain needs a minute between two messages, by our clock and by
// GenAuth's.
func TestSendAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	address := user.begin(email)
	page := user.post("/mfa/send", "state", address.state(), "email", "ann@example.com").is(http.StatusOK, "title.sent")
	first := s.genauth.PassCode(user.id, email)
	sent := s.genauth.Calls(sendPath)

	page = user.post("/mfa/send", "state", page.state()).is(http.StatusOK, "title.sent", "notice.one_a_minute")
	assert.Equal(t, sent, s.genauth.Calls(sendPath))
	late := s.pages.Backdate(page.state(), user.token, time.Minute)
	user.post("/mfa/send", "state", late).is(http.StatusOK, "title.sent", "notice.one_a_minute") // so says GenAuth
	user.post("/mfa/send", "state", address.state(), "email", "ann@example.com").is(http.StatusOK, "title.address", "notice.one_a_minute")

	s.genauth.Advance(time.Minute)
	page = user.post("/mfa/send", "state", late).is(http.StatusOK, "title.sent", "notice.sent_again")
	assert.Contains(t, page.text, "ann@example.com")
	second := s.genauth.PassCode(user.id, email)
	if first != second {
		user.post("/mfa/confirm", "state", page.state(), "code", first).is(http.StatusOK, "error.code")
	}
	user.post("/mfa/confirm", "state", page.state(), "code", second).goes("/home")
}

// TestBugMessagesToManyNumbers lets a session send no codes to number after number:
// GenAuth's limit is for each of them.
func TestBugMessagesToManyNumbers(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	address := user.begin(email)
	for i := range 10 {
		user.post("/mfa/send", "state", address.state(), "email", fmt.Sprintf("p%d@example.com", i)).is(http.StatusOK, "title.sent")
	}
	user.post("/mfa/send", "state", address.state(), "email", "p10@example.com").
		is(http.StatusOK, "title.address", "error.too_many")
	assert.Equal(t, 10, s.genauth.Calls(sendPath))
}

// TestMessageCodeExpired asks to send another one, and sends none unasked.
func TestMessageCodeExpired(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	page := user.begin(sms)
	page = user.post("/mfa/send", "state", page.state(), "region", "CN", "phone", "13800000000").is(http.StatusOK, "title.sent")
	state, code := s.pages.Backdate(page.state(), user.token, time.Minute), s.genauth.PassCode(user.id, sms)
	s.genauth.Advance(time.Minute)
	page = user.post("/mfa/confirm", "state", state, "code", code).is(http.StatusOK, "title.sent", "error.code_expired")
	assert.Equal(t, 1, s.genauth.Calls(sendPath))
	assert.Empty(t, s.genauth.Enrolled(user.id))
	state = s.pages.Backdate(page.state(), user.token, time.Minute)
	page = user.post("/mfa/send", "state", state).is(http.StatusOK, "notice.sent_again")
	user.post("/mfa/confirm", "state", page.state(), "code", s.genauth.PassCode(user.id, sms)).goes("/home")
}

// TestAddresses has which are good. What was typed stays in the form.
func TestAddresses(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		typ                  genauthtest.FactorType
		region, phone, email string
		want                 string // the field that is wrong
	}{
		"number":               {sms, "CN", "13800000000", "", ""},
		"longest":              {sms, "DE", "15123456789", "", ""},
		"too long":             {sms, "US", "12345678901234", "", "phone"},
		"none":                 {sms, "CN", "", "", "phone"},
		"short":                {sms, "CN", "123", "", "phone"},
		"letters":              {sms, "CN", "1380000x000", "", "phone"},
		"an extension":         {sms, "CN", "13800000000;ext=1", "", "phone"},
		"letters for digits":   {sms, "US", "1800FLOWERS", "", "phone"},
		"two lines":            {sms, "CN", "13800000000\n1", "", "phone"},
		"no such country":      {sms, "CN", "+999 13800000000", "", "phone"},
		"two plus signs":       {sms, "CN", "++8613800000000", "", "phone"},
		"no region":            {sms, "", "13800000000", "", "region"},
		"unknown region":       {sms, "XX", "13800000000", "", "region"},
		"a code as region":     {sms, "+86", "13800000000", "", "region"},
		"address":              {email, "", "", "ann+x@example.com", ""},
		"no address":           {email, "", "", "", "email"},
		"no host":              {email, "", "", "ann@", "email"},
		"no at":                {email, "", "", "ann", "email"},
		"with a name":          {email, "", "", "Ann <ann@example.com>", "email"},
		"in brackets":          {email, "", "", "<ann@example.com>", "email"},
		"two":                  {email, "", "", "ann@example.com,eve@example.com", "email"},
		"header":               {email, "", "", "ann@example.com\r\nBcc: eve@example.com", "email"},
		"longest address":      {email, "", "", strings.Repeat("a", 242) + "@example.com", ""},
		"too long an address":  {email, "", "", strings.Repeat("a", 243) + "@example.com", "email"},
		"number for an e-mail": {email, "CN", "13800000000", "", "email"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(set *setup) { set.Region = "GB" })
			user := s.signIn()
			page := user.begin(row.typ)
			fields := []string{"state", page.state(), "region", row.region, "phone", row.phone, "email", row.email}
			if row.want == "" {
				user.post("/mfa/send", fields...).is(http.StatusOK, "title.sent")
				return
			}
			a := user.post("/mfa/send", fields...).is(http.StatusOK, "title.address", "error."+row.want)
			assert.Contains(t, a.html, `id="`+row.want+`-error"`)
			assert.Equal(t, 1, strings.Count(a.text, english(t)["error."+row.want]), "it is said once")
			assert.Regexp(t, `aria-describedby="`+row.want+`-error" autofocus`, a.html)
			assert.Zero(t, s.genauth.Calls(sendPath))
			if row.region == "" {
				assert.Equal(t, row.typ == sms, strings.Contains(a.html, `<option value="GB" selected>`))
			}
			user.post("/mfa/send", "state", a.state(), "region", "CN", "phone", "13800000000", "email", "ann@example.com").is(http.StatusOK, "title.sent")
		})
	}
}

// TestSendFails has why no message is sent.
func TestSendFails(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		change func(*genauthtest.Answer)
		want   int
		text   string
	}{
		"HTTP 429":      {genauthtest.RateLimited("60"), 200, "notice.one_a_minute"},
		"2080":          {genauthtest.Envelope(429, 2080), 200, "notice.one_a_minute"},
		"F13: too soon": {genauthtest.Envelope(400, 2080), 200, "notice.one_a_minute"},
		"F13: refused":  {genauthtest.Envelope(422, 0), 200, "error.email_refused"},
		"F13: bad":      {genauthtest.Envelope(400, 0), 200, "error.email_refused"},
		"F13: a code":   {genauthtest.Envelope(499, 1234), 200, "error.email_refused"},
		"no such call":  {genauthtest.Envelope(404, 0), 409, "error.not_offered"},
		"unavailable":   {genauthtest.HTTPStatus(500, ""), 503, "error.unavailable"},
		"token refused": {genauthtest.Envelope(401, 2020), 303, ""},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			user := s.signIn()
			page := user.begin(email)
			s.withFault(sendPath, row.change)
			a := user.post("/mfa/send", "state", page.state(), "email", "ann@example.com").is(row.want)
			if row.text != "" {
				a.is(row.want, row.text)
			}
			if row.text == "error.email_refused" { // the field has what was typed, and can be corrected
				assert.Contains(t, a.html, `value="ann@example.com"`)
				s.genauth.ClearFaults()
				user.post("/mfa/send", "state", a.state(), "email", "anna@example.com").is(http.StatusOK, "title.sent")
			}
		})
	}
}

// TestAnotherTabSentItsCodeFirst goes on: the factor is enrolled.
func TestAnotherTabSentItsCodeFirst(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	page := user.begin(email)
	page = user.post("/mfa/send", "state", page.state(), "email", "ann@example.com").is(http.StatusOK, "title.sent")
	form := []string{"state", page.state(), "code", s.genauth.PassCode(user.id, email)}
	user.post("/mfa/confirm", form...).goes("/home")
	user.post("/mfa/confirm", form...).goes("/home")
	assert.Equal(t, []genauthtest.FactorType{email}, s.genauth.Enrolled(user.id))
}
