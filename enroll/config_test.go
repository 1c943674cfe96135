package enroll_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/enroll"
)

// goodConfig is one that New takes. GenAuth is never asked.
func goodConfig(t *testing.T) enroll.Config {
	t.Helper()
	genauth, err := client.New(client.Config{BaseURL: "https://genauth.example", AppID: "app"})
	require.NoError(t, err)
	mfa, err := echomfa.New(echomfa.Config{Client: genauth, EnrollURL: "/mfa"})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, mfa.Close()) })
	return enroll.Config{
		Client: genauth, Enforcer: mfa, BasePath: "/mfa", Policy: echomfa.AnyOf(echomfa.OTP),
		StateKeys: [][]byte{enroll.InsecureRandomKey()}, AuthTime: true,
	}
}

// signInAt returns an Enforcer with a LoginURL.
func signInAt(t *testing.T, url string) *echomfa.Enforcer {
	t.Helper()
	return made(t, echomfa.Config{Client: clientOf(t, "https://genauth.example", "app"), EnrollURL: "/account?enroll", LoginURL: url})
}

// enrollAt returns an Enforcer with an EnrollURL.
func enrollAt(t *testing.T, url string) *echomfa.Enforcer {
	t.Helper()
	return made(t, echomfa.Config{
		Client: clientOf(t, "https://genauth.example", "app"), EnrollURL: url, ReturnTo: echomfa.ReturnToConfig{Disabled: true},
	})
}

// ofLister returns an Enforcer that asks something else.
func ofLister(t *testing.T) *echomfa.Enforcer {
	t.Helper()
	return made(t, echomfa.Config{
		Client:    echomfa.FactorListerFunc(func(context.Context, string) ([]client.Factor, error) { return nil, nil }),
		Namespace: "other", Audience: []string{"other"}, EnrollURL: "/mfa",
	})
}

func made(t *testing.T, cfg echomfa.Config) *echomfa.Enforcer {
	t.Helper()
	mfa, err := echomfa.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, mfa.Close()) })
	return mfa
}

func clientOf(t *testing.T, host, appID string) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{BaseURL: host, AppID: appID})
	require.NoError(t, err)
	return c
}

// TestWA5NoEnrollURLIsLogged shows what tells that nobody is sent to the pages.
func TestWA5NoEnrollURLIsLogged(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]int{"": 1, "/mfa": 0, "https://id.example/u": 0} {
		var log strings.Builder
		cfg := goodConfig(t)
		cfg.Enforcer, cfg.Logger = enrollAt(t, url), slog.New(slog.NewTextHandler(&log, nil))
		_, err := enroll.New(cfg)
		require.NoError(t, err)
		assert.Equal(t, want, strings.Count(log.String(), "the Enforcer has no EnrollURL"), url)
	}
}

// TestPolicyNeedsHostedURLIsLogged shows at start-up which policy nobody can satisfy by what
// the pages set up.
func TestPolicyNeedsHostedURLIsLogged(t *testing.T) {
	t.Parallel()
	otp, face := echomfa.AnyOf(echomfa.OTP), echomfa.AnyOf(echomfa.Face)
	rows := map[string]struct {
		change  func(*enroll.Config)
		mounted echomfa.Policy
		want    string // in the line; "" for none
	}{
		"what the pages set up":    {func(c *enroll.Config) { c.Policy = echomfa.AllOf(echomfa.OTP, echomfa.SMS, echomfa.Email) }, otp, ""},
		"face or what they set up": {func(c *enroll.Config) { c.Policy = face.Or(otp) }, otp, ""},
		"face too":                 {func(c *enroll.Config) { c.Policy = echomfa.AllOf(echomfa.OTP, echomfa.Face) }, otp, `policy="OTP and FACE" factor=FACE`},
		"passkey":                  {func(c *enroll.Config) { c.Policy = echomfa.AnyOf(echomfa.Passkey) }, otp, "policy=PASSKEY factor=PASSKEY"},
		"a type of their own":      {func(c *enroll.Config) { c.Policy = echomfa.Custom("VOICE") }, otp, "policy=\"\\\"VOICE\\\"\" factor=VOICE"},
		"a HostedURL":              {func(c *enroll.Config) { c.Policy, c.HostedURL = face, "https://genauth.example/u" }, face, ""},
		"mounted":                  {nil, face, "policy=FACE factor=FACE"},
		"mounted, and its own":     {func(c *enroll.Config) { c.Policy = echomfa.AnyOf(echomfa.Passkey) }, face, "policy=PASSKEY factor=PASSKEY"},
		"of a function":            {func(c *enroll.Config) { c.RoutePolicies = []echomfa.Policy{face} }, otp, "policy=FACE factor=FACE"},
		"PolicyFunc, and mounted": {func(c *enroll.Config) {
			c.Policy = echomfa.Policy{}
			c.PolicyFunc = func(*http.Request, string) (echomfa.Policy, error) { return face, nil }
		}, face, "policy=FACE factor=FACE"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log strings.Builder
			cfg := goodConfig(t)
			cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			cfg.Enforcer.Middleware(echomfa.HandlerConfig{Policy: row.mounted})
			if row.change != nil {
				row.change(&cfg)
			}
			_, err := enroll.New(cfg)
			require.NoError(t, err)
			if row.want == "" {
				assert.Empty(t, log.String())
				return
			}
			assert.Equal(t, 1, strings.Count(log.String(), "level=WARN"))
			assert.Contains(t, log.String(), "event=enroll_policy_needs_hosted_url "+row.want)
		})
	}
}

