package enroll_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
)

// TestBugEscapedReturnToThePages has return-tos that lead to the pages once
// they are decoded, as net/http routes them.
func TestBugEscapedReturnToThePages(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn(otp)
	for _, back := range []string{"/%6dfa", "/%6Dfa?x=y", "/mf%61/begin", "/mfa%2Fbegin"} {
		user.post("/mfa/check", "return_to", back).goes("/home")
	}
	user.post("/mfa/check", "return_to", "/%6dfax").goes("/%6dfax")
}

// elsewhere are return-tos that lead to another origin, in the eyes of one
// browser or another, or into the pages themselves.
func elsewhere() []string {
	return []string{
		"https://evil.example", "http://evil.example/admin", "HTTPS:evil.example", "//evil.example", "///evil.example", `/\evil.example`,
		`\\evil.example`, `\/evil.example`, "/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "\t//evil.example", " //evil.example",
		"/%2fevil.example", "/%2Fevil.example", "/%5cevil.example", "/%5Cevil.example", "/%09/evil.example", "/%0a/evil.example",
		"/%252fevil.example", "/%25252fevil.example", "/a/..//evil.example", "/a/../../evil.example", "/a/..%2f/evil.example", "/./evil", "/..", "/%2e%2e/evil",
		"/.%2e//evil.example", "javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "evil.example", "@evil.example",
		"/admin#x", "/admin\x00", "/admin\r\nSet-Cookie: a=b", "/admin?a=b\r\nX: y", "/admin?a#b", "?a=b", "admin", "", ":", "/\u2028", "/é", "/a b",
		"/mfa", "/mfa/", "/mfa?return_to=/x", "/mfa/begin", "/mfa/x/y", "/mfa/?x", "https://app.example", "https://app.example.evil.example/",
		"https://app.example@evil.example/", "https://app.example//evil.example", "https://app.example/mfa", "http://app.example/admin",
		"/" + strings.Repeat("a", 3000),
	}
}

// TestReturnToElsewhere has them at every door: in links, forms, hidden fields
// and redirects.
func TestReturnToElsewhere(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.MFA.ReturnTo.BaseURL = "https://app.example" })
	s.pages.Unlimited()
	user, old := s.signIn(email), s.with(s.genauth.AddUser(genauthtest.User{}).ID, nil)
	address := user.begin(sms)
	for _, back := range elsewhere() {
		escaped := url.QueryEscape(back)
		pages := []answer{
			user.get("/mfa?return_to=" + escaped).is(http.StatusOK),
			user.get("/mfa?return_to=" + escaped + "&return_to=/admin").is(http.StatusOK),
			user.post("/mfa/begin", "type", "SMS", "return_to", back).is(http.StatusOK),
			user.post("/mfa/begin", "type", "FACE", "return_to", back).is(http.StatusOK),
			user.post("/mfa/send", "state", address.state(), "return_to", back).is(http.StatusOK),
			user.post("/mfa/confirm", "return_to", back).is(http.StatusBadRequest),
			user.post("/mfa/remove", "type", "EMAIL", "return_to", back).is(http.StatusOK),
			old.post("/mfa/begin", "type", "SMS", "return_to", back).is(http.StatusForbidden),
		}
		for _, a := range pages {
			assert.NotContains(t, a.html, `name="return_to"`, "%q", back)
			assert.NotContains(t, a.html, "return_to=", "%q", back)
			assert.NotContains(t, a.html, "evil", "%q", back)
			assertOwnLinks(t, a)
		}
		user.post("/mfa/done", "saved", "yes", "return_to", back).goes("/home")
		user.post("/mfa/check", "return_to", back).goes("/home")
		user.post("/mfa/begin", "return_to", back).goes("/mfa")
		user.post("/mfa/remove", "type", "OTP", "return_to", back).goes("/home")
		user.post("/mfa/check?return_to=/admin", "return_to", back).goes("/home") // the form counts
	}
}

var addresses = regexp.MustCompile(`(?:href|src|action|formaction|value)="([^"]*)"`)

// assertOwnLinks checks that no address on a page leaves the app.
func assertOwnLinks(t *testing.T, a answer) {
	t.Helper()
	for _, found := range addresses.FindAllStringSubmatch(a.html, -1) {
		if found[0] == `href="data:,"` {
			continue // no icon
		}
		u, err := url.Parse(html.UnescapeString(found[1]))
		if assert.NoError(t, err) {
			assert.Empty(t, u.Host, found[0])
			assert.Empty(t, u.Scheme, found[0])
		}
	}
}

// TestReturnToKept comes back byte for byte.
func TestReturnToKept(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.MFA.ReturnTo.BaseURL = "https://app.example" })
	s.pages.Unlimited()
	user := s.signIn(otp)
	for _, back := range []string{
		"/", "/admin", "/admin/", "/admin?page=2&sort=a%26b", "/admin?a=b+c&d=%2F%2f", "/a%20b", "/a%2Fb?x", "/admin?", "/mfax", "/m", "/x/mfa",
		"/admin?next=https://evil.example/", "/admin?q='\"<>", "/%E4%BD%A0?q=你", "/a;b=c,d:e@f!$'()*+~", "/admin?return_to=/mfa",
	} {
		a := user.get("/mfa?return_to=" + url.QueryEscape(back)).is(http.StatusOK)
		assert.Contains(t, a.text, `name="return_to" value="`+back+`"`)
		user.post("/mfa/check", "return_to", back).goes(back)
		user.post("/mfa/check", "return_to", "https://app.example"+back).goes(back)
		user.post("/mfa/done", "return_to", back).goes(back)
		_, link, _ := strings.Cut(a.html, `<a class="button" href="`)
		link, _, _ = strings.Cut(link, `"`)
		want, err := url.Parse(back)
		if !assert.NoError(t, err) {
			continue
		}
		have, err := url.Parse(html.UnescapeString(link))
		if assert.NoError(t, err) {
			assert.Equal(t, want.Path, have.Path) // html/template escapes quotes and brackets in links
			assert.Equal(t, want.Query(), have.Query())
		}
		moved := user.post("/mfa/begin", "return_to", back)
		location, err := url.Parse(moved.Header.Get("Location"))
		if assert.NoError(t, err) {
			assert.Equal(t, back, location.Query().Get("return_to"))
		}
	}
}

// TestReturnToParam may have another name.
func TestReturnToParam(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.MFA.ReturnTo.Param = "next" })
	user := s.signIn()
	a := user.get("/mfa?next=/admin&return_to=/x").is(http.StatusOK)
	assert.Contains(t, a.html, `name="next" value="/admin"`)
	assert.NotContains(t, a.html, "return_to")
	user.post("/mfa/check", "next", "/admin", "return_to", "/x").goes("/admin")
	user.post("/mfa/begin", "next", "/admin").goes("/mfa?next=%2Fadmin")
}
