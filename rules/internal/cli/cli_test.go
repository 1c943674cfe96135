package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/echomfa/echomfa/rules/internal/cli"
)

// asProgram has the test's binary be the program itself.
const asProgram = "ECHOMFA_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(cli.Run(context.Background(), os.Args[1:], cli.System()))
	}
	goleak.VerifyTestMain(m)
}

// update has the answers written: go test . -run TestAnswers -update.
var update = flag.Bool("update", false, "write testdata/answers") //nolint:gochecknoglobals // flags are

// now is when the commands run.
func now() time.Time { return time.Date(2026, 12, 20, 1, 0, 0, 0, time.UTC) }

// run runs the program.
func run(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = cli.Run(t.Context(), args, cli.IO{In: strings.NewReader(""), Out: &stdout, Err: &stderr, Now: now, Getenv: func(string) string { return "" }})
	return code, stdout.String(), stderr.String()
}

// TestAnswers holds what the commands print, and their exit status, against files.
func TestAnswers(t *testing.T) {
	t.Parallel()
	const mfa = "testdata/mfa.yaml"
	explain := func(args ...string) []string { return append([]string{"explain", mfa}, args...) }
	withRoutes := func(args ...string) []string { return append(explain("--routes", "testdata/coverage.json"), args...) }
	rows := map[string]struct {
		args []string
		code int
	}{
		"check":                      {[]string{"check", mfa}, 0},
		"check-json":                 {[]string{"check", mfa, "--json"}, 0},
		"check-routes":               {[]string{"check", mfa, "--routes", "testdata/coverage.json", "--pages", "/mfa,/login"}, 0},
		"check-renamed-route":        {[]string{"check", mfa, "--routes", "testdata/renamed.json"}, 3},
		"check-app":                  {[]string{"check", mfa, "--pages", "/mfa,/enroll", "--roles", "admin", "--tenants", "acme", "--factors", "SMS,OTP", "--at", "2028-01-01T00:00:00Z"}, 3},
		"check-pages-routes":         {[]string{"check", mfa, "--pages", "/mfa,/reports/7,/nowhere", "--routes", "testdata/coverage.json"}, 3},
		"check-wrong":                {[]string{"check", "testdata/wrong.yaml"}, 3},
		"check-wrong-json":           {[]string{"check", "testdata/wrong.yaml", "--json"}, 3},
		"explain-hit":                {explain("--route", "POST /admin/payouts/:id", "--have", "OTP", "--role", "approver"), 0},
		"explain-may":                {explain("--route", "POST /admin/payouts/:id", "--have", "OTP"), 0},
		"explain-miss":               {explain("--route", "POST /admin/payouts/:id", "--have", "OTP", "--role", ""), 0},
		"explain-nothing-said":       {explain("--route", "POST /admin/payouts/:id"), 0},
		"explain-default":            {explain("--route", "GET /reports", "--have", "none"), 0},
		"explain-public":             {explain("--route", "HEAD /"), 0},
		"explain-exempt":             {explain("--route", "POST /admin/export", "--have", "none"), 0},
		"explain-expired":            {explain("--route", "POST /admin/export", "--have", "none", "--at", "2027-04-01T08:00:00+08:00"), 0},
		"explain-json":               {explain("--route", "POST /admin/payouts/:id", "--have", "OTP", "--json"), 0},
		"explain-url":                {withRoutes("--url", "POST https://shop.example/admin/payouts/7?a=b", "--have", "OTP,FACE", "--role", "approver"), 0},
		"explain-url-get":            {withRoutes("--url", "/login"), 0},
		"explain-url-no-route":       {withRoutes("--url", "/nowhere", "--have", "OTP"), 0},
		"explain-url-mount":          {withRoutes("--url", "/reports/7", "--have", "FACE"), 0},
		"explain-url-mount-unsaid":   {withRoutes("--url", "/reports/7"), 0},
		"explain-route-routes":       {withRoutes("--route", "GET /reports/:name", "--have", "FACE"), 0},
		"usage-explain-no-route":     {withRoutes("--route", "GET /admin/nope"), 2},
		"usage-explain-near-route":   {withRoutes("--route", "GET /report"), 2},
		"usage-explain-near-param":   {withRoutes("--route", "POST /admin/payouts/:key"), 2},
		"usage-explain-other-method": {withRoutes("--route", "DELETE /login"), 2},
		"usage-explain-url-as-route": {withRoutes("--route", "POST /admin/payouts/7"), 2},
		"usage-explain-near-method":  {explain("--route", "PSOT /login"), 2},
		"usage-explain-any-method":   {explain("--route", "ANY /login"), 2},
		"usage-explain-offset":       {explain("--route", "GET /login", "--at", "2026-12-20 09:00"), 2},
		"usage-explain-day":          {explain("--route", "GET /login", "--at", "2026-02-30T09:00:00Z"), 2},
		"explain-own-method":         {explain("--route", "PURGE /login", "--have", "none"), 0},
		"diff":                       {[]string{"diff", mfa, "testdata/mfa.new.yaml"}, 0},
		"diff-routes":                {[]string{"diff", mfa, "testdata/mfa.new.yaml", "--routes", "testdata/coverage.json"}, 0},
		"diff-json":                  {[]string{"diff", mfa, "testdata/mfa.new.yaml", "--routes", "testdata/coverage.json", "--json"}, 0},
		"diff-back":                  {[]string{"diff", "testdata/mfa.new.yaml", mfa, "--routes", "testdata/coverage.json"}, 0},
		"diff-same":                  {[]string{"diff", mfa, mfa}, 0},
		"diff-wrong":                 {[]string{"diff", mfa, "testdata/wrong.yaml"}, 3},
		"test":                       {[]string{"test", "testdata/mfa_test.yaml"}, 0},
		"test-failing":               {[]string{"test", "testdata/mfa_test.yaml", "testdata/failing_test.yaml"}, 4},
		"test-failing-json":          {[]string{"test", "testdata/failing_test.yaml", "--json"}, 4},
		"test-wrong":                 {[]string{"test", "testdata/wrong_test.yaml", "testdata/failing_test.yaml"}, 3},
		"test-routes":                {[]string{"test", "testdata/routes_test.yaml"}, 4},
		"test-of-rules":              {[]string{"test", mfa}, 3},
		"usage-none":                 {nil, 2},
		"usage-json":                 {explain("--json", "--route", "/admin", "--have", "OTPP"), 2},
		"usage-json-flag":            {[]string{"check", mfa, "--rotues", "x", "--json"}, 2},
		"usage-switch":               {[]string{"check", mfa, "--json=nope"}, 2},
		"usage-duration":             {[]string{"emulator", "--token-lifetime", "soon"}, 2},
		"usage-no-value":             {[]string{"check", mfa, "--at"}, 2},
		"usage-none-and":             {explain("--route", "GET /", "--have", "none,OTP"), 2},
		"usage-one-dash":             {[]string{"check", mfa, "-routes", "x"}, 2},
		"usage-too-much":             {[]string{"check", mfa, mfa}, 2},
		"wrong-json":                 {[]string{"diff", mfa, "testdata/wrong.yaml", "--json"}, 3},
		"wrong-test-json":            {[]string{"test", "testdata/wrong_test.yaml", "--json"}, 3},
		"usage-command":              {[]string{"chekc", mfa}, 2},
		"usage-flag":                 {[]string{"check", mfa, "--rotues", "x"}, 2},
		"usage-no-file":              {[]string{"check"}, 2},
		"usage-file":                 {[]string{"check", "testdata/nowhere.yaml"}, 2},
		"usage-folder":               {[]string{"check", "testdata"}, 2},
		"usage-check":                {[]string{"check", mfa, "--at", "tomorrow", "--pages", "mfa", "--factors", "OTP FACE"}, 2},
		"usage-check-factors":        {[]string{"check", mfa, "--factors", ""}, 2},
		"usage-explain-nothing":      {explain(), 2},
		"usage-explain-both":         {withRoutes("--route", "GET /", "--url", "/"), 2},
		"usage-explain-all":          {explain("--route", "/admin", "--have", "OTPP", "--at", "2026-12-20"), 2},
		"usage-explain-lower-case":   {explain("--route", "get /admin"), 2},
		"usage-explain-spaces":       {explain("--route", "GET /admin  x"), 2},
		"usage-explain-route-is-url": {explain("--route", "GET https://shop.example/"), 2},
		"usage-explain-no-slash":     {explain("--route", "GET admin"), 2},
		"usage-explain-url":          {withRoutes("--url", "admin"), 2},
		"usage-explain-url-escape":   {withRoutes("--url", "/%zz"), 2},
		"usage-explain-no-routes":    {explain("--url", "/admin"), 2},
		"usage-routes":               {explain("--url", "/admin", "--routes", "testdata/nowhere.json"), 2},
		"wrong-routes":               {explain("--url", "/admin", "--routes", "testdata/wrong.json"), 3},
		"wrong-routes-yaml":          {explain("--url", "/admin", "--routes", mfa), 3},
		"usage-diff":                 {[]string{"diff", mfa}, 2},
		"usage-test":                 {[]string{"test"}, 2},
		"usage-help":                 {[]string{"help", "nope"}, 2},
		"usage-help-of":              {[]string{"help", "check", "nope"}, 2},
		"usage-completion":           {[]string{"completion"}, 2},
		"usage-completion-shell":     {[]string{"completion", "tcsh"}, 2},
		"usage-emulator":             {[]string{"emulator", "--addr", "0.0.0.0:80", "--user", ":OTP", "--user", "bob:OTPP", "--user", "a", "--user", "A", "--token-lifetime", "0s"}, 2},
		"usage-emulator-addr":        {[]string{"emulator", "--addr", "8080"}, 2},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errOut := run(t, row.args...)
			assert.Equal(t, row.code, code)
			got := fmt.Sprintf("$ echomfa %s\n%s", quoted(row.args), out)
			if errOut != "" {
				got += "--- stderr\n" + errOut
			}
			got += fmt.Sprintf("--- exit status %d\n", code)
			answersAsJSON(t, row.args, code)
			path := filepath.Join("testdata", "answers", name+".txt")
			if *update {
				require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
				return
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, string(want), got)
		})
	}
	if *update {
		return
	}
	files, err := os.ReadDir("testdata/answers")
	require.NoError(t, err)
	assert.Len(t, files, len(rows), "each file has a row")
}

