package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const chapter = "../../../docs/rules.md"

// TestDocumentedCommands runs every command that docs/rules.md shows, with the files that it
// shows, and compares what it shows as their output. The flag -update writes that. It
// changes the working directory, so it is not parallel.
func TestDocumentedCommands(t *testing.T) {
	data, err := os.ReadFile(chapter)
	require.NoError(t, err)
	chapterAbs, err := filepath.Abs(chapter)
	require.NoError(t, err)
	module, err := filepath.Abs("../..")
	require.NoError(t, err)
	text := string(data)
	yaml := blocks(text, "yaml")
	write := func(name, content string) { require.NoError(t, os.WriteFile(name, []byte(content), 0o600)) }
	coverage, err := os.ReadFile("testdata/coverage.json")
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	write("coverage.json", string(coverage))
	write("mfa.yaml", yaml[0])
	write("mfa.new.yaml", strings.Replace(yaml[0], "mode: report-only", "mode: enforce", 1))
	cases := slices.IndexFunc(yaml, func(block string) bool { return strings.HasPrefix(block, "rules: mfa.yaml") })
	require.Positive(t, cases)
	write("mfa_test.yaml", yaml[cases])

	commands := make(map[string]int)
	for _, block := range blocks(text, "console") {
		line, want, _ := strings.Cut(block, "\n")
		require.True(t, strings.HasPrefix(line, "$ echomfa "), line)
		args := words(t, strings.TrimPrefix(line, "$ echomfa "))
		commands[args[0]]++
		code, out, errOut := run(t, args...)
		require.Zero(t, code, "%s\n%s%s", line, out, errOut)
		if *update {
			text = strings.Replace(text, "```console\n"+block+"```", "```console\n"+line+"\n"+out+"```", 1)
			continue
		}
		assert.Equal(t, want, out, line)
	}
	if *update {
		require.NoError(t, os.WriteFile(chapterAbs, []byte(text), 0o600))
	}
	env := make(map[string]string)
	for _, block := range blocks(text, "sh") {
		for line := range strings.Lines(block) {
			args := words(t, os.Expand(strings.TrimSpace(line), func(name string) string { return env[name] }))
			commands[args[1]]++
			switch {
			case args[0] == "go" && args[1] == "install":
				install(t, module, args[2])
			case args[1] == "emulator":
				match := regexp.MustCompile(`^export GENAUTH_HOST=(\S+) GENAUTH_APP_ID=(\S+)\n`).FindStringSubmatch(emulate(t, args[1:]))
				require.NotNil(t, match)
				env["GENAUTH_HOST"], env["GENAUTH_APP_ID"] = match[1], match[2]
			default:
				require.Equal(t, "echomfa", args[0])
				code, out, errOut := run(t, args[1:]...)
				assert.Zero(t, code, "%s\n%s%s", line, out, errOut)
			}
		}
	}
	for _, name := range []string{"install", "check", "explain", "diff", "test", "doctor", "emulator"} {
		assert.Positive(t, commands[name], name)
	}
}

// blocks returns the code blocks of a language.
func blocks(text, language string) []string {
	var found []string
	for _, match := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	return found
}

// words splits a line as a shell does where it has only double quotes.
func words(t *testing.T, line string) []string {
	t.Helper()
	require.NotRegexp(t, `[\\'$;&|<>`+"`"+`]`, line)
	var list []string
	for _, match := range regexp.MustCompile(`"([^"]*)"|\S+`).FindAllStringSubmatch(line, -1) {
		if match[0][0] == '"' {
			list = append(list, match[1])
		} else {
			list = append(list, match[0])
		}
	}
	return list
}

// install builds the command that is installed, of this tree in the place of a release.
func install(t *testing.T, module, what string) {
	t.Helper()
	path, version, _ := strings.Cut(what, "@")
	assert.Equal(t, "VERSION", version)
	program := filepath.Join(t.TempDir(), "echomfa")
	command := exec.CommandContext(t.Context(), "go", "build", "-o", program, path)
	command.Dir = module
	out, err := command.CombinedOutput()
	require.NoError(t, err, "%s", out)
	out, err = exec.CommandContext(t.Context(), program, "check", "mfa.yaml", "--at", "2026-12-20T09:00:00+08:00").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "mfa.yaml: good, ")
	out, err = exec.CommandContext(t.Context(), program, "check", "nowhere.yaml").CombinedOutput()
	failed := (*exec.ExitError)(nil)
	require.ErrorAs(t, err, &failed, "%s", out)
	assert.Equal(t, 2, failed.ExitCode())
}
