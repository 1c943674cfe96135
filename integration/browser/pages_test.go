//go:build slow

package browser_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/enroll"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
)

// state is a page in a state that a person can meet it in.
type state struct {
	name    string // of its pictures
	reach   func(*tab)
	status  int64
	heading string
	form    string // where a form of it goes, if it has one
}

// tour is a way through states, each reached from the one before.
type tour struct {
	start  func(*testing.T) *tab
	states []state
}

// portalTab opens the portal, with an emulator or in its demo mode.
func portalTab(genauth *genauthtest.Server, environ ...string) func(*testing.T) *tab {
	return func(t *testing.T) *tab {
		t.Helper()
		return newTab(t, startPortal(t, genauth, environ...))
	}
}

// mounted opens an app of its own. What configure does, it may also do to the
// emulator.
func mounted(cfg genauthtest.Config, configure func(*genauthtest.Server, *enroll.Config)) func(*testing.T) *tab {
	return func(t *testing.T) *tab {
		t.Helper()
		genauth := startGenAuth(t, cfg)
		return newTab(t, mount(t, genauth, func(c *enroll.Config) { configure(genauth, c) }))
	}
}

// TestPages looks at every page in every state: that it is the page and has its
// form, and has no violation of WCAG 2.2. A flag lets it take the pictures for the
// documentation.
func TestPages(t *testing.T) {
	t.Parallel()
	tours := slices.Concat(portalTours(t), pageTours(t), removalTours())
	names := map[string]bool{}
	for _, tour := range tours {
		for _, s := range tour.states {
			assert.False(t, names[s.name], "two states are called %q", s.name)
			names[s.name] = true
		}
		t.Run(tour.states[0].name, func(t *testing.T) {
			t.Parallel()
			tb := tour.start(t)
			for _, s := range tour.states {
				s.reach(tb)
				tb.at(s.status, s.heading)
				if s.form != "" {
					assert.True(t, eval[bool](tb, "document.querySelector(`main form[action=\""+s.form+"\"]`) !== null"), "%s: its form", s.name)
				}
				tb.assertAccessible(s.name)
				tb.takePictures(s.name)
			}
		})
	}
}

func portalTours(t *testing.T) []tour {
	t.Helper()
	genauth := startGenAuth(t, genauthtest.Config{})
	return []tour{
		{start: portalTab(nil), states: []state{
			{"home", func(tb *tab) { tb.open("/") }, 200, "Welcome", ""},
			{"login", func(tb *tab) { tb.open("/login") }, 200, "Sign in", "/login"},
			{"login-error", func(tb *tab) {
				tb.fill("#username", "bob")
				tb.fill("#password", "wrong")
				tb.button("/login")
			}, 401, "Sign in", "/login"},
			{"account-none", func(tb *tab) {
				tb.fill("#password", "bob-password")
				tb.button("/login")
			}, 200, "Your account", ""},
			{"demo", func(tb *tab) { tb.open("/demo") }, 200, "Demo phone", ""},
		}},
		{start: portalTab(genauth), states: []state{
			{"start", (*tab).blockedQuietly, 200, headingNeeded, "/mfa/begin"},
			{"otp", func(tb *tab) { tb.choose("/mfa/begin", "OTP") }, 200, headingOTP, "/mfa/confirm"},
			{"otp-error", func(tb *tab) { tb.confirm("000000") }, 200, headingOTP, "/mfa/confirm"},
			{"recovery", func(tb *tab) { tb.confirm(tb.codeOnPage(genauth.Now())) }, 200, headingRecovery, "/mfa/done"},
			{"recovery-error", func(tb *tab) {
				// The browser itself insists on the box.
				tb.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#saved").required = false`))
				tb.button("/mfa/done")
			}, 200, headingRecovery, "/mfa/done"},
			{"admin", func(tb *tab) {
				tb.click("#saved")
				tb.button("/mfa/done")
			}, 200, "Admin", ""},
			{"account", func(tb *tab) { tb.open("/account") }, 200, "Your account", "/mfa/remove"},
			{"start-satisfied", func(tb *tab) { tb.follow("main a.button") }, 200, headingStart, "/mfa/begin"},
			{"face", func(tb *tab) { tb.choose("/mfa/begin", "FACE") }, 200, headingFace, "/mfa/check"},
			{"prove", func(tb *tab) {
				tb.open("/mfa")
				tb.choose("/mfa/begin", "SMS")
			}, 200, headingProve, "/mfa/begin"},
			{"prove-error", func(tb *tab) {
				tb.fill("#code", "000000")
				tb.button("/mfa/begin")
			}, 200, headingProve, "/mfa/begin"},
			{"remove-locks", func(tb *tab) {
				tb.open("/account")
				tb.choose("/mfa/remove", "OTP")
			}, 200, headingRemove, "/mfa/remove"},
			{"remove-error", func(tb *tab) {
				tb.click("#understood")
				tb.fill("#code", "000000")
				tb.button("/mfa/remove")
			}, 200, headingRemove, "/mfa/remove"},
			{"not-found", func(tb *tab) { tb.open("/mfa/elsewhere") }, 404, headingNotFound, ""},
		}},
	}
}

