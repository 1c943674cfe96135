//go:build unix

package cli_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// program is the program as a process of its own.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], args...)
	command.Env = append(os.Environ(), asProgram+"=1", "GENAUTH_HOST=http://127.0.0.1:1", "GENAUTH_APP_ID=app")
	return command
}

// endedBy returns the signal that has ended a process, or 0.
func endedBy(err error) syscall.Signal {
	failed := (*exec.ExitError)(nil)
	if !errors.As(err, &failed) {
		return 0
	}
	if status, ok := failed.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return status.Signal()
	}
	return 0
}

// TestInterruptedWhileItReads shows that a program which waits for its input can be ended.
func TestInterruptedWhileItReads(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"check":  {"check", "-"},
		"test":   {"test", "-"},
		"doctor": {"doctor", "--token-file", "-"},
	} {
		for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(name+" by "+signal.String(), func(t *testing.T) {
				t.Parallel()
				command := program(t, args...)
				in, err := command.StdinPipe()
				require.NoError(t, err)
				var out bytes.Buffer
				command.Stdout, command.Stderr = &out, &out
				require.NoError(t, command.Start())
				_, err = in.Write([]byte("version")) // and no line end
				require.NoError(t, err)
				require.NoError(t, command.Process.Signal(signal))
				assert.Equal(t, signal, endedBy(command.Wait()))
				assert.Empty(t, out.String())
			})
		}
	}
}

// TestInterruptedEmulator shows that being interrupted is how the emulator ends well.
func TestInterruptedEmulator(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		command := program(t, "emulator")
		out, err := command.StdoutPipe()
		require.NoError(t, err)
		var errOut bytes.Buffer
		command.Stderr = &errOut
		require.NoError(t, command.Start())
		line, err := bufio.NewReader(out).ReadString('\n')
		require.NoError(t, err)
		assert.Contains(t, line, "export GENAUTH_HOST=")
		require.NoError(t, command.Process.Signal(signal))
		_, _ = io.Copy(io.Discard, out)
		require.NoError(t, command.Wait())
		assert.Contains(t, []string{"", "echomfa: listening, until it is interrupted\n"}, errOut.String())
	}
}

// TestReaderThatGoes shows that a program whose output nobody reads ends as others do, and
// says nothing of it.
func TestReaderThatGoes(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"check", "testdata/mfa.yaml"}, {"check", "testdata/wrong.yaml", "--json"}, {"diff", "--help"}, {"completion", "bash"}} {
		read, write, err := os.Pipe()
		require.NoError(t, err)
		require.NoError(t, read.Close())
		command := program(t, args...)
		var errOut bytes.Buffer
		command.Stdout, command.Stderr = write, &errOut
		err = command.Run()
		require.NoError(t, write.Close())
		assert.Equal(t, syscall.SIGPIPE, endedBy(err), args)
		assert.Empty(t, errOut.String())
	}
}