// answersAsJSON shows that a command with --json has the same exit status, and prints one JSON
// value: its answer on standard output, or what keeps it from answering on standard error.
func answersAsJSON(t *testing.T, args []string, want int) {
	t.Helper()
	code, out, errOut := run(t, append(slices.Clone(args), "--json")...)
	assert.Equal(t, want, code)
	if errOut == "" {
		assert.True(t, json.Valid([]byte(out)), out)
		return
	}
	assert.Empty(t, out)
	var failure cli.Failure
	decoder := json.NewDecoder(strings.NewReader(errOut))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&failure), errOut)
	assert.False(t, decoder.More(), errOut)
	assert.Equal(t, want, failure.ExitStatus)
	assert.Equal(t, map[int]string{1: "other", 2: "usage", 3: "invalid"}[want], failure.Error)
	assert.NotEmpty(t, failure.Messages)
	for _, message := range failure.Messages {
		assert.NotRegexp(t, `\.yaml:\d+:\d+`, message, "mistakes have their places")
	}
}

func quoted(args []string) string {
	words := make([]string, 0, len(args))
	for _, arg := range args {
		if arg == "" || strings.ContainsAny(arg, " ?*") {
			arg = `"` + arg + `"`
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}

// broken is an output that cannot be written.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("no space") }

// TestOutputThatCannotBeWritten shows that a check is not good by an output that nobody
// gets.
func TestOutputThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"check", "testdata/mfa.yaml"},
		{"explain", "testdata/mfa.yaml", "--route", "GET /"},
		{"diff", "testdata/mfa.yaml", "testdata/mfa.yaml"},
		{"test", "testdata/mfa_test.yaml"},
		{"emulator"},
	} {
		var errOut strings.Builder
		code := cli.Run(t.Context(), args, cli.IO{In: strings.NewReader(""), Out: broken{}, Err: &errOut, Now: now})
		assert.Equal(t, 1, code, args)
		assert.Equal(t, "echomfa: the output cannot be written: no space\n", errOut.String())
	}
}

