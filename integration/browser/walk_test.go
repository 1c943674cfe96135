package browser_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The headings of the pages in English.
const (
	headingNeeded   = "Set up two-step verification"
	headingMore     = "Add another verification method"
	headingStart    = "Your verification methods"
	headingNotFound = "Page not found"
	headingOTP      = "Set up an authenticator app"
	headingRecovery = "Save your recovery code"
	headingAddress  = "Where do we send your code?"
	headingSent     = "Enter your code"
	headingProve    = "Confirm that it is you"
	headingSignIn   = "Sign in again"
	headingRemove   = "Remove a verification method"
	headingRemoved  = "Verification method removed"
	headingFace     = "Set up at GenAuth"
	headingDeadEnd  = "You cannot set up the required method here"
)

// headingUnknown is that of the refusal page while GenAuth cannot be asked.
const headingUnknown = "We couldn't check your verification methods"

const wanted = "/admin?tab=users&x=1"

// signIn signs bob in on the sign-in page.
func (tb *tab) signIn() {
	tb.t.Helper()
	tb.at(200, map[string]string{"en": "Sign in", "zh-CN": "登录"}[tb.lang])
	tb.fill("#username", "bob")
	tb.fill("#password", "bob-password")
	tb.button("/login")
}

// blocked signs bob in on the way to the admin page, where more is needed.
func (tb *tab) blocked() {
	tb.t.Helper()
	tb.open(wanted)
	tb.signIn()
	tb.at(200, headingNeeded)
}

// codeOnPage computes the code from the secret that the page shows, as an
// authenticator app does. The clock is the emulator's.
func (tb *tab) codeOnPage(now time.Time) string {
	tb.t.Helper()
	code, err := totp.GenerateCode(strings.ReplaceAll(tb.text("#secret"), " ", ""), now)
	require.NoError(tb.t, err)
	return code
}

// confirm types a code and sends it.
func (tb *tab) confirm(code string) {
	tb.t.Helper()
	tb.fill("#code", code)
	tb.button("/mfa/confirm")
}

// saved says that the recovery code is saved.
func (tb *tab) saved() {
	tb.t.Helper()
	tb.at(200, headingRecovery)
	assert.Regexp(tb.t, "^[0-9a-f]{4}(-[0-9a-f]{4}){5}$", tb.text("#recovery-code"))
	tb.click("#saved")
	tb.button("/mfa/done")
}

// onAdmin asserts that the tab shows the page that was wanted at first.
func (tb *tab) onAdmin() {
	tb.t.Helper()
	tb.at(200, "Admin")
	assert.Equal(tb.t, wanted, tb.path())
}

// enrollOTP walks from the enrollment page to the page that was wanted.
func (tb *tab) enrollOTP() {
	tb.t.Helper()
	tb.choose("/mfa/begin", "OTP")
	tb.at(200, headingOTP)
	tb.confirm(tb.codeOnPage(time.Now()))
	tb.saved()
	tb.onAdmin()
}

