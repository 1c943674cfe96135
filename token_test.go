package echomfa_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
)

// TestTokenSources has the declared sources, and that no other is read. The
// fuzz targets have the grammar.
func TestTokenSources(t *testing.T) {
	t.Parallel()
	type config = echomfa.Config
	lookup := func(text string) func(*config) { return func(c *config) { c.TokenLookup = text } }
	custom := func(token string, err error) func(*config) {
		return func(c *config) { c.Token = func(*http.Request) (string, error) { return token, err } }
	}
	rows := map[string]struct {
		source func(*config)
		header string // "Name: value"
		want   string
		code   string // of the refusal if want is empty
		err    error  // instead of a refusal
	}{
		"default":                        {source: lookup(""), header: "Authorization: Bearer abc", want: "abc"},
		"default: no cookie":             {source: lookup(""), header: "Cookie: session=abc"},
		"default: no X-Token":            {source: lookup(""), header: "X-Token: abc"},
		"whole header":                   {source: lookup("header:X-Token"), header: "X-Token: abc", want: "abc"},
		"whole header: empty":            {source: lookup("header:X-Token"), header: "X-Token: "},
		"whole header: no Authorization": {source: lookup("header:X-Token"), header: "Authorization: Bearer abc"},
		"prefix without a space":         {source: lookup("header:X-Token:v1."), header: "X-Token: V1.abc", want: "abc"},
		"prefix without a space: alone":  {source: lookup("header:X-Token:v1."), header: "X-Token: v1.", code: "invalid_request"},
		"prefix without a space: other":  {source: lookup("header:X-Token:v1."), header: "X-Token: v2.abc"},
		"cookie":                         {source: lookup("cookie:session"), header: "Cookie: session=abc", want: "abc"},
		"cookie: empty":                  {source: lookup("cookie:session"), header: "Cookie: session="},
		"cookie: no Authorization":       {source: lookup("cookie:session"), header: "Authorization: Bearer abc"},
		"too long":                       {source: lookup(""), header: "Authorization: Bearer " + strings.Repeat("a", 8193), code: "invalid_token"},
		"Token":                          {source: custom("abc", nil), header: "Authorization: Bearer other", want: "abc"},
		"Token: malformed":               {source: custom("a b", nil), code: "invalid_token"},
		"Token: none":                    {source: custom("", nil), header: "Authorization: Bearer abc"},
		"Token: says there is none":      {source: custom("abc", echomfa.ErrUnauthenticated)},
		"Token: judges it":               {source: custom("abc", &echomfa.TokenError{Code: "invalid_request"}), code: "invalid_request"},
		"Token: fails":                   {source: custom("abc", errTest), err: errTest},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnforcer(t, echomfa.FactorListerFunc(answertest.Lister), row.source)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?access_token=abc&token=abc", nil)
			if key, value, ok := strings.Cut(row.header, ": "); ok {
				r.Header.Set(key, value)
			}
			got, err := e.Token(r)
			assert.Equal(t, row.want, got)
			switch {
			case row.want != "":
				require.NoError(t, err)
			case row.err != nil:
				require.ErrorIs(t, err, row.err)
				require.NotErrorIs(t, err, echomfa.ErrUnauthenticated, "a failure is not a rejection")
			default:
				var refusal *echomfa.TokenError
				require.ErrorAs(t, err, &refusal)
				assert.Equal(t, row.code, refusal.Code)
			}
		})
	}
}