// TestConfig has each mistake, named by its field, and what is not a mistake.
func TestConfig(t *testing.T) {
	t.Parallel()
	type config = enroll.Config
	policyFunc := func(*http.Request, string) (echomfa.Policy, error) { return echomfa.Policy{}, nil }
	messages := func(tag, key, text string) func(*config) {
		return func(c *config) { c.Messages = map[string]map[string]string{tag: {key: text}} }
	}
	rows := map[string]struct {
		change func(*config)
		want   string // in the error; "" is none
	}{
		"good":                       {func(*config) {}, ""},
		"no client":                  {func(c *config) { c.Client = nil }, "Client:"},
		"zero client":                {func(c *config) { c.Client = &client.Client{} }, "Client:"},
		"no enforcer":                {func(c *config) { c.Enforcer = nil }, "Enforcer:"},
		"zero enforcer":              {func(c *config) { c.Enforcer = &echomfa.Enforcer{} }, "Home:"},
		"no base path":               {func(c *config) { c.BasePath = "" }, "BasePath:"},
		"base path: root":            {func(c *config) { c.BasePath = "/" }, "BasePath:"},
		"base path: relative":        {func(c *config) { c.BasePath = "mfa" }, "BasePath:"},
		"base path: slash at end":    {func(c *config) { c.BasePath = "/mfa/" }, "BasePath:"},
		"base path: two slashes":     {func(c *config) { c.BasePath = "//mfa" }, "BasePath:"},
		"base path: dots":            {func(c *config) { c.BasePath = "/a/../mfa" }, "BasePath:"},
		"base path: query":           {func(c *config) { c.BasePath = "/mfa?a" }, "BasePath:"},
		"base path: escaped":         {func(c *config) { c.BasePath = "/mf%61" }, "BasePath:"},
		"base path: not escaped":     {func(c *config) { c.BasePath = "/m fa" }, "BasePath:"},
		"base path: URL":             {func(c *config) { c.BasePath = "https://a/mfa" }, "BasePath:"},
		"base path: deep":            {func(c *config) { c.BasePath, c.Enforcer = "/account/mfa", enrollAt(t, "/account/mfa/") }, ""},
		"WA5: EnrollURL elsewhere":   {func(c *config) { c.BasePath = "/enroll" }, `BasePath: "/enroll" is not where the Enforcer's EnrollURL leads, "/mfa"`},
		"WA5: EnrollURL, alike":      {func(c *config) { c.BasePath = "/mfa2" }, `BasePath: "/mfa2" is not where`},
		"WA5: EnrollURL with more":   {func(c *config) { c.Enforcer = enrollAt(t, "/tools/mfa?lang=zh#x") }, ""},
		"WA5: EnrollURL above":       {func(c *config) { c.BasePath, c.Enforcer = "/help/enroll", enrollAt(t, "/help") }, ""},
		"WA5: EnrollURL, a host":     {func(c *config) { c.Enforcer = enrollAt(t, "https://id.example/u") }, ""},
		"WA5: no EnrollURL":          {func(c *config) { c.Enforcer = enrollAt(t, "") }, ""},
		"WA5: Client, another app":   {func(c *config) { c.Client = clientOf(t, "https://genauth.example", "other") }, "Client: is of another address or app id"},
		"WA5: Client elsewhere":      {func(c *config) { c.Client = clientOf(t, "https://other.example", "app") }, "Client: is of another address or app id"},
		"WA5: Client, the same":      {func(c *config) { c.Client = clientOf(t, "https://genauth.example/", "app") }, ""},
		"WA5: another lister":        {func(c *config) { c.Enforcer = ofLister(t) }, ""},
		"WA5: key of equal bytes":    {func(c *config) { c.StateKeys[0] = bytes.Repeat([]byte{7}, 32) }, "StateKeys[0]: all bytes are the same"},
		"no policy":                  {func(c *config) { c.Policy = echomfa.Policy{} }, "Policy:"},
		"invalid policy":             {func(c *config) { c.Policy = echomfa.AnyOf() }, "Policy:"},
		"exempt policy":              {func(c *config) { c.Policy = echomfa.Exempt("x") }, "Policy: an exempt policy"},
		"PolicyFunc":                 {func(c *config) { c.Policy, c.PolicyFunc = echomfa.Policy{}, policyFunc }, ""},
		"both":                       {func(c *config) { c.PolicyFunc = policyFunc }, "Policy and PolicyFunc:"},
		"no keys":                    {func(c *config) { c.StateKeys = nil }, "StateKeys:"},
		"short key":                  {func(c *config) { c.StateKeys[0] = c.StateKeys[0][:31] }, "StateKeys[0]: 31 bytes"},
		"short second key":           {func(c *config) { c.StateKeys = append(c.StateKeys, nil) }, "StateKeys[1]: 0 bytes"},
		"long key":                   {func(c *config) { c.StateKeys[0] = slices.Concat(c.StateKeys[0], c.StateKeys[0]) }, ""},
		"SignInWithin: negative":     {func(c *config) { c.SignInWithin = -1 }, "SignInWithin:"},
		"SignInWithin: no unit":      {func(c *config) { c.SignInWithin = 15 }, "SignInWithin: 15ns is not between"},
		"SignInWithin: shortest":     {func(c *config) { c.SignInWithin = time.Minute }, ""},
		"sign-in page: one of these": {func(c *config) { c.BasePath, c.Enforcer = "/account", signInAt(t, "/account") }, "Enforcer: its LoginURL"},
		"sign-in page: below these":  {func(c *config) { c.BasePath, c.Enforcer = "/account", signInAt(t, "/account/login?a=b") }, "Enforcer: its LoginURL"},
		"sign-in page: beside these": {func(c *config) { c.BasePath, c.Enforcer = "/account", signInAt(t, "/accounts") }, ""},
		"SignInWithin: too long":     {func(c *config) { c.SignInWithin = time.Hour + 1 }, "SignInWithin:"},
		"SignInWithin: longest":      {func(c *config) { c.SignInWithin = time.Hour }, ""},
		"ReauthURL: path":            {func(c *config) { c.ReauthURL = "/login?max_age=0" }, ""},
		"ReauthURL: these pages":     {func(c *config) { c.ReauthURL = "/mfa/x" }, "ReauthURL: leads to these pages"},
		"ReauthURL: no slash":        {func(c *config) { c.ReauthURL = "login" }, "ReauthURL: is neither"},
		"ReauthURL: no page":         {func(c *config) { c.ReauthURL = "javascript:x" }, "ReauthURL: is neither"},
		"ReauthURL: elsewhere?":      {func(c *config) { c.ReauthURL = "//idp.example/x" }, "ReauthURL: is neither"},
		"ReauthURL: fragment":        {func(c *config) { c.ReauthURL = "/login#x" }, "ReauthURL: is not a URL without"},
		"ReauthURL: return-to":       {func(c *config) { c.ReauthURL = "/login?return_to=/x" }, "ReauthURL: has the parameter"},
		"ReauthURL: no way back":     {func(c *config) { c.ReauthURL = "https://idp.example/x" }, "ReauthURL: is on another origin"},
		"SignOutURL: path":           {func(c *config) { c.SignOutURL, c.SignOutPost = "/logout?all", true }, ""},
		"SignOutURL: elsewhere":      {func(c *config) { c.SignOutURL = "https://idp.example/logout" }, ""},
		"SignOutURL: none":           {func(c *config) { c.SignOutPost = true }, "SignOutURL: required"},
		"SignOutURL: form away":      {func(c *config) { c.SignOutURL, c.SignOutPost = "https://idp.example/logout", true }, "SignOutURL: is on another origin"},
		"SignOutURL: no page":        {func(c *config) { c.SignOutURL = "javascript:x" }, "SignOutURL: is neither"},
		"SignOutURL: relative":       {func(c *config) { c.SignOutURL = "logout" }, "SignOutURL: is neither"},
		"RoutePolicies":              {func(c *config) { c.RoutePolicies = []echomfa.Policy{echomfa.AnyOf(echomfa.SMS), {}} }, "RoutePolicies[1]:"},
		"home: elsewhere":            {func(c *config) { c.Home = "//evil.example" }, "Home:"},
		"home: URL":                  {func(c *config) { c.Home = "https://evil.example" }, "Home:"},
		"home: a page of these":      {func(c *config) { c.Home = "/mfa" }, "Home:"},
		"home: below these":          {func(c *config) { c.Home = "/mfa/x" }, "Home:"},
		"home: with query":           {func(c *config) { c.Home = "/home?a=b" }, ""},
		"hosted: script":             {func(c *config) { c.HostedURL = "javascript:alert(1)" }, "HostedURL:"},
		"hosted: path":               {func(c *config) { c.HostedURL = "/u" }, "HostedURL:"},
		"hosted: no URL":             {func(c *config) { c.HostedURL = "http://%zz" }, "HostedURL:"},
		"hosted: https":              {func(c *config) { c.HostedURL = "https://genauth.example/u" }, ""},
		"region: unknown":            {func(c *config) { c.Region = "XX" }, "Region:"},
		"region: a code":             {func(c *config) { c.Region = "+86" }, "Region:"},
		"region: known":              {func(c *config) { c.Region = "US" }, ""},
		"color: no color":            {func(c *config) { c.Brand.Color = "red" }, "Brand.Color:"},
		"color: short":               {func(c *config) { c.Brand.Color = "#fff" }, "Brand.Color:"},
		"color: style":               {func(c *config) { c.Brand.Color = "#000;}*" }, "Brand.Color:"},
		"color: no hash":             {func(c *config) { c.Brand.Color = "0000000" }, "Brand.Color:"},
		"color: sign":                {func(c *config) { c.Brand.Color = "#+00000" }, "Brand.Color:"},
		"color: too light":           {func(c *config) { c.Brand.Color = "#777777" }, "Brand.Color: #777777 has a contrast of 4.5"},
		"color: dark enough":         {func(c *config) { c.Brand.Color = "#767676" }, ""},
		"color: black":               {func(c *config) { c.Brand.Color = "#000000" }, ""},
		"logo: elsewhere":            {func(c *config) { c.Brand.LogoPath = "https://a/logo.svg" }, "Brand.LogoPath:"},
		"logo: other host":           {func(c *config) { c.Brand.LogoPath = "//a/logo.svg" }, "Brand.LogoPath:"},
		"logo: relative":             {func(c *config) { c.Brand.LogoPath = "logo.svg" }, "Brand.LogoPath:"},
		"logo: path":                 {func(c *config) { c.Brand.LogoPath = "/logo.svg" }, ""},
		"messages: no such text":     {messages("en", "title.nothing", "x"), `Messages["en"]["title.nothing"]`},
		"messages: %s is missing":    {messages("de", "start.needs", "x"), `Messages["de"]["start.needs"]`},
		"messages: %s too many":      {messages("en", "check", "x %s"), `Messages["en"]["check"]`},
		"messages: changed":          {messages("zh-CN", "start.needs", "%s!"), ""},
		"templates: none":            {func(c *config) { c.Templates = fstest.MapFS{} }, "Templates:"},
		"templates: do not parse":    {func(c *config) { c.Templates = fstest.MapFS{"a.html": {Data: []byte("{{if}}")}} }, "Templates:"},
		"templates: one":             {func(c *config) { c.Templates = fstest.MapFS{"a.html": {Data: []byte("x")}} }, ""},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := goodConfig(t)
			row.change(&cfg)
			h, err := enroll.New(cfg)
			if row.want == "" {
				require.NoError(t, err)
				return
			}
			assert.Nil(t, h)
			require.ErrorContains(t, err, "enroll: "+row.want)
			assert.Equal(t, 1, strings.Count(err.Error(), "enroll: "), "and nothing else: %v", err)
		})
	}
}

