package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules/internal/cli"
)

// emulate runs the emulator until the end of the test, and returns what it prints.
func emulate(t *testing.T, args []string) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	in, out := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		code := cli.Run(ctx, args, cli.IO{In: strings.NewReader(""), Out: out, Err: io.Discard, Now: time.Now, Getenv: func(string) string { return "" }})
		_ = out.Close()
		ended <- code
	}()
	t.Cleanup(func() {
		stop()
		_, _ = io.Copy(io.Discard, in)
		assert.Zero(t, <-ended)
	})
	buffer := make([]byte, 64<<10) // the emulator writes once
	n, err := in.Read(buffer)
	require.NoError(t, err)
	return string(buffer[:n])
}

// TestEmulator shows that the emulator takes the tokens that it prints.
func TestEmulator(t *testing.T) {
	t.Parallel()
	var told cli.Emulator
	require.NoError(t, json.Unmarshal([]byte(emulate(t, []string{"emulator", "--json", "--user", "alice:otp,FACE", "--user", "bob", "--user", `carol:"VOICE"`, "--app-id", "shop"})), &told))
	assert.Equal(t, "shop", told.AppID)
	c, err := client.New(client.Config{BaseURL: told.URL, AppID: told.AppID})
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	has := make(map[string][]client.FactorType)
	for _, user := range told.Users {
		factors, err := c.ListEnrolledFactors(t.Context(), user.Token)
		require.NoError(t, err)
		has[user.Username] = []client.FactorType{}
		for _, f := range factors {
			has[user.Username] = append(has[user.Username], f.Type)
		}
		assert.ElementsMatch(t, user.Factors, has[user.Username])
	}
	assert.Len(t, has, 3)
	assert.ElementsMatch(t, []client.FactorType{"OTP", "FACE"}, has["alice"])
	assert.Equal(t, []client.FactorType{"VOICE"}, has["carol"])

	code, _, errOut := run(t, "emulator", "--addr", strings.TrimPrefix(told.URL, "http://"))
	assert.Equal(t, 1, code)
	assert.Contains(t, errOut, "echomfa: --addr: genauthtest: Addr: ")
}

// TestDoctor shows that doctor tells a GenAuth that knows the app from one that does not.
func TestDoctor(t *testing.T) {
	t.Parallel()
	s := genauthtest.Start(t)
	for name, row := range map[string]struct {
		args []string
		env  map[string]string
		code int
		want string
	}{
		"flags":          {[]string{"--host", s.URL(), "--app-id", s.AppID()}, nil, 0, "good: this is a GenAuth, and it does not deny the application\n"},
		"variables":      {nil, map[string]string{"GENAUTH_HOST": s.URL(), "GENAUTH_APP_ID": s.AppID()}, 0, "good: this is a GenAuth, and it does not deny the application\n"},
		"flags first":    {[]string{"--app-id", s.AppID()}, map[string]string{"GENAUTH_HOST": s.URL(), "GENAUTH_APP_ID": "another"}, 0, "good: "},
		"json":           {[]string{"--host", s.URL(), "--app-id", s.AppID(), "--json"}, nil, 0, "{\n  \"good\": true\n}\n"},
		"another app":    {[]string{"--host", s.URL(), "--app-id", "another"}, nil, 3, "failed: "},
		"failed, json":   {[]string{"--host", s.URL(), "--app-id", "another", "--json"}, nil, 3, "{\n  \"good\": false,\n  \"problem\": \""},
		"another name":   {[]string{"--host", s.URL(), "--app-id", s.AppID(), "--app-id-header", "x-other"}, nil, 3, "failed: "},
		"nothing":        {nil, nil, 2, "echomfa: --host: give it, or set GENAUTH_HOST\n--app-id: give it, or set GENAUTH_APP_ID\n"},
		"no URL":         {[]string{"--host", "secret host", "--app-id", "a"}, nil, 2, "echomfa: --host (BaseURL), --app-id (AppID), --app-id-header (AppIDHeader): client: BaseURL: "},
		"an argument":    {[]string{"secret"}, nil, 2, "echomfa: unknown command"},
		"a wrong header": {[]string{"--host", s.URL(), "--app-id", "a", "--app-id-header", "a b"}, nil, 2, "echomfa: --host (BaseURL), --app-id (AppID), --app-id-header (AppIDHeader): client: AppIDHeader: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			code := cli.Run(t.Context(), append([]string{"doctor"}, row.args...), cli.IO{In: strings.NewReader(""), Out: &out, Err: &out, Now: now, Getenv: func(name string) string { return row.env[name] }})
			assert.Equal(t, row.code, code)
			assert.True(t, strings.HasPrefix(out.String(), row.want), out.String())
			assert.NotContains(t, out.String(), s.URL())
		})
	}
}
