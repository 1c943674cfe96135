package echomfa_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
)

// getsPage reports whether a client with these Accept lines is answered by a
// page. It fails if the answer is neither that nor a problem document.
func getsPage(tb testing.TB, e *echomfa.Enforcer, lines ...string) bool {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/", nil)
	r.Header["Accept"] = lines
	w := httptest.NewRecorder()
	e.WriteRefusal(w, r, echomfa.ErrNotEnrolled)
	assert.Equal(tb, http.StatusForbidden, w.Code)
	switch kind := w.Header().Get("Content-Type"); kind {
	case "text/html; charset=utf-8":
		return true
	case "application/problem+json":
		return false
	default:
		assert.Failf(tb, "answered otherwise", "%q: %s", lines, kind)
		return false
	}
}

// TestT33NegotiationByQuality has what browsers, libraries and the grammar of
// RFC 9110, section 12.5.1, put into Accept.
func TestT33NegotiationByQuality(t *testing.T) {
	t.Parallel()
	e := table(t, nil)
	pages := [][]string{
		{"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"}, // Firefox
		{"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8," +
			"application/signed-exchange;v=b3;q=0.7"}, // Chrome
		{"application/json;q=0.9", "text/html"},
		{"text/html", "application/json"},
		{"text/html;q=0.9,*/*;q=0.9"},
		{"text/html;q=0.4,*/*;q=0.9,application/json;q=0.4,application/problem+json;q=0.3"},
		{"text/html;q=0.4,*/*;q=0.9,application/*;q=0.4"},
		{"text/html;q=0,text/html;q=0.2"},
		{"text/html ; q=0.5"},
		{"text/html\t;\tq=0.5"},
		{"text/html;Q=0.5"},
		{"text/html;q=1."},
		{"text/html;"},
		{`text/html;charset="utf-8";q=0.5;ext="a\"b"`},
		{"image/png;q=x,text/html"},
	}
	for _, lines := range pages {
		assert.True(t, getsPage(t, e, lines...), lines)
	}
	programs := [][]string{
		nil,
		{""},
		{" "},
		{",,,"},
		{";"},
		{"*"},
		{"*/html"},
		{"text"},
		{"text/"},
		{"/html"},
		{"text/html/x"},
		{"html/text"},
		{"application/json"},
		{"application/json, text/plain, */*"},
		{"*/*"},
		{"text/*"},
		{"application/xhtml+xml"},
		{"text/html+x"},
		{"text/html;q=0"},
		{"text/html;q=0."},
		{"text/html;q=0.0"},
		{"text/html;q=0.000"},
		{"text/html;q=0,*/*"},
		{"text/html;q=0.4,*/*;q=0.5"},
		{"text/html;q=0.4,application/*;q=0.5"},
		{"text/html;q=0.4,application/problem+json;q=0.5"},
		{"text/html;q=0.4,*/*;q=0.1,application/json;q=0.5"},
		{"text/html;q=0.999,application/json"},
		{"text/html;q=0.4", "application/json;q=0.5"},
		{"text/html;q=-1"},
		{"text/html;q=+1"},
		{"text/html;q=1e0"},
		{"text/html;q=.5"},
		{"text/html;q=0,5"},
		{"text/html;q=2"},
		{"text/html;q=01"},
		{"text/html;q=0.5.5"},
		{"text/html;q=1.0001"},
		{`text/html;q="1"`},
		{"text/html;q"},
		{"text/html;q=\u0661"},
		{"text/html;q=NaN"},
		{"text/html;q =0"},
		{"text/html;q= 0.5"},
		{"text/html;q=x;q=1"},
		{"text/html;level"},
		{"text/html;a b=c"},
		{"text/html;=x"},
		{`text/html;x="y`},
		{`text/html;x="y"z`},
		{`text/html;x=y"z"`},
		{`text/html;x="y\"`},
		{`"text/html"`},
		{"<text/html>"},
		{"text/html\x00"},
		{"text/\x00html"},
		{"\ufefftext/html"},
		{"text\uff0fhtml"},
		{"text/html q=1"},
		{"text/ html"},
		{"text /html"},
		// A quality of JSON that cannot be read does not speak for HTML.
		{"application/json;q=x,text/html;q=0.9"},
		{"text/html;q=0.5,*/*;q="},
		{`application/json;x="y",application/*;x=",text/html`},
	}
	for _, lines := range programs {
		assert.False(t, getsPage(t, e, lines...), "%q", lines)
	}
}

// FuzzAccept shows that whatever a client accepts, it is a browser only if it
// names text/html, and that no more of JSON makes it one.
func FuzzAccept(f *testing.F) {
	for _, seed := range []string{
		"", "*/*", "text/html", "text/html;q=0.5,application/json;q=0.6", `text/html;x="a,b`, "text/html;q=x", ",;=\"\\", "application/json;q=x,text/html",
	} {
		f.Add(seed)
	}
	e, err := echomfa.New(echomfa.Config{
		Client: echomfa.FactorListerFunc(answertest.Lister), Namespace: "n", Audience: []string{"a"},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = e.Close() })
	f.Fuzz(func(t *testing.T, accept string) {
		if !getsPage(t, e, accept) {
			return
		}
		assert.Contains(t, strings.ToLower(accept), "text/html")
		assert.True(t, getsPage(t, e, "text/html", accept), "less is asked of HTML")
		other := strings.ReplaceAll(strings.ToLower(accept), "text/html", "text/plain")
		assert.False(t, getsPage(t, e, other), "HTML is not named any more")
	})
}