// TestConfigMistakesAreJoined names all of them.
func TestConfigMistakesAreJoined(t *testing.T) {
	t.Parallel()
	_, err := enroll.New(enroll.Config{
		SignInWithin: -1, Region: "XX", HostedURL: "x", Brand: enroll.Brand{Color: "x", LogoPath: "x"},
		Messages: map[string]map[string]string{"en": {"x": "x"}}, Templates: fstest.MapFS{},
	})
	for _, field := range []string{
		"Client", "Enforcer", "BasePath", "Policy", "StateKeys", "SignInWithin", "HostedURL", "Region", "Brand.Color", "Brand.LogoPath", "Messages", "Templates",
	} {
		assert.ErrorContains(t, err, "enroll: "+field)
	}
	cfg := goodConfig(t)
	cfg.Policy = echomfa.AnyOf()
	_, err = enroll.New(cfg)
	require.ErrorIs(t, err, echomfa.ErrInvalidPolicy)
}

// TestConfigIsCopied changes the keys afterwards.
func TestConfigIsCopied(t *testing.T) {
	t.Parallel()
	key := enroll.InsecureRandomKey()
	keys := [][]byte{key}
	s := newSite(t, func(set *setup) { set.StateKeys = keys })
	user := s.signIn()
	page := user.begin(sms)
	clear(key)
	keys[0] = nil
	user.post("/mfa/send", "state", page.state(), "region", "CN", "phone", "13800000000").is(http.StatusOK, "title.sent")
}

