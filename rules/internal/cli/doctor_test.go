package cli_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/rules/internal/cli"
)

const appID = "65a1b2c3d4e5f6071829canary"

// alice has a secret wherever one can be.
func alice(factors ...genauthtest.FactorType) genauthtest.User {
	return genauthtest.User{
		ID: "alice-id-canary", Username: "alice-canary", Email: "alice@canary.example", Phone: "18800canary", Factors: factors,
	}
}

// doctorOf runs the program against an emulator and returns what it prints.
func doctorOf(t *testing.T, s *genauthtest.Server, token string, args ...string) (out string, code int) {
	t.Helper()
	env := map[string]string{"GENAUTH_HOST": s.URL(), "GENAUTH_APP_ID": s.AppID()}
	code, out, errOut := doctorIn(t, env, strings.NewReader(token+"\n"), append([]string{"--token-file", "-"}, args...)...)
	assert.Empty(t, errOut)
	return out, code
}

// doctorIn runs the program in an environment.
func doctorIn(t *testing.T, env map[string]string, in io.Reader, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = cli.Run(t.Context(), append([]string{"doctor"}, args...), cli.IO{In: in, Out: &stdout, Err: &stderr, Now: now, Getenv: func(name string) string { return env[name] }})
	return code, stdout.String(), stderr.String()
}

// hasNoSecret checks what may be pasted into a report.
func hasNoSecret(t *testing.T, out string, s *genauthtest.Server, token string) {
	t.Helper()
	assert.NotContains(t, out, "canary")
	assert.NotContains(t, out, strings.TrimPrefix(s.URL(), "http://"))
	assert.NotContains(t, out, "127.0.0.1")
	for part := range strings.SplitSeq(token, ".") {
		assert.NotContains(t, out, part)
	}
	assert.NotRegexp(t, `[0-9a-f]{24}`, out, "an id")
	assert.NotContains(t, out, "[redacted]", "nothing has to be taken out")
}

// nullData spoils successes only.
func nullData(a *genauthtest.Answer) {
	if bytes.Contains(a.Body, []byte(`"data"`)) {
		genauthtest.Data("null")(a)
	}
}

// partialData spoils two rows of three.
func partialData(a *genauthtest.Answer) {
	if bytes.Contains(a.Body, []byte(`"data"`)) {
		genauthtest.Data(`[{"factorId":"id","factorType":"OTP"},{"factorId":"id"},{"factorId":"id","factorType":5}]`)(a)
	}
}

func factors(types ...genauthtest.FactorType) []genauthtest.FactorType { return types }

