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
	code := run(ctx, os.LookupEnv, os.Stdout)
	stop()
	os.Exit(code)
}

// run serves until ctx ends. It returns the exit status: 2 for settings that
// cannot work.
func run(ctx context.Context, lookup func(string) (string, bool), out io.Writer) int {
	s, err := readSettings(lookup)
	if err != nil {
		_, _ = fmt.Fprintln(out, "portal:", err)
		return 2
	}
	if s.host == "" {
		demo, err := startDemo(out, s.addr)
		if err != nil {
			_, _ = fmt.Fprintln(out, "portal:", err)
			return 1
		}
		defer demo.Close()
		s.host, s.appID = demo.URL(), demo.AppID()
	}
	app, err := newPortal(s)
	if err != nil {
		_, _ = fmt.Fprintln(out, "portal:", err)
		return 2
	}
	defer app.close()
	if err := serve(ctx, s.addr, app.handler(), out); err != nil {
		_, _ = fmt.Fprintln(out, "portal:", err)
		return 1
	}
	return 0
}

// serve listens until ctx ends, and then lets requests under way finish.
func serve(ctx context.Context, addr string, handler http.Handler, out io.Writer) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	_, _ = fmt.Fprintf(out, "portal: listening on http://%s\n", listener.Addr())
	done := make(chan error, 1)
	go func() {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		done <- server.Shutdown(end)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-done
}

// startDemo starts the emulator with two users, and says how to sign in.
func startDemo(out io.Writer, addr string) (*genauthtest.Server, error) {
	demo, err := genauthtest.New(genauthtest.Config{})
	if err != nil {
		return nil, err
	}
	demo.AddUser(genauthtest.User{ID: "alice-id", Username: "alice", Password: "alice-password"})
	demo.AddUser(genauthtest.User{ID: "bob-id", Username: "bob", Password: "bob-password"})
	demo.Enroll("alice-id", genauthtest.OTP)
	_, _ = fmt.Fprintf(out, `portal: no GENAUTH_* is set: a GenAuth emulator runs at %s
portal: in a browser, open http://%s and sign in as
          alice / alice-password   has enrolled an authenticator app
          bob   / bob-password     has enrolled nothing
portal: with curl:
          curl -i -H 'Authorization: Bearer %s' http://%s/api/admin   # alice
          curl -i -H 'Authorization: Bearer %s' http://%s/api/admin   # bob
`, demo.URL(), addr, demo.AccessToken("alice-id"), addr, demo.AccessToken("bob-id"), addr)
	return demo, nil
}
