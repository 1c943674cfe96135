package enroll

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/echomfa/echomfa/internal/fieldvalue"
)

//go:embed locales/*.json
var localeFiles embed.FS

const (
	defaultLanguage = "en"
	// maxLanguages bounds what an Accept-Language header can cost: nobody
	// reads more languages.
	maxLanguages = 32
)

// languages are the texts of the pages, by tag.
type languages map[string]map[string]string

// newLanguages returns the texts that come with the package, with the changes
// and the languages of an app. What a language lacks is in English.
func newLanguages(custom map[string]map[string]string) (languages, error) {
	l := languages{}
	files, err := localeFiles.ReadDir("locales")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		raw, err := localeFiles.ReadFile("locales/" + file.Name())
		if err != nil {
			return nil, err
		}
		texts := map[string]string{}
		if err := json.Unmarshal(raw, &texts); err != nil {
			return nil, fmt.Errorf("enroll: locales/%s: %w", file.Name(), err)
		}
		l[strings.TrimSuffix(file.Name(), path.Ext(file.Name()))] = texts
	}
	// English first: it is what the others fall back on.
	tags := append([]string{defaultLanguage}, slices.Sorted(maps.Keys(l))...)
	for _, tag := range append(tags, slices.Sorted(maps.Keys(custom))...) {
		texts := maps.Clone(l[defaultLanguage])
		maps.Copy(texts, l[tag])
		for key, text := range custom[tag] {
			english, known := l[defaultLanguage][key]
			if !known || strings.Count(english, "%s") != strings.Count(text, "%s") {
				return nil, fmt.Errorf("enroll: Messages[%q][%q]: no such text, or another number of %%s in it", tag, key)
			}
			texts[key] = text
		}
		l[tag] = texts
	}
	return l, nil
}

// choose returns the language for a request: the one that the app chose, else
// what Accept-Language prefers, else English.
func (l languages) choose(r *http.Request, chosen string) string {
	if tag := l.closest(chosen); tag != "" {
		return tag
	}
	best, bestQuality := defaultLanguage, 0
	count := 0
	for _, line := range r.Header["Accept-Language"] {
		for element := range fieldvalue.Elements(line, ',') {
			if count++; count > maxLanguages {
				return best
			}
			name, weight, weighted := strings.Cut(element, ";")
			q, ok := fieldvalue.MaxQuality, true
			if weighted {
				q, ok = fieldvalue.Quality(strings.TrimPrefix(strings.Trim(weight, " \t"), "q="))
			}
			if tag := l.closest(strings.Trim(name, " \t")); ok && tag != "" && q > bestQuality {
				best, bestQuality = tag, q
			}
		}
	}
	return best
}

// closest returns the language that serves a reader of another one best: itself,
// or one with the same primary language (RFC 4647 does as much for "lookup"), if there is
// one in the same script, or "". Of Chinese there is zh-CN, in simplified characters, which
// readers of zh-TW, zh-HK, zh-MO and zh-Hant get too: they read it with more ease than
// English. An app that adds one of these four has all of their readers get it.
func (l languages) closest(tag string) string {
	if tag == "" {
		return ""
	}
	candidate := ""
	for _, known := range slices.Sorted(maps.Keys(l)) {
		if strings.EqualFold(known, tag) {
			return known
		}
		if primary(known) != primary(tag) {
			continue
		}
		if candidate == "" || isTraditional(known) == isTraditional(tag) && isTraditional(candidate) != isTraditional(tag) {
			candidate = known
		}
	}
	return candidate
}

// isTraditional reports whether a tag is one of Chinese in traditional characters.
func isTraditional(tag string) bool {
	subtags := strings.Split(strings.ToLower(tag), "-")
	return subtags[0] == "zh" && !slices.Contains(subtags, "hans") &&
		slices.ContainsFunc(subtags[1:], func(s string) bool { return s == "hant" || s == "tw" || s == "hk" || s == "mo" })
}

// direction returns "rtl" for a language that is written from right to left, else "".
func direction(tag string) string {
	subtags := strings.Split(strings.ToLower(tag), "-")
	for _, script := range subtags[1:] {
		switch {
		case len(script) != 4:
		case slices.Contains([]string{"arab", "hebr", "thaa", "syrc", "nkoo", "adlm", "rohg"}, script):
			return "rtl"
		default:
			return ""
		}
	}
	if slices.Contains([]string{"ar", "arc", "ckb", "dv", "fa", "he", "iw", "ks", "nqo", "ps", "sd", "syr", "ug", "ur", "yi", "ji"}, subtags[0]) {
		return "rtl"
	}
	return ""
}

// primary returns the primary language of a tag: "zh" of "zh-Hans-CN".
func primary(tag string) string {
	first, _, _ := strings.Cut(tag, "-")
	return strings.ToLower(first)
}
