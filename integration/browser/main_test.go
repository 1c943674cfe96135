// Package browser_test walks through the enrollment pages, and the portal that
// they are mounted in, with a real browser: Debian's Chromium, as the shell that has no window.
package browser_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"
)

// shared is what all tests of the package use: building the portal and starting
// a browser takes a while.
//
//nolint:gochecknoglobals // made before the tests and closed after them
var shared struct {
	portal   string // the program
	chromium browser
}

func TestMain(m *testing.M) {
	// More of them at once only wait for the browser.
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = flag.Set("test.parallel", "2")
	}
	goleak.VerifyTestMain(suite{m})
}

type suite struct{ m *testing.M }

// Run runs the tests between the making of what they share and its end.
func (s suite) Run() int {
	dir, err := os.MkdirTemp("", "echomfa-browser-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer removeAll(dir)
	shared.portal = filepath.Join(dir, "portal")
	build := exec.CommandContext(context.Background(), "go", "build", "-ldflags=-w", "-o", shared.portal, "./portal")
	build.Dir = filepath.Join("..", "..", "examples")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "cannot build the portal: %v\n%s", err, out)
		return 1
	}
	if shared.chromium, err = startChromium(filepath.Join(dir, "profile")); err != nil {
		fmt.Fprintf(os.Stderr, "cannot start Chromium: %v\n", err)
		return 1
	}
	code := s.m.Run()
	if err := shared.chromium.stop(); err != nil {
		fmt.Fprintf(os.Stderr, "cannot stop Chromium: %v\n", err)
		return 1
	}
	return code
}

// browser is a running Chromium.
type browser struct {
	context func() context.Context // in which tabs are opened
	stop    func() error
}

// startChromium starts a browser with a profile of its own.
func startChromium(profile string) (browser, error) {
	options := []chromedp.ExecAllocatorOption{
		// Chromium without what is around the pages: a third of the work.
		chromedp.ExecPath("chromium-headless-shell"),
		chromedp.UserDataDir(profile),
		chromedp.Headless,
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("in-process-gpu", true),
		chromedp.Flag("disable-quic", true),
		// No process for a page that nobody has asked for yet, and none for what the
		// tests do not use.
		chromedp.Flag("disable-features", "SpareRendererForSitePerProcess,Translate,MediaRouter,OptimizationHints,AudioServiceOutOfProcess,PaintHolding"),
		chromedp.Flag("disable-extensions", true),
		chromedp.Flag("disable-component-extensions-with-background-pages", true),
		chromedp.Flag("disable-breakpad", true),
		chromedp.Flag("disable-default-apps", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("password-store", "basic"),
		// Gray edges of letters make the pictures of the pages smaller.
		chromedp.Flag("disable-lcd-text", true),
		// A page of a test that has no focus is still one that is looked at.
		chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true),
		chromedp.Flag("disable-renderer-backgrounding", true),
		// Whatever a page names, nothing leaves the machine.
		chromedp.Flag("host-resolver-rules", "MAP portal.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	}
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, free := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	// The first call starts the browser, which lives as long as its context.
	if err := chromedp.Do(ctx); err != nil {
		cancel()
		free()
		return browser{}, err
	}
	return browser{
		context: func() context.Context { return ctx },
		stop: func() error {
			defer free()
			end, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			if err := chromedp.Cancel(end); !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		},
	}, nil
}

// removeAll removes a folder that processes which have just been stopped may
// still be writing to.
func removeAll(dir string) {
	for range 50 {
		if os.RemoveAll(dir) == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}