// TestFilesThatAreTooLarge shows that a file is not read to its end.
func TestFilesThatAreTooLarge(t *testing.T) {
	t.Parallel()
	large := filepath.Join(t.TempDir(), "large")
	f, err := os.Create(large)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(1<<40)) // takes no space
	require.NoError(t, f.Close())
	for _, args := range [][]string{{"check", large}, {"test", large}, {"check", "testdata/mfa.yaml", "--routes", large}} {
		code, _, errOut := run(t, args...)
		assert.Equal(t, 2, code)
		assert.Contains(t, errOut, " has more than ")
	}
}

// TestHelp shows that help is no mistake, and that every command has an example.
func TestHelp(t *testing.T) {
	t.Parallel()
	code, all, _ := run(t, "--help")
	assert.Zero(t, code)
	assert.Contains(t, all, "Examples:\n  echomfa ")
	for _, command := range []string{"check", "explain", "diff", "test", "doctor", "emulator"} {
		assert.Regexp(t, `(?m)^  `+command+` `, all)
		code, out, errOut := run(t, command, "--help")
		assert.Zero(t, code)
		assert.Contains(t, out, "Examples:\n  echomfa "+command)
		assert.NotRegexp(t, `--\S+ (string|duration)`, out, "the value of a flag has a name that says what it is")
		for line := range strings.Lines(strings.SplitN(out, "Usage:", 2)[0]) {
			assert.LessOrEqual(t, len(line), 90, line)
		}
		assert.Empty(t, errOut)
		code, same, _ := run(t, "help", command)
		assert.Zero(t, code)
		assert.Equal(t, out, same)
	}
	code, out, _ := run(t, "--version")
	assert.Zero(t, code)
	assert.Regexp(t, `^echomfa version \S.*go1\.`, out)
}

