package enroll_test

import (
	"net/http"
	"os"
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

// TestBugOwnEnglishInOtherLanguages has texts of the app in English, and a
// language, whose tag comes before "en", that lacks them.
func TestBugOwnEnglishInOtherLanguages(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{"de", "fr"} {
		s := newSite(t, func(set *setup) {
			set.Messages = map[string]map[string]string{"en": {"check": "Ask us."}, tag: {"verify": "x"}}
			set.Language = func(*http.Request) string { return tag }
		})
		assert.Contains(t, s.signIn().get("/mfa").html, "Ask us.", tag)
	}
}

// TestBugPercentInAText has a percent sign that is no "%s".
func TestBugPercentInAText(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) {
		set.Messages = map[string]map[string]string{"en": {"start.needs": "100 % sure, 5%d: %s."}}
	})
	assert.Contains(t, s.signIn().get("/mfa?return_to=/admin").html, "100 % sure, 5%d: authenticator app.")
}

// TestTextsAreTheSame has the keys of all languages, with as many %s.
func TestTextsAreTheSame(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("locales/*.json")
	require.NoError(t, err)
	require.Len(t, files, 2)
	for _, file := range files {
		texts, err := readTexts(strings.TrimSuffix(filepath.Base(file), ".json"))
		require.NoError(t, err)
		for key, text := range english(t) {
			if key == "support" { // of the app alone
				assert.Empty(t, texts[key])
				continue
			}
			assert.Contains(t, texts, key, file)
			assert.NotEmpty(t, texts[key], key)
			assert.Equal(t, strings.Count(text, "%s"), strings.Count(texts[key], "%s"), "%s: %s", file, key)
			assert.Equal(t, strings.Count(texts[key], "%s"), strings.Count(texts[key], "%"), "%s: %s", file, key)
		}
		for key := range texts {
			assert.Contains(t, english(t), key, file)
		}
	}
}

// TestTextsAreUsed looks for the keys in the templates and the code, and for
// those of the templates and the code in the texts.
func TestTextsAreUsed(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	use := func(glob, pattern string) {
		files, err := filepath.Glob(glob)
		require.NoError(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(raw), -1) {
				used[found[1]] = true
			}
		}
	}
	use("pages/*.html", `\.T "([^"]+)"`)
	use("pages/*.html", `\.Wait "([^"]+)"`)
	use("*.go", `"((?:error|notice|join|title)\.[a-z_]+)"`)
	use("*.go", `\b(?:T|text|line)\("([a-z_.]+[a-z])"`)
	assert.Greater(t, len(used), 60)
	for key := range used {
		assert.Contains(t, english(t), key)
	}
	for _, name := range []string{"start", "deadend", "prove", "signin", "otp", "address", "sent", "face", "recovery", "remove", "message"} {
		used["title."+name] = true // by Page.Title
	}
	for _, change := range []string{"enrolled", "removed"} {
		used["title."+change], used["notice."+change] = true, true // by Change.String
	}
	used["support"] = true                                     // by Page.speak
	used["wait.try.over"], used["wait.send.over"] = true, true // by Page.Wait
	for _, typ := range []string{"OTP", "SMS", "EMAIL", "FACE", "PASSKEY"} {
		used["factor."+typ], used["hint."+typ] = true, true
	}
	for key := range english(t) {
		assert.True(t, used[key], "%s is not used", key)
	}
}

// TestLanguage has who gets which language.
func TestLanguage(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		chosen, accept string
		want           string
	}{
		"nothing":                  {"", "", "en"},
		"English":                  {"", "en", "en"},
		"Chinese":                  {"", "zh-CN", "zh-CN"},
		"any case":                 {"", "ZH-cn", "zh-CN"},
		"another Chinese":          {"", "zh-Hans-CN", "zh-CN"},
		"only zh":                  {"", "zh", "zh-CN"},
		"another English":          {"", "en-GB,zh;q=0.9", "en"},
		"the first of two":         {"", "zh,en", "zh-CN"},
		"the better of two":        {"", "en;q=0.8, zh;q=0.9", "zh-CN"},
		"with a tab":               {"", "en;q=0.8,\tzh\t;\tq=0.9", "zh-CN"},
		"not wanted":               {"", "zh;q=0, fr", "en"},
		"unknown first":            {"", "fr, zh;q=0.5", "zh-CN"},
		"unknown":                  {"", "fr", "en"},
		"any":                      {"", "*", "en"},
		"bad quality":              {"", "zh;q=2, en;q=0.1", "en"},
		"a new one":                {"", "de-CH", "de"},
		"not a prefix":             {"", "z, zhx, zh_CN", "en"},
		"chosen":                   {"zh-CN", "en", "zh-CN"},
		"chosen, close":            {"zh-TW", "en", "zh-CN"},
		"Hong Kong":                {"", "zh-HK, en;q=0.5", "zh-CN"},
		"traditional":              {"", "zh-Hant, en;q=0.5", "zh-CN"},
		"chosen, unknown":          {"fr", "zh", "zh-CN"},
		"chosen, no tag":           {"../../x", "zh", "zh-CN"},
		"chosen, nothing":          {"", "zh", "zh-CN"},
		"chosen, the app's":        {"de", "zh", "de"},
		"garbage":                  {"", ",;q=,\"", "en"},
		"two lines, second better": {"", "en;q=0.1\nzh", "zh-CN"},
	}
	s := newSite(t, func(set *setup) {
		set.Language = func(r *http.Request) string { return r.Header.Get("X-Language") }
		set.Messages = map[string]map[string]string{"de": {"title.needed": "Noch ein Faktor"}, "zh-CN": {"check": "改"}}
	})
	user := s.signIn()
	titles := map[string]string{"en": "Set up two-step verification", "zh-CN": "设置两步验证", "de": "Noch ein Faktor"}
	for name, row := range rows {
		a := user.do(http.MethodGet, "/mfa", nil, func(r *http.Request) {
			r.Header.Set("X-Language", row.chosen)
			for line := range strings.SplitSeq(row.accept, "\n") {
				r.Header.Add("Accept-Language", line)
			}
		}).is(http.StatusOK)
		assert.Equal(t, row.want, a.Header.Get("Content-Language"), name)
		assert.Equal(t, []string{"Accept-Language"}, a.Header.Values("Vary"), name)
		assert.Contains(t, a.html, `<html lang="`+row.want+`">`, name)
		assert.Contains(t, a.html, "<h1>"+titles[row.want]+"</h1>", name)
		assert.Equal(t, row.want == "zh-CN", strings.Contains(a.html, "改"), name)
		assert.Equal(t, row.want == "de", strings.Contains(a.html, "Noch ein") && strings.Contains(a.html, "GenAuth stores your"), name)
	}
	inChinese := func(r *http.Request) { r.Header.Set("Accept-Language", "zh") }
	a := user.do(http.MethodPost, "/mfa/begin", formOf("type", "SMS"), inChinese)
	assert.Contains(t, a.html, "中国")
	a = user.do(http.MethodGet, "/mfa/x", nil, inChinese).is(http.StatusNotFound)
	assert.Contains(t, a.html, "<h1>页面不存在</h1>")
}

