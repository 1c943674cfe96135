// Package browser_test walks through the enrollment pages, and the portal that
// they are mounted in, with a real browser: Debian's Chromium, without a window.
package browser_test

import (
	"context"
	"errors"
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
	chromium context.Context
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(suite{m}) }

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
	build := exec.CommandContext(context.Background(), "go", "build", "-race", "-o", shared.portal, "./portal")
	build.Dir = filepath.Join("..", "..", "examples")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "cannot build the portal: %v\n%s", err, out)
		return 1
	}
	chromium, stop, err := startChromium(filepath.Join(dir, "profile"))
	if err != nil {
		fmt.Fprintf(os.Stderr, "cannot start Chromium: %v\n", err)
		return 1
	}
	shared.chromium = chromium
	code := s.m.Run()
	return max(code, stop())
}

// startChromium starts a browser with a profile of its own. Stop ends it, and
// returns an exit status.
func startChromium(profile string, flags ...chromedp.ExecAllocatorOption) (ctx context.Context, stop func() int, err error) {
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath("chromium"),
		chromedp.UserDataDir(profile),
		chromedp.Headless,
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("password-store", "basic"),
		// A page of a test that has no focus is still one that is looked at.
		chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true),
		chromedp.Flag("disable-renderer-backgrounding", true),
		// Whatever a page names, nothing leaves the machine.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	}
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, free := chromedp.NewExecAllocator(context.Background(), append(options, flags...)...)
	ctx, cancel := chromedp.NewContext(allocator)
	// The first call starts the browser, which lives as long as its context.
	if err := chromedp.Do(ctx); err != nil {
		cancel()
		free()
		return nil, nil, err
	}
	return ctx, func() int {
		defer free()
		end, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		if err := chromedp.Cancel(end); err != nil && !errors.Is(err, context.Canceled) {
			fmt.Fprintf(os.Stderr, "cannot stop Chromium: %v\n", err)
			return 1
		}
		return 0
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
