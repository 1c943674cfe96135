//go:build slow

package browser_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/pquerna/otp/totp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/integration/nginxtest"
)

// foxTab is a tab of a Firefox with one app in it. Whatever goes wrong in it fails the
// test: a request to another host, a line on the console, a violation of the
// Content-Security-Policy, a dialog.
type foxTab struct {
	t       *testing.T
	f       *firefox
	context string
	user    string // whose cookies it has
	app     string

	mu       sync.Mutex
	status   int64 // of the document that was loaded last
	requests int
	problems []string
}

// tab opens a tab. One with no user shares nothing with others.
func (f *firefox) tab(t *testing.T, app, user string) *foxTab {
	t.Helper()
	tb := &foxTab{t: t, f: f, app: app, user: user}
	if user == "" {
		var made struct{ UserContext string }
		f.call(t, "browser.createUserContext", object{}, &made)
		tb.user = made.UserContext
	}
	var made struct{ Context string }
	f.call(t, "browsingContext.create", object{"type": "tab", "userContext": tb.user}, &made)
	tb.context = made.Context
	f.mu.Lock()
	f.tabs[tb.context] = tb
	f.mu.Unlock()
	f.call(t, "script.addPreloadScript", object{
		"functionDeclaration": `(tell) => document.addEventListener("securitypolicyviolation", (e) => tell(e.violatedDirective + " " + e.blockedURI))`,
		"arguments":           []object{{"type": "channel", "value": object{"channel": "violations"}}},
		"contexts":            []string{tb.context}, "sandbox": "test",
	}, nil)
	t.Cleanup(tb.assertQuiet)
	return tb
}

// resize makes the window another size, with so many pixels of the device for one.
func (tb *foxTab) resize(width, height int, ratio float64) {
	tb.t.Helper()
	tb.f.call(tb.t, "browsingContext.setViewport", object{
		"context": tb.context, "viewport": object{"width": width, "height": height}, "devicePixelRatio": ratio,
	}, nil)
}

// foxEval evaluates JavaScript beside the page's own.
func foxEval[T any](tb *foxTab, script string) (v T, err error) {
	var said struct {
		Type   string
		Result struct{ Value string }
	}
	if err := tb.f.try("script.evaluate", object{
		"expression": "JSON.stringify(" + script + ")", "awaitPromise": true,
		"target": object{"context": tb.context, "sandbox": "test"},
	}, &said); err != nil {
		return v, err
	}
	if said.Type != "success" {
		return v, fmt.Errorf("%s: %s", script, said.Type)
	}
	if said.Result.Value == "" { // undefined
		return v, nil
	}
	err = json.Unmarshal([]byte(said.Result.Value), &v)
	return v, err
}

// wait waits until JavaScript says true.
func (tb *foxTab) wait(script string) {
	tb.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if holds, err := foxEval[bool](tb, script); err == nil && holds {
			return
		}
		if time.Now().After(deadline) {
			where, err := foxEval[string](tb, "location.href + '\\n' + document.body.innerText")
			require.Fail(tb.t, "waited in vain for "+script, "at %s %v", where, err)
		}
	}
}

// leave does what leads to another document, and waits until it is there.
func (tb *foxTab) leave(do func()) {
	tb.t.Helper()
	_, err := foxEval[bool](tb, "globalThis.left = true")
	require.NoError(tb.t, err)
	do()
	tb.wait("globalThis.left !== true && document.readyState === 'complete'")
}

func (tb *foxTab) open(path string) {
	tb.t.Helper()
	tb.f.call(tb.t, "browsingContext.navigate", object{"context": tb.context, "url": tb.app + path, "wait": "complete"}, nil)
}

func (tb *foxTab) reload() {
	tb.t.Helper()
	tb.f.call(tb.t, "browsingContext.reload", object{"context": tb.context, "wait": "complete"}, nil)
}

func (tb *foxTab) travel(by int) {
	tb.t.Helper()
	tb.f.call(tb.t, "browsingContext.traverseHistory", object{"context": tb.context, "delta": by}, nil)
}