// TestWalk is the way from the sign-in page to the admin page, by mouse, in a small
// window, and without JavaScript.
func TestWalk(t *testing.T) {
	t.Parallel()
	t.Run("phone", func(t *testing.T) {
		t.Parallel()
		genauth := startGenAuth(t, genauthtest.Config{})
		tb := newTab(t, startPortal(t, genauth))
		tb.resize(320, 640)
		tb.blocked()
		tb.choose("/mfa/begin", "OTP")
		tb.at(200, headingOTP)
		tb.confirm("000000")
		tb.at(200, headingOTP)
		tb.confirm(tb.codeOnPage(time.Now()))
		tb.saved()
		tb.onAdmin()
		tb.open("/mfa")
		tb.at(200, headingStart)
		tb.choose("/mfa/begin", "SMS")
		tb.at(200, headingProve)
		tb.open("/account")
		tb.at(200, "Your account")
		tb.choose("/mfa/remove", "OTP")
		tb.at(200, headingRemove)
	})
	t.Run("without JavaScript", func(t *testing.T) {
		t.Parallel()
		genauth := startGenAuth(t, genauthtest.Config{})
		tb := newTab(t, startPortal(t, genauth))
		call(tb, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		tb.blocked()
		tb.choose("/mfa/begin", "OTP")
		tb.at(200, headingOTP)
		assert.Equal(t, "none", eval[string](tb, "getComputedStyle(document.querySelector('[data-copy]')).display"), "a button that does nothing")
		tb.confirm(tb.codeOnPage(time.Now()))
		tb.saved()
		tb.onAdmin()
		tb.open("/account")
		tb.at(200, "Your account")
		tb.remove(genauth.OTPCode("bob-id"))
		tb.at(200, headingRemoved)
		tb.follow("main a.button")
		tb.at(200, "Your account")
	})
}

// TestDemo walks through the demo mode as its first page says, with the code
// from the demo's phone.
func TestDemo(t *testing.T) {
	t.Parallel()
	tb := newTab(t, startPortal(t, nil))
	tb.open("/")
	tb.at(200, "Welcome")
	tb.follow(`main a[href="/login"]`)
	tb.signIn()
	tb.at(200, "Your account")
	tb.open("/")
	tb.at(200, "Welcome")
	tb.follow(`a[href="/admin?tab=users"]`)
	tb.at(200, headingNeeded)
	tb.choose("/mfa/begin", "OTP")
	tb.at(200, headingOTP)
	phone := tb.another()
	phone.open("/demo")
	phone.at(200, "Demo phone")
	code := phone.text("tbody tr:nth-child(2) td:nth-child(2)")
	tb.confirm(code)
	tb.saved()
	tb.at(200, "Admin")
	assert.Equal(t, "/admin?tab=users", tb.path())
}

// TestKeyboard walks with nothing but a keyboard.
func TestKeyboard(t *testing.T) {
	t.Parallel()
	tb := newTab(t, startPortal(t, startGenAuth(t, genauthtest.Config{})))
	tb.open(wanted)
	tb.at(200, "Sign in")
	tb.tabTo("#username")
	tb.do(chromedp.KeyEvent("bob"))
	tb.tabTo("#password")
	tb.do(chromedp.KeyEvent("bob-password"))
	tb.leave(chromedp.KeyEvent(kb.Enter))
	tb.at(200, headingNeeded)
	tb.tabTo(`form[action="/mfa/begin"] button`)
	tb.leave(chromedp.KeyEvent(kb.Enter))
	tb.at(200, headingOTP)
	code := tb.codeOnPage(time.Now())
	tb.tabTo("#code")
	tb.do(chromedp.KeyEvent("000000"))
	tb.leave(chromedp.KeyEvent(kb.Enter))
	tb.at(200, headingOTP)
	tb.wait(`document.activeElement === document.querySelector("#code")`)
	tb.do(chromedp.KeyEvent(code))
	tb.tabTo(`form[action="/mfa/confirm"] button`)
	tb.leave(chromedp.KeyEvent(kb.Enter))
	tb.at(200, headingRecovery)
	tb.tabTo("#saved")
	tb.do(chromedp.KeyEvent(" "))
	tb.tabTo(`form[action="/mfa/done"] button`)
	tb.leave(chromedp.KeyEvent(kb.Enter))
	tb.onAdmin()
}

func (tb *tab) focused(selector string) bool {
	tb.t.Helper()
	return eval[bool](tb, "document.activeElement === document.querySelector(`"+selector+"`)")
}

// hasFocus waits until an element has the focus: a browser gives it to a field of the page
// when it has painted it.
func (tb *tab) hasFocus(selector string) {
	tb.t.Helper()
	tb.wait("document.activeElement === document.querySelector(`" + selector + "`)")
}

// tabTo presses the tabulator until an element has the focus, which must be
// seen.
func (tb *tab) tabTo(selector string) {
	tb.t.Helper()
	for range 30 {
		tb.do(chromedp.KeyEvent(kb.Tab))
		if tb.focused(selector) {
			assert.NotEqual(tb.t, "none", eval[string](tb, "getComputedStyle(document.activeElement).outlineStyle"), "the focus cannot be seen")
			return
		}
	}
	require.Fail(tb.t, "the keyboard does not reach "+selector, "at %s", tb)
}
