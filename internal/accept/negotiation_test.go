package accept_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/internal/accept"
)

// isBrowser reports whether a client that sends these Accept lines and nothing else
// is taken for a browser. It fails if it is taken for anything but that or a program.
func isBrowser(tb testing.TB, lines ...string) bool {
	tb.Helper()
	kind := accept.KindOf(&http.Request{Header: http.Header{"Accept": lines}})
	assert.Contains(tb, []accept.Kind{accept.Program, accept.Browser}, kind, "%q", lines)
	return kind == accept.Browser
}

// TestT33NegotiationByQuality has what browsers, libraries and the grammar of
// RFC 9110, section 12.5.1, put into Accept.
func TestT33NegotiationByQuality(t *testing.T) {
	t.Parallel()
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
		{`text/html;x=""`},
		{`text/html;charset="utf-8";q=0.5;ext="a\"b"`},
		{"image/png;q=x,text/html"},
	}
	for _, lines := range pages {
		assert.True(t, isBrowser(t, lines...), lines)
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
		assert.False(t, isBrowser(t, lines...), "%q", lines)
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
	f.Fuzz(func(t *testing.T, line string) {
		if kind := accept.KindOf(&http.Request{Header: http.Header{"Accept": {line}}}); kind != accept.Browser {
			return
		}
		assert.Contains(t, strings.ToLower(line), "text/html")
		assert.True(t, isBrowser(t, "text/html", line), "less is asked of HTML")
		other := strings.ReplaceAll(strings.ToLower(line), "text/html", "text/plain")
		assert.False(t, isBrowser(t, other), "HTML is not named any more")
	})
}

// TestKindOf has what clients say of themselves beside Accept.
func TestKindOf(t *testing.T) {
	t.Parallel()
	const html, json = "Accept: text/html", "Accept: application/json"
	for _, test := range []struct {
		want    accept.Kind
		headers []string
	}{
		{accept.HTMX, []string{"Hx-Request: true", json}},
		{accept.Program, []string{"Hx-Request: false"}},
		{accept.Inertia, []string{"X-Inertia: true"}},
		{accept.Unpoly, []string{"X-Up-Version: 3"}},
		{accept.Unpoly, []string{"X-Up-Target: main", html}},
		{accept.Program, []string{"X-Up-Version: 3", json}},
		{accept.Turbo, []string{"Accept: text/vnd.turbo-stream.html, text/html"}},
		{accept.Program, []string{"Accept: text/vnd.turbo-stream.html;q=0"}},
		{accept.Program, []string{"Accept: text/vnd.turbo-stream.html;q=x"}},
		{accept.TurboFrame, []string{"Turbo-Frame: f"}},
		{accept.Turbo, []string{"X-Turbo-Request-Id: 1", html}},
		{accept.Program, []string{"X-Turbo-Request-Id: 1", json}},
		{accept.Program, []string{"X-Turbo-Request-Id: 1", html, "X-Requested-With: XMLHttpRequest"}},
		{accept.Browser, []string{"Sec-Fetch-Mode: navigate", json}},
		{accept.Browser, []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"}},
		{accept.Framed, []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"}},
		{accept.Program, []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: empty", html}},
		{accept.Program, []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Dest: document"}},
		{accept.Program, []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Mode: navigate", html}},
		{accept.Program, []string{"Sec-Fetch-Mode: cors", html}},
		{accept.Program, []string{"Sec-Fetch-Dest: document", html}},
		{accept.Program, []string{"Sec-Fetch-Site: none", html}},
		{accept.Program, []string{"X-Requested-With: xmlhttprequest", html}},
		{accept.Browser, []string{"X-Requested-With: app", html}},
		{accept.Program, nil},
	} {
		h := make(http.Header)
		for _, line := range test.headers {
			name, value, _ := strings.Cut(line, ": ")
			h.Add(name, value)
		}
		assert.Equal(t, test.want, accept.KindOf(&http.Request{Header: h}), test.headers)
	}
}

// TestFrameName shows that a name which nobody has written does not count.
func TestFrameName(t *testing.T) {
	t.Parallel()
	for length, want := range map[int]int{0: 0, 256: 256, 257: 0} {
		r := &http.Request{Header: http.Header{"Turbo-Frame": {strings.Repeat("f", length)}}}
		assert.Len(t, accept.FrameName(r), want)
	}
}
