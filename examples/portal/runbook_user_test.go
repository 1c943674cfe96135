package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRunbookOneUserIsLockedOut walks every row of the section.
func TestRunbookOneUserIsLockedOut(t *testing.T) {
	t.Parallel()
	section := runbookSection(t, "One user is locked out")
	listed := symptoms(section)
	for i, start := range []string{"Ask for the reference on the page.", "Read that line.", "`InvalidateUser` with the user's id forgets"} {
		require.True(t, strings.HasPrefix(steps(section, `\d\.`)[i], start), "step %d", i+1)
	}
	require.Len(t, steps(section, `\d\.`), 3)
	walks := []struct {
		symptom
		walk func(*testing.T, symptom)
	}{
		{symptom{"`outcome=not_enrolled`; `enrolled` lacks what `missing` names", "have the user finish; another type does not help unless `missing` names it"}, walkNotEnrolled},
		{symptom{"the same, but GenAuth's console shows the factor", "compare `user_ref`, or the token's `sub`, with the user in the console"}, walkAnotherUser},
		{symptom{"the same, `source=cached` and `age` below 2 s", "the factor takes effect after `DenyFreshFor`; call `InvalidateRequest` in your enrollment page"}, walkBackAtOnce},
		{symptom{"`missing` names a type that the user cannot enroll", "[which factors](genauth-setup.md#which-factors-to-switch-on)"}, walkTypeIsOff},
		{symptom{"`outcome=unauthenticated`", "sign out and in"}, walkSignOutAndIn},
		{symptom{"`enroll_dead_end`, `reason=not_offered`", "[which factors](genauth-setup.md#which-factors-to-switch-on)"}, walkDeadEnd},
		{symptom{"`enroll_dead_end`, `reason=hosted_url_missing`", "set `HostedURL` of `enroll.Config`"}, walkHostedURLMissing},
		{symptom{"`enroll_limit_reached`", "[Limits of the enrollment pages](#limits-of-the-enrollment-pages)"}, walkLimit},
		{symptom{"another line of `enroll`, such as `enrollment call failed`", "[its row](log.schema.md#events)"}, walkEnrollCallFailed},
		{symptom{"no line at all", "look for `decision_id` in the answer: an answer without it is not from echomfa"}, walkNoLine},
	}
	require.Len(t, listed, len(walks))
	for i, row := range walks {
		require.Equal(t, listed[i], row.symptom, "row %d of the document", i+1)
		t.Run(row.shows, func(t *testing.T) {
			t.Parallel()
			row.walk(t, row.symptom)
		})
	}
}

func walkNotEnrolled(t *testing.T, row symptom) {
	t.Helper()
	d := newDesk(t, deskPolicy, false, genauthtest.Config{}, "")
	bob := d.genauth.AccessToken("bob-id")
	line := d.line(d.referenceOf(d.asks(bob)), row.shows)
	assert.Equal(t, "OTP or FACE", value(t, line, "missing"))
	assert.Equal(t, "none", value(t, line, "enrolled"))
	assert.Equal(t, line, d.finds("bob-id")[0], "by the id of the user as well")
	// Another type does not help.
	d.genauth.Enroll("bob-id", genauthtest.SMS)
	require.NoError(t, d.portal.mfa.InvalidateUser(t.Context(), "bob-id"))
	line = d.line(d.referenceOf(d.asks(bob)), row.shows)
	assert.Equal(t, "SMS", value(t, line, "enrolled"))
	// The user finishes.
	d.genauth.Enroll("bob-id", genauthtest.OTP)
	require.NoError(t, d.portal.mfa.InvalidateUser(t.Context(), "bob-id"))
	assert.Equal(t, http.StatusOK, d.asks(bob).Code)
}

// walkAnotherUser has alice, who has a factor, with bob's token.
func walkAnotherUser(t *testing.T, _ symptom) {
	t.Helper()
	d := newDesk(t, deskPolicy, false, genauthtest.Config{}, "")
	assert.Equal(t, []genauthtest.FactorType{genauthtest.OTP}, d.genauth.Enrolled("alice-id"), "what the console shows")
	line := d.line(d.referenceOf(d.asks(d.genauth.AccessToken("bob-id"))), "`outcome=not_enrolled`")
	assert.Empty(t, d.finds("alice-id"), "it is not her token")
	assert.Equal(t, d.portal.mfa.UserRef("bob-id"), value(t, line, "user_ref"))
	assert.Equal(t, []string{line}, d.finds("bob-id"))
}

