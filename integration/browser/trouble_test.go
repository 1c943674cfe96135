package browser_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/chromedp"
	"github.com/echomfa/echomfa/enroll"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestWrongCode shows that a wrong code is said at the field, and that the right
// one is good after it.
func TestWrongCode(t *testing.T) {
	t.Parallel()
	tb := newTab(t, startPortal(t, startGenAuth(t, genauthtest.Config{})))
	tb.blocked()
	tb.choose("/mfa/begin", "OTP")
	tb.at(200, headingOTP)
	secret := tb.text("#secret")
	tb.confirm("000000")
	tb.at(200, headingOTP)
	tb.hasFocus("#code") // which is wrong
	assert.Equal(t, "true", eval[string](tb, `document.querySelector("#code").getAttribute("aria-invalid")`))
	assert.Equal(t, "That code is incorrect. Check it and try again.", eval[string](tb,
		`document.getElementById(document.querySelector("#code").getAttribute("aria-describedby")).textContent`))
	assert.Equal(t, 1, strings.Count(tb.text("main"), "That code is incorrect."), "it is said once")
	assert.Regexp(t, "^Error: ", eval[string](tb, "document.title"))
	assert.Equal(t, secret, tb.text("#secret"), "nothing to scan again")
	tb.confirm(tb.codeOnPage(time.Now()))
	tb.saved()
	tb.onAdmin()
}

// TestRemoved shows when a factor that is gone shuts the page: soon after it was
// removed behind the portal's back, at once after it was removed by the pages.
func TestRemoved(t *testing.T) {
	t.Parallel()
	genauth := startGenAuth(t, genauthtest.Config{})
	tb := newTab(t, startPortal(t, genauth, "FRESH_FOR=1s"))
	tb.blocked()
	tb.enrollOTP()
	genauth.Reset("bob-id")
	tb.until("the page to be shut", func() bool {
		tb.open(wanted)
		return tb.text("h1") != "Admin"
	})
	tb.at(200, headingNeeded)

	shut := newTab(t, startPortal(t, genauth, "FRESH_FOR=5m"))
	shut.blocked()
	shut.enrollOTP()
	shut.open("/account")
	shut.at(200, "Your account")
	shut.remove(genauth.OTPCode("bob-id"))
	shut.at(200, headingRemoved)
	assert.Contains(t, shut.text("[role=status]"), "authenticator app")
	shut.follow("main a.button")
	shut.at(200, "Your account")
	assert.Contains(t, shut.text("main"), "You have not set up any yet.")
	shut.open(wanted)
	shut.at(200, headingNeeded)
	shut.enrollOTP()
}

// remove removes the authenticator app by the account page.
func (tb *tab) remove(code string) {
	tb.t.Helper()
	tb.choose("/mfa/remove", "OTP")
	tb.at(200, headingRemove)
	tb.click("#understood")
	tb.fill("#code", code)
	tb.button("/mfa/remove")
}

// TestTwoTabs enrolls in two tabs at once.
func TestTwoTabs(t *testing.T) {
	t.Parallel()
	one := newTab(t, startPortal(t, startGenAuth(t, genauthtest.Config{})))
	one.blocked()
	two := one.another()
	two.open(wanted)
	two.at(200, headingNeeded)
	one.choose("/mfa/begin", "OTP")
	one.at(200, headingOTP)
	two.choose("/mfa/begin", "OTP")
	two.at(200, headingOTP)
	one.confirm(one.codeOnPage(time.Now()))
	one.saved()
	one.onAdmin()
	two.confirm(two.codeOnPage(time.Now()))
	two.at(200, headingStart)
	assert.Contains(t, two.text("[role=status]"), "set up already")
	two.follow("main a.button")
	two.onAdmin()
}

// TestSignInAgain shows the way of a session whose sign-in is too long ago.
func TestSignInAgain(t *testing.T) {
	t.Parallel()
	signedIn := time.Now().Add(-time.Hour)
	tb := newTab(t, mount(t, startGenAuth(t, genauthtest.Config{}), func(c *enroll.Config) {
		c.RecentSignIn = func(*http.Request) (enroll.SignIn, error) {
			return enroll.SignIn{Subject: "bob-id", Time: signedIn}, nil
		}
	}))
	tb.open("/mfa?return_to=%2Fadmin")
	tb.at(200, headingNeeded)
	tb.choose("/mfa/begin", "OTP")
	tb.at(403, headingSignIn)
	assert.Equal(t, "/login?return_to=%2Fmfa%2Fsigned-in%3Freturn_to%3D%252Fadmin&prompt=login", eval[string](tb, "document.querySelector('main a.button').getAttribute('href')"))
	tb.follow("main a.button")
	tb.at(200, "App")
	tb.open("/mfa/signed-in?return_to=%2Fadmin") // as single sign-on sends back at once
	tb.at(403, headingSignIn)
	assert.Contains(t, tb.text("[role=alert]"), "without entering your password")
}

// TestRecoveryCode copies the recovery code and saves it as a file.
func TestRecoveryCode(t *testing.T) {
	t.Parallel()
	tb := newTab(t, startPortal(t, startGenAuth(t, genauthtest.Config{})))
	tb.blocked()
	tb.choose("/mfa/begin", "OTP")
	tb.at(200, headingOTP)
	tb.confirm(tb.codeOnPage(time.Now()))
	tb.at(200, headingRecovery)
	code := tb.text("#recovery-code")
	_, err := chromedp.CallBrowser(tb.ctx(), cdpbrowser.SetPermission, cdpbrowser.SetPermissionParams{
		Permission: &cdpbrowser.PermissionDescriptor{Name: "clipboard-write"},
		Setting:    cdpbrowser.PermissionSettingGranted,
		Origin:     tb.app, BrowserContextID: chromedp.FromContext(tb.ctx()).BrowserContextID,
	})
	require.NoError(t, err)
	tb.click("[data-copy]")
	tb.wait(`document.querySelector("[data-copy]").textContent === "Copied"`)

	dir := t.TempDir()
	_, err = chromedp.CallBrowser(tb.ctx(), cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{
		Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow, DownloadPath: dir,
		BrowserContextID: chromedp.FromContext(tb.ctx()).BrowserContextID,
	})
	require.NoError(t, err)
	tb.click(`form[action="/mfa/recovery"] button`)
	var file []byte
	tb.until("the file", func() bool {
		file, err = os.ReadFile(filepath.Join(dir, "recovery-code-"+time.Now().UTC().Format(time.DateOnly)+".txt"))
		return err == nil && len(file) > 0
	})
	assert.Contains(t, string(file), "Recovery code of Northwind Portal\nAccount: bob\n")
	assert.Contains(t, string(file), "\n"+code+"\n")
	tb.saved()
	tb.onAdmin()
}
