package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/echomfa/echomfa/rules/rulestest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newOps has the portal with its operator's page.
func newOps(t *testing.T) (genauth *genauthtest.Server, app, ops http.Handler) {
	t.Helper()
	genauth = genauthtest.Start(t)
	addDemoUsers(genauth)
	s, err := readSettings(env("GENAUTH_HOST", genauth.URL(), "GENAUTH_APP_ID", genauth.AppID()))
	require.NoError(t, err)
	p, err := newPortal(s, nil)
	require.NoError(t, err)
	t.Cleanup(p.close)
	return genauth, p.handler(), p.ops.handler()
}

// press sends a form of the operator's page.
func press(t *testing.T, ops http.Handler, target string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for _, line := range headers {
		key, value, _ := strings.Cut(line, ": ")
		r.Header.Set(key, value)
	}
	w := httptest.NewRecorder()
	ops.ServeHTTP(w, r)
	return w
}

const opsAt = "http://127.0.0.1:8081"

// TestOperatorSwitchesAndForgets has what the operator's page does, seen from the portal.
func TestOperatorSwitchesAndForgets(t *testing.T) {
	t.Parallel()
	genauth, app, ops := newOps(t)
	alice, bob := "Authorization: Bearer "+genauth.AccessToken("alice-id"), "Authorization: Bearer "+genauth.AccessToken("bob-id")
	assert.Equal(t, http.StatusBadRequest, press(t, ops, opsAt+"/invalidate", url.Values{"user": {""}}).Code)
	assert.Equal(t, http.StatusOK, press(t, ops, opsAt+"/invalidate", url.Values{"user": {"alice-id"}}).Code, "nothing is left of who was not there")
	assert.Equal(t, http.StatusForbidden, get(t, app, "/api/admin", bob).Code)
	assert.Equal(t, http.StatusSeeOther, press(t, ops, opsAt+"/mode", url.Values{"mode": {"report-only"}}).Code)
	assert.Equal(t, http.StatusOK, get(t, app, "/api/admin", bob).Code)
	assert.Contains(t, get(t, ops, opsAt+"/").Body.String(), "nobody is blocked")
	assert.Equal(t, http.StatusBadRequest, press(t, ops, opsAt+"/mode", url.Values{"mode": {"off"}}).Code)
	assert.Equal(t, http.StatusSeeOther, press(t, ops, opsAt+"/mode", url.Values{"mode": {"enforce"}}).Code)
	assert.Equal(t, http.StatusForbidden, get(t, app, "/api/admin", bob).Code)

	assert.Equal(t, http.StatusOK, get(t, app, "/api/admin", alice).Code)
	genauth.Reset("alice-id", genauthtest.OTP)
	assert.Equal(t, http.StatusOK, get(t, app, "/api/admin", alice).Code, "seen within FreshFor")
	assert.Equal(t, http.StatusOK, press(t, ops, opsAt+"/invalidate", url.Values{"user": {"alice-id"}}).Code)
	assert.Equal(t, http.StatusForbidden, get(t, app, "/api/admin", alice).Code)

	page := get(t, ops, opsAt+"/").Body.String()
	for _, want := range []string{"<td>not_enrolled</td><td>true</td><td>GET /api/admin</td>", "<td>not_enrolled</td><td>false</td>", "<td>allowed</td>"} {
		assert.Contains(t, page, want)
	}
	refs := regexp.MustCompile(`<td><code>([^<]*)</code></td><td><code>[A-Z2-7]{26}</code></td>`).FindAllStringSubmatch(page, -1)
	require.Len(t, refs, 4, "bob refused, let through and refused; alice refused")
	assert.Len(t, refs[1][1], 16)
	assert.Equal(t, refs[1][1], refs[2][1])
	assert.Equal(t, refs[1][1], refs[3][1])
	assert.NotEqual(t, refs[0][1], refs[1][1], "of another token")
	for _, f := range figures("", reflect.ValueOf(echomfa.Stats{})) {
		assert.Contains(t, page, `<th scope="row">`+f.Name+"</th>")
	}
	for range 2 * kept {
		get(t, app, "/api/admin", bob)
	}
	assert.Equal(t, kept, strings.Count(get(t, ops, opsAt+"/").Body.String(), "<td>GET /api/admin</td>"))
}

