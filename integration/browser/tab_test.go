package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patience is how long a test waits for what must happen, on a machine that does
// a lot of other things.
const patience = time.Minute

// tab is a tab of the browser with one app in it. Whatever goes wrong in it
// fails the test: a request to another host, an error on the console, an
// exception, a violation of the Content-Security-Policy, a dialog.
type tab struct {
	t   *testing.T
	ctx func() context.Context // in which its commands run
	app string                 // the address of the app
	// alsoAsks is another address that a test may ask for.
	alsoAsks string
	lang     string // that pages must have

	mu       sync.Mutex
	status   map[cdp.LoaderID]int64 // of documents
	loader   cdp.LoaderID           // of the document that is shown
	loads    int                    // how many documents have been shown
	problems []string
	expected map[string]int // problems that a test is about
	requests int
}

// newTab opens a tab that shares nothing with others.
func newTab(t *testing.T, app string) *tab {
	t.Helper()
	return openTab(t, shared.chromium.context, app, chromedp.WithNewBrowserContext())
}

// another opens a tab beside tb, with the same cookies.
func (tb *tab) another() *tab { return openTab(tb.t, tb.ctx, tb.app) }

func openTab(t *testing.T, parent func() context.Context, app string, options ...chromedp.ContextOption) *tab {
	t.Helper()
	tb := &tab{t: t, app: app, lang: "en", status: map[cdp.LoaderID]int64{}, expected: map[string]int{}}
	ctx, cancel := chromedp.NewContext(parent(), append(options, chromedp.WithListener(tb.see))...)
	tb.ctx = func() context.Context { return ctx }
	t.Cleanup(func() {
		tb.assertQuiet()
		cancel()
	})
	// The first call opens the tab, which lives as long as its context.
	require.NoError(t, chromedp.Do(ctx))
	call(tb, network.Enable, network.EnableParams{})
	call(tb, audits.Enable, cdp.Empty{})
	tb.resize(1280, 800)
	return tb
}

// call sends a command to the tab.
func call[P, R any](tb *tab, command cdp.Command[P, R], params P) R {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx(), patience)
	defer cancel()
	r, err := chromedp.Call(ctx, command, params)
	require.NoError(tb.t, err)
	return r
}

// eval evaluates JavaScript beside the page's own, which works with scripts
// disabled too.
func eval[T any](tb *tab, script string) T {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx(), patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	require.NoError(tb.t, err, script)
	return v
}

// do does what a user does.
func (tb *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx(), patience)
	defer cancel()
	require.NoError(tb.t, chromedp.Do(ctx, steps...), "at %s", tb)
}

// leave does what leads to another document, and waits until it is there.
func (tb *tab) leave(steps ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	tb.mu.Lock()
	before := tb.loads
	tb.mu.Unlock()
	tb.do(steps...)
	tb.until("another page", func() bool {
		tb.mu.Lock()
		defer tb.mu.Unlock()
		return tb.loads > before
	})
}

// until waits for a condition.
func (tb *tab) until(what string, holds func() bool) {
	tb.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			require.Fail(tb.t, "waited in vain for "+what, "at %s", tb)
		}
	}
}

// wait waits until JavaScript says true. Until then it may fail: a document may
// be on its way out.
func (tb *tab) wait(script string) {
	tb.t.Helper()
	tb.until(script, func() bool {
		ctx, cancel := context.WithTimeout(tb.ctx(), patience)
		defer cancel()
		holds, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script))
		return err == nil && holds
	})
}

// String tells where the tab is, for a test that fails.
func (tb *tab) String() string {
	ctx, cancel := context.WithTimeout(tb.ctx(), patience)
	defer cancel()
	where, err := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.body?.innerText"))
	if err != nil {
		return err.Error()
	}
	return where
}

// open opens a page of the app.
func (tb *tab) open(path string) {
	tb.t.Helper()
	tb.visit(tb.app + path)
}

func (tb *tab) visit(address string) {
	tb.t.Helper()
	tb.leave(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, page.Navigate, page.NavigateParams{URL: address})
		return err
	}))
	tb.wait("document.readyState === 'complete'")
}

func (tb *tab) reload() {
	tb.t.Helper()
	tb.leave(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, page.Reload, page.ReloadParams{})
		return err
	}))
}

// travel goes back or forward in the history, by so many entries.
func (tb *tab) travel(by int64) {
	tb.t.Helper()
	history := call(tb, page.GetNavigationHistory, cdp.Empty{})
	entry := history.Entries[history.CurrentIndex+by]
	tb.leave(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: entry.ID})
		return err
	}))
}

// resize makes the window another size.
func (tb *tab) resize(width, height int64) {
	tb.t.Helper()
	call(tb, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1, Mobile: width < 600,
	})
}

// follow clicks what leads to another document.
func (tb *tab) follow(selector string) {
	tb.t.Helper()
	tb.leave(tb.mouseOn(selector))
}

// button clicks the button of the form that goes to a path.
func (tb *tab) button(action string) {
	tb.t.Helper()
	tb.follow(fmt.Sprintf("form[action=%q] button", tb.prefix()+action))
}

// choose clicks the button of a factor in the form that goes to a path.
func (tb *tab) choose(action, factor string) {
	tb.t.Helper()
	tb.follow(fmt.Sprintf("form[action=%q]:has(input[name=type][value=%s]) button", tb.prefix()+action, factor))
}

