package browser_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/enroll"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/echomfa/echomfa/internal/child"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startGenAuth starts an emulator with the users of the portal's demo.
func startGenAuth(t *testing.T, cfg genauthtest.Config) *genauthtest.Server {
	t.Helper()
	cfg.UserPoolName = "Northwind"
	genauth := genauthtest.Start(t, cfg)
	for _, name := range []string{"alice", "bob"} {
		genauth.AddUser(genauthtest.User{ID: name + "-id", Username: name, Password: name + "-password"})
	}
	genauth.Enroll("alice-id", genauthtest.OTP)
	return genauth
}

// startPortal starts the portal as a user does, against an emulator or, without
// one, in its demo mode. It returns the portal's address.
func startPortal(t *testing.T, genauth *genauthtest.Server, environ ...string) string {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), shared.portal)
	cmd.Env = append(cmd.Env, environ...)
	cmd.Env = append(cmd.Env, "ADDR=127.0.0.1:0")
	if genauth != nil {
		cmd.Env = append(cmd.Env, "GENAUTH_HOST="+genauth.URL(), "GENAUTH_APP_ID="+genauth.AppID())
	}
	var logged buffer
	cmd.Stderr = &logged
	child.EndWithParent(cmd, syscall.SIGKILL)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		assert.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		assert.NoError(t, cmd.Wait())
		if t.Failed() {
			t.Logf("the portal said: %s", &logged)
		}
		assert.NotContains(t, logged.String(), "panic")
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, address, ok := strings.Cut(lines.Text(), "listening on "); ok {
			return address
		}
	}
	require.Fail(t, "the portal does not say where it listens")
	return ""
}

// buffer is a bytes.Buffer that a process may write to while a test reads.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// mount serves the enrollment pages in an app of their own, in which bob is
// signed in already: for what the portal does not configure. It returns the
// app's address.
func mount(t *testing.T, genauth *genauthtest.Server, configure func(*enroll.Config)) string {
	t.Helper()
	return mountWith(t, genauth, configure, nil)
}

// mountWith is mount, with more of the app's own pages.
func mountWith(t *testing.T, genauth *genauthtest.Server, configure func(*enroll.Config), more map[string]http.HandlerFunc) string {
	t.Helper()
	token := genauth.AccessToken("bob-id")
	return mountAs(t, genauth, func() string { return token }, configure, more)
}

// mountAs is mountWith, with an access token that may change.
func mountAs(
	t *testing.T, genauth *genauthtest.Server, token func() string, configure func(*enroll.Config), more map[string]http.HandlerFunc,
) string {
	t.Helper()
	genauthClient, err := client.New(client.Config{BaseURL: genauth.URL(), AppID: genauth.AppID(), Timeout: patience})
	require.NoError(t, err)
	t.Cleanup(genauthClient.CloseIdleConnections)
	enforcer, err := echomfa.New(echomfa.Config{
		Client: genauthClient, EnrollURL: "/mfa", LoginURL: "/login",
		Lookup: echomfa.LookupConfig{Timeout: patience},
		Token:  func(*http.Request) (string, error) { return token(), nil },
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, enforcer.Close()) })
	cfg := enroll.Config{
		Client: genauthClient, Enforcer: enforcer, BasePath: "/mfa", Policy: echomfa.AnyOf(echomfa.OTP, echomfa.Face),
		StateKeys: [][]byte{enroll.InsecureRandomKey()},
		RecentSignIn: func(*http.Request) (enroll.SignIn, error) {
			return enroll.SignIn{Subject: "bob-id", Time: time.Now()}, nil
		},
		Brand: enroll.Brand{Name: "Northwind Portal", LogoPath: "/logo.svg", Color: "#0f5c4c"},
	}
	if configure != nil {
		configure(&cfg)
	}
	pages, err := enroll.New(cfg)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/mfa", pages)
	mux.Handle("/mfa/", pages)
	for path, page := range more {
		mux.HandleFunc(path, page)
	}
	mux.HandleFunc("/logo.svg", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join("..", "..", "examples", "portal", "assets", "logo.svg"))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, `<!doctype html><html lang="en"><title>App</title><link rel="icon" href="data:,"><main><h1>App</h1></main>`)
	})
	app := httptest.NewServer(mux)
	t.Cleanup(app.Close)
	return app.URL
}