func walkBackAtOnce(t *testing.T, row symptom) {
	t.Helper()
	d := newDesk(t, deskPolicy, false, genauthtest.Config{}, "")
	bob := d.genauth.AccessToken("bob-id")
	require.Equal(t, http.StatusForbidden, d.asks(bob).Code)
	d.genauth.Enroll("bob-id", genauthtest.OTP) // elsewhere
	again := d.asks(bob)
	if again.Code == http.StatusForbidden { // else the machine has taken two seconds
		line := d.line(d.referenceOf(again), row.shows)
		age, err := time.ParseDuration(value(t, line, "age"))
		require.NoError(t, err)
		assert.Less(t, age, 2*time.Second)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/mfa/check", nil)
	r.Header.Set("Authorization", "Bearer "+bob)
	w := httptest.NewRecorder()
	d.app.ServeHTTP(w, r) // the button of the enrollment page, which calls InvalidateRequest
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body)
	assert.Equal(t, http.StatusOK, d.asks(bob).Code)
}

func walkTypeIsOff(t *testing.T, _ symptom) {
	t.Helper()
	for _, enabled := range [][]genauthtest.FactorType{{genauthtest.SMS}, {genauthtest.SMS, genauthtest.OTP}} {
		d := newDesk(t, "OTP", false, genauthtest.Config{EnabledFactors: enabled}, "")
		bob := d.genauth.AccessToken("bob-id")
		line := d.line(d.referenceOf(d.asks(bob)), "`outcome=not_enrolled`")
		assert.Equal(t, "OTP", value(t, line, "missing"))
		on := len(enabled) == 2
		page := get(t, d.app, "/mfa", "Authorization: Bearer "+bob, "Accept: text/html").Body.String()
		assert.Equal(t, on, strings.Contains(page, `value="OTP"`), "which factors are switched on")
	}
}

// signsIn gives a browser a session.
func (d *desk) signsIn(user string) (cookie string) {
	d.t.Helper()
	w := d.entersPassword(user)
	require.Equal(d.t, http.StatusSeeOther, w.Code, w.Body)
	cookie, _, _ = strings.Cut(w.Header().Get("Set-Cookie"), ";")
	return "Cookie: " + cookie
}