// TestFieldF15TokenLookupThatFindsNoToken has lookups that would refuse every usual
// client, and what their error advises. "" is a good one.
func TestFieldF15TokenLookupThatFindsNoToken(t *testing.T) {
	t.Parallel()
	for lookup, advice := range map[string]string{
		"header:Authorization":                `write "header:Authorization:Bearer "`,
		"header:authorization:":               `write "header:Authorization:Bearer "`,
		"header:Authorization:Bearer":         `write "header:Authorization:Bearer "`,
		"header:Authorization:bearer":         `write "header:Authorization:bearer "`,
		"header:Authorization:Token":          `write "header:Authorization:Token "`,
		"header:Authorization: ":              `write "header:Authorization:Bearer "`,
		"header:X-Token:Bearer":               `write "header:X-Token:Bearer "`,
		"header:X-Token:JWT":                  `write "header:X-Token:JWT "`,
		"header:X-Token: ":                    `write "header:X-Token"`,
		"header:Authorization:Basic ":         "Basic carries no bearer token",
		"header:Authorization:basic":          "basic carries no bearer token",
		"header:Authorization:Digest ":        "Digest carries no bearer token",
		"header:Authorization:Negotiate ":     "Negotiate carries no bearer token",
		"header:Authorization:DPoP ":          "DPoP carries no bearer token",
		"header:Authorization:SCRAM-SHA-256 ": "SCRAM-SHA-256 carries no bearer token",
		"header:X-Token:Basic ":               "Basic carries no bearer token",
		"header:Cookie":                       `write "cookie:name"`,
		"header:cookie:session=":              `not of the form`,
		"header:Host":                         "no client sends an access token in Host",
		"header:host:Bearer ":                 "in Host",
		"header:Proxy-Authorization:Bearer ":  "in Proxy-Authorization",
		"header:Content-Type":                 "in Content-Type",
		"header:Connection":                   "in Connection",
		"header:Sec-Fetch-Site":               "in Sec-Fetch-Site",
		"header:TE":                           "in Te",
		"header:If-None-Match":                "in If-None-Match",
		"header:Forwarded":                    "in Forwarded",
		"header:User-Agent":                   "in User-Agent",
		"header:X-Forwarded-For":              "in X-Forwarded-For",
		"header:Origin":                       "in Origin",
		"header:Accept-Language":              "in Accept-Language",
		"header:Authorization:Bearar ":        "did you mean Bearer?",
		"header:Authorization:Beaer ":         "did you mean Bearer?",
		"header:X-Token:Berer":                "did you mean Bearer?",
		"header:Authorization:Bear ":          "did you mean Bearer?",
		"header:Authorization:Berear ":        "did you mean Bearer?",
		"header:Authorization:Bearertoken ":   "",
		"header:Bearer":                       "is a scheme, not a header",
		"header:X-Forwarded-User":             "in X-Forwarded-User",
		"header:authorisation:Bearer ":        "did you mean Authorization?",
		"header:Authorizaton":                 "did you mean Authorization?", //nolint:misspell // that is the case
		"cookie:echomfa_round_x":              "that this middleware sets itself",
		"header:X-Authorization:Bearer ":      "",
		"header:Authorization:Access ":        "",
		"header:Authorization:Bearer ":        "",
		"header:authorization:bearer ":        "",
		"header:Authorization:Bearer  ":       "",
		"header:Authorization:OAuth ":         "",
		"header:X-Token":                      "",
		"header:X-Token:":                     "",
		"header:X-Token:v1.":                  "",
		"header:X-Token:Bearer ":              "",
		"header:X-Forwarded-Access-Token":     "",
		"header:Sec-WebSocket-Protocol":       "",
		"header:Cf-Access-Jwt-Assertion":      "",
		"header:X-Amzn-Oidc-Accesstoken":      "",
		"cookie:__Host-session":               "",
	} {
		t.Run(lookup, func(t *testing.T) {
			t.Parallel()
			e, err := echomfa.New(echomfa.Config{
				Client: echomfa.FactorListerFunc(answertest.Lister), Namespace: "n", Audience: []string{"app"}, TokenLookup: lookup,
			})
			if advice == "" {
				require.NoError(t, err)
				assert.NoError(t, e.Close())
				return
			}
			assert.Nil(t, e)
			require.ErrorContains(t, err, advice)
			assert.ErrorContains(t, err, "echomfa: TokenLookup: ")
		})
	}
}

// TestN15ReasonsOfMalformedTokens tells apart what a developer can mend. No
// reason quotes the token.
func TestN15ReasonsOfMalformedTokens(t *testing.T) {
	t.Parallel()
	for value, reason := range map[string]string{
		"canary%2Babc%3D%3D": "the token is percent-encoded",
		"canary%2babc":       "the token is percent-encoded",
		"canary%":            "the token is malformed",
		"canary%2":           "the token is malformed",
		"canary%zz":          "the token is malformed",
		"Bearer canary":      "the token has a scheme before it",
		"bearer canary%20":   "the token has a scheme before it",
		"a canary":           "the token is malformed",
	} {
		for name, set := range map[string]func(*echomfa.Config){
			"cookie": func(c *echomfa.Config) { c.TokenLookup = "cookie:session" },
			"header": func(c *echomfa.Config) { c.TokenLookup = "header:X-Token" },
			"Token": func(c *echomfa.Config) {
				c.Token = func(r *http.Request) (string, error) { return r.Header.Get("X-Token"), nil }
			},
		} {
			e := newEnforcer(t, echomfa.FactorListerFunc(answertest.Lister), set)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.Header.Set("X-Token", value)
			r.Header.Set("Cookie", `session="`+value+`"`)
			_, err := e.Token(r)
			var refusal *echomfa.TokenError
			require.ErrorAs(t, err, &refusal)
			assert.Equal(t, reason, refusal.Reason, "%s %s", name, value)
			assert.Equal(t, "invalid_token", refusal.Code)
			assert.NotContains(t, err.Error(), "canary")
		}
	}
}