// TestDoctorAgainstEachMode shows what the program finds out of each behavior that
// GenAuth's documents leave open, and that it tells nothing else.
func TestDoctorAgainstEachMode(t *testing.T) {
	t.Parallel()
	otp := factors(genauthtest.OTP)
	rows := map[string]struct {
		cfg     genauthtest.Config
		factors []genauthtest.FactorType
		token   genauthtest.Token
		fault   genauthtest.Fault
		advance time.Duration
		args    []string
		bad     bool // the exit status is 3
		has     []string
	}{
		"as documented": {factors: factors(genauthtest.OTP, genauthtest.Face), has: []string{
			"check: good", "token: JWT, alg=RS256, typ=", "claims: aud exp iat iss jti scope sub\n",
			"life of the token: 7200 s (exp - iat), ", "list-enrolled-factors: accepted: FACE OTP\n",
			"without having been enrolled? SMS: no: the user's profile has an address, and it is not listed; EMAIL: no: ",
			"Is PASSKEY listed? not determined: ", "not an array: an array, of 2\n", "in a success: not determined: the user has factors\n",
			"header: x-authing-app-id is honored; x-genauth-app-id is honored\n",
			"needed? yes: misconfigured: HTTP 200, statusCode 499, apiCode 2011\n",
			"revoked token: not determined: this needs such a token; a made-up token is answered by unauthenticated: HTTP 200, statusCode 401, apiCode 2020\n",
			"other apps taken? not determined: the token is of this app\n", "mfaTokens taken? not determined: ",
			"ID tokens taken? not determined: ", "429: not determined: ", "Form of factor ids: 24 hexadecimal digits\n",
			"enrolled or removed? not determined: ",
		}},
		"implicit, said what is enrolled": {
			cfg: genauthtest.Config{ImplicitSMS: true, ImplicitEmail: true}, factors: factors(genauthtest.Email),
			args: []string{"--enrolled", "email"},
			has:  []string{"SMS: yes: it is listed, and --enrolled does not name it; EMAIL: not determined: the user has enrolled it"},
		},
		"implicit, nothing enrolled": {
			cfg: genauthtest.Config{ImplicitSMS: true}, args: []string{"--enrolled=none"},
			has: []string{"SMS: yes: ", "EMAIL: no: "},
		},
		"implicit, not said": {cfg: genauthtest.Config{ImplicitSMS: true}, has: []string{"SMS: not determined: it is listed; say by --enrolled"}},
		"implicit, and still offered": {
			cfg:   genauthtest.Config{ImplicitSMS: true},
			fault: genauthtest.Fault{Path: "/api/v3/list-factors-to-enroll", Change: genauthtest.Data(`[{"factorType":"SMS"}]`)},
			has:   []string{"SMS: yes: it is listed, and can still be enrolled"},
		},
		"no profile": {
			factors: otp, fault: genauthtest.Fault{Path: "/api/v3/get-profile", Change: genauthtest.Envelope(403, 0)},
			has: []string{"SMS: not determined: it is not listed, and get-profile does not tell"},
		},
		"a passkey":  {factors: factors(genauthtest.Passkey), has: []string{"Is PASSKEY listed? yes\n"}},
		"one object": {cfg: genauthtest.Config{DataAsObject: true}, factors: otp, has: []string{"not an array: one object\n"}},
		"no factors": {has: []string{"accepted: no factors\n", "in a success: no: ", "ids: not determined: there is no factor"}},
		"null": {
			fault: genauthtest.Fault{Change: nullData}, bad: true,
			has: []string{"list-enrolled-factors: failed: malformed: HTTP 200, statusCode 200, apiCode 0\n", "in a success: yes: set NullDataMeansNone"},
		},
		"rows that cannot be read": {
			fault: genauthtest.Fault{Path: genauthtest.ListEnrolledFactorsPath, Change: partialData},
			has: []string{
				"accepted: OTP and 2 rows that cannot be read\n", "not an array: an array, of 1 and 2 rows that cannot be read\n",
				"SMS: not determined: it may be a row that cannot be read; EMAIL: not determined: it may be",
				"in a success: not determined: a row of the list cannot be read\n",
			},
		},
		"one header": {
			cfg: genauthtest.Config{AppIDHeaders: []string{"x-authing-app-id"}}, factors: otp,
			has: []string{"x-authing-app-id is honored; x-genauth-app-id is not honored\n"},
		},
		"the other header": {
			cfg: genauthtest.Config{AppIDHeaders: []string{"x-genauth-app-id"}}, factors: otp, args: []string{"--app-id-header", "x-genauth-app-id"},
			has: []string{"x-authing-app-id is not honored; x-genauth-app-id is honored\n"},
		},
		"a third header": {
			cfg: genauthtest.Config{AppIDHeaders: []string{"x-canary-app-id"}}, factors: otp, args: []string{"--app-id-header=x-canary-app-id"},
			has: []string{"x-genauth-app-id is not honored; that of --app-id-header is honored\n"},
		},
		"no header": {
			cfg: genauthtest.Config{AppIDHeaders: []string{}, AppIDOptional: true}, factors: otp,
			has: []string{"x-authing-app-id is ignored: ", "needed? no\n"},
		},
		"header not needed": {cfg: genauthtest.Config{AppIDOptional: true}, factors: otp, has: []string{"x-authing-app-id is honored", "needed? no\n"}},
		"other apps' tokens": {
			cfg: genauthtest.Config{AcceptAnyAudience: true}, token: genauthtest.Token{Audience: "other-app-canary"}, bad: true,
			has: []string{"other apps taken? yes\n", "echomfa rejects this token: its aud lacks the app id; see AppID/Audience\n"},
		},
		"other apps' tokens, refused": {
			token: genauthtest.Token{Audience: "other-app-canary"}, bad: true,
			has: []string{"other apps taken? no: unauthenticated: HTTP 200, statusCode 401, apiCode 2020\n", "echomfa rejects this token: GenAuth rejects it\n"},
		},
		"no aud": {
			cfg: genauthtest.Config{AcceptAnyAudience: true}, token: genauthtest.Token{Claims: map[string]any{"aud": nil}}, bad: true,
			has: []string{"echomfa rejects this token: its aud lacks the app id; see AppID/Audience\n"},
		},
		"no sub": {
			token: genauthtest.Token{Claims: map[string]any{"sub": nil}}, bad: true,
			has: []string{"echomfa rejects this token: it has no sub, so it is not the token of a user\n"},
		},
		"mfaTokens":          {cfg: genauthtest.Config{AcceptMFATokens: true}, token: genauthtest.Token{Kind: genauthtest.KindMFA}, has: []string{"mfaTokens taken? yes\n"}},
		"mfaTokens, refused": {token: genauthtest.Token{Kind: genauthtest.KindMFA}, bad: true, has: []string{"mfaTokens taken? no: "}},
		"ID tokens":          {cfg: genauthtest.Config{AcceptIDTokens: true}, token: genauthtest.Token{Kind: genauthtest.KindID}, bad: true, has: []string{"ID tokens taken? yes\n", "nonce", "echomfa rejects this token: it is an ID token; send the access token\n"}},
		"ID tokens, refused": {token: genauthtest.Token{Kind: genauthtest.KindID}, bad: true, has: []string{"ID tokens taken? no: "}},
		"expired": {
			token: genauthtest.Token{Kind: genauthtest.KindID, Audience: "other-app-canary", Lifetime: -time.Hour}, bad: true,
			has: []string{
				"the expired token is answered by unauthenticated: HTTP 200, statusCode 401, apiCode 2020; a made-up",
				"other apps taken? not determined: the token has expired", "ID tokens taken? not determined: the token has expired",
				"header: not determined: the token is rejected with each of them",
			},
		},
		"limited, with a time": {fault: genauthtest.Fault{Change: genauthtest.RateLimited("1")}, bad: true, has: []string{"check: failed: GenAuth limits the requests"}},
		"limited later": {
			fault: genauthtest.Fault{Path: "/api/v3/list-factors-to-enroll", Change: genauthtest.RateLimited("1")},
			has:   []string{"`Retry-After` on a 429: yes\n"},
		},
		"limited later, without a time": {
			fault: genauthtest.Fault{Path: "/api/v3/list-factors-to-enroll", Change: genauthtest.RateLimited("")},
			has:   []string{"`Retry-After` on a 429: no: a 429 came without\n"},
		},
		"composite ids": {cfg: genauthtest.Config{CompositeFactorIDs: true}, factors: otp, has: []string{"Form of factor ids: an id, |, and a word\n"}},
		"opaque":        {token: genauthtest.Token{Opaque: true}, has: []string{"token: opaque", "other apps taken? not determined: the token names no app"}},
		"claims of all kinds": {
			token: genauthtest.Token{Claims: map[string]any{
				"email": "alice@canary.example", "email_verified": true, "custom": map[string]any{"deep": "value-canary"},
				"https://canary.example/roles": "admin", "acr": "urn:canary", "iat": nil,
			}},
			has: []string{"claims: acr aud custom email email_verified=true exp iss jti scope sub and 1 with names of another form\n", "life of the token: not determined: there is no iat; "},
		},
	}
	for name, tt := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.cfg.AppID = appID
			s := genauthtest.Start(t, tt.cfg)
			user := s.AddUser(alice(tt.factors...))
			tt.token.UserID = user.ID
			token := s.Mint(tt.token)
			if tt.fault.Change != nil {
				s.SetFault(tt.fault)
			}
			out, code := doctorOf(t, s, token, tt.args...)
			assert.Equal(t, map[bool]int{true: 3}[tt.bad], code, out)
			for _, text := range tt.has {
				assert.Contains(t, out, text)
			}
			hasNoSecret(t, out, s, token)
		})
	}
}

