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
				require.NotErrorIs(t, err, echomfa.ErrUnauthenticated, "its failure is no verdict")
			default:
				var refusal *echomfa.TokenError
				require.ErrorAs(t, err, &refusal)
				assert.Equal(t, row.code, refusal.Code)
			}
		})
	}
}
