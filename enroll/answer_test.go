package enroll_test

import (
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answer is what came back.
type answer struct {
	*http.Response

	t    *testing.T
	html string // the body as it is
	text string // without escapes

	// Of a page that a form led to: the redirect, its address and its cookies.
	from    *answer
	at      string
	cookies []*http.Cookie
}

// is checks the status, and texts of the page by their key.
func (a answer) is(status int, keys ...string) answer {
	a.t.Helper()
	require.Equal(a.t, status, a.StatusCode, a.html)
	for _, key := range keys {
		want, known := english(a.t)[key]
		require.True(a.t, known, key)
		want, _, _ = strings.Cut(want, "%s")
		assert.Contains(a.t, a.text, want, key)
	}
	return a
}

// isNot checks that texts are not on the page.
func (a answer) isNot(keys ...string) {
	a.t.Helper()
	for _, key := range keys {
		text, known := english(a.t)[key]
		require.True(a.t, known, key)
		text, _, _ = strings.Cut(text, "%s")
		assert.NotContains(a.t, a.text, text, key)
	}
}

var button = regexp.MustCompile(`<a class="button" href="([^"]*)"`)

// goes checks a redirect, or the page that leads on by itself or by its button.
func (a answer) goes(location string) {
	a.t.Helper()
	if link := button.FindStringSubmatch(a.html); a.StatusCode == http.StatusOK && link != nil {
		a.sameAddress(location, html.UnescapeString(link[1]))
		if to, refreshed := strings.CutPrefix(a.Header.Get("Refresh"), "0;url="); refreshed {
			a.sameAddress(location, to)
		}
		return
	}
	assert.Equal(a.t, http.StatusSeeOther, a.StatusCode, a.html)
	assert.Equal(a.t, location, a.Header.Get("Location"))
	assert.Empty(a.t, a.html)
}

// sameAddress compares addresses of which one may be escaped more than the other.
func (a answer) sameAddress(want, have string) {
	a.t.Helper()
	wanted, err := url.Parse(want)
	require.NoError(a.t, err)
	got, err := url.Parse(have)
	require.NoError(a.t, err)
	assert.Equal(a.t, wanted.Host+wanted.Path, got.Host+got.Path)
	assert.Equal(a.t, wanted.Query(), got.Query())
}

var stateField = regexp.MustCompile(`name="state" value="([^"]+)"`)

// state is the hidden field of the page.
func (a answer) state() string {
	a.t.Helper()
	found := stateField.FindStringSubmatch(a.html)
	require.NotNil(a.t, found, a.html)
	return found[1]
}

// secret is the one on the page of an authenticator app.
func (a answer) secret() string {
	a.t.Helper()
	found := regexp.MustCompile(`<code id="secret" class="secret">([A-Z2-7 ]+)</code>`).FindStringSubmatch(a.html)
	require.NotNil(a.t, found, a.html)
	return strings.ReplaceAll(found[1], " ", "")
}

// english returns the English texts.
func english(t *testing.T) map[string]string {
	t.Helper()
	texts, err := readTexts("en")
	require.NoError(t, err)
	return texts
}

func readTexts(tag string) (texts map[string]string, err error) {
	raw, err := os.ReadFile("locales/" + tag + ".json")
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(raw, &texts)
	return texts, err
}