// TestOperatorsPageIsOnlyHere has who gets the operator's page, and whose forms count.
func TestOperatorsPageIsOnlyHere(t *testing.T) {
	t.Parallel()
	_, app, ops := newOps(t)
	for at, want := range map[string]int{
		opsAt: 200, "http://localhost:8081": 200, "http://[::1]:8081": 200,
		"http://evil.example:8081": 421, "http://127.0.0.1.evil.example:8081": 421, "http://10.0.0.1:8081": 421, "http://evil.example": 421,
	} {
		w := get(t, ops, at+"/")
		assert.Equal(t, want, w.Code, at)
		assert.Equal(t, want == http.StatusOK, strings.Contains(w.Body.String(), "Figures"), at)
	}
	form := url.Values{"mode": {"report-only"}}
	for header, want := range map[string]int{
		"Sec-Fetch-Site: cross-site": 403, "Sec-Fetch-Site: same-site": 403, "Origin: http://127.0.0.1:8080": 403, "Origin: null": 403,
		"Sec-Fetch-Site: same-origin": 303,
	} {
		assert.Equal(t, want, press(t, ops, opsAt+"/mode", form, header).Code, header)
	}
	w := get(t, ops, opsAt+"/")
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	assert.Contains(t, w.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'")
	assert.Equal(t, http.StatusNotFound, get(t, app, "/mode").Code, "the portal has none of it")
}

// TestPagesInChinese walks through the portal's pages, the refusal pages and the
// enrollment pages as a reader of Chinese: none of them is in English.
func TestPagesInChinese(t *testing.T) {
	t.Parallel()
	genauth, app, _ := newOps(t)
	bob := "Authorization: Bearer " + genauth.AccessToken("bob-id")
	alice := "Authorization: Bearer " + genauth.AccessToken("alice-id")
	const browser, html = "Sec-Fetch-Mode: navigate", "Accept: text/html"
	for target, row := range map[string]struct {
		who, heading string
		status       int
	}{
		"/":        {"", "欢迎", 200},
		"/login":   {"", "登录", 200},
		"/account": {alice, "您的账户", 200},
		"/admin":   {alice, "管理", 200},
		"/nowhere": {"", "页面不存在", 404},
		"/admin/x": {alice, "页面不存在", 404},
		"/mfa":     {bob, "", 200},
	} {
		headers := []string{browser, html, "Accept-Language: zh-Hans-CN,en;q=0.5"}
		if row.who != "" {
			headers = append(headers, row.who)
		}
		w := get(t, app, target, headers...)
		assert.Equal(t, row.status, w.Code, target)
		assert.Equal(t, "zh-CN", w.Header().Get("Content-Language"), target)
		assert.Contains(t, w.Body.String(), `<html lang="zh-CN">`, target)
		if row.heading != "" {
			assert.Contains(t, w.Body.String(), "<h1>"+row.heading+"</h1>", target)
			assert.Contains(t, w.Body.String(), "管理页面要求：<strong>身份验证器或人脸</strong>", target)
		}
	}
	w := get(t, app, "/admin", browser, "Sec-Fetch-Dest: iframe", "Accept-Language: zh-CN", bob)
	assert.Equal(t, http.StatusForbidden, w.Code)
	assert.Contains(t, w.Body.String(), "Northwind Portal")
	assert.Equal(t, "zh-CN", w.Header().Get("Content-Language"))
}

// TestChineseIsComplete has a Chinese text for each short text of the pages.
func TestChineseIsComplete(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"home", "login", "account", "admin", "demo", "not-found", "failed"} {
		assert.Contains(t, chinese, title(name))
	}
	for _, typ := range []echomfa.FactorType{echomfa.OTP, echomfa.SMS, echomfa.Email, echomfa.Face, echomfa.Passkey} {
		assert.Contains(t, chinese, factorName(typ))
	}
	raw, err := files.ReadFile("pages/layout.html")
	require.NoError(t, err)
	short := shortTexts(string(raw))
	require.Greater(t, len(short), 15)
	for _, text := range short {
		assert.Contains(t, chinese, text)
	}
}

// shortTexts are what a template has translated.
func shortTexts(template string) []string {
	var found []string
	for rest, ok := template, true; ok; {
		if _, rest, ok = strings.Cut(rest, `t "`); ok && !strings.HasPrefix(rest, "/") {
			text, _, _ := strings.Cut(rest, `"`)
			found = append(found, text)
		}
	}
	return found
}

