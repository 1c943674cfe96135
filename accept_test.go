package echomfa_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/answertest"
)

// TestT33WhoIsABrowser has what an Accept header makes of a client that sends no
// Sec-Fetch headers.
func TestT33WhoIsABrowser(t *testing.T) {
	t.Parallel()
	e := table(t, nil)
	for accept, page := range map[string]bool{
		"": false, "*/*": false, "text/*": false, "text/html": true, "TEXT/HTML": true,
		"text/html;q=0": false, "text/html;q=0.5": true, "text/html;q=0.5,*/*;q=0.8": false,
		"text/html;q=0.5,application/json;q=0.5": true, "text/html,application/json": true,
		"application/json,text/html;q=0.9": false, "text/html;q=0.5,application/*;q=0.6": false,
		"text/html;q=0.5,application/json;q=0.1,application/problem+json;q=0.1,*/*": true,
		"text/html;q=1.5": false, "text/html;q=1.001": false, "text/html;q=0.1234": false, "text/html;q=x": false, "text/html;q=": false,
		"text/html;level=1;q=0.7": true, `text/html;x="a,b;q=0"`: true, `application/json;x="text/html`: false,
		"text/html;q=1.000": true, "text/html; q=0.001": true, "texthtml": false, "te xt/html": false, ",,;;,text/html": true,
		`x/y;a="\",text/html`: false,
		"text/html;q =0":      false, "text/html;q= 0": false, "text/html;x": false, "text/html;=x": false, "text/html;x=a b": false,
		"text/html;q=0;q=1": false, `text/html;x="a`: false, `text/html;x="a"b`: false, `text/html;x="a\"`: false,
		`text/html;x="a\"b"`: true, `text/html;x="a b"`: true, "text/html;x=\"a\tb\"": true, "text/html;x=\"a\x01\"": false, `text/html;x="";y=1`: true, "text/html; ;": true, "text/html;x=\"a\x7f\"": false,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		e.WriteRefusal(w, r, echomfa.ErrNotEnrolled)
		assert.Equal(t, page, w.Header().Get("Content-Type") == "text/html; charset=utf-8", accept)
		assert.Equal(t, http.StatusForbidden, w.Code)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header.Set("Accept", "text/html")
	r.Header.Set("X-Requested-With", "xmlhttprequest")
	w := httptest.NewRecorder()
	e.WriteRefusal(w, r, echomfa.ErrNotEnrolled)
	assert.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
}

// TestWriteRefusal shows the answer to errors that were not made for a request,
// and that others tell nothing.
func TestWriteRefusal(t *testing.T) {
	t.Parallel()
	e := table(t, func(c *echomfa.Config) { c.TokenLookup = "cookie:session" })
	for err, want := range map[error]int{
		echomfa.ErrUnauthenticated: 401, echomfa.ErrNotEnrolled: 403, echomfa.ErrUnavailable: 503, echomfa.ErrMisconfigured: 503,
		errors.New("a secret"): 500, nil: 500, client.ErrUnavailable: 500,
	} {
		w := httptest.NewRecorder()
		w.Header().Set("Vary", "accept, Origin")
		e.WriteRefusal(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), err)
		assert.Equal(t, want, w.Code, err)
		assert.NotContains(t, w.Body.String(), "a secret")
		require.Len(t, w.Header().Values("Vary"), 2)
		assert.Contains(t, w.Header().Values("Vary")[1], "Cookie")
		assert.NotContains(t, w.Header().Values("Vary")[1], "Accept", "it is there already")
	}
	w := httptest.NewRecorder()
	new(echomfa.Enforcer).WriteRefusal(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), nil)
	assert.Equal(t, http.StatusInternalServerError, w.Code)
}

// TestRequestsToken shows the token of a request, and that InvalidateRequest
// reads it alike.
func TestRequestsToken(t *testing.T) {
	t.Parallel()
	d := newDirectory()
	d.enroll(token, echomfa.OTP)
	e := newEnforcer(t, d, func(c *echomfa.Config) { c.TokenLookup = "header:X-Token" })
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	_, err := e.Token(r)
	require.ErrorIs(t, err, echomfa.ErrUnauthenticated)
	require.ErrorIs(t, e.InvalidateRequest(r), echomfa.ErrUnauthenticated)
	require.ErrorIs(t, e.Invalidate(t.Context(), "a b"), echomfa.ErrUnauthenticated)
	r.Header.Set("X-Token", token)
	got, err := e.Token(r)
	require.NoError(t, err)
	assert.Equal(t, token, got)
	decide(t, e, token, otp())
	require.NoError(t, e.InvalidateRequest(r))
	decide(t, e, token, otp())
	assert.Equal(t, 2, d.total())
	assert.Equal(t, echomfa.Unauthenticated, decide(t, e, "a b", otp()).Outcome)
	assert.Equal(t, echomfa.Exempted, decide(t, e, "", echomfa.Exempt("public")).Outcome)
	bad, err := e.Decide(t.Context(), token, echomfa.Policy{})
	require.ErrorIs(t, err, echomfa.ErrInvalidPolicy)
	assert.Equal(t, echomfa.InternalError, bad.Outcome)
}

// TestWords has the words of logs and errors.
func TestWords(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[echomfa.Outcome]string{
		echomfa.InternalError: "internal_error", echomfa.Allowed: "allowed", echomfa.NotEnrolled: "not_enrolled",
		echomfa.Unauthenticated: "unauthenticated", echomfa.Unavailable: "unavailable", echomfa.Exempted: "exempt", 99: "internal_error",
	} {
		assert.Equal(t, want, outcome.String())
	}
	for source, want := range map[echomfa.Source]string{
		echomfa.NoSource: "none", echomfa.Cached: "cached", echomfa.Stored: "store", echomfa.Fetched: "fetched", echomfa.Stale: "stale",
	} {
		assert.Equal(t, want, source.String())
	}
	e := table(t, nil)
	p, err := echomfa.ParsePolicy("OTP or SMS and FACE")
	require.NoError(t, err)
	_, err = e.Decide(t.Context(), answertest.NotEnrolled, p)
	assert.EqualError(t, err, "echomfa: required MFA factors are not enrolled: missing OTP or SMS+FACE")
	_, err = e.Decide(t.Context(), "token-refused", p)
	assert.EqualError(t, err, "echomfa: unauthenticated: the token was rejected: client: unauthenticated")
	_, err = e.Decide(t.Context(), "token-panicking", p)
	assert.EqualError(t, err, "echomfa: panic in lookup: lister")
	assert.EqualError(t, &echomfa.TokenError{Reason: "why"}, "echomfa: unauthenticated: why")
}

// TestScriptOfABrowserThatTellsItselfApart shows that one Sec-Fetch header is
// enough to know that a browser would have said so.
func TestScriptOfABrowserThatTellsItselfApart(t *testing.T) {
	t.Parallel()
	app := browsing(t)
	for _, header := range []string{"Sec-Fetch-Dest: empty", "Sec-Fetch-Site: same-origin"} {
		assert.Equal(t, http.StatusForbidden, send(t, app, http.MethodGet, "/", lackingBearer, "Accept: text/html", header).Code)
	}
	assert.Equal(t, http.StatusFound, send(t, app, http.MethodGet, "/", lackingBearer, "Accept: text/html").Code)
}
