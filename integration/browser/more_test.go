//go:build slow

package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"
	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/enroll"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRefusalPages looks at the refusal pages in light and dark, in English and Chinese:
// a sign-in page and an enrollment page that lead back at once bring the browser to those
// that say so.
func TestRefusalPages(t *testing.T) {
	t.Parallel()
	headings := map[string][]string{
		"en":    {"Please sign in", "Set up two-step verification", headingDeadEnd, headingUnknown},
		"zh-CN": {"请登录", "请设置两步验证", "无法在此处设置所需的验证方式", "暂时无法查询您的验证方式"},
	}
	for lang, heading := range headings {
		for _, scheme := range []string{"light", "dark"} {
			t.Run(lang+" "+scheme, func(t *testing.T) {
				t.Parallel()
				genauth := startGenAuth(t, genauthtest.Config{})
				tb := newTab(t, mountRefusals(t, genauth, lang))
				tb.lang = lang
				call(tb, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
				})
				for i, path := range []string{"/nobody", "/bob", "/face", "/unknown"} {
					tb.open(path)
					tb.at([]int64{401, 403, 403, 503}[i], heading[i])
					background := map[string]string{"light": "rgb(255, 255, 255)", "dark": "rgb(29, 29, 34)"}[scheme]
					assert.Equal(t, background, eval[string](tb, `getComputedStyle(document.querySelector("main")).backgroundColor`))
					assert.Equal(t, 1, eval[int](tb, `document.querySelectorAll("main a.button").length`), "a way on")
					tb.assertAccessible(lang + " " + scheme + " " + path)
				}
			})
		}
	}
}

// mountRefusals serves guarded pages that nobody gets to see.
func mountRefusals(t *testing.T, genauth *genauthtest.Server, lang string) string {
	t.Helper()
	genauthClient, err := client.New(client.Config{BaseURL: genauth.URL(), AppID: genauth.AppID(), Timeout: patience})
	require.NoError(t, err)
	t.Cleanup(genauthClient.CloseIdleConnections)
	page, err := enroll.RefusalPage(enroll.RefusalConfig{
		Brand: enroll.Brand{Name: "Northwind Portal", Color: "#0f5c4c"}, Support: "x1234",
		Language: func(*http.Request) string { return lang },
	})
	require.NoError(t, err)
	bob, alice := genauth.AccessToken("bob-id"), genauth.AccessToken("alice-id")
	enforcer, err := echomfa.New(echomfa.Config{
		Client: genauthClient, EnrollURL: "/back/enroll", LoginURL: "/back/sign-in", RefusalPage: page,
		Lookup: echomfa.LookupConfig{Timeout: patience},
		Token: func(r *http.Request) (string, error) {
			switch r.URL.Path {
			case "/nobody":
				return "", nil
			case "/unknown":
				genauth.SetFault(genauthtest.Fault{Path: genauthtest.ListEnrolledFactorsPath, Change: genauthtest.HTTPStatus(503, "")})
				return alice, nil
			}
			return bob, nil
		},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, enforcer.Close()) })
	mux := http.NewServeMux()
	mux.HandleFunc("/back/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, enforcer.ReturnTo(r.FormValue("return_to")), http.StatusFound) //nolint:contextcheck // it takes none
	})
	for path, policy := range map[string]echomfa.Policy{"/": echomfa.AnyOf(echomfa.OTP, echomfa.Face, echomfa.Passkey), "/face": echomfa.AnyOf(echomfa.Face)} {
		mux.Handle(path, enforcer.Middleware(echomfa.HandlerConfig{Policy: policy})(http.NotFoundHandler()))
	}
	app := httptest.NewServer(mux)
	t.Cleanup(app.Close)
	return app.URL
}