// TestDoctorSendsNoTokenToAnotherHost shows that a host which is not a GenAuth, or
// does not know the app, never sees the token.
func TestDoctorSendsNoTokenToAnotherHost(t *testing.T) {
	t.Parallel()
	s := genauthtest.Start(t, genauthtest.Config{AppID: appID})
	token := s.AccessToken(s.AddUser(alice()).ID)
	out, code := doctorOf(t, s, token, "--app-id", "another-app-canary")
	assert.Equal(t, 3, code)
	assert.Contains(t, out, "check: failed: GenAuth knows no such application")
	assert.Contains(t, out, "apiCode 2011")
	hasNoSecret(t, out, s, token)

	s.SetFault(genauthtest.Fault{Path: "*", Change: genauthtest.HTML()})
	out, code = doctorOf(t, s, token)
	assert.Equal(t, 3, code)
	assert.Contains(t, out, "check: failed: a web page")
	hasNoSecret(t, out, s, token)

	s.Stop()
	out, code = doctorOf(t, s, token)
	assert.Equal(t, 3, code)
	assert.Contains(t, out, "check: failed: the connection is refused")
	hasNoSecret(t, out, s, token)
	assert.Equal(t, 1, s.Calls(genauthtest.ListEnrolledFactorsPath), "the one without a token")
}