func (d *desk) entersPassword(user string) *httptest.ResponseRecorder {
	d.t.Helper()
	r := httptest.NewRequestWithContext(d.t.Context(), http.MethodPost, "/login",
		strings.NewReader(url.Values{"username": {user}, "password": {user + "-password"}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	d.app.ServeHTTP(w, r)
	return w
}

func walkSignOutAndIn(t *testing.T, row symptom) {
	t.Helper()
	d := newDesk(t, deskPolicy, false, genauthtest.Config{}, "")
	alice := d.signsIn("alice")
	d.genauth.Advance(3 * time.Hour) // her token has expired
	w := get(t, d.app, "/api/admin", alice)
	require.Equal(t, http.StatusUnauthorized, w.Code)
	line := d.line(d.referenceOf(w), row.shows)
	assert.Equal(t, d.portal.mfa.UserRef("alice-id"), value(t, line, "user_ref"))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/logout", nil)
	r.Header.Set("Cookie", strings.TrimPrefix(alice, "Cookie: "))
	d.app.ServeHTTP(httptest.NewRecorder(), r)
	assert.Equal(t, http.StatusOK, get(t, d.app, "/api/admin", d.signsIn("alice")).Code)
}

// enrollPage is the first enrollment page of bob.
func (d *desk) enrollPage() *httptest.ResponseRecorder {
	return get(d.t, d.app, "/mfa", "Authorization: Bearer "+d.genauth.AccessToken("bob-id"), "Accept: text/html")
}

func walkDeadEnd(t *testing.T, row symptom) {
	t.Helper()
	d := newDesk(t, "OTP", false, genauthtest.Config{EnabledFactors: []genauthtest.FactorType{genauthtest.SMS}}, "")
	d.line(d.referenceOf(d.enrollPage()), row.shows)
	on := newDesk(t, "OTP", false, genauthtest.Config{}, "")
	assert.Contains(t, on.enrollPage().Body.String(), `value="OTP"`)
	assert.Empty(t, on.finds("enroll_dead_end"))
}

func walkHostedURLMissing(t *testing.T, row symptom) {
	t.Helper()
	d := newDesk(t, "FACE", true, genauthtest.Config{}, "")
	d.line(d.referenceOf(d.enrollPage()), row.shows)
	hosted := newDesk(t, "FACE", false, genauthtest.Config{}, "") // HostedURL is set
	bob := hosted.signsIn("bob")
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/mfa/begin", strings.NewReader("type=FACE"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Cookie", strings.TrimPrefix(bob, "Cookie: "))
	w := httptest.NewRecorder()
	hosted.app.ServeHTTP(w, r)
	require.Equal(t, http.StatusSeeOther, w.Code, w.Body)
	step := get(t, hosted.app, w.Header().Get("Location"), bob, "Cookie: "+strings.Split(w.Header().Get("Set-Cookie"), ";")[0])
	assert.Contains(t, step.Body.String(), hosted.genauth.URL()+"/u")
	assert.Empty(t, hosted.finds("enroll_dead_end"))
}

// walkLimit has a user who opens too many pages at once, and goes on to the section that
// the row links to.
func walkLimit(t *testing.T, row symptom) {
	t.Helper()
	d := newDesk(t, deskPolicy, false, genauthtest.Config{}, "")
	var w *httptest.ResponseRecorder
	for range 200 {
		if w = d.enrollPage(); w.Code != http.StatusOK {
			break
		}
	}
	require.Equal(t, http.StatusTooManyRequests, w.Code, w.Body)
	limits := runbookSection(t, "Limits of the enrollment pages")
	shown := strings.Split(regexp.MustCompile(`(?s)\*\*Symptom\.\*\* (.*?)\n\n`).FindStringSubmatch(limits)[1], `"`)
	assert.Contains(t, w.Body.String(), shown[3], "what the user reads")
	line := d.line(d.referenceOf(w), row.shows, "`limit`", "`for`")
	listed := false
	for _, cells := range tableRow.FindAllStringSubmatch(limits, -1) {
		listed = listed || cells[1] == "`"+value(t, line, "limit")+"`"
	}
	assert.True(t, listed, line)
}

func walkEnrollCallFailed(t *testing.T, row symptom) {
	t.Helper()
	d := newDesk(t, deskPolicy, false, genauthtest.Config{}, "")
	d.genauth.SetFault(genauthtest.Fault{Path: "/api/v3/list-factors-to-enroll", Change: genauthtest.HTTPStatus(http.StatusBadGateway, "")})
	w := d.enrollPage()
	require.Equal(t, http.StatusServiceUnavailable, w.Code, w.Body)
	line := d.line(d.referenceOf(w), strings.TrimPrefix(row.shows, "another line of `enroll`, such as "))
	assert.NotEmpty(t, value(t, line, "error"))
	raw, err := os.ReadFile("../../docs/log.schema.md")
	require.NoError(t, err)
	assert.Contains(t, string(raw), "| `"+value(t, line, "event")+"` |", "its row")
	d.genauth.ClearFaults()
	assert.Equal(t, http.StatusOK, d.enrollPage().Code)
}

func walkNoLine(t *testing.T, _ symptom) {
	t.Helper()
	d := newDesk(t, deskPolicy, false, genauthtest.Config{}, "")
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/logout", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	w := httptest.NewRecorder()
	d.app.ServeHTTP(w, r) // another layer refuses
	assert.Equal(t, http.StatusForbidden, w.Code)
	assert.NotRegexp(t, `[A-Z2-7]{26}`, w.Body.String())
	assert.Empty(t, d.finds("event=refused"))
}
