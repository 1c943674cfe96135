package enroll_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/answertest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/enroll"
)

// refuse returns how an app with the ready refusal page answers a request for /admin.
func refuse(t *testing.T, cfg enroll.RefusalConfig, policy echomfa.Policy, method string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	page, err := enroll.RefusalPage(cfg)
	require.NoError(t, err)
	mfa, err := echomfa.New(echomfa.Config{
		Client: echomfa.FactorListerFunc(answertest.Lister), Namespace: "test", Audience: []string{"app"},
		EnrollURL: "/mfa", LoginURL: "/login", RefusalPage: page,
		ReturnTo: echomfa.ReturnToConfig{BaseURL: "https://ops.example.com/tools"},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, mfa.Close()) })
	r := httptest.NewRequestWithContext(t.Context(), method, "/admin", nil)
	for _, line := range headers {
		key, value, _ := strings.Cut(line, ": ")
		r.Header.Add(key, value)
	}
	w := httptest.NewRecorder()
	mfa.Middleware(echomfa.HandlerConfig{Policy: policy})(http.NotFoundHandler()).ServeHTTP(w, r)
	return w
}

// TestRefusalPage compares the answers with testdata/refusals, as TestGolden does with
// the pages.
func TestRefusalPage(t *testing.T) {
	t.Parallel()
	const (
		browser = "Sec-Fetch-Mode: navigate"
		framed  = "Sec-Fetch-Dest: iframe"
		circle  = "Cookie: __Host-echomfa_round_29=4"
		lacking = "Authorization: Bearer " + answertest.NotEnrolled
		unknown = "Authorization: Bearer token-limited"
	)
	rows := map[string]struct {
		method  string
		headers []string
		status  int
	}{
		"needed in a frame":        {"GET", []string{browser, framed, lacking}, 403},
		"needed in a circle":       {"GET", []string{browser, circle, lacking}, 403},
		"sign in, framed":          {"GET", []string{browser, framed}, 401},
		"sign in, circle":          {"GET", []string{browser, circle}, 401},
		"unknown":                  {"GET", []string{browser, unknown}, 503},
		"unknown, a form":          {"POST", []string{browser, unknown}, 503},
		"unknown, in a Turbo page": {"POST", []string{"Accept: text/vnd.turbo-stream.html, text/html", unknown}, 503},
		"the app's mistake":        {"GET", []string{browser, "Authorization: Bearer token-panicking"}, 500},
	}
	for _, lang := range []string{"en", "zh-CN"} {
		t.Run(lang, func(t *testing.T) {
			t.Parallel()
			answers := map[string]string{}
			for name, row := range rows {
				policy := echomfa.AnyOf(echomfa.OTP)
				if strings.Contains(name, "circle") {
					policy = echomfa.AnyOf(echomfa.Face).Or(echomfa.AllOf(echomfa.OTP, echomfa.SMS))
				}
				w := refuse(t, enroll.RefusalConfig{Brand: enroll.Brand{Name: "Example", LogoPath: "/logo.svg"}, Support: "ext. 1234"},
					policy, row.method, append(row.headers, "Accept-Language: "+lang)...)
				assert.Equal(t, row.status, w.Code, name)
				assert.Equal(t, lang, w.Header().Get("Content-Language"), name)
				text := answertest.Text(w)
				text = regexp.MustCompile(`(?s)<style>.*</style>`).ReplaceAllString(text, "<style>STYLE</style>")
				text = regexp.MustCompile(`'sha256-[^']+'`).ReplaceAllString(text, "'sha256-DIGEST'")
				text = regexp.MustCompile(`Content-Length: \d+`).ReplaceAllString(text, "Content-Length: LENGTH")
				answers[name] = text
			}
			answertest.Golden(t, filepath.Join("testdata", "refusals", lang), answers)
		})
	}
}