// click clicks the middle of the one element that a selector finds.
func (tb *foxTab) click(selector string) {
	tb.t.Helper()
	tb.wait(fmt.Sprintf("document.querySelectorAll(%q).length === 1", selector))
	_, err := foxEval[bool](tb, fmt.Sprintf("document.querySelector(%q).scrollIntoView({block: 'center', behavior: 'instant'})", selector))
	require.NoError(tb.t, err)
	var found struct{ Nodes []struct{ SharedID string } }
	tb.f.call(tb.t, "browsingContext.locateNodes", object{"context": tb.context, "locator": object{"type": "css", "value": selector}}, &found)
	require.Len(tb.t, found.Nodes, 1)
	tb.act(object{"type": "pointer", "id": "mouse", "actions": []object{
		{"type": "pointerMove", "x": 0, "y": 0, "origin": object{"type": "element", "element": object{"sharedId": found.Nodes[0].SharedID}}},
		{"type": "pointerDown", "button": 0},
		{"type": "pointerUp", "button": 0},
	}})
}

// press presses keys, one after the other.
func (tb *foxTab) press(keys string) {
	tb.t.Helper()
	var actions []object
	for _, key := range keys {
		actions = append(actions, object{"type": "keyDown", "value": string(key)}, object{"type": "keyUp", "value": string(key)})
	}
	tb.act(object{"type": "key", "id": "keyboard", "actions": actions})
}

func (tb *foxTab) act(source object) {
	tb.t.Helper()
	tb.f.call(tb.t, "input.performActions", object{"context": tb.context, "actions": []object{source}}, nil)
}

// The keys that have a name (w3.org/TR/webdriver2/#keyboard-actions).
const (
	keyTab   = "\uE004"
	keyEnter = "\uE007"
)

// reach goes with the Tab key to what a selector finds.
func (tb *foxTab) reach(selector string) {
	tb.t.Helper()
	for range 50 {
		tb.press(keyTab)
		there, err := foxEval[bool](tb, fmt.Sprintf("document.activeElement.matches(%q)", selector))
		require.NoError(tb.t, err)
		if there {
			return
		}
	}
	require.Fail(tb.t, "the Tab key does not lead to "+selector)
}

func (tb *foxTab) fill(selector, text string) {
	tb.t.Helper()
	tb.click(selector)
	_, err := foxEval[bool](tb, fmt.Sprintf("document.querySelector(%q).select()", selector))
	require.NoError(tb.t, err)
	tb.press(text)
}

func (tb *foxTab) button(action string) {
	tb.t.Helper()
	tb.leave(func() { tb.click(fmt.Sprintf("form[action$=%q] button", action)) })
}

func (tb *foxTab) choose(action, factor string) {
	tb.t.Helper()
	tb.leave(func() {
		tb.click(fmt.Sprintf("form[action$=%q]:has(input[name=type][value=%s]) button", action, factor))
	})
}

func (tb *foxTab) text(selector string) string {
	tb.t.Helper()
	text, err := foxEval[string](tb, fmt.Sprintf("document.querySelector(%q).textContent", selector))
	require.NoError(tb.t, err)
	return text
}

// at waits for a page, by its heading.
func (tb *foxTab) at(heading string) {
	tb.t.Helper()
	tb.wait(fmt.Sprintf("document.readyState === 'complete' && document.querySelector('h1')?.textContent === %q", heading))
	sideways, err := foxEval[bool](tb, "document.documentElement.scrollWidth > window.innerWidth")
	require.NoError(tb.t, err)
	assert.False(tb.t, sideways, "%s has to be scrolled sideways", heading)
	tb.mu.Lock()
	defer tb.mu.Unlock()
	assert.Equal(tb.t, int64(200), tb.status, heading)
}

func (tb *foxTab) code() string {
	tb.t.Helper()
	code, err := totp.GenerateCode(strings.ReplaceAll(tb.text("#secret"), " ", ""), time.Now())
	require.NoError(tb.t, err)
	return code
}

// blocked signs bob in on the way to the admin page, where more is needed.
func (tb *foxTab) blocked(signIn, needed string) {
	tb.t.Helper()
	tb.open(wanted)
	tb.at(signIn)
	tb.fill("#username", "bob")
	tb.fill("#password", "bob-password")
	tb.button("/login")
	tb.at(needed)
}

// finish types the code, saves the recovery code, and is at the admin page.
func (tb *foxTab) finish(recovery string) {
	tb.t.Helper()
	tb.fill("#code", tb.code())
	tb.button("/mfa/confirm")
	tb.at(recovery)
	tb.click("#saved")
	tb.button("/mfa/done")
	tb.at("Admin")
	where, err := foxEval[string](tb, "location.pathname + location.search")
	require.NoError(tb.t, err)
	assert.True(tb.t, strings.HasSuffix(where, wanted), where)
}

