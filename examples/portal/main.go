// Portal is a small admin web app whose sensitive pages ask for an enrolled MFA
// factor. Without settings it runs against a GenAuth emulator in the same
// process.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/echomfa/echomfa/genauthtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Environ(), os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run serves until ctx ends. It returns the exit status: 2 for settings that
// cannot work.
func run(ctx context.Context, environ []string, out, errOut io.Writer) int {
	s, err := readSettings(environ)
	if err != nil {
		_, _ = fmt.Fprintln(errOut, "portal:", err)
		return 2
	}
	welcome := func(net.Addr) string { return "" }
	var demo *genauthtest.Server
	if s.host == "" {
		demo, err = startDemo()
		if err != nil {
			_, _ = fmt.Fprintln(errOut, "portal:", err)
			return 1
		}
		defer demo.Close()
		s.host, s.appID = demo.URL(), demo.AppID()
		welcome = func(addr net.Addr) string { return howToSignIn(demo, addr) }
	}
	app, err := newPortal(s, demo)
	if err != nil {
		_, _ = fmt.Fprintln(errOut, "portal:", err)
		return 2
	}
	defer app.close()
	if demo == nil {
		if err := app.genauth.Check(ctx); err != nil {
			// GenAuth may be away for a moment, so this is not the end.
			_, _ = fmt.Fprintln(errOut, "portal: GENAUTH_HOST, GENAUTH_APP_ID:", err)
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.addr)
	if err != nil {
		_, _ = fmt.Fprintln(errOut, "portal: ADDR:", err)
		return 1
	}
	operators, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.opsAddr)
	if err != nil {
		_ = listener.Close()
		_, _ = fmt.Fprintln(errOut, "portal: OPS_ADDR:", err)
		return 1
	}
	_, _ = fmt.Fprintf(out, "%sportal: the rules are in %s: edit the file while the portal runs\nportal: the operator's page is at http://%s\nportal: listening on http://%s\n",
		welcome(listener.Addr()), app.settings.rulesFile, operators.Addr(), listener.Addr())
	if err := serve(ctx, map[net.Listener]http.Handler{listener: app.handler(), operators: app.ops.handler()}); err != nil {
		_, _ = fmt.Fprintln(errOut, "portal:", err)
		return 1
	}
	return 0
}

// serve serves until ctx ends or one of the listeners fails, and then lets requests under
// way finish.
func serve(ctx context.Context, listeners map[net.Listener]http.Handler) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, len(listeners))
	for listener, handler := range listeners {
		server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
		ended := make(chan error, 1)
		go func() {
			defer stop()
			ended <- server.Serve(listener)
		}()
		go func() {
			<-ctx.Done()
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			err := server.Shutdown(end)
			if failed := <-ended; !errors.Is(failed, http.ErrServerClosed) {
				err = failed
			}
			done <- err
		}()
	}
	var errs []error
	for range listeners {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}