// TestDoctorShowsTheHostOnlyIfAsked has the one way to print the settings.
func TestDoctorShowsTheHostOnlyIfAsked(t *testing.T) {
	t.Parallel()
	s := genauthtest.Start(t, genauthtest.Config{AppID: appID})
	token := s.AccessToken(s.AddUser(alice()).ID)
	out, code := doctorOf(t, s, token, "--show-host")
	assert.Equal(t, 0, code)
	assert.Contains(t, out, "address: "+s.URL()+"\napp id: "+appID+"\n")
	assert.NotContains(t, out, token)
}

// TestDoctorAsJSON has the same report as a document, with the token of a file.
func TestDoctorAsJSON(t *testing.T) {
	t.Parallel()
	s := genauthtest.Start(t, genauthtest.Config{AppID: appID})
	token := s.AccessToken(s.AddUser(alice(genauthtest.OTP)).ID)
	file := filepath.Join(t.TempDir(), "token.txt")
	require.NoError(t, os.WriteFile(file, []byte("Bearer "+token+"\r\n"), 0o600))
	env := map[string]string{"GENAUTH_HOST": s.URL(), "GENAUTH_APP_ID": s.AppID()}
	code, out, errOut := doctorIn(t, env, strings.NewReader(""), "--token-file", file, "--json")
	assert.Zero(t, code)
	assert.Empty(t, errOut)
	hasNoSecret(t, out, s, token)
	assert.NotContains(t, out, `"address":`)
	var told cli.Doctor
	require.NoError(t, json.Unmarshal([]byte(out), &told))
	assert.True(t, told.Good)
	require.NotNil(t, told.Token)
	assert.True(t, told.Token.Listed)
	assert.Equal(t, "OTP", told.Token.Factors)
	assert.Equal(t, "aud exp iat iss jti scope sub", told.Token.Claims)
	determined := make(map[string]bool)
	for _, row := range told.Rows {
		determined[row.Point] = row.Determined
	}
	assert.Len(t, determined, 13)
	assert.True(t, determined["Form of factor ids"])
	assert.False(t, determined["Are ID tokens taken?"])

	code, out, _ = doctorIn(t, env, strings.NewReader(""), "--token-file", file, "--json", "--show-host")
	assert.Zero(t, code)
	require.NoError(t, json.Unmarshal([]byte(out), &told))
	assert.Equal(t, s.URL(), told.Address)
	assert.Equal(t, appID, told.AppID)
	assert.NotContains(t, out, token)

	s.SetFault(genauthtest.Fault{Path: genauthtest.ListEnrolledFactorsPath, Change: nullData})
	code, out, _ = doctorIn(t, env, strings.NewReader(""), "--token-file", file, "--json")
	assert.Equal(t, 3, code)
	told = cli.Doctor{}
	require.NoError(t, json.Unmarshal([]byte(out), &told))
	assert.False(t, told.Good)
	assert.Equal(t, "malformed: HTTP 200, statusCode 200, apiCode 0", told.Token.Answer)
}

// TestDoctorHasEveryRow compares the points with the table of the documents.
func TestDoctorHasEveryRow(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/genauth-setup.md")
	require.NoError(t, err)
	_, text, found := bytes.Cut(text, []byte("## What is unsettled"))
	require.True(t, found)
	var points []string
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, " | "); len(cells) == 4 && strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| point") && !strings.HasPrefix(line, "| ---") {
			points = append(points, strings.TrimPrefix(cells[0], "| "))
		}
	}
	s := genauthtest.Start(t, genauthtest.Config{AppID: appID})
	out, _ := doctorOf(t, s, s.AccessToken(s.AddUser(alice()).ID))
	var told []string
	for line := range strings.Lines(out) {
		for _, point := range points {
			if strings.HasPrefix(line, strings.TrimSuffix(point, " None is documented")) {
				told = append(told, point)
			}
		}
	}
	assert.Equal(t, points, told)
	assert.Len(t, points, 13)
}
