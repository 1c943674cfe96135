package redact_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/internal/redact"
)

// TestRedact has what counts as a secret: a token of 16 bytes or more, and such
// parts of one, which may be quoted alone; a shorter one where it stands alone.
func TestRedact(t *testing.T) {
	t.Parallel()
	short, long := strings.Repeat("a", 15), strings.Repeat("b", 16)
	for name, row := range map[string]struct{ text, token, want string }{
		"a token":               {"no " + long + "!", long, "no [redacted]!"},
		"a short one":           {"no " + short + "!", short, "no [redacted]!"},
		"a short one in a word": {"no x" + short + ", " + short + "x", short, "no x" + short + ", " + short + "x"},
		"a letter":              {"a banana: a", "a", "[redacted] banana: [redacted]"},
		"a part":                {"no " + long + "!", short + "." + long, "no [redacted]!"},
		"a short part":          {"no " + short + "!", short + "." + long, "no " + short + "!"},
		"all parts together":    {"no " + short + "." + long + "!", short + "." + long, "no [redacted]!"},
		"twice":                 {long + long, long, "[redacted][redacted]"},
		"another":               {"no token", long, "no token"},
		"none":                  {"no token", "", "no token"},
	} {
		assert.Equal(t, row.want, redact.Of(row.token).Hide(row.text), name)
		assert.Equal(t, row.want != row.text, redact.Of(row.token).Shown(row.text), name)
	}
	assert.Equal(t, "text", redact.Secrets{}.Hide("text"))
}

// TestH2RequestSecrets has what of a request is a secret, and what is not.
func TestH2RequestSecrets(t *testing.T) {
	t.Parallel()
	const secret = "canary-0123456789-canary"
	for name, row := range map[string]struct {
		header, value string
		hidden        bool
	}{
		"Authorization":                  {"Authorization", "Bearer " + secret, true},
		"Authorization, without scheme":  {"Authorization", secret, true},
		"Authorization, a list":          {"Authorization", "Bearer x, Bearer " + secret, true},
		"Authorization, Basic":           {"Authorization", "Basic dTpjYW5hcnktMDEyMzQ1Njc4OS1jYW5hcnk=", true},
		"a declared header":              {"X-Declared", secret, true},
		"a header that says what it has": {"X-Access-Token", secret, true},
		"a WebSocket's protocol":         {"Sec-Websocket-Protocol", "bearer, " + secret, true},
		"a JWT in any header":            {"X-Amzn-Oidc-Data", "eyJhbGciOiJub25lIn0." + secret + ".x", true},
		"another header":                 {"Accept-Language", secret, false},
		"a cookie":                       {"Cookie", "id=1; sid=" + secret + "; a=b", true},
		"a quoted cookie":                {"Cookie", `sid="` + secret + `"`, true},
		"a cookie net/http drops":        {"Cookie", "s(i)d=" + secret, true},
		"an escaped cookie":              {"Cookie", "sid=canary%2D0123456789%2Dcanary", true},
	} {
		r := &http.Request{Header: http.Header{row.header: {row.value}}}
		got := redact.OfRequest(r, []string{"X-Declared"}).Hide("id 1 of " + secret + ": b")
		want := "id 1 of " + secret + ": b"
		if row.hidden {
			want = "id 1 of [redacted]: b"
		}
		assert.Equal(t, want, got, name)
	}
	for query, hidden := range map[string]bool{
		"a=b&access_token=" + secret: true, "id_token=" + url.QueryEscape(secret): true, "state=eyJhbGciOiJub25lIn0." + secret: true,
		"access_token=canary%2D0123456789%2Dcanary": true, "page=" + secret: false, "": false,
	} {
		got := redact.OfRequest(&http.Request{URL: &url.URL{RawQuery: query}}, nil).Hide("no " + secret)
		assert.Equal(t, hidden, got == "no [redacted]", query)
	}
	r := &http.Request{Header: http.Header{}}
	assert.Equal(t, "[redacted], x", redact.OfRequest(r, nil, secret).Hide(secret+", x"), "the known token")
}

// TestH2FormsOfASecret has the ways in which programs print a value.
func TestH2FormsOfASecret(t *testing.T) {
	t.Parallel()
	const secret = "canary 0123456789\"<é>\x01 canary"
	raw, err := json.Marshal(secret)
	require.NoError(t, err)
	hide := redact.OfRequest(&http.Request{Header: http.Header{"X-Token": {secret}}}, nil)
	for _, form := range []string{
		secret, strconv.Quote(secret), fmt.Sprintf("%+q", secret), string(raw), url.QueryEscape(secret), url.PathEscape(secret),
		fmt.Sprintf("%#v", struct{ s string }{secret}),
	} {
		assert.NotContains(t, hide.Hide(form), "0123456789", form)
	}
}

// TestH2DecodedFormsOfASecret has values that came percent-encoded, in which a plus is
// itself or a blank.
func TestH2DecodedFormsOfASecret(t *testing.T) {
	t.Parallel()
	hide := redact.OfRequest(&http.Request{Header: http.Header{"X-Token": {"01234+56789%2F01234"}}}, nil)
	for _, form := range []string{"01234+56789/01234", "01234 56789/01234"} {
		assert.NotContains(t, hide.Hide("it was "+form), "56789", form)
	}
}

// TestH2ManySecretsAreBounded shows that more values than are looked for hide the
// whole text.
func TestH2ManySecretsAreBounded(t *testing.T) {
	t.Parallel()
	var cookies strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&cookies, "c%d=value-of-a-cookie-%d; ", i, i)
	}
	hide := redact.OfRequest(&http.Request{Header: http.Header{"Cookie": {cookies.String()}}}, nil)
	assert.Equal(t, "[redacted]", hide.Hide("anything"))
	assert.Empty(t, hide.Hide(""))
}
