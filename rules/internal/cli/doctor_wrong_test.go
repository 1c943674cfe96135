package cli_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDoctorCalledWrongly shows that a token which is put in the wrong place is not
// repeated, and that nothing is asked.
func TestDoctorCalledWrongly(t *testing.T) {
	t.Parallel()
	env := map[string]string{"GENAUTH_HOST": "https://example.genauth.ai", "GENAUTH_APP_ID": appID}
	with := func(args ...string) []string { return append([]string{"--token-file", "-"}, args...) }
	large := filepath.Join(t.TempDir(), "large")
	require.NoError(t, os.WriteFile(large, []byte(strings.Repeat("canary", 10_000)), 0o600))
	for name, tt := range map[string]struct {
		args []string
		env  map[string]string
		in   string
		says string
	}{
		"token as an argument":  {[]string{"token-canary"}, env, "", "takes no arguments: a token comes from --token-file FILE"},
		"token as a flag":       {[]string{"--token-canary"}, env, "", "not known"},
		"token of a flag":       {[]string{"--token", "canary"}, env, "", "a token on the command line is seen by other programs"},
		"token of another flag": {[]string{"--access-token=canary"}, env, "", "use --token-file FILE"},
		"token after one dash":  {[]string{"-token-canary"}, env, "", "not known"},
		"token of a switch":     {[]string{"--show-host=canary"}, env, "", "with a wrong value"},
		"token as a file":       {[]string{"--token-file", "token-canary"}, env, "", "the file cannot be read: no such file or directory; it takes the name of a file"},
		"token as a long file":  {[]string{"--token-file", strings.Repeat("canary", 1000)}, env, "", "the file cannot be read: file name too long"},
		"a folder":              {[]string{"--token-file", "."}, env, "", "cannot be read"},
		"no name of a file":     {[]string{"--token-file", ""}, env, "", "the file cannot be read"},
		"too long a file":       {[]string{"--token-file", large}, env, "", "not a bearer token"},
		"a misspelled flag":     {[]string{"--hots", "canary"}, env, "", "did you mean --host?"},
		"flag without a value":  {[]string{"--host"}, env, "", "--host: its value is missing"},
		"no token":              {with(), env, "\n", "--token-file: its first line has no token"},
		"nothing at all":        {with(), env, "", "no token"},
		"not a token":           {with(), env, "token canary\n", "not a bearer token"},
		"too long a token":      {with(), env, strings.Repeat("canary", 10_000), "not a bearer token"},
		"no settings":           {with(), nil, "token", "--host: give it, or set GENAUTH_HOST\n--app-id: give it, or set GENAUTH_APP_ID\n"},
		"misspelled --enrolled": {with("--enrolled", "OPT"), env, "token", "--enrolled: there is a type that is not known"},
		"token in --enrolled":   {with("--enrolled", "OTP,token-canary"), env, "token", "--enrolled: there is a type that is not known"},
		"--enrolled of nobody":  {[]string{"--enrolled", "OTP"}, env, "", "--enrolled: it is about the user of a token"},
		"bad address":           {with("--host", "http://canary.example"), env, "token", "BaseURL"},
		"no URL":                {[]string{"--host", "canary host", "--app-id", "a"}, nil, "", "--host (BaseURL), --app-id (AppID), --app-id-header (AppIDHeader): client: BaseURL: "},
		"a header that is none": {[]string{"--app-id-header", "canary canary"}, env, "", "client: AppIDHeader: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errOut := doctorIn(t, tt.env, strings.NewReader(tt.in), tt.args...)
			assert.Equal(t, 2, code)
			assert.Contains(t, errOut, tt.says)
			assert.Empty(t, out)
			assert.NotContains(t, errOut, "canary")
			code, out, errOut = doctorIn(t, tt.env, strings.NewReader(tt.in), append([]string{"--json"}, tt.args...)...)
			assert.Equal(t, 2, code)
			assert.True(t, json.Valid([]byte(errOut)), errOut)
			assert.Empty(t, out)
			assert.NotContains(t, errOut, "canary")
		})
	}
}

// TestDoctorWithoutAToken shows that doctor tells a GenAuth that knows the app from one that
// does not, and that it neither needs a token for it nor looks at standard input.
func TestDoctorWithoutAToken(t *testing.T) {
	t.Parallel()
	s := genauthtest.Start(t)
	good := "check: good: this is a GenAuth, and it does not deny the application\ntoken: none: "
	for name, row := range map[string]struct {
		args []string
		env  map[string]string
		code int
		want string
	}{
		"flags":        {[]string{"--host", s.URL(), "--app-id", s.AppID()}, nil, 0, good},
		"variables":    {nil, map[string]string{"GENAUTH_HOST": s.URL(), "GENAUTH_APP_ID": s.AppID()}, 0, good},
		"flags first":  {[]string{"--app-id", s.AppID()}, map[string]string{"GENAUTH_HOST": s.URL(), "GENAUTH_APP_ID": "another"}, 0, good},
		"json":         {[]string{"--host", s.URL(), "--app-id", s.AppID(), "--json"}, nil, 0, "{\n  \"good\": true,\n  \"rows\": []\n}\n"},
		"another app":  {[]string{"--host", s.URL(), "--app-id", "another"}, nil, 3, "check: failed: GenAuth knows no such application"},
		"failed, json": {[]string{"--host", s.URL(), "--app-id", "another", "--json"}, nil, 3, "{\n  \"good\": false,\n  \"problem\": \"GenAuth knows"},
		"another name": {[]string{"--host", s.URL(), "--app-id", s.AppID(), "--app-id-header", "x-other"}, nil, 3, "check: failed: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errOut := doctorIn(t, row.env, iotest.ErrReader(errors.New("standard input was read")), row.args...)
			assert.Equal(t, row.code, code)
			assert.True(t, strings.HasPrefix(out, row.want), out)
			assert.NotContains(t, out, s.URL())
			assert.Empty(t, errOut)
		})
	}
	assert.Zero(t, s.Calls("/api/v3/get-profile"))
}