// TestCompletion shows that shells complete commands, files and values.
func TestCompletion(t *testing.T) {
	t.Parallel()
	const none = ":4\n"
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"ex"}, "explain\t"},
		{[]string{"check", ""}, "yaml\nyml\njson\n:8\n"},
		{[]string{"check", "testdata/mfa.yaml", "--routes", ""}, "json\n:8"},
		{[]string{"check", "testdata/mfa.yaml", ""}, none},
		{[]string{"diff", "testdata/mfa.yaml", ""}, "yaml\nyml\njson\n:8\n"},
		{[]string{"diff", "testdata/mfa.yaml", "testdata/mfa.yaml", ""}, none},
		{[]string{"test", "testdata/mfa_test.yaml", ""}, "yaml\nyml\njson\n:8\n"},
		{[]string{"doctor", ""}, none},
		{[]string{"emulator", ""}, none},
		{[]string{"doctor", "--token-file", ""}, ":0\n"},
		{[]string{"doctor", "--host", ""}, none},
		{[]string{"doctor", "--enrolled", ""}, "OTP\nSMS\n"},
		{[]string{"explain", "testdata/mfa.yaml", "--routes", "testdata/coverage.json", "--route", ""}, "GET /\nGET /admin\n"},
		{[]string{"explain", "testdata/mfa.yaml", "--routes", "testdata/wrong.json", "--route", ""}, none},
		{[]string{"explain", "testdata/mfa.yaml", "--at", ""}, none},
		{[]string{"completion", ""}, "bash\t"},
		{[]string{"help", "ch"}, "check\t"},
		{[]string{"explain", "testdata/mfa.yaml", "--have", "OTP,"}, "OTP,OTP\nOTP,SMS\nOTP,EMAIL\nOTP"},
		{[]string{"check", "testdata/mfa.yaml", "--factors", ""}, "OTP\nSMS\n"},
		{[]string{"explain", "testdata/mfa.yaml", "--route", ""}, "GET /\nGET /healthz\n"},
		{[]string{"explain", "testdata/mfa.yaml", "--role", ""}, "approver\n:4"},
		{[]string{"explain", "testdata/wrong.yaml", "--tenant", ""}, none},
	} {
		code, out, _ := run(t, append([]string{"__complete"}, row.args...)...)
		assert.Zero(t, code)
		assert.True(t, strings.HasPrefix(out, row.want), "%v: %s", row.args, out)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		code, out, _ := run(t, "completion", shell)
		assert.Zero(t, code)
		assert.Contains(t, out, "echomfa")
	}
}