// TestTraditionalChinese has an app that adds it once: all who read it get it, and those who
// read simplified characters do not.
func TestTraditionalChinese(t *testing.T) {
	t.Parallel()
	for _, added := range []string{"zh-TW", "zh-HK", "zh-Hant"} {
		s := newSite(t, func(set *setup) { set.Messages = map[string]map[string]string{added: {"footer": "由 %s 保管"}} })
		user := s.signIn()
		for _, tag := range []string{"zh-TW", "zh-HK", "zh-MO", "zh-Hant", "zh-Hant-HK", "zh", "zh-CN", "zh-SG", "zh-Hans-HK"} {
			want := added
			if tag == "zh" || tag == "zh-CN" || tag == "zh-SG" || tag == "zh-Hans-HK" {
				want = "zh-CN"
			}
			a := user.do(http.MethodGet, "/mfa", nil, func(r *http.Request) { r.Header.Set("Accept-Language", tag) })
			assert.Equal(t, want, a.Header.Get("Content-Language"), "%s beside %s", tag, added)
		}
	}
}

// TestDirection has which added languages are written from right to left.
func TestDirection(t *testing.T) {
	t.Parallel()
	for tag, rtl := range map[string]bool{
		"ar": true, "fa-IR": true, "he": true, "ur-PK": true, "pa-Arab-PK": true, "de": false, "ar-Latn": false, "pa": false, "az-Cyrl": false,
	} {
		s := newSite(t, func(set *setup) {
			set.Messages = map[string]map[string]string{tag: {"continue": "x"}}
			set.Language = func(*http.Request) string { return tag }
		})
		dir := ""
		if rtl {
			dir = ` dir="rtl"`
		}
		assert.Contains(t, s.signIn().get("/mfa").html, `<html lang="`+tag+`"`+dir+`>`, tag)
	}
}

// TestSupportByLanguage has whom to ask in the language of the page: that language's, else
// the English one, else Support.
func TestSupportByLanguage(t *testing.T) {
	t.Parallel()
	english := map[string]string{"support": "the help desk"}
	rows := map[string]struct {
		support  string
		messages map[string]map[string]string
		want     map[string]string
	}{
		"Support alone": {"IT", nil, map[string]string{"en": "IT", "zh-CN": "IT", "": "IT"}},
		"one of two": {
			"IT", map[string]map[string]string{"zh-CN": {"support": "服务台"}}, map[string]string{"en": "IT", "zh-CN": "服务台"},
		},
		"both": {
			"",
			map[string]map[string]string{"en": english, "zh-CN": {"support": "服务台"}},
			map[string]string{"en": "the help desk", "zh-CN": "服务台"},
		},
		"English for all": {
			"",
			map[string]map[string]string{"en": english, "de": {"retry": "x"}},
			map[string]string{"en": "the help desk", "zh-CN": "the help desk", "de": "the help desk"},
		},
		"nobody": {"", nil, map[string]string{"en": "the administrator of this app", "zh-CN": "此应用的管理员"}},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for lang, want := range row.want {
				s := newSite(t, func(set *setup) {
					set.Support, set.Messages, set.Policy = row.support, row.messages, echomfa.AnyOf(echomfa.Face)
					set.Language = func(*http.Request) string { return lang }
				})
				deadEnd := s.signIn().get("/mfa")
				refusal := refuse(t, enroll.RefusalConfig{Support: row.support, Messages: row.messages, Language: func(*http.Request) string { return lang }},
					echomfa.AnyOf(echomfa.Face), "GET", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", "Authorization: Bearer "+answertest.NotEnrolled)
				for _, page := range []string{deadEnd.html, refusal.Body.String()} {
					assert.Contains(t, page, want)
					_, footer, _ := strings.Cut(page, "<footer>")
					assert.Equal(t, name != "nobody", strings.Contains(footer, want), lang)
				}
			}
		})
	}
}