// walk goes from "Admin" to "Admin", with all that people do on the way: a wrong code,
// reload, back and forward, a typed address, a tab that is closed.
func (tb *foxTab) walk() {
	tb.t.Helper()
	tb.blocked("Sign in", headingNeeded)
	tb.choose("/mfa/begin", "OTP")
	tb.at(headingOTP)
	secret := tb.text("#secret")
	same := func(tb *foxTab) {
		tb.t.Helper()
		tb.at(headingOTP)
		assert.Equal(tb.t, secret, tb.text("#secret"))
	}
	tb.reload()
	same(tb)
	tb.travel(-1)
	tb.at(headingNeeded)
	tb.travel(1)
	same(tb)
	tb.fill("#code", "000000")
	tb.button("/mfa/confirm")
	same(tb)
	assert.Contains(tb.t, tb.text("main"), "That code is incorrect.")
	at, err := foxEval[string](tb, "location.href")
	require.NoError(tb.t, err)
	second := tb.f.tab(tb.t, tb.app, tb.user) // beside it, and after it was closed
	second.open(strings.TrimPrefix(at, tb.app))
	same(second)
	second.finish(headingRecovery)
	second.open("/mfa")
	second.at(headingStart)
}

// TestFirefox walks with Debian's Firefox: on http by a name behind nginx, on https in a
// small window and at 200 % zoom, with the keyboard only, without JavaScript, in Chinese
// and in the dark. One after the other: a browser has one focus.
func TestFirefox(t *testing.T) { //nolint:tparallel // its rows wait for each other
	t.Parallel()
	portal := func(environ ...string) string {
		return startPortal(t, startGenAuth(t, genauthtest.Config{}), environ...)
	}
	f := startFirefox(t)
	t.Run("http by name, behind nginx", func(t *testing.T) {
		nginx := nginxtest.Listen(t)
		_, port, err := net.SplitHostPort(nginx.Address)
		require.NoError(t, err)
		address := "http://portal.test:" + port + "/tools"
		nginx.Serve(t, "location /tools/ { proxy_pass "+portal("BASE_URL="+address)+"/; }")
		f.tab(t, address, "").walk()
	})
	t.Run("https, 320 pixels, 200 %", func(t *testing.T) {
		var target *url.URL
		front := httptest.NewTLSServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
		t.Cleanup(front.Close)
		var err error
		target, err = url.Parse(portal("BASE_URL=" + front.URL))
		require.NoError(t, err)
		tb := f.tab(t, front.URL, "")
		tb.resize(320, 480, 2)
		tb.walk()
	})
	t.Run("keyboard", func(t *testing.T) {
		tb := f.tab(t, portal(), "")
		tb.blocked("Sign in", headingNeeded)
		tb.reach(`form[action="/mfa/begin"]:has(input[value=OTP]) button`)
		tb.leave(func() { tb.press(keyEnter) })
		tb.at(headingOTP)
		tb.reach("#code")
		tb.leave(func() { tb.press("000000" + keyEnter) })
		tb.at(headingOTP)
		tb.wait("document.activeElement.id === 'code'") // the field that was wrong
		tb.leave(func() { tb.press(tb.code() + keyEnter) })
		tb.at(headingRecovery)
		tb.reach("#saved")
		tb.press(" ")
		tb.leave(func() { tb.press(keyEnter) })
		tb.at("Admin")
	})
	t.Run("without JavaScript", func(t *testing.T) {
		f := startFirefox(t, `"javascript.enabled", false`)
		tb := f.tab(t, portal(), "")
		tb.walk()
		tb.open("/account")
		scripted, err := foxEval[string](tb, "String(matchMedia('(scripting: none)').matches)")
		require.NoError(t, err)
		assert.Equal(t, "true", scripted, "there is no JavaScript indeed")
	})
	t.Run("Chinese, in the dark", func(t *testing.T) {
		f := startFirefox(t, `"intl.accept_languages", "zh-CN"`, `"ui.systemUsesDarkTheme", 1`)
		tb := f.tab(t, portal(), "")
		tb.blocked("登录", "设置两步验证")
		dark, err := foxEval[bool](tb, "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).every((part) => part < 80)")
		require.NoError(t, err)
		assert.True(t, dark)
		tb.choose("/mfa/begin", "OTP")
		tb.at("设置身份验证器应用")
		tb.fill("#code", tb.code())
		tb.button("/mfa/confirm")
		tb.at("请保存恢复代码")
	})
}