// TestHTTPS walks on https, behind a proxy that ends TLS: the cookie of the step is one
// that http does not get.
func TestHTTPS(t *testing.T) {
	t.Parallel()
	var target *url.URL
	front := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	t.Cleanup(front.Close)
	var err error
	target, err = url.Parse(startPortal(t, startGenAuth(t, genauthtest.Config{}), "BASE_URL="+front.URL))
	require.NoError(t, err)
	tb := newTab(t, front.URL)
	call(tb, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
	tb.blocked()
	tb.choose("/mfa/begin", "OTP")
	tb.at(200, headingOTP)
	cookies := call(tb, network.GetCookies, network.GetCookiesParams{}).Cookies
	step := map[string]bool{}
	for _, cookie := range cookies {
		if strings.Contains(cookie.Name, "step") {
			step[cookie.Name] = cookie.Secure
		}
	}
	assert.Equal(t, map[string]bool{"__Secure-echomfa_step": true}, step)
	tb.reload()
	tb.at(200, headingOTP)
	tb.confirm(tb.codeOnPage(time.Now()))
	tb.saved()
	tb.onAdmin()
}

// TestTokenIsRenewedDuringAStep has the app renew the access token between the pages, and
// GenAuth refuse the one before: the step goes on, with the same secret.
func TestTokenIsRenewedDuringAStep(t *testing.T) {
	t.Parallel()
	ways(t, scripted, func(t *testing.T, scripts func(*tab)) {
		t.Helper()
		genauth := startGenAuth(t, genauthtest.Config{})
		var token atomic.Value
		renew := func() {
			if old, ok := token.Swap(genauth.AccessToken("bob-id")).(string); ok {
				genauth.Revoke(old)
			}
		}
		renew()
		tb := newTab(t, mountAs(t, genauth, func() string { text, _ := token.Load().(string); return text }, nil, nil))
		scripts(tb)
		tb.open("/mfa?return_to=%2Fadmin")
		tb.at(200, headingNeeded)
		renew()
		tb.choose("/mfa/begin", "OTP")
		tb.at(200, headingOTP)
		secret := tb.text("#secret")
		renew()
		tb.reload()
		tb.at(200, headingOTP)
		assert.Equal(t, secret, tb.text("#secret"))
		renew()
		tb.confirm("000000")
		tb.at(200, headingOTP)
		assert.Equal(t, secret, tb.text("#secret"))
		renew()
		tb.confirm(tb.codeOnPage(time.Now()))
		tb.at(200, headingRecovery)
		renew()
		tb.saved()
		tb.at(200, "App")
		assert.Equal(t, "/admin", tb.path())
	})
}

// TestForcedColors has what is told by color alone otherwise.
func TestForcedColors(t *testing.T) {
	t.Parallel()
	tb := newTab(t, mount(t, startGenAuth(t, genauthtest.Config{}), nil))
	call(tb, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "forced-colors", Value: "active"}},
	})
	tb.open("/mfa")
	tb.choose("/mfa/begin", "OTP")
	tb.at(200, headingOTP)
	assert.True(t, eval[bool](tb, `matchMedia("(forced-colors: active)").matches`))
	for _, selector := range []string{`form[action="/mfa/confirm"] button`, "#code"} {
		assert.Equal(t, "solid", eval[string](tb, `getComputedStyle(document.querySelector('`+selector+`')).borderTopStyle`), selector)
	}
	assert.Equal(t, "rgb(255, 255, 255)", eval[string](tb, `getComputedStyle(document.querySelector(".qr")).backgroundColor`), "a scanner needs the light around it")
}

// TestFieldF17WantedPageRedirectsAway has an app whose wanted page leads to another origin
// at once, as one does that asks an authorization server: Chromium holds the redirects
// after a form against form-action, and stayed where it was.
func TestFieldF17WantedPageRedirectsAway(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, `<!doctype html><html lang="en"><title>x</title><link rel="icon" href="data:,"><h1>Authorize</h1>`)
	}))
	t.Cleanup(elsewhere.Close)
	ways(t, scripted, func(t *testing.T, scripts func(*tab)) {
		t.Helper()
		genauth := startGenAuth(t, genauthtest.Config{})
		tb := newTab(t, mountWith(t, genauth, nil, map[string]http.HandlerFunc{"/go": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+"/authorize", http.StatusFound)
		}}))
		tb.alsoAsks = elsewhere.URL
		scripts(tb)
		tb.open("/mfa?return_to=%2Fgo%3Fa%3Db")
		tb.at(200, headingNeeded)
		tb.choose("/mfa/begin", "OTP")
		tb.at(200, headingOTP)
		tb.confirm(tb.codeOnPage(time.Now()))
		tb.saved()
		tb.at(200, "Authorize")
		assert.True(t, strings.HasPrefix(eval[string](tb, "location.href"), elsewhere.URL))
	})
}

