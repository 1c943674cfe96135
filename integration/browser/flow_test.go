package browser_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
)

// The ways to walk through the pages.
const (
	scripted   = "with JavaScript"
	unscripted = "without JavaScript"
)

// portalWays is ways, in a tab of a portal of its own.
func portalWays(t *testing.T, way string, walk func(tb *tab)) {
	t.Helper()
	ways(t, way, func(t *testing.T, scripts func(*tab)) {
		t.Helper()
		tb := newTab(t, startPortal(t, startGenAuth(t, genauthtest.Config{})))
		scripts(tb)
		walk(tb)
	})
}

// ways runs a test in one way, and with the tag slow in both: scripts leaves a tab its
// JavaScript, or takes it away.
func ways(t *testing.T, way string, walk func(t *testing.T, scripts func(*tab))) {
	t.Helper()
	for name, disabled := range map[string]bool{scripted: false, unscripted: true} {
		if name != way && !allWays {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			walk(t, func(tb *tab) {
				call(tb, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: disabled})
			})
		})
	}
}

// TestHistory goes back and forward, and reloads, at each step: the browser never asks
// whether to send a form again, the secret stays the same, and the person gets on.
func TestHistory(t *testing.T) {
	t.Parallel()
	portalWays(t, scripted, func(tb *tab) {
		tb.blocked()
		start := tb.path()
		tb.choose("/mfa/begin", "OTP")
		tb.at(200, headingOTP)
		secret := tb.text("#secret")
		same := func() {
			tb.t.Helper()
			tb.at(200, headingOTP)
			assert.Equal(tb.t, secret, tb.text("#secret"))
		}
		tb.reload()
		same()
		tb.travel(-1)
		tb.at(200, headingNeeded)
		tb.travel(1)
		same()
		tb.confirm("000000")
		same()
		assert.Contains(tb.t, tb.text("main"), "That code is incorrect.")
		tb.reload()
		same()
		app := tb.path()
		tb.confirm(tb.codeOnPage(time.Now()))
		tb.at(200, headingRecovery)
		code := tb.text("#recovery-code")
		tb.reload()
		tb.at(200, headingRecovery)
		assert.Equal(tb.t, code, tb.text("#recovery-code"))
		tb.travel(-1)
		tb.at(200, headingStart) // that step is finished
		assert.Contains(tb.t, tb.text("[role=status]"), "finished")
		tb.travel(1)
		tb.at(200, headingRecovery)
		assert.Equal(tb.t, code, tb.text("#recovery-code"))
		tb.saved()
		tb.onAdmin()
		tb.reload()
		tb.onAdmin()
		tb.travel(-1) // the page in between is not in the history
		tb.at(200, headingStart)
		assert.NotContains(tb.t, tb.text("main"), code)
		tb.follow("main a.button")
		tb.onAdmin()
		for _, kept := range []string{start, app} {
			tb.open(kept)
			tb.at(200, headingStart)
			tb.follow("main a.button")
			tb.onAdmin()
		}
	})
}

// TestClosedTab closes the tab in the middle, as a phone does while the user is in the
// authenticator app, and opens its address again.
func TestClosedTab(t *testing.T) {
	t.Parallel()
	first := newTab(t, startPortal(t, startGenAuth(t, genauthtest.Config{})))
	first.blocked()
	closed := first.another()
	closed.open(wanted)
	closed.at(200, headingNeeded)
	closed.choose("/mfa/begin", "OTP")
	closed.at(200, headingOTP)
	at, secret := closed.path(), closed.text("#secret")
	call(closed, page.Close, cdp.Empty{})

	tb := first.another()
	tb.open(at)
	tb.at(200, headingOTP)
	assert.Equal(t, secret, tb.text("#secret"))
	tb.confirm(tb.codeOnPage(time.Now()))
	tb.saved()
	tb.onAdmin()
}

// TestSessionEndsInTheMiddle signs out in another tab: the form leads to the sign-in page,
// and from there to the page it was on.
func TestSessionEndsInTheMiddle(t *testing.T) {
	t.Parallel()
	portalWays(t, unscripted, func(tb *tab) {
		tb.blocked()
		tb.choose("/mfa/begin", "OTP")
		tb.at(200, headingOTP)
		secret, other := tb.text("#secret"), tb.another()
		other.open("/account")
		other.at(200, "Your account")
		other.button("/logout")
		other.at(200, "Welcome")
		tb.confirm(tb.codeOnPage(time.Now()))
		tb.signIn()
		tb.at(200, headingOTP)
		assert.Equal(tb.t, secret, tb.text("#secret"))
		tb.confirm(tb.codeOnPage(time.Now()))
		tb.saved()
		tb.onAdmin()
	})
}

// TestCookieGone has a reload without the cookie of the page: the user is told, and the way is kept.
func TestCookieGone(t *testing.T) {
	t.Parallel()
	tb := newTab(t, mount(t, startGenAuth(t, genauthtest.Config{}), nil))
	tb.open("/mfa?return_to=%2Fadmin")
	tb.at(200, headingNeeded)
	tb.choose("/mfa/begin", "OTP")
	tb.at(200, headingOTP)
	call(tb, network.ClearBrowserCookies, cdp.Empty{})
	tb.reload()
	tb.at(200, headingNeeded)
	assert.Contains(t, tb.text("[role=status]"), "cookies")
	assert.Equal(t, "/admin", eval[string](tb, `document.querySelector("[name=return_to]").value`))
}

// TestErrorsAreInView at 200 % and 400 % zoom: of a window of 1280 by 800, that much is left.
func TestErrorsAreInView(t *testing.T) {
	t.Parallel()
	portalWays(t, scripted, func(tb *tab) {
		tb.blocked()
		tb.choose("/mfa/begin", "OTP")
		for _, zoomed := range [][2]int64{{640, 400}, {320, 200}} {
			tb.resize(zoomed[0], zoomed[1])
			tb.at(200, headingOTP)
			tb.confirm("000000")
			tb.at(200, headingOTP)
			for _, selector := range []string{"#code", "#code-error"} {
				tb.wait(fmt.Sprintf(`(() => {
					const box = document.querySelector(%q).getBoundingClientRect();
					return box.top >= 0 && box.bottom <= window.innerHeight;
				})()`, selector))
			}
			tb.hasFocus("#code")
		}
		tb.confirm(tb.codeOnPage(time.Now()))
		tb.at(200, headingRecovery)
	})
}