// blockedQuietly is blocked without its last step, which the caller takes.
func (tb *tab) blockedQuietly() {
	tb.t.Helper()
	tb.open(wanted)
	tb.signIn()
}

func pageTours(t *testing.T) []tour {
	t.Helper()
	messages, elsewhere, away := startGenAuth(t, genauthtest.Config{}), startGenAuth(t, genauthtest.Config{}), startGenAuth(t, genauthtest.Config{})
	return []tour{
		{start: portalTab(messages, "MFA_POLICY=SMS or EMAIL"), states: []state{
			{"start-messages", (*tab).blockedQuietly, 200, headingNeeded, "/mfa/begin"},
			{"address-sms", func(tb *tab) { tb.choose("/mfa/begin", "SMS") }, 200, headingAddress, "/mfa/send"},
			{"address-sms-error", func(tb *tab) {
				tb.fill("#phone", "12")
				tb.button("/mfa/send")
			}, 200, headingAddress, "/mfa/send"},
			{"address-email", func(tb *tab) {
				tb.open("/mfa")
				tb.choose("/mfa/begin", "EMAIL")
			}, 200, headingAddress, "/mfa/send"},
			{"address-email-error", func(tb *tab) {
				tb.fill("#email", "bob@@example.com")
				tb.do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#email").type = "text"`))
				tb.button("/mfa/send")
			}, 200, headingAddress, "/mfa/send"},
			{"sent", func(tb *tab) {
				tb.fill("#email", "bob@example.com")
				tb.button("/mfa/send")
			}, 200, headingSent, "/mfa/confirm"},
			{"sent-error", func(tb *tab) { tb.confirm("000000") }, 200, headingSent, "/mfa/confirm"},
			{"sent-too-soon", func(tb *tab) { tb.button("/mfa/send") }, 200, headingSent, "/mfa/confirm"},
		}},
		{start: mounted(genauthtest.Config{}, func(_ *genauthtest.Server, c *enroll.Config) {
			c.RecentSignIn = func(*http.Request) (enroll.SignIn, error) {
				return enroll.SignIn{Subject: "bob-id", Time: time.Now().Add(-time.Hour)}, nil
			}
		}), states: []state{
			{"signin", func(tb *tab) {
				tb.open("/mfa?return_to=%2Fadmin")
				tb.choose("/mfa/begin", "OTP")
			}, 403, headingSignIn, ""},
			{"face-not-here", func(tb *tab) {
				tb.open("/mfa")
				tb.post("/mfa/begin", "type", "FACE")
			}, 200, headingFace, ""},
			{"state-error", func(tb *tab) {
				tb.open("/mfa")
				tb.post("/mfa/confirm", "state", "x")
			}, 400, headingStart, ""},
		}},
		{start: mounted(genauthtest.Config{EnabledFactors: []genauthtest.FactorType{genauthtest.SMS}}, func(_ *genauthtest.Server, c *enroll.Config) {
			c.Support = "the help desk, phone 1234"
		}), states: []state{
			{"deadend", func(tb *tab) { tb.open("/mfa") }, 200, headingDeadEnd, ""},
		}},
		{start: portalTab(elsewhere), states: []state{
			{"already", func(tb *tab) {
				tb.blocked()
				tb.choose("/mfa/begin", "OTP")
				tb.at(200, headingOTP)
				elsewhere.Enroll("bob-id", genauthtest.OTP)
				tb.confirm(tb.codeOnPage(time.Now()))
			}, 200, headingStart, ""},
		}},
		{start: crossSiteTab, states: []state{
			{"cross-site", func(tb *tab) { tb.follow("button") }, 403, headingStart, ""},
		}},
		{start: mounted(genauthtest.Config{}, func(genauth *genauthtest.Server, c *enroll.Config) {
			genauth.SetFault(genauthtest.Fault{Path: "/api/v3/list-factors-to-enroll", Change: genauthtest.HTTPStatus(503, "")})
			c.Support = "the help desk, phone 1234"
		}), states: []state{
			{"unavailable", func(tb *tab) { tb.open("/mfa") }, 503, headingStart, ""},
		}},
		{start: portalTab(away), states: []state{
			{"refusal-unavailable", func(tb *tab) {
				away.SetFault(genauthtest.Fault{Path: genauthtest.ListEnrolledFactorsPath, Change: genauthtest.HTTPStatus(503, "")})
				tb.blockedQuietly()
			}, 503, headingUnknown, ""},
			{"refusal-retried", func(tb *tab) {
				away.ClearFaults()
				tb.until("the page to open", func() bool {
					tb.follow("main a.button")
					tb.wait("document.readyState === 'complete'")
					if tb.text("h1") != headingUnknown {
						return true
					}
					tb.at(503, headingUnknown)
					return false
				})
			}, 200, headingNeeded, "/mfa/begin"},
		}},
		{start: chineseTab, states: []state{
			{"zh-start", (*tab).blockedQuietly, 200, "设置两步验证", "/mfa/begin"},
			{"zh-otp", func(tb *tab) { tb.choose("/mfa/begin", "OTP") }, 200, "设置身份验证器应用", "/mfa/confirm"},
			{"zh-otp-error", func(tb *tab) { tb.confirm("000000") }, 200, "设置身份验证器应用", "/mfa/confirm"},
			{"zh-recovery", func(tb *tab) {
				assert.Equal(tb.t, "验证码不正确，请检查后重试。", tb.text("#code-error"))
				tb.confirm(tb.codeOnPage(time.Now()))
			}, 200, "请保存恢复代码", "/mfa/done"},
			{"zh-start-satisfied", func(tb *tab) { tb.open("/mfa") }, 200, "您的验证方式", "/mfa/begin"},
			{"zh-remove-locks", func(tb *tab) { tb.choose("/mfa/remove", "OTP") }, 200, "移除验证方式", "/mfa/remove"},
		}},
	}
}