// TestDark has the pages in the dark, with a brand of nearly black.
func TestDark(t *testing.T) {
	t.Parallel()
	genauth := startGenAuth(t, genauthtest.Config{})
	tb := newTab(t, mount(t, genauth, func(c *enroll.Config) { c.Brand.Color = "#10101a" }))
	call(tb, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}},
	})
	for _, row := range []struct {
		reach   func()
		status  int64
		heading string
	}{
		{func() { tb.open("/mfa?return_to=%2Fadmin") }, 200, headingNeeded},
		{func() { tb.choose("/mfa/begin", "OTP") }, 200, headingOTP},
		{func() { tb.confirm("000000") }, 200, headingOTP},
		{func() { tb.confirm(tb.codeOnPage(time.Now())) }, 200, headingRecovery},
		{func() { tb.open("/mfa") }, 200, headingStart},
		{func() { tb.choose("/mfa/remove", "OTP") }, 200, headingRemove},
		{func() { tb.open("/mfa/elsewhere") }, 404, headingNotFound},
	} {
		row.reach()
		tb.at(row.status, row.heading)
		assert.Equal(t, "rgb(29, 29, 34)", eval[string](tb, `getComputedStyle(document.querySelector("main")).backgroundColor`))
		tb.assertAccessible("dark: " + row.heading)
	}
}

// TestCountdown counts down with the user's time of day, and announces its end alone.
func TestCountdown(t *testing.T) {
	t.Parallel()
	tb := newTab(t, startPortal(t, startGenAuth(t, genauthtest.Config{}), "MFA_POLICY=EMAIL"))
	tb.blocked()
	tb.choose("/mfa/begin", "EMAIL")
	tb.at(200, headingAddress)
	tb.fill("#email", "bob@example.com")
	tb.button("/mfa/send")
	tb.at(200, headingSent)
	tb.wait(`Number(document.querySelector("[data-wait]").textContent.match(/in (\d+) seconds, at/)[1]) < 59`)
	assert.NotContains(t, tb.text("[data-wait]"), "UTC")
	assert.Empty(t, tb.text("[data-wait] + [role=status]"))
	eval[chromedp.Void](tb, `{ const now = Date.now; Date.now = () => now() + 60000; undefined }`) // a minute later
	tb.wait(`document.querySelector("[data-wait] + [role=status]").textContent === "You can request a new code now."`)
	assert.Empty(t, tb.text("[data-wait]"))
}

// TestBackToTheNumber goes back from the code to a number that was wrong, by the button of
// the browser and by the link.
func TestBackToTheNumber(t *testing.T) {
	t.Parallel()
	genauth := startGenAuth(t, genauthtest.Config{})
	tb := newTab(t, startPortal(t, genauth, "MFA_POLICY=SMS"))
	tb.blocked()
	tb.choose("/mfa/begin", "SMS")
	tb.at(200, headingAddress)
	for i, back := range []func(){func() { tb.travel(-1) }, func() { tb.follow(`main a[href*="/address"]`) }} {
		tb.fill("#phone", fmt.Sprintf("1380000111%d", i))
		tb.button("/mfa/send")
		tb.at(200, headingSent)
		back()
		tb.at(200, headingAddress)
		assert.Equal(t, fmt.Sprintf("1380000111%d", i), eval[string](tb, `document.querySelector("#phone").value`))
	}
	tb.fill("#phone", "13800002222")
	tb.button("/mfa/send")
	tb.at(200, headingSent)
	assert.Contains(t, tb.text("main"), "13800002222")
	tb.confirm(genauth.PassCode("bob-id", genauthtest.SMS))
	tb.onAdmin()
}

// TestMessages enrolls a phone number and an e-mail address, in an app that asks
// for both.
func TestMessages(t *testing.T) {
	t.Parallel()
	genauth := startGenAuth(t, genauthtest.Config{})
	tb := newTab(t, startPortal(t, genauth, "MFA_POLICY=SMS and EMAIL"))
	tb.blocked()
	tb.choose("/mfa/begin", "SMS")
	tb.at(200, headingAddress)
	tb.fill("#phone", "12")
	tb.button("/mfa/send")
	tb.at(200, headingAddress)
	tb.fill("#phone", "138 0000 1111")
	tb.button("/mfa/send")
	tb.at(200, headingSent)
	assert.Contains(t, tb.text("main"), "+86 13800001111")
	tb.button("/mfa/send")
	tb.at(200, headingSent)
	tb.confirm("000000")
	tb.at(200, headingSent)
	tb.confirm(genauth.PassCode("bob-id", genauthtest.SMS))
	tb.at(200, headingMore) // through the page that was wanted
	tb.choose("/mfa/begin", "EMAIL")
	tb.at(200, headingAddress)
	tb.fill("#email", "bob@example.com")
	tb.button("/mfa/send")
	tb.at(200, headingSent)
	tb.confirm(genauth.PassCode("bob-id", genauthtest.Email))
	tb.onAdmin()
}