// TestRefusalPageStandsAlone shows that the page's style is in it, in the color of the
// app, and is what the Content-Security-Policy allows: nothing else has to be fetched
// from an app that is not well.
func TestRefusalPageStandsAlone(t *testing.T) {
	t.Parallel()
	w := refuse(t, enroll.RefusalConfig{Brand: enroll.Brand{Color: "#7a1f5c"}}, echomfa.AnyOf(echomfa.OTP), "GET",
		"Sec-Fetch-Mode: navigate", "Authorization: Bearer token-unavailable")
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(w.Body.String())
	require.NotNil(t, style)
	assert.Contains(t, style[1], "#7a1f5c")
	hash := sha256.Sum256([]byte(style[1]))
	assert.Contains(t, w.Header().Get("Content-Security-Policy"), "'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+"'")
	assert.NotRegexp(t, `src=|rel="stylesheet"`, w.Body.String())
}

// TestRefusalPageLanguages has the language that the app chooses, and texts of its own.
func TestRefusalPageLanguages(t *testing.T) {
	t.Parallel()
	w := refuse(t, enroll.RefusalConfig{
		Language: func(*http.Request) string { return "de" },
		Messages: map[string]map[string]string{"de": {"refusal.title.signin": "Bitte anmelden"}},
	}, echomfa.AnyOf(echomfa.OTP), "GET", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", "Accept-Language: zh-CN")
	assert.Equal(t, "de", w.Header().Get("Content-Language"))
	assert.Contains(t, w.Body.String(), "<h1>Bitte anmelden</h1>")
	assert.Contains(t, w.Body.String(), "To open this page, sign in.", "what a language lacks is in English")
}

// TestRefusalPageMistakes has all that is wrong reported together.
func TestRefusalPageMistakes(t *testing.T) {
	t.Parallel()
	_, err := enroll.RefusalPage(enroll.RefusalConfig{
		Brand: enroll.Brand{Color: "red", LogoPath: "logo.svg"}, Messages: map[string]map[string]string{"en": {"no.such": "x"}},
	})
	for _, field := range []string{"Brand.Color", "Brand.LogoPath", `Messages["en"]["no.such"]`} {
		assert.ErrorContains(t, err, field)
	}
}

// TestRefusalPageDirection has a language that is written from right to left, as a page
// and as a part of the app's own.
func TestRefusalPageDirection(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]bool{"ar": true, "en": false} {
		for _, accept := range []string{"text/html", "text/vnd.turbo-stream.html, text/html"} {
			w := refuse(t, enroll.RefusalConfig{
				Language: func(*http.Request) string { return tag }, Messages: map[string]map[string]string{"ar": {"refusal.retry": "مرة أخرى"}},
			}, echomfa.AnyOf(echomfa.OTP), "POST", "Accept: "+accept, "Authorization: Bearer token-limited")
			assert.Equal(t, http.StatusServiceUnavailable, w.Code)
			assert.Contains(t, w.Body.String(), `lang="`+tag+`"`)
			assert.Equal(t, want, strings.Contains(w.Body.String(), ` dir="rtl"`), tag+" "+accept)
		}
	}
}

// TestRefusalPageTellsWhatCanBeSetUp has what the pages of the package set up, and what the
// user has to ask for.
func TestRefusalPageTellsWhatCanBeSetUp(t *testing.T) {
	t.Parallel()
	const hosted = "https://genauth.example/u"
	face := echomfa.AnyOf(echomfa.Face)
	rows := map[string]struct {
		policy echomfa.Policy
		hosted string
		has    []string
		button string
		hasNot []string
	}{
		"all here": {
			echomfa.AnyOf(echomfa.OTP, echomfa.SMS), "",
			[]string{"<h1>Set up two-step verification</h1>", "one of these:", "<li>authenticator app</li>"},
			"Set it up now",
			[]string{"cannot set"},
		},
		"one here, one not": {
			echomfa.AnyOf(echomfa.OTP, echomfa.Face), "",
			[]string{"set up: authenticator app.", "opens the page too: face. You cannot set it up here. Ask the help desk."},
			"Set it up now",
			[]string{"<li>", "one of these:"},
		},
		"one here, two not": {
			echomfa.AnyOf(echomfa.OTP, echomfa.Face, echomfa.Passkey), "",
			[]string{"set up: authenticator app.", "One of these opens the page too.", "<li>face</li>", "<li>passkey</li>", "Ask the help desk."},
			"Set it up now",
			[]string{"<li>authenticator app</li>"},
		},
		"together": {
			echomfa.AnyOf(echomfa.SMS).Or(echomfa.AllOf(echomfa.OTP, echomfa.Face)), "",
			[]string{"set up: text message (SMS).", "opens the page too: authenticator app together with face."},
			"Set it up now", nil,
		},
		"one, not here": {
			face, "",
			[]string{"<h1>You cannot set up the required method here</h1>", "you need: face. You cannot set it up here. Ask the help desk."},
			"See your verification methods",
			[]string{"Set it up now", "set up: "},
		},
		"two, not here": {
			echomfa.AnyOf(echomfa.Face, echomfa.Passkey), "",
			[]string{"<h1>You cannot set up the required method here</h1>", "one of the following. You cannot", "<li>face</li>", "<li>passkey</li>"},
			"See your verification methods",
			[]string{"Set it up now"},
		},
		"on GenAuth's page": {
			echomfa.AnyOf(echomfa.OTP, echomfa.Face), hosted,
			[]string{"<li>authenticator app</li>", "<li>face</li>"},
			"Set it up now",
			[]string{"cannot set"},
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := refuse(t, enroll.RefusalConfig{Support: "the help desk", HostedURL: row.hosted}, row.policy, "GET",
				"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", "Authorization: Bearer "+answertest.NotEnrolled)
			assert.Equal(t, http.StatusForbidden, w.Code)
			for _, text := range append(row.has, ">"+row.button+"</a>") {
				assert.Contains(t, w.Body.String(), text)
			}
			for _, text := range row.hasNot {
				assert.NotContains(t, w.Body.String(), text)
			}
		})
	}
	_, err := enroll.RefusalPage(enroll.RefusalConfig{HostedURL: "genauth.example/u"})
	assert.ErrorContains(t, err, "HostedURL")
}

// TestRefusalPageNamesTheUser has what a user quotes, if the app names users at all.
func TestRefusalPageNamesTheUser(t *testing.T) {
	t.Parallel()
	page, err := enroll.RefusalPage(enroll.RefusalConfig{})
	require.NoError(t, err)
	for ref, want := range map[string]bool{"IW422ZB5XKDFNLQ4": true, "": false} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/admin", nil)
		made, err := page(r, echomfa.Refusal{Status: http.StatusForbidden, UserRef: ref})
		require.NoError(t, err)
		assert.Equal(t, want, strings.Contains(string(made.HTML), "User: <code>"+ref+"</code>"))
	}
}
