package cli_test

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa/client"
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