// chineseTab opens the portal for somebody who reads Chinese.
func chineseTab(t *testing.T) *tab {
	t.Helper()
	tb := portalTab(startGenAuth(t, genauthtest.Config{}))(t)
	call(tb, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{
		UserAgent: eval[string](tb, "navigator.userAgent"), AcceptLanguage: "zh-CN",
	})
	tb.lang = "zh-CN" // of every page, the portal's too
	return tb
}

func removalTours() []tour {
	several := mounted(genauthtest.Config{}, func(genauth *genauthtest.Server, c *enroll.Config) {
		genauth.Enroll("bob-id", genauthtest.SMS)
		genauth.SetFault(genauthtest.Fault{Change: genauthtest.Data(`[
			{"factorId":"65a1b2c3d4e5f60718293a01","factorType":"SMS","profile":{"phoneNumber":"13800001111"}},
			{"factorId":"65a1b2c3d4e5f60718293a02","factorType":"SMS","profile":{"phoneNumber":"13800002222"}}]`)})
		c.Policy = echomfa.AnyOf(echomfa.Email, echomfa.Face)
	})
	return []tour{
		{start: several, states: []state{
			{"start-other-enrolled", func(tb *tab) { tb.open("/mfa") }, 200, headingMore, "/mfa/remove"},
			{"remove", func(tb *tab) { tb.post("/mfa/remove", "type", "SMS") }, 200, headingRemove, "/mfa/remove"},
			{"remove-choose-error", func(tb *tab) {
				tb.do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("[type=radio]").forEach((r) => { r.required = false })`))
				tb.button("/mfa/remove")
			}, 200, headingRemove, "/mfa/remove"},
		}},
	}
}

// post sends a form that no page has.
func (tb *tab) post(action, name, value string) {
	tb.t.Helper()
	form := fmt.Sprintf(`<form method="post" action=%q><input type="hidden" name=%q value=%q><button id="sends">Send</button></form>`, action, name, value)
	eval[chromedp.Void](tb, fmt.Sprintf("document.querySelector('main').insertAdjacentHTML('afterbegin', %q)", form))
	tb.follow("#sends")
}

// crossSiteTab opens a page of another site, with a form that goes to the app.
func crossSiteTab(t *testing.T) *tab {
	t.Helper()
	tb := newTab(t, mount(t, startGenAuth(t, genauthtest.Config{}), nil))
	tb.visit(`data:text/html,<!doctype html><form method="post" action="` + tb.app + `/mfa/remove"><button>Click me</button></form>`)
	return tb
}