func TestInsecureRandomKey(t *testing.T) {
	t.Parallel()
	one, two := enroll.InsecureRandomKey(), enroll.InsecureRandomKey()
	assert.Len(t, one, 32)
	assert.NotEqual(t, one, two)
}

func TestChangeString(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "enrolled removed none none",
		strings.Join([]string{enroll.Enrolled.String(), enroll.Removed.String(), enroll.Change(0).String(), enroll.Change(9).String()}, " "))
}

// TestBrand is on every page.
func TestBrand(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) {
		set.Brand = enroll.Brand{Name: `A & "B"`, LogoPath: "/logo.svg"}
		set.Support = "the help desk"
	})
	user := s.signIn()
	page := user.begin(otp)
	assert.Contains(t, page.text, ` · A & "B"</title>`)
	assert.Contains(t, page.text, `<img src="/logo.svg" alt="" height="32"><span>A & "B"</span>`)
	assert.Contains(t, page.text, "Help: the help desk.")
	page = user.post("/mfa/confirm", "state", page.state(), "code", user.code(page.secret())).is(http.StatusOK)
	file := user.post("/mfa/recovery", "state", page.state()).html
	assert.True(t, strings.HasPrefix(file, "Recovery code of A & \"B\"\n"), file)
}

// TestTemplates replaces a page and a part of all pages. One that fails is a
// 500, and nothing of it is sent.
func TestTemplates(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) {
		set.Templates = fstest.MapFS{
			"mine.html":  {Data: []byte(`{{define "face"}}{{index .Missing 0}}{{end}}{{define "bottom"}}<p>mine {{.Brand.Name}}</p>{{end}}`)},
			"start.html": {Data: []byte(`{{define "start"}}<h1>{{.Title}}</h1>{{.T "check"}}{{.T "none.such"}}{{.FactorName "X-NEW"}}{{.CallingCode}}{{template "bottom" .}}{{end}}`)},
		}
		set.Brand.Name = "<App>"
	})
	user := s.signIn()
	assert.Equal(t, "<h1>Set up two-step verification</h1>Check againnone.suchX-NEW<p>mine &lt;App&gt;</p>", user.get("/mfa").html)
	assert.Contains(t, user.begin(otp).html, "mine &lt;App&gt;")
	a := user.post("/mfa/begin", "type", "FACE").is(http.StatusInternalServerError)
	assert.Regexp(t, `^Internal Server Error\. Reference: [A-Z2-7]{26}\n$`, a.html)
	assert.Equal(t, []string{a.html[len("Internal Server Error. Reference: ") : len(a.html)-1]}, s.references("enrollment page failed"))
}
