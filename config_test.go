package echomfa_test

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
)

func newClient(t *testing.T, host string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{BaseURL: host, AppID: "app"})
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// TestConfigMistakes has what is refused at construction, each row one mistake
// and the field that the error names.
func TestConfigMistakes(t *testing.T) {
	t.Parallel()
	lister := echomfa.FactorListerFunc(answertest.Lister)
	var noClient *client.Client
	var noFunc echomfa.FactorListerFunc
	type config = echomfa.Config
	rows := map[string]struct {
		change func(*config)
		want   string
	}{
		"no Client":                     {func(c *config) { c.Client = nil }, "Client: required"},
		"a nil Client":                  {func(c *config) { c.Client = noClient }, "Client: required"},
		"a nil function":                {func(c *config) { c.Client = noFunc }, "Client: required"},
		"a zero Client":                 {func(c *config) { c.Client = &client.Client{} }, "Client: not made by client.New"},
		"custom lister, no Namespace":   {func(c *config) { c.Namespace = "" }, "Namespace: required"},
		"custom lister, no Audience":    {func(c *config) { c.Audience = nil }, "Audience: required"},
		"an empty Audience":             {func(c *config) { c.Audience = []string{"app", ""} }, "Audience: holds an empty string"},
		"Audience with a blank before":  {func(c *config) { c.Audience = []string{"app", " api"} }, "Audience: \" api\""},
		"Audience with a line end":      {func(c *config) { c.Audience = []string{"app\n"} }, "Audience: \"app\\n\""},
		"Audience with a zero byte":     {func(c *config) { c.Audience = []string{"a\x00p"} }, "Audience: "},
		"Lookup.Timeout without a unit": {func(c *config) { c.Lookup.Timeout = 5 }, "Lookup.Timeout: 5ns is below 1ms"},
		"W6: FreshFor without a unit":   {func(c *config) { c.Cache.FreshFor = 60 }, "Cache.FreshFor: 60ns is below 1ms: is the unit missing?"},
		"W6: DenyFreshFor, no unit":     {func(c *config) { c.Cache.DenyFreshFor = 2 }, "Cache.DenyFreshFor: 2ns is below 1ms"},
		"W6: RefusedFor, no unit":       {func(c *config) { c.Cache.RefusedFor = 5 }, "Cache.RefusedFor: 5ns is below 1ms"},
		"W6: StaleIfError, no unit":     {func(c *config) { c.Cache.StaleIfError = 300 }, "Cache.StaleIfError: 300ns is below 1ms"},
		"W6: MaxWait without a unit":    {func(c *config) { c.Lookup.MaxWait = 500 }, "Lookup.MaxWait: 500ns is below 1ms"},
		"B: BaseURL with user info":     {func(c *config) { c.ReturnTo.BaseURL = "https://u:hunter2@app.example" }, "ReturnTo.BaseURL: has user info"},
		"B: BaseURL with two slashes":   {func(c *config) { c.ReturnTo.BaseURL = "https://app.example/a//b" }, `ReturnTo.BaseURL: "https://app.example/a//b" has two slashes in its path`},
		"B: BaseURL without a scheme":   {func(c *config) { c.ReturnTo.BaseURL = "app.example" }, `ReturnTo.BaseURL: "app.example" is not an address: put "https://" before it`},
		"B: BaseURL with a blank":       {func(c *config) { c.ReturnTo.BaseURL = "https://app.example/a b" }, "ReturnTo.BaseURL: \"https://app.example/a b\" has a character"},
		"B: BaseURL with a fragment":    {func(c *config) { c.ReturnTo.BaseURL = "https://app.example/#x" }, "ReturnTo.BaseURL: \"https://app.example/#x\" has a fragment"},
		"B: BaseURL without a host":     {func(c *config) { c.ReturnTo.BaseURL = "https:///tools" }, "ReturnTo.BaseURL: \"https:///tools\" has no host"},
		"B: EnrollURL with a blank":     {func(c *config) { c.EnrollURL = "https://x.example/a b" }, "EnrollURL: \"https://x.example/a b\" has a character"},
		"B: EnrollURL, the secret":      {func(c *config) { c.EnrollURL = "https://u:hunter2@id.example/mfa" }, "EnrollURL: has user info"},
		"B: EnrollURL, secret, no URL":  {func(c *config) { c.EnrollURL = "https://u:hunter2@id.example:x/" }, "EnrollURL: cannot be parsed"},
		"B: TokenLookup in capitals":    {func(c *config) { c.TokenLookup = "Header:Authorization:Bearer " }, `TokenLookup: "Header:Authorization:Bearer ": write "header:", in lower case`},
		"B: TokenLookup, blank before":  {func(c *config) { c.TokenLookup = " cookie:session" }, `TokenLookup: " cookie:session": write "cookie:"`},
		"B: TokenLookup, blank behind":  {func(c *config) { c.TokenLookup = "cookie: session" }, `TokenLookup: "cookie: session": no space may follow "cookie:"`},
		"B: TokenLookup of ours, https": {func(c *config) { c.TokenLookup = "cookie:__Host-echomfa_round_x" }, `TokenLookup: "cookie:__Host-echomfa_round_x": the cookie is one that this middleware sets itself`},
		"B: TokenLookup of our cookie":  {func(c *config) { c.TokenLookup = "cookie:echomfa_round_x" }, `TokenLookup: "cookie:echomfa_round_x": the cookie is one that this middleware sets itself`},
		"EnrollURL with a blank":        {func(c *config) { c.EnrollURL = "/my mfa" }, "EnrollURL: \"/my mfa\" has a character"},
		"EnrollURL with a blank behind": {func(c *config) { c.EnrollURL = "/mfa " }, "EnrollURL"},
		"EnrollURL, blank in its query": {func(c *config) { c.EnrollURL = "/mfa?a= b" }, "EnrollURL"},
		"EnrollURL with a letter":       {func(c *config) { c.EnrollURL = "/zwei-faktor-prüfung" }, "EnrollURL"},
		"LoginURL with a blank":         {func(c *config) { c.LoginURL = " /login" }, "LoginURL"},
		"LoginURL is EnrollURL":         {func(c *config) { c.LoginURL, c.EnrollURL = "/account", "/account" }, "EnrollURL and LoginURL: both are"},
		"Realm with a quote":            {func(c *config) { c.Realm = `a"b` }, "Realm"},
		"TokenLookup of a query":        {func(c *config) { c.TokenLookup = "query:token" }, `TokenLookup: "query:token": a token in an address`},
		"TokenLookup of two":            {func(c *config) { c.TokenLookup = "header:Authorization:Bearer ,cookie:session" }, `TokenLookup: "header:Authorization:Bearer ,cookie:session": it is one source`},
		"TokenLookup without a name":    {func(c *config) { c.TokenLookup = "header:" }, "TokenLookup"},
		"TokenLookup with a control":    {func(c *config) { c.TokenLookup = "header:X-\x7f" }, "TokenLookup"},
		"TokenLookup without a cookie":  {func(c *config) { c.TokenLookup = "cookie" }, "TokenLookup"},
		"TokenLookup and Token": {func(c *config) {
			c.TokenLookup = "cookie:a"
			c.Token = func(*http.Request) (string, error) { return "", nil }
		}, "TokenLookup and Token"},
		"negative Cache.Size":           {func(c *config) { c.Cache.Size = -1 }, "Cache.Size"},
		"negative Cache.FreshFor":       {func(c *config) { c.Cache.FreshFor = -1 }, "Cache.FreshFor"},
		"long Cache.FreshFor":           {func(c *config) { c.Cache.FreshFor = 5*time.Minute + 1 }, "Cache.FreshFor"},
		"negative Cache.DenyFreshFor":   {func(c *config) { c.Cache.DenyFreshFor = -1 }, "Cache.DenyFreshFor"},
		"Cache.DenyFreshFor > FreshFor": {func(c *config) { c.Cache.DenyFreshFor = 2 * time.Minute }, "Cache.DenyFreshFor"},
		"negative Cache.StaleIfError":   {func(c *config) { c.Cache.StaleIfError = -1 }, "Cache.StaleIfError"},
		"small Cache.StaleIfError":      {func(c *config) { c.Cache.StaleIfError = time.Minute }, "Cache.StaleIfError"},
		"long Cache.StaleIfError":       {func(c *config) { c.Cache.StaleIfError = 6 * time.Minute }, "Cache.StaleIfError"},
		"negative Cache.RefusedFor":     {func(c *config) { c.Cache.RefusedFor = -1 }, "Cache.RefusedFor"},
		"long Cache.RefusedFor":         {func(c *config) { c.Cache.RefusedFor = time.Hour }, "Cache.RefusedFor"},
		"negative Cache.RefusedSize":    {func(c *config) { c.Cache.RefusedSize = -1 }, "Cache.RefusedSize"},
		"negative Lookup.Timeout":       {func(c *config) { c.Lookup.Timeout = -1 }, "Lookup.Timeout: -1ns is negative"},
		"negative Lookup.MaxConcurrent": {func(c *config) { c.Lookup.MaxConcurrent = -1 }, "Lookup.MaxConcurrent"},
		"negative Lookup.MaxPerSecond":  {func(c *config) { c.Lookup.MaxPerSecond = -1 }, "Lookup.MaxPerSecond"},
		"no number Lookup.MaxPerSecond": {func(c *config) { c.Lookup.MaxPerSecond = math.NaN() }, "Lookup.MaxPerSecond"},
		"infinite Lookup.MaxPerSecond":  {func(c *config) { c.Lookup.MaxPerSecond = math.Inf(1) }, "Lookup.MaxPerSecond"},
		"negative Lookup.MaxWait":       {func(c *config) { c.Lookup.MaxWait = -1 }, "Lookup.MaxWait"},
		"Lookup.MaxWait > Timeout":      {func(c *config) { c.Lookup.MaxWait = 3 * time.Second }, "Lookup.MaxWait"},
		"EnrollURL without a slash":     {func(c *config) { c.EnrollURL = "mfa" }, "EnrollURL"},
		"EnrollURL with two":            {func(c *config) { c.EnrollURL = "//evil.example" }, "EnrollURL"},
		"EnrollURL without a scheme":    {func(c *config) { c.EnrollURL = "//evil.example/mfa" }, "EnrollURL"},
		"EnrollURL without a host":      {func(c *config) { c.EnrollURL = "javascript:/mfa" }, "EnrollURL"},
		"EnrollURL with a backslash":    {func(c *config) { c.EnrollURL = `/\evil.example` }, "EnrollURL"},
		"EnrollURL with a dot segment":  {func(c *config) { c.EnrollURL = "/a/../b" }, "EnrollURL: \"/a/../b\" has dots"},
		"EnrollURL of a script":         {func(c *config) { c.EnrollURL = "javascript:alert(1)" }, "EnrollURL"},
		"EnrollURL with a control":      {func(c *config) { c.EnrollURL = "/mfa\n" }, "EnrollURL"},
		"EnrollURL with a password":     {func(c *config) { c.EnrollURL = "https://u:p@id.example" }, "EnrollURL"},
		"EnrollURL elsewhere, no base":  {func(c *config) { c.EnrollURL = "https://id.example/u" }, "ReturnTo.BaseURL: required because EnrollURL"},
		"EnrollURL with the parameter":  {func(c *config) { c.EnrollURL = "/mfa?return_to=/x" }, "EnrollURL: has a parameter"},
		"LoginURL without a slash":      {func(c *config) { c.LoginURL = "login" }, "LoginURL"},
		"LoginURL elsewhere, no base":   {func(c *config) { c.LoginURL = "https://id.example/u" }, "ReturnTo.BaseURL: required because LoginURL"},
		"ReturnTo.Param":                {func(c *config) { c.ReturnTo.Param = "a b" }, "ReturnTo.Param"},
		"ReturnTo.BaseURL, dots":        {func(c *config) { c.ReturnTo.BaseURL = "https://app.example/a/../b" }, "ReturnTo.BaseURL: \"https://app.example/a/../b\" has dots"},
		"ReturnTo.BaseURL, slashes":     {func(c *config) { c.ReturnTo.BaseURL = "https://app.example//a" }, "ReturnTo.BaseURL: \"https://app.example//a\" may lead to another origin"},
		"ReturnTo.BaseURL with a query": {func(c *config) { c.ReturnTo.BaseURL = "https://app.example/a?b" }, "ReturnTo.BaseURL: \"https://app.example/a?b\" has a query"},
		"EnrollURL with BaseURL's path": {func(c *config) { c.ReturnTo.BaseURL, c.EnrollURL = "https://app.example/a", "/a/mfa" }, "EnrollURL"},
		"ReturnTo.BaseURL of files":     {func(c *config) { c.ReturnTo.BaseURL = "ftp://app.example" }, "ReturnTo.BaseURL"},
		"ReturnTo.BaseURL, not a URL":   {func(c *config) { c.ReturnTo.BaseURL = "https://%" }, "ReturnTo.BaseURL"},
		"ReturnTo.BaseURL, relative":    {func(c *config) { c.ReturnTo.BaseURL = "app.example" }, "ReturnTo.BaseURL"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config{Client: lister, Namespace: "n", Audience: []string{"app"}}
			row.change(&cfg)
			e, err := echomfa.New(cfg)
			assert.Nil(t, e)
			require.ErrorContains(t, err, "echomfa: "+row.want)
			assert.NotContains(t, err.Error(), "\n", "and nothing else")
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
}

// TestConfigMistakesTogether shows that all mistakes come at once, a line each.
func TestConfigMistakesTogether(t *testing.T) {
	t.Parallel()
	_, err := echomfa.New(echomfa.Config{
		TokenLookup: "query:t", Realm: "\"", EnrollURL: "x", LoginURL: "y",
		Cache:  echomfa.CacheConfig{Size: -1, FreshFor: time.Hour},
		Lookup: echomfa.LookupConfig{Timeout: -1},
	})
	require.Error(t, err)
	lines := strings.Split(err.Error(), "\n")
	for _, field := range []string{"Client", "TokenLookup", "Realm", "EnrollURL", "LoginURL", "Cache.Size", "Cache.FreshFor", "Lookup.Timeout"} {
		found := 0
		for _, line := range lines {
			if strings.HasPrefix(line, "echomfa: "+field+":") {
				found++
			}
		}
		assert.Equal(t, 1, found, field)
	}
}

// TestConfigIsCopied shows that later changes have no effect.
func TestConfigIsCopied(t *testing.T) {
	t.Parallel()
	audience := []string{"app"}
	e := newEnforcer(t, echomfa.FactorListerFunc(answertest.Lister), func(c *echomfa.Config) { c.Audience = audience })
	audience[0] = "other"
	_, err := e.Decide(t.Context(), answertest.JWT(map[string]any{"sub": "u", "aud": "other"}), otp())
	assert.ErrorIs(t, err, echomfa.ErrUnauthenticated)
}

// TestClientAudience shows that a client's app id is the audience, unless
// another is named.
func TestClientAudience(t *testing.T) {
	t.Parallel()
	jwt := func(aud any) string { return answertest.JWT(map[string]any{"sub": "u", "aud": aud}) }
	rows := map[string]struct {
		change func(*echomfa.Config)
		token  string
		passes bool // the check of the audience; GenAuth is not there
	}{
		"the app id":                {nil, jwt("app"), true},
		"one of several":            {nil, jwt([]string{"x", "app"}), true},
		"another app's":             {nil, jwt("other"), false},
		"a part of it":              {nil, jwt("ap"), false},
		"in another case":           {nil, jwt("APP"), false},
		"a configured one":          {func(c *echomfa.Config) { c.Audience = []string{"api"} }, jwt("api"), true},
		"no longer the app id":      {func(c *echomfa.Config) { c.Audience = []string{"api"} }, jwt("app"), false},
		"insecure: any":             {func(c *echomfa.Config) { c.InsecureAnyAudience = true }, jwt("other"), true},
		"insecure: still a user's":  {func(c *echomfa.Config) { c.InsecureAnyAudience = true }, answertest.JWT(map[string]any{"aud": "app"}), false},
		"opaque: nothing to narrow": {nil, "opaque", true},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnforcer(t, newClient(t, "http://127.0.0.1:1"), func(c *echomfa.Config) {
				c.Namespace, c.Audience = "", nil
				if row.change != nil {
					row.change(c)
				}
			})
			_, err := e.Decide(t.Context(), row.token, otp())
			if row.passes {
				assert.ErrorIs(t, err, echomfa.ErrUnavailable)
				return
			}
			assert.ErrorIs(t, err, echomfa.ErrUnauthenticated)
			assert.Zero(t, e.Stats().Misses, "GenAuth is not asked")
		})
	}
}