// TestNotFound has the page for browsers, and what programs get.
func TestNotFound(t *testing.T) {
	t.Parallel()
	genauth, app, _ := newOps(t)
	w := get(t, app, "/nowhere", "Accept: text/html")
	assert.Equal(t, http.StatusNotFound, w.Code)
	assert.Contains(t, w.Header().Get("Content-Type"), "text/html")
	assert.Contains(t, w.Body.String(), "<h1>Page not found</h1>")
	alice, bob := "Authorization: Bearer "+genauth.AccessToken("alice-id"), "Authorization: Bearer "+genauth.AccessToken("bob-id")
	w = get(t, app, "/admin/nowhere", "Accept: text/html", alice)
	assert.Equal(t, http.StatusNotFound, w.Code)
	assert.Contains(t, w.Body.String(), "<h1>Page not found</h1>")
	assert.Equal(t, http.StatusForbidden, get(t, app, "/admin/nowhere", bob).Code, "who is not let in is not told")
	w = get(t, app, "/nowhere", "Accept: application/json")
	assert.Equal(t, http.StatusNotFound, w.Code)
	assert.Contains(t, w.Header().Get("Content-Type"), "application/json")
}

// TestPolicyName has what the portal asks for in words.
func TestPolicyName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		"OTP":                          {"Authenticator app", "身份验证器"},
		"OTP and EMAIL":                {"Authenticator app and E-mail", "身份验证器和电子邮件"},
		"FACE or PASSKEY":              {"Face or Passkey", "人脸或通行密钥"},
		"OTP and (SMS or \"X-BADGE\")": {"Authenticator app and Text message or Authenticator app and X-BADGE", "身份验证器和短信或身份验证器和X-BADGE"},
	} {
		policy, err := echomfa.ParsePolicy(text)
		require.NoError(t, err)
		assert.Equal(t, want, [2]string{policyName("en", policy), policyName("zh-CN", policy)})
	}
}

// TestRulesChangeWhileThePortalRuns goes from report-only to enforce by editing the file of
// rules, and shows a mistake in it, and its coverage, on the operator's page.
func TestRulesChangeWhileThePortalRuns(t *testing.T) {
	t.Parallel()
	genauth := genauthtest.Start(t)
	addDemoUsers(genauth)
	file := filepath.Join(t.TempDir(), "rules.yaml")
	text := fmt.Sprintf(builtIn, "OTP", "/mfa")
	write := func(text string) {
		require.NoError(t, os.WriteFile(file+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(file+".new", file))
	}
	write(strings.Replace(text, "mode: enforce", "mode: report-only", 1))
	s, err := readSettings(env("GENAUTH_HOST", genauth.URL(), "GENAUTH_APP_ID", genauth.AppID(), "RULES_FILE", file))
	require.NoError(t, err)
	p, err := newPortal(s, nil)
	require.NoError(t, err)
	t.Cleanup(p.close)
	bob := "Authorization: Bearer " + genauth.AccessToken("bob-id")
	page := func() string { return get(t, p.ops.handler(), opsAt+"/").Body.String() }

	assert.Equal(t, http.StatusOK, get(t, p.handler(), "/api/admin", bob).Code)
	for _, want := range []string{
		"nobody is blocked", "<li>GET /api/admin -&gt; rule admin: admin (OTP), report only</li>", "<li>/* (the app&#39;s 404) -&gt; rule public: open", "Static and Proxy",
	} {
		assert.Contains(t, page(), want)
	}
	write(text)
	require.NoError(t, p.ops.rules.Reload())
	w := get(t, p.handler(), "/api/admin", bob)
	assert.Equal(t, http.StatusForbidden, w.Code)
	assert.Contains(t, w.Body.String(), `"rule":"admin"`)
	assert.Contains(t, page(), "<li>GET /api/admin -&gt; rule admin: admin (OTP)</li>")

	write(strings.Replace(text, "require: admin", "require: admim", 1))
	require.Error(t, p.ops.rules.Reload())
	assert.Equal(t, http.StatusForbidden, get(t, p.handler(), "/api/admin", bob).Code)
	assert.Contains(t, page(), "The rules read last are in use")

	write(text)
	require.NoError(t, p.ops.rules.Reload())
	assert.NotContains(t, page(), "The rules read last are in use")
}

// TestCoverageOfThePortal holds what guards each page against a golden file.
func TestCoverageOfThePortal(t *testing.T) {
	t.Parallel()
	demo, err := startDemo()
	require.NoError(t, err)
	t.Cleanup(demo.Close)
	s, err := readSettings(nil)
	require.NoError(t, err)
	s.host, s.appID = demo.URL(), demo.AppID()
	p, err := newPortal(s, demo)
	require.NoError(t, err)
	t.Cleanup(p.close)
	rulestest.AssertCoverage(t, p.app, p.set, "testdata/mfa-coverage.golden")
}
