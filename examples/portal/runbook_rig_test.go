package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests of these files follow docs/runbook.md against the portal: from what a user
// reports, by the operator's page, to the line or the figure and what is to be done. What
// they look for stands in the document: they read it there, and fail if it is changed.

// runbookSection returns a section of the runbook, its lines joined.
func runbookSection(t *testing.T, title string) string {
	t.Helper()
	raw, err := os.ReadFile("../../docs/runbook.md")
	require.NoError(t, err)
	_, rest, found := strings.Cut(strings.ReplaceAll(string(raw), "\r\n", "\n"), "\n## "+title+"\n")
	require.True(t, found, title)
	section, _, _ := strings.Cut(rest, "\n## ")
	return section
}

// symptom is a row of a table of the runbook.
type symptom struct{ shows, remedy string }

var tableRow = regexp.MustCompile(`(?m)^\| (.+?) \| (.+?) \| (.+?) \|$`)

// symptoms returns the rows of a section's table.
func symptoms(section string) []symptom {
	var list []symptom
	for _, cells := range tableRow.FindAllStringSubmatch(section, -1) {
		if cells[1] != "---" && cells[1] != "what it shows" {
			list = append(list, symptom{shows: cells[1], remedy: cells[3]})
		}
	}
	return list
}

// steps returns what the numbered steps of a section, or its bullets, begin with.
func steps(section, mark string) []string {
	var list []string
	for _, m := range regexp.MustCompile(`(?m)^`+mark+` (.+)$`).FindAllStringSubmatch(section, -1) {
		list = append(list, m[1])
	}
	return list
}

// quoted returns what is quoted in a text: keys, values, figures.
func quoted(text string) []string {
	var list []string
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	return list
}

// desk is an operator with the portal.
type desk struct {
	t       *testing.T
	genauth *genauthtest.Server
	portal  *portal
	app     http.Handler
	ops     http.Handler
}

// newDesk starts GenAuth and the portal. With demo, the portal has no page of GenAuth to
// send users to.
func newDesk(t *testing.T, policy string, demo bool, cfg genauthtest.Config, appID string) *desk {
	t.Helper()
	d := &desk{t: t, genauth: genauthtest.Start(t, cfg)}
	addDemoUsers(d.genauth)
	if appID == "" {
		appID = d.genauth.AppID()
	}
	s, err := readSettings(env("GENAUTH_HOST", d.genauth.URL(), "GENAUTH_APP_ID", appID, "MFA_POLICY", policy))
	require.NoError(t, err)
	emulator := d.genauth
	if !demo {
		emulator = nil
	}
	d.portal, err = newPortal(s, emulator)
	require.NoError(t, err)
	t.Cleanup(d.portal.close)
	d.app, d.ops = d.portal.handler(), d.portal.ops.handler()
	return d
}

const deskPolicy = "OTP or FACE"

// asks is a program with a token.
func (d *desk) asks(token string) *httptest.ResponseRecorder {
	d.t.Helper()
	return get(d.t, d.app, "/api/admin", "Authorization: Bearer "+token)
}

// referenceOf is what the user reads out, or the program sends in.
func (d *desk) referenceOf(w *httptest.ResponseRecorder) string {
	d.t.Helper()
	m := regexp.MustCompile(`(?:"decision_id":"|<code[^>]*>|[Rr]eference:? ?(?:<[^>]*>)?)([A-Z2-7]{26})`).FindStringSubmatch(w.Body.String())
	require.NotNil(d.t, m, w.Body)
	return m[1]
}

// finds enters a text into the operator's page, and returns the lines that it shows.
func (d *desk) finds(text string) []string {
	d.t.Helper()
	page := get(d.t, d.ops, opsAt+"/?find="+url.QueryEscape(text)).Body.String()
	_, log, found := strings.Cut(page, `<section aria-labelledby="log"`)
	require.True(d.t, found)
	log, _, _ = strings.Cut(log, "</section>")
	var lines []string
	for _, m := range regexp.MustCompile(`<li><code>(.*)</code></li>`).FindAllStringSubmatch(log, -1) {
		lines = append(lines, strings.NewReplacer("&#34;", `"`, "&#39;", "'", "&lt;", "<", "&gt;", ">", "&amp;", "&").Replace(m[1]))
	}
	return lines
}

// line returns the one line that a search finds, and checks that it has what the document
// quotes: a key with its value, or else a key or an event.
func (d *desk) line(search string, words ...string) string {
	d.t.Helper()
	lines := d.finds(search)
	require.NotEmpty(d.t, lines, search)
	for _, word := range words {
		for _, q := range quoted(word) {
			want := q
			if !strings.Contains(q, "=") && !strings.Contains(q, " ") && !strings.HasPrefix(q, "enroll_") {
				want = " " + q + "="
			}
			assert.Contains(d.t, lines[0], want)
		}
	}
	return lines[0]
}

// figure reads a figure from the operator's page.
func (d *desk) figure(name string) string {
	d.t.Helper()
	page := get(d.t, d.ops, opsAt+"/").Body.String()
	_, value, found := strings.Cut(page, `<th scope="row">`+name+`</th><td>`)
	require.True(d.t, found, name)
	value, _, _ = strings.Cut(value, "</td>")
	return value
}

// value reads a key of a line.
func value(t *testing.T, line, key string) string {
	t.Helper()
	m := regexp.MustCompile(` ` + key + `=("(?:[^"\\]|\\.)*"|\S*)`).FindStringSubmatch(line)
	require.NotNil(t, m, "%s: %s", key, line)
	return strings.Trim(m[1], `"`)
}
