package enroll_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
)

// TestFieldF11NumbersAsPeopleTypeThem has numbers with a country code that was selected
// too, with the digit that is dialed inside of a country, and with what is pasted along.
func TestFieldF11NumbersAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	rows := map[string]struct{ region, typed, want, selected string }{
		"plain":                           {"CN", "13800138004", "+86 13800138004", "CN"},
		"whole":                           {"CN", "+86 138 0013 8004", "+86 13800138004", "CN"},
		"whole, with 00":                  {"CN", "0086 138 0013 8004", "+86 13800138004", "CN"},
		"whole, without a plus":           {"CN", "8613800138004", "+86 13800138004", "CN"},
		"whole, another is selected":      {"US", "+86 138 0013 8004", "+86 13800138004", "CN"},
		"with 00, where one dials 011":    {"US", "0086 138 0013 8004", "+86 13800138004", "CN"},
		"with 011":                        {"US", "011 86 138 0013 8004", "+86 13800138004", "CN"},
		"a wide plus":                     {"CN", "＋８６ １３８００１３８００４", "+86 13800138004", "CN"},
		"marks that nobody sees":          {"CN", "\u202a+86\u00a0138\u200b0013\u20118004\u202c", "+86 13800138004", "CN"},
		"Arabic digits":                   {"EG", "\u0660\u0661\u0660\u0660 \u0661\u0662\u0663 \u0664\u0665\u0666\u0667", "+20 1001234567", "EG"},
		"trunk prefix":                    {"GB", "07700 900123", "+44 7700900123", "GB"},
		"trunk prefix in brackets":        {"GB", "+44 (0)7700 900123", "+44 7700900123", "GB"},
		"Italy keeps it":                  {"IT", "06 1234 5678", "+39 0612345678", "IT"},
		"Italy, mobile":                   {"IT", "+39 312 345 6789", "+39 3123456789", "IT"},
		"Russia's 8":                      {"RU", "8 912 345-67-89", "+7 9123456789", "RU"},
		"one code, several: as selected":  {"CA", "201-555-0123", "+1 2015550123", "CA"},
		"one code, several: as it says":   {"CN", "+1 204 555 0123", "+1 2045550123", "CA"},
		"a country with a plus, national": {"KZ", "+7 701 123 4567", "+7 7011234567", "KZ"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			user := s.signIn()
			page := user.begin(sms)
			sent := user.post("/mfa/send", "state", page.state(), "region", row.region, "phone", row.typed).is(http.StatusOK, "title.sent")
			assert.Contains(t, sent.text, "We sent a code to "+row.want+".")
			back := user.do(http.MethodGet, strings.Replace(sent.at, "/code", "/address", 1), nil, with(sent.cookies)).is(http.StatusOK, "title.address")
			assert.Contains(t, back.html, `<option value="`+row.selected+`" selected>`)
			user.post("/mfa/confirm", "state", sent.state(), "code", s.genauth.PassCode(user.id, sms)).is(http.StatusOK, "title.enrolled")
			assert.Equal(t, []genauthtest.FactorType{sms}, s.genauth.Enrolled(user.id))
		})
	}
	s := newSite(t, nil)
	user := s.signIn()
	page := user.post("/mfa/send", "state", user.begin(sms).state(), "region", "GB", "phone", "+44 77x").is(http.StatusOK, "error.phone")
	assert.Contains(t, page.text, `value="+44 77x"`, "what was typed stays")
	assert.Contains(t, page.html, `<option value="GB" selected>`)
}
