package client_test

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

func TestNewBaseURL(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		url      string
		insecure bool
		want     string // the base URL, or
		wantErr  string // a part of the error
	}{
		"host":                     {url: "https://example.genauth.ai", want: "https://example.genauth.ai"},
		"trailing slash":           {url: "https://example.genauth.ai/", want: "https://example.genauth.ai"},
		"prefix":                   {url: "https://example.com/sso/v", want: "https://example.com/sso/v"},
		"prefix, trailing slash":   {url: "https://example.com/sso/", want: "https://example.com/sso"},
		"port":                     {url: "https://example.com:8443", want: "https://example.com:8443"},
		"upper-case scheme":        {url: "HTTPS://example.com", want: "https://example.com"},
		"http localhost":           {url: "http://localhost:3000", want: "http://localhost:3000"},
		"http LOCALHOST":           {url: "http://LOCALHOST", want: "http://LOCALHOST"},
		"http 127.0.0.1":           {url: "http://127.0.0.1:3000", want: "http://127.0.0.1:3000"},
		"http 127.1.2.3":           {url: "http://127.1.2.3", want: "http://127.1.2.3"},
		"http ::1":                 {url: "http://[::1]:3000", want: "http://[::1]:3000"},
		"http, insecure":           {url: "http://example.com", insecure: true, want: "http://example.com"},
		"empty":                    {url: "", wantErr: "is required"},
		"http":                     {url: "http://example.com", wantErr: "InsecureHTTP"},
		"http localhost.evil":      {url: "http://localhost.example.com", wantErr: "InsecureHTTP"},
		"http 127.0.0.1.evil":      {url: "http://127.0.0.1.example.com", wantErr: "InsecureHTTP"},
		"http 128":                 {url: "http://128.0.0.1", wantErr: "InsecureHTTP"},
		"http 0.0.0.0":             {url: "http://0.0.0.0", wantErr: "InsecureHTTP"},
		"http octal":               {url: "http://0177.0.0.1", wantErr: "InsecureHTTP"},
		"http ::":                  {url: "http://[::]", wantErr: "InsecureHTTP"},
		"ftp, insecure":            {url: "ftp://example.com", insecure: true, wantErr: "https"},
		"no scheme":                {url: "example.com", wantErr: "https"},
		"relative":                 {url: "/api", wantErr: "https"},
		"no host":                  {url: "https://", wantErr: "host"},
		"port only":                {url: "https://:443", wantErr: "host"},
		"opaque":                   {url: "https:example.com", wantErr: "host"},
		"port 0":                   {url: "https://example.com:0", wantErr: "port"},
		"port 65536":               {url: "https://example.com:65536", wantErr: "port"},
		"empty port":               {url: "https://example.com:", wantErr: "port"},
		"user info":                {url: "https://user:hunter2@example.com", wantErr: "user info"},
		"empty user info":          {url: "https://@example.com", wantErr: "user info"},
		"query":                    {url: "https://example.com?token=hunter2", wantErr: "query"},
		"empty query":              {url: "https://example.com?", wantErr: "query"},
		"fragment":                 {url: "https://example.com#hunter2", wantErr: "fragment"},
		"empty fragment":           {url: "https://example.com#", wantErr: "fragment"},
		"dot segment":              {url: "https://example.com/a/../b", wantErr: "path"},
		"encoded dot segment":      {url: "https://example.com/%2e%2e/b", wantErr: "path"},
		"empty segment":            {url: "https://example.com//b", wantErr: "path"},
		"two trailing slashes":     {url: "https://example.com//", wantErr: "path"},
		"space":                    {url: "https://example.com /", wantErr: "character"},
		"line end":                 {url: "https://example.com\r\nX: y", wantErr: "character"},
		"backslash":                {url: `https://example.com\@evil`, wantErr: "character"},
		"not ASCII":                {url: "https://exämple.com", wantErr: "character"},
		"not a URL":                {url: "https://[::1:hunter2", wantErr: "not a URL"},
		"not a URL, bad escape":    {url: "https://example.com/%zzhunter2", wantErr: "not a URL"},
		"F15 address of the API":   {url: "https://example.genauth.ai/api/v3", wantErr: "has a path of GenAuth's API"},
		"F15 address of the API/":  {url: "https://example.com/sso/api/v3/", wantErr: "has a path of GenAuth's API"},
		"F15 issuer":               {url: "https://example.genauth.ai/oidc", wantErr: "has a path of GenAuth's API"},
		"WB discovery document":    {url: "https://example.genauth.ai/oidc/.well-known/openid-configuration", wantErr: "has a path of GenAuth's API"},
		"WB discovery of an app":   {url: "https://example.genauth.ai/65a1/oidc/.well-known/jwks.json", wantErr: "has a path of GenAuth's API"},
		"WB endpoint of the API":   {url: "https://example.genauth.ai/api/v3/signin", wantErr: "has a path of GenAuth's API"},
		"WB without a scheme":      {url: "example.genauth.ai", wantErr: "put https:// before it"},
		"WB no scheme, a port":     {url: "example.genauth.ai:443", wantErr: "put https:// before it"},
		"WB an emulator":           {url: "127.0.0.1:43111", wantErr: "put http:// before it"},
		"WB an emulator, IPv6":     {url: "[::1]:43111/", wantErr: "put http:// before it"},
		"WB no scheme, like http":  {url: "httpbin.example.com", wantErr: "put https:// before it"},
		"WB prefix like OpenID's":  {url: "https://example.com/oidc-proxy", want: "https://example.com/oidc-proxy"},
		"F15 prefix like the API":  {url: "https://example.com/api", want: "https://example.com/api"},
		"surrounded by whitespace": {url: " https://example.com", wantErr: "character"},
	}
	for name, tt := range tests {
		t.Run("T27 "+name, func(t *testing.T) {
			t.Parallel()
			c, err := client.New(client.Config{BaseURL: tt.url, AppID: "app", InsecureHTTP: tt.insecure})
			if tt.wantErr == "" {
				require.NoError(t, err)
				assert.Equal(t, tt.want, c.BaseURL())
				assert.Equal(t, "app", c.AppID())
				return
			}
			require.ErrorContains(t, err, tt.wantErr)
			assert.Nil(t, c)
			assert.True(t, strings.HasPrefix(err.Error(), "client: BaseURL: "), err)
			assert.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestNewReportsEveryMistake(t *testing.T) {
	t.Parallel()
	_, err := client.New(client.Config{
		BaseURL:      "http://example.com",
		AppID:        "a\nb",
		AppIDHeader:  "Authorization",
		HTTPClient:   &http.Client{Timeout: -1},
		Timeout:      -time.Second,
		MaxBodyBytes: -1,
		UserAgent:    "a\r\nb",
	})
	require.Error(t, err)
	for _, field := range []string{"BaseURL", "AppID", "AppIDHeader", "HTTPClient", "Timeout", "MaxBodyBytes", "UserAgent"} {
		assert.ErrorContains(t, err, "client: "+field+": ")
	}
	var joined interface{ Unwrap() []error }
	require.ErrorAs(t, err, &joined)
	assert.Len(t, joined.Unwrap(), 7)
}

// TestFieldF15TimeoutWithoutAUnit has numbers that somebody meant as seconds. Every
// call would fail with them.
func TestFieldF15TimeoutWithoutAUnit(t *testing.T) {
	t.Parallel()
	good := client.Config{BaseURL: "https://example.com", AppID: "app"}
	for want, change := range map[string]func(*client.Config){
		"client: Timeout: is below 1ms: is the unit missing?":                func(c *client.Config) { c.Timeout = 5 },
		"client: HTTPClient: its Timeout is below 1ms: is the unit missing?": func(c *client.Config) { c.HTTPClient = &http.Client{Timeout: 30} },
		"": func(c *client.Config) { c.Timeout = time.Millisecond },
	} {
		c := good
		change(&c)
		_, err := client.New(c)
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.EqualError(t, err, want)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*client.Config)
		field  string
	}{
		"no app id":              {func(c *client.Config) { c.AppID = "" }, "AppID"},
		"app id with a space":    {func(c *client.Config) { c.AppID = "a b" }, "AppID"},
		"app id with DEL":        {func(c *client.Config) { c.AppID = "a\x7f" }, "AppID"},
		"app id with a line end": {func(c *client.Config) { c.AppID = "a\r\nAuthorization: Bearer x" }, "AppID"},
		"app id not ASCII":       {func(c *client.Config) { c.AppID = "ä" }, "AppID"},
		"header with a space":    {func(c *client.Config) { c.AppIDHeader = "x app" }, "AppIDHeader"},
		"header with a colon":    {func(c *client.Config) { c.AppIDHeader = "x:" }, "AppIDHeader"},
		"header authorization":   {func(c *client.Config) { c.AppIDHeader = "authorization" }, "AppIDHeader"},
		"header Host":            {func(c *client.Config) { c.AppIDHeader = "Host" }, "AppIDHeader"},
		"header Content-Length":  {func(c *client.Config) { c.AppIDHeader = "Content-Length" }, "AppIDHeader"},
		"header Proxy-...":       {func(c *client.Config) { c.AppIDHeader = "Proxy-Authorization" }, "AppIDHeader"},
		"header Accept-Encoding": {func(c *client.Config) { c.AppIDHeader = "Accept-Encoding" }, "AppIDHeader"},
		"body limit overflows":   {func(c *client.Config) { c.MaxBodyBytes = math.MaxInt64 }, "MaxBodyBytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := client.Config{BaseURL: "https://example.com", AppID: "app"}
			tt.change(&config)
			c, err := client.New(config)
			require.ErrorContains(t, err, "client: "+tt.field+": ")
			assert.Nil(t, c)
		})
	}
}

func TestNormalize(t *testing.T) {
	t.Parallel()
	tests := map[client.FactorType]client.FactorType{
		"":         "",
		"OTP":      client.OTP,
		"otp":      client.OTP,
		"totp":     client.OTP,
		"TOTP":     client.OTP,
		"Sms":      client.SMS,
		"email":    client.Email,
		"face":     client.Face,
		"passKey":  client.Passkey,
		" OTP":     " OTP",
		"otp ":     "OTP ",
		"palmVein": "PALMVEIN",
		"ſms":      "ſMS", // Unicode's upper case of ſ is S
		"faceı":    "FACEı",
	}
	for in, want := range tests {
		assert.Equal(t, want, in.Normalize(), "%q", in)
		assert.Equal(t, want, want.Normalize(), "%q", in)
	}
}

func TestNormalizeAllocatesNothingIfNormal(t *testing.T) {
	for _, factorType := range []client.FactorType{client.OTP, "TOTP", "A-LONG-TYPE-NAME-THAT-DOES-NOT-FIT-ANY-SMALL-BUFFER"} {
		assert.Zero(t, testing.AllocsPerRun(100, func() { _ = factorType.Normalize() }), factorType)
	}
}
