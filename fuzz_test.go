package echomfa_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
)

// fuzzEnforcer makes an Enforcer for a fuzz target.
func fuzzEnforcer(f *testing.F, lookup string) *echomfa.Enforcer {
	f.Helper()
	e, err := echomfa.New(echomfa.Config{
		Client: echomfa.FactorListerFunc(answertest.Lister), Namespace: "n", Audience: []string{"a"}, TokenLookup: lookup,
	})
	require.NoError(f, err)
	f.Cleanup(func() { assert.NoError(f, e.Close()) })
	return e
}

// headerLines makes header lines of a fuzzed text: each "\n" begins one, so that
// there may be none.
func headerLines(text string) []string { return strings.Split(text, "\n")[1:] }

// tokenOf returns the token of a request with the given lines, and checks what
// holds for all of them: there is either a token or an error of the right type.
func tokenOf(t *testing.T, e *echomfa.Enforcer, name string, lines []string) (string, *echomfa.TokenError) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header[name] = lines
	got, err := e.Token(r)
	if err == nil {
		require.NotEmpty(t, got)
		return got, nil
	}
	var refusal *echomfa.TokenError
	require.ErrorAs(t, err, &refusal)
	require.Empty(t, got)
	require.NotContains(t, refusal.Reason, `"`)
	return "", refusal
}

// FuzzAuthorization compares the reading of Authorization lines with a regular
// expression: the token is the b64token of at most 8 KiB behind "Bearer" in the
// one line that there is, and otherwise there is none (RFC 6750, section 2.1).
func FuzzAuthorization(f *testing.F) {
	for _, seed := range []string{"", "\n", "\nBearer abc", "\nbearer  a.b.c==", "\nBearer a\nBearer a", "\nBasic dTpw", "\nBearer", "\nBearer a b"} {
		f.Add(seed)
	}
	bearer := fuzzEnforcer(f, "")
	raw := fuzzEnforcer(f, "header:X-Token")
	withScheme := regexp.MustCompile(`\A[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9\-._~+/]+=*)\z`)
	alone := regexp.MustCompile(`\A([A-Za-z0-9\-._~+/]+=*)\z`)
	f.Fuzz(func(t *testing.T, text string) {
		lines := headerLines(text)
		for _, source := range []struct {
			enforcer *echomfa.Enforcer
			header   string
			grammar  *regexp.Regexp
		}{{bearer, "Authorization", withScheme}, {raw, "X-Token", alone}} {
			want := ""
			if len(lines) == 1 {
				if m := source.grammar.FindStringSubmatch(lines[0]); m != nil && len(m[1]) <= client.MaxTokenBytes {
					want = m[1]
				}
			}
			got, refusal := tokenOf(t, source.enforcer, source.header, lines)
			require.Equal(t, want, got)
			switch {
			case len(lines) == 0:
				require.Empty(t, refusal.Code, "a request without a token gets a bare challenge")
			case len(lines) > 1:
				require.Equal(t, "invalid_request", refusal.Code)
			}
		}
	})
}

// FuzzCookie compares the reading of Cookie lines with plain splitting at
// semicolons: the token is the value of the one cookie of the name, and two that
// could be tokens are none.
func FuzzCookie(f *testing.F) {
	for _, seed := range []string{"", "\nsession=abc", "\nsession=\"abc\"", "\nsession=a; session=b", "\nsession=a\nsession=a", "\nSession=a; x=session=b", "\nsession"} {
		f.Add(seed)
	}
	e := fuzzEnforcer(f, "cookie:session")
	b64token := regexp.MustCompile(`\A[A-Za-z0-9\-._~+/]+=*\z`)
	f.Fuzz(func(t *testing.T, text string) {
		lines, all := headerLines(text), 0
		var named, good []string
		for _, line := range lines {
			for pair := range strings.SplitSeq(line, ";") {
				all++
				name, value, _ := strings.Cut(strings.Trim(pair, " \t\r\n"), "=")
				if strings.Trim(name, " \t\r\n") != "session" {
					continue
				}
				if len(value) > 1 && strings.HasPrefix(value, `"`) && strings.HasSuffix(value, `"`) {
					value = value[1 : len(value)-1]
				}
				named = append(named, value)
				if b64token.MatchString(value) && len(value) <= client.MaxTokenBytes {
					good = append(good, value)
				}
			}
		}
		got, refusal := tokenOf(t, e, "Cookie", lines)
		switch {
		case refusal == nil:
			require.Equal(t, []string{got}, good)
		case len(named) == 0:
			require.Empty(t, refusal.Code, "a request without a token gets a bare challenge")
		default:
			// net/http reads no cookies at all if there are thousands.
			require.False(t, len(named) == 1 && len(good) == 1 && all < 1000, "%q is a token: %v", good, refusal)
		}
	})
}