// TestZeroEnforcer shows that an Enforcer that New did not make refuses and does
// not panic.
func TestZeroEnforcer(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]*echomfa.Enforcer{"nil": nil, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := e.Decide(t.Context(), "token", otp())
			assert.Equal(t, echomfa.InternalError, d.Outcome)
			require.Error(t, err)
			require.Error(t, e.Invalidate(t.Context(), "token"))
			require.Error(t, e.InvalidateUser(t.Context(), "u"))
			r, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, "/", nil)
			require.Error(t, e.InvalidateRequest(r))
			_, err = e.Token(r)
			require.Error(t, err)
			assert.Empty(t, e.ReturnTo("/admin"))
			assert.NoError(t, e.Close())
			assert.Panics(t, func() { e.Require(otp()) })
		})
	}
}

// TestWA8LoginURLWithoutACookie shows what tells that browsers go in a circle,
// before they do.
func TestWA8LoginURLWithoutACookie(t *testing.T) {
	t.Parallel()
	own := func(*http.Request) (string, error) { return "", nil }
	for name, row := range map[string]struct {
		change func(*echomfa.Config)
		warned bool
	}{
		"by default":         {func(c *echomfa.Config) { c.LoginURL = "/login" }, true},
		"LoginURL elsewhere": {func(c *echomfa.Config) { c.LoginURL, c.ReturnTo.Disabled = "https://id.example/login", true }, true},
		"another scheme":     {func(c *echomfa.Config) { c.LoginURL, c.TokenLookup = "/login", "header:authorization:Token " }, true},
		"a cookie":           {func(c *echomfa.Config) { c.LoginURL, c.TokenLookup = "/login", "cookie:session" }, false},
		"a proxy's header":   {func(c *echomfa.Config) { c.LoginURL, c.TokenLookup = "/login", "header:X-Forwarded-Access-Token" }, false},
		"a function":         {func(c *echomfa.Config) { c.LoginURL, c.Token = "/login", own }, false},
		"EnrollURL alone":    {func(c *echomfa.Config) { c.EnrollURL = "/mfa" }, false}, // programs read it in the 403
		"neither":            {func(*echomfa.Config) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			newEnforcer(t, echomfa.FactorListerFunc(answertest.Lister), func(c *echomfa.Config) {
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
				row.change(c)
			})
			assert.Equal(t, row.warned, strings.Contains(log.String(), "level=WARN msg=\"mfa LoginURL is set, but"), log.String())
		})
	}
}