func (tb *tab) click(selector string) {
	tb.t.Helper()
	tb.do(tb.mouseOn(selector))
}

// mouseOn clicks the middle of the one element that a selector finds. (Chromedp's
// own way knows nothing of a page that the browser has kept and shows again.)
func (tb *tab) mouseOn(selector string) chromedp.Action[chromedp.Void] {
	tb.t.Helper()
	// Before it has painted the page, the browser does not heed the mouse.
	tb.wait("document.readyState === 'complete' && performance.getEntriesByName('first-contentful-paint').length > 0")
	at := eval[[]float64](tb, fmt.Sprintf(`(() => {
		const found = document.querySelectorAll(%q);
		if (found.length !== 1) return [];
		found[0].scrollIntoView({block: "center", behavior: "instant"});
		const box = found[0].getBoundingClientRect();
		const at = [box.x + box.width / 2, box.y + box.height / 2];
		return found[0].contains(document.elementFromPoint(...at)) ? at : [];
	})()`, selector))
	require.Len(tb.t, at, 2, "%s cannot be clicked at %s", selector, tb)
	return chromedp.MouseClickXY(at[0], at[1])
}

// fill types into an input that may have a text already.
func (tb *tab) fill(selector, text string) {
	tb.t.Helper()
	tb.click(selector)
	eval[chromedp.Void](tb, fmt.Sprintf("document.querySelector(%q).select()", selector))
	call(tb, input.InsertText, input.InsertTextParams{Text: text})
}

func (tb *tab) text(selector string) string {
	tb.t.Helper()
	return eval[string](tb, fmt.Sprintf("document.querySelector(%q).textContent", selector))
}

// path returns the path in the app and the query that the tab is at.
func (tb *tab) path() string {
	tb.t.Helper()
	path, found := strings.CutPrefix(eval[string](tb, "location.pathname + location.search"), tb.prefix())
	assert.True(tb.t, found, "is at %s", tb)
	return path
}

// prefix returns the path of the app's address.
func (tb *tab) prefix() string {
	tb.t.Helper()
	u, err := url.Parse(tb.app)
	require.NoError(tb.t, err)
	return u.Path
}

// at waits for a page, by its heading, and checks what holds for every page.
func (tb *tab) at(status int64, heading string) {
	tb.t.Helper()
	tb.wait(fmt.Sprintf("document.readyState === 'complete' && document.querySelector('h1').textContent === %q", heading))
	page := eval[struct {
		Where, Lang   string
		Headings      int
		Width, Window int
	}](tb, `({
		where: location.href, lang: document.documentElement.lang, headings: document.querySelectorAll("h1").length,
		width: document.documentElement.scrollWidth, window: window.innerWidth,
	})`)
	tb.mu.Lock()
	got := tb.status[tb.loader]
	if status >= 400 {
		// This is how Chromium says what the test expects.
		tb.expected[fmt.Sprintf("console: Failed to load resource: the server responded with a status of %d", status)+" "+page.Where]++
	}
	tb.mu.Unlock()
	assert.Equal(tb.t, status, got, "the status of %s", page.Where)
	assert.Equal(tb.t, tb.lang, page.Lang)
	assert.Equal(tb.t, 1, page.Headings)
	assert.LessOrEqual(tb.t, page.Width, page.Window, "%s has to be scrolled sideways", page.Where)
}

// see is told every event of the tab, in order.
func (tb *tab) see(event any) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	problem := func(format string, args ...any) { tb.problems = append(tb.problems, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		tb.requests++
		other := tb.alsoAsks != "" && strings.HasPrefix(e.Request.URL, tb.alsoAsks+"/")
		if !other && !strings.HasPrefix(e.Request.URL, tb.app+"/") && !strings.HasPrefix(e.Request.URL, "data:") {
			problem("request: %s", e.Request.URL)
		}
	case *network.EventWebSocketCreated:
		problem("request: %s", e.URL)
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeDocument {
			tb.status[e.LoaderID] = e.Response.Status
		}
	case *page.EventFrameNavigated:
		if e.Frame.ParentID == "" {
			tb.loader = e.Frame.LoaderID
			tb.loads++
		}
	case *page.EventJavascriptDialogOpening:
		problem("dialog: %s", e.Message)
	case *runtime.EventExceptionThrown:
		problem("exception: %s", e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		problem("console: %s %v", e.Type, e.Args)
	case *log.EventEntryAdded:
		if e.Entry.Level != log.EntryLevelVerbose {
			text, _, _ := strings.Cut(e.Entry.Text, " (") // the status in words
			problem("console: %s %s", text, e.Entry.URL)
		}
	case *audits.EventIssueAdded:
		// The browser's own page, where it cannot show one of ours, has issues too.
		if details, _ := json.Marshal(e.Issue.Details); !strings.Contains(string(details), `"url":"chrome-error://`) {
			problem("issue: %s %s", e.Issue.Code, details)
		}
	}
}

// assertQuiet fails the test for what went wrong in the tab and was not what the
// test is about.
func (tb *tab) assertQuiet() {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	assert.NotZero(tb.t, tb.requests, "nothing was seen")
	for _, problem := range tb.problems {
		if tb.expected[problem] > 0 {
			tb.expected[problem]--
			continue
		}
		assert.Fail(tb.t, "in the browser: "+problem)
	}
}
