//go:build slow

package browser_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/coder/websocket"
	"github.com/echomfa/echomfa/internal/child"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// firefox is a running Firefox, driven by WebDriver BiDi (w3c.github.io/webdriver-bidi).
type firefox struct {
	socket *websocket.Conn

	mu      sync.Mutex
	last    int
	answers map[int]chan message
	tabs    map[string]*foxTab
	broken  error
}

// message is an answer or an event.
type message struct {
	ID      int             `json:"id"`
	Type    string          `json:"type"`
	Result  json.RawMessage `json:"result"`
	Error   string          `json:"error"`
	Message string          `json:"message"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
}

// object is the parameters of a command.
type object map[string]any

// startFirefox starts Debian's Firefox with a profile of its own.
func startFirefox(t *testing.T, prefs ...string) *firefox {
	t.Helper()
	profile := t.TempDir()
	lines := append([]string{
		`"network.dns.localDomains", "portal.test"`, // whatever else a page names is not found
		`"network.proxy.type", 5`, `"network.captive-portal-service.enabled", false`,
		`"network.connectivity-service.enabled", false`, `"app.update.disabledForTesting", true`,
		`"browser.safebrowsing.downloads.enabled", false`, `"dom.ipc.processCount", 1`,
		`"services.settings.server", "data:,"`, `"toolkit.telemetry.server", "data:,"`,
	}, prefs...)
	user := "user_pref(" + strings.Join(lines, ");\nuser_pref(") + ");\n"
	require.NoError(t, os.WriteFile(filepath.Join(profile, "user.js"), []byte(user), 0o600))
	cmd := exec.CommandContext(context.Background(), "firefox-esr", "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0")
	cmd.Env = append(os.Environ(), "HOME="+profile, "MOZ_CRASHREPORTER_DISABLE=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	child.EndWithParent(cmd, syscall.SIGTERM) // by which it ends its other processes
	said, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	address := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for out := bufio.NewScanner(said); out.Scan(); {
			if _, a, ok := strings.Cut(out.Text(), "BiDi listening on "); ok {
				address <- a
			}
		}
		close(address)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // and its other processes
		<-read
		_ = cmd.Wait()
		removeAll(profile) // its processes may still be writing to it
	})
	at, ok := <-address
	require.True(t, ok, "Firefox does not start")
	f := &firefox{answers: map[int]chan message{}, tabs: map[string]*foxTab{}}
	f.socket, _, err = websocket.Dial(t.Context(), at+"/session", nil) //nolint:bodyclose // it is the socket's
	require.NoError(t, err)
	f.socket.SetReadLimit(16 << 20)
	heard := make(chan struct{})
	go func() { defer close(heard); f.listen() }()
	t.Cleanup(func() {
		_ = f.socket.CloseNow()
		<-heard
	})
	f.call(t, "session.new", object{"capabilities": object{"alwaysMatch": object{"acceptInsecureCerts": true}}}, nil)
	f.call(t, "session.subscribe", object{"events": []string{
		"log.entryAdded", "network.beforeRequestSent", "network.responseCompleted", "script.message", "browsingContext.userPromptOpened",
	}}, nil)
	return f
}

// listen reads until the socket is closed.
func (f *firefox) listen() {
	for {
		var m message
		_, text, err := f.socket.Read(context.Background())
		if err == nil {
			err = json.Unmarshal(text, &m)
		}
		f.mu.Lock()
		if err != nil {
			f.broken = err
			for _, c := range f.answers {
				close(c)
			}
			f.mu.Unlock()
			return
		}
		c := f.answers[m.ID]
		delete(f.answers, m.ID)
		f.mu.Unlock()
		switch {
		case m.Type == "event":
			f.see(&m)
		case c != nil:
			c <- m
		}
	}
}

// call sends a command.
func (f *firefox) call(t *testing.T, method string, params object, result any) {
	t.Helper()
	require.NoError(t, f.try(method, params, result), "%s %v", method, params)
}

func (f *firefox) try(method string, params object, result any) error {
	answer := make(chan message, 1)
	f.mu.Lock()
	if f.broken != nil {
		defer f.mu.Unlock()
		return f.broken
	}
	f.last++
	id := f.last
	f.answers[id] = answer
	f.mu.Unlock()
	text, err := json.Marshal(object{"id": id, "method": method, "params": params})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := f.socket.Write(ctx, websocket.MessageText, text); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case m, ok := <-answer:
		switch {
		case !ok:
			return errors.New("the browser has gone")
		case m.Type == "error":
			return fmt.Errorf("%s: %s", m.Error, m.Message)
		case result == nil:
			return nil
		}
		return json.Unmarshal(m.Result, result)
	}
}

// see is told every event.
func (f *firefox) see(m *message) {
	var e struct {
		Context    string `json:"context"`
		Navigation string `json:"navigation"`
		Level      string `json:"level"`
		Text       string `json:"text"`
		Message    string `json:"message"`
		Source     struct {
			Context string `json:"context"`
		} `json:"source"`
		Request struct {
			URL string `json:"url"`
		} `json:"request"`
		Response struct {
			Status int64 `json:"status"`
		} `json:"response"`
		Data struct {
			Value string `json:"value"`
		} `json:"data"`
	}
	if json.Unmarshal(m.Params, &e) != nil {
		return
	}
	f.mu.Lock()
	tb := f.tabs[e.Context+e.Source.Context] // one of them is empty
	f.mu.Unlock()
	if tb == nil {
		return
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	switch m.Method {
	case "network.beforeRequestSent":
		tb.requests++
		if !strings.HasPrefix(e.Request.URL, tb.app+"/") && !strings.HasPrefix(e.Request.URL, "data:") {
			tb.problems = append(tb.problems, "request: "+e.Request.URL)
		}
	case "network.responseCompleted":
		if e.Navigation != "" {
			tb.status = e.Response.Status
		}
	case "log.entryAdded":
		if e.Level == "error" || e.Level == "warn" {
			tb.problems = append(tb.problems, "console: "+e.Text)
		}
	case "script.message":
		tb.problems = append(tb.problems, "violation: "+e.Data.Value)
	case "browsingContext.userPromptOpened":
		tb.problems = append(tb.problems, "dialog: "+e.Message)
	}
}

// assertQuiet fails the test for what went wrong in the tab.
func (tb *foxTab) assertQuiet() {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	assert.NotZero(tb.t, tb.requests, "nothing was seen")
	assert.Empty(tb.t, tb.problems)
}
