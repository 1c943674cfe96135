package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRunbookForgetsAUser walks the last step: a factor was removed.
func TestRunbookForgetsAUser(t *testing.T) {
	t.Parallel()
	section := runbookSection(t, "One user is locked out")
	d := newDesk(t, deskPolicy, false, genauthtest.Config{}, "")
	alice := d.genauth.AccessToken("alice-id")
	require.Equal(t, http.StatusOK, d.asks(alice).Code)
	d.genauth.Reset("alice-id", genauthtest.OTP)
	require.Equal(t, http.StatusOK, d.asks(alice).Code)
	press(t, d.ops, opsAt+"/invalidate", url.Values{"user": {"alice"}})
	assert.Equal(t, http.StatusOK, d.asks(alice).Code, "a name forgets nobody")
	press(t, d.ops, opsAt+"/invalidate", url.Values{"user": {"alice-id"}})
	require.Contains(t, section, "If the user is refused next, that line has\n   `source=fetched`")
	d.line(d.referenceOf(d.asks(alice)), "`source=fetched`")
	opaque := d.genauth.Mint(genauthtest.Token{UserID: "bob-id", Opaque: true})
	d.asks(opaque)
	require.Contains(t, section, "`ErrUserNotIndexed` says that opaque tokens, which name nobody,\n   are in use")
	w := press(t, d.ops, opsAt+"/invalidate", url.Values{"user": {"alice-id"}})
	assert.Contains(t, w.Body.String(), "Tokens that name no user are in use, too")
}

// TestRunbookGenAuthIsDown walks from the 503 to the end of the outage.
func TestRunbookGenAuthIsDown(t *testing.T) {
	t.Parallel()
	section := runbookSection(t, "GenAuth is down")
	assert.Equal(t, []string{
		"Ask GenAuth from the same machine: [`echomfa doctor`](rules.md#doctor-and-emulator) needs no",
		"Wait. Do not restart: `event=lookups_recovered` is logged when it is",
		"If the business cannot wait, [let unknown users through](#letting-unknown-users-through-in-an-outage).",
		"Afterwards, think about `StaleIfError`: up to 5 minutes for users whose list",
	}, steps(section, `\d\.`))
	_, shows, found := strings.Cut(section, "**What it shows.** ")
	require.True(t, found)
	shows, _, _ = strings.Cut(shows, "\n\n")
	assert.Equal(t, []string{
		"event=breaker_opened", "class", "no connection", "known users", "users", "event=refused", "outcome=unavailable",
		"BreakerOpen", "Lookups.Unavailable", "ColdStart", "ColdStart", "event=cold_start_failing", "event=breaker_opened",
	}, quoted(shows))

	d := newDesk(t, deskPolicy, false, genauthtest.Config{}, "")
	alice := d.genauth.AccessToken("alice-id")
	require.Equal(t, http.StatusOK, d.asks(alice).Code)
	d.genauth.Stop()
	unknown := func(i int) string { return fmt.Sprintf("unknown-token-%04d", i) }
	for i := range 8 {
		w := d.asks(unknown(i))
		require.Equal(t, http.StatusServiceUnavailable, w.Code, w.Body)
		assert.NotEmpty(t, w.Header().Get("Retry-After"))
		d.line(d.referenceOf(w), "`event=refused` `outcome=unavailable` `error`")
	}
	assert.Equal(t, http.StatusOK, d.asks(alice).Code, "seen within FreshFor")
	line := d.line("event=breaker_opened", "`class` `users`")
	assert.Contains(t, line, "level=ERROR")
	assert.Equal(t, "no connection", value(t, line, "class"))
	assert.Equal(t, "true", d.figure("BreakerOpen"))
	assert.NotEqual(t, "0", d.figure("Lookups.Unavailable"))
	assert.Equal(t, "false", d.figure("ColdStart"))

	// Step 1, by what the curl line asks.
	curl, err := os.ReadFile("../../docs/genauth-setup.md")
	require.NoError(t, err)
	require.Contains(t, string(curl), `"$GENAUTH_HOST/api/v3/list-enrolled-factors"`)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.genauth.URL()+"/api/v3/list-enrolled-factors", http.NoBody)
	require.NoError(t, err)
	_, err = http.DefaultClient.Do(r) //nolint:bodyclose // there is no answer
	require.Error(t, err)

	// Step 3.
	walkUnknownUsers(t, d, alice)

	// Step 2.
	require.NoError(t, d.genauth.Restart())
	require.Eventually(t, func() bool {
		d.asks(d.genauth.AccessToken("alice-id"))
		return len(d.finds("event=lookups_recovered")) > 0
	}, time.Minute, 50*time.Millisecond)
	assert.Equal(t, "false", d.figure("BreakerOpen"))

	// After a restart meanwhile: no connection, or answers that are no lists.
	restarted := func() {
		s, err := readSettings(env("GENAUTH_HOST", d.genauth.URL(), "GENAUTH_APP_ID", d.genauth.AppID()))
		require.NoError(t, err)
		d.portal, err = newPortal(s, nil)
		require.NoError(t, err)
		t.Cleanup(d.portal.close)
		d.app, d.ops = d.portal.handler(), d.portal.ops.handler()
		for i := range 8 {
			require.Equal(t, http.StatusServiceUnavailable, d.asks(unknown(i)).Code)
		}
		assert.Equal(t, "true", d.figure("ColdStart"))
	}
	d.genauth.Stop()
	restarted()
	assert.Equal(t, "true", d.figure("BreakerOpen"))
	d.line("event=breaker_opened")
	assert.Empty(t, d.finds("event=cold_start_failing"))
	require.NoError(t, d.genauth.Restart())
	d.genauth.SetFault(genauthtest.Fault{Change: genauthtest.HTTPStatus(http.StatusBadGateway, "")})
	restarted()
	assert.Equal(t, "false", d.figure("BreakerOpen"))
	assert.Empty(t, d.finds("event=breaker_opened"))
	assert.Contains(t, d.line("event=cold_start_failing"), "level=ERROR")
}

// walkUnknownUsers lets unknown users through while GenAuth is down, and ends that.
func walkUnknownUsers(t *testing.T, d *desk, alice string) {
	t.Helper()
	section := runbookSection(t, "Letting unknown users through in an outage")
	assert.Len(t, steps(section, "-"), 6)
	w := press(t, d.ops, opsAt+"/unknown-users", url.Values{"for": {"soon"}})
	assert.Equal(t, http.StatusBadRequest, w.Code)
	w = press(t, d.ops, opsAt+"/unknown-users", url.Values{"for": {"48h"}})
	assert.Equal(t, http.StatusBadRequest, w.Code, "at most 24 h")
	require.Contains(t, section, "// at most 24 h")
	before := d.figure("WouldBlock.Unavailable")
	press(t, d.ops, opsAt+"/unknown-users", url.Values{"for": {"30m"}})
	require.Contains(t, section, "`Stats().InsecureAllow` says where it")
	assert.Equal(t, "true", d.figure("InsecureAllow"))
	require.Contains(t, section, "at Warn (`event=insecure_allow`)")
	assert.Contains(t, d.line("event=insecure_allow ", "`until`"), "level=WARN")
	assert.Equal(t, http.StatusOK, d.asks("unknown-token-9999").Code)
	require.Contains(t, section, "Each request that it lets through has a line with `event=refused`, `outcome=unavailable` and\n  `enforced=false`, and counts in `WouldBlock.Unavailable`.")
	d.line("event=refused", "`outcome=unavailable` `enforced=false`")
	assert.NotEqual(t, before, d.figure("WouldBlock.Unavailable"))
	require.Contains(t, section, "Still a 401: a request without a token, and a token that has expired")
	assert.Equal(t, http.StatusUnauthorized, get(t, d.app, "/api/admin").Code)
	expired := d.genauth.Mint(genauthtest.Token{UserID: "alice-id", Lifetime: -time.Hour})
	assert.Equal(t, http.StatusUnauthorized, d.asks(expired).Code)
	assert.Equal(t, http.StatusOK, d.asks(alice).Code)
	press(t, d.ops, opsAt+"/unknown-users", url.Values{"for": {"0"}})
	assert.Equal(t, "false", d.figure("InsecureAllow"))
	d.line("event=insecure_allow_ended")
	assert.Equal(t, http.StatusServiceUnavailable, d.asks("unknown-token-9998").Code)
}

// TestRunbookSwitch walks the switch to report-only and back.
func TestRunbookSwitch(t *testing.T) {
	t.Parallel()
	section := runbookSection(t, "Switching to report-only")
	assert.Equal(t, []string{
		"It takes effect on the next request, without a restart.",
		"**Requests without a good token go on as well**, unless `RequireFunc` returns an error,",
		"A request waits at most 100 ms for a lookup.",
		"Each request that would have been refused has a line with `event=refused` and",
		"Errors in the app's own code or configuration are still a 500.",
		"Write down who switched it, when, and until when. Before you switch back, look at",
	}, steps(section, "-"))
	d := newDesk(t, deskPolicy, false, genauthtest.Config{}, "")
	bob := d.genauth.AccessToken("bob-id")
	require.Equal(t, http.StatusForbidden, d.asks(bob).Code)
	press(t, d.ops, opsAt+"/mode", url.Values{"mode": {"report-only"}})
	assert.Equal(t, http.StatusOK, d.asks(bob).Code, "the next request")
	d.line("enforced=false", "`event=refused` `outcome=not_enrolled`")
	assert.Equal(t, http.StatusOK, get(t, d.app, "/api/admin").Code, "without a good token as well")
	d.line("enforced=false", "`event=refused` `outcome=unauthenticated`")
	_, counted, found := strings.Cut(section, "is counted: ")
	require.True(t, found)
	figures := quoted(counted)[:3]
	assert.Equal(t, []string{"WouldBlock.NotEnrolled", "WouldBlock.Unauthenticated", "WouldBlock.Unavailable"}, figures)
	for i, want := range []string{"1", "1", "0"} {
		assert.Equal(t, want, d.figure(figures[i]), figures[i])
	}
	assert.Equal(t, "false", d.figure("BreakerOpen"), "before it is switched back")
	press(t, d.ops, opsAt+"/mode", url.Values{"mode": {"enforce"}})
	assert.Equal(t, http.StatusForbidden, d.asks(bob).Code)
}

// row returns the row of a section that begins with some words.
func row(t *testing.T, section, shows string) symptom {
	t.Helper()
	for _, r := range symptoms(runbookSection(t, section)) {
		if strings.HasPrefix(r.shows, shows) {
			return r
		}
	}
	require.Fail(t, "no such row", shows)
	return symptom{}
}

// TestRunbookEnrollURLBehindItsOwnGuard has the enrollment pages inside of the guarded
// group: users are sent in a circle.
func TestRunbookEnrollURLBehindItsOwnGuard(t *testing.T) {
	t.Parallel()
	r := row(t, "Mass 401", "at Error, `event=login_url_guarded` or `enroll_url_guarded`")
	assert.Equal(t, "take it out of the guarded group, or name it in `SkipRoutes`; with a rules file, in a `public` rule", r.remedy)
	d := newDesk(t, deskPolicy, false, genauthtest.Config{}, "")
	good := d.app
	mux := http.NewServeMux()
	mux.Handle("/", good)
	mux.Handle("/mfa", d.portal.mfa.Middleware(echomfa.HandlerConfig{Policy: d.portal.settings.policy})(good))
	d.app = mux
	bob := d.signsIn("bob")
	w := get(t, d.app, "/admin", bob, "Accept: text/html", "Sec-Fetch-Mode: navigate")
	require.Equal(t, http.StatusFound, w.Code)
	w = get(t, d.app, w.Header().Get("Location"), bob, "Accept: text/html", "Sec-Fetch-Mode: navigate")
	require.Contains(t, []int{http.StatusFound, http.StatusForbidden}, w.Code, "not the enrollment page")
	events := quoted(r.shows)
	require.Equal(t, []string{"event=login_url_guarded", "enroll_url_guarded"}, events)
	line := d.line("event="+events[1], "`decision_id`")
	assert.Contains(t, line, "level=ERROR")
	d.line(value(t, line, "decision_id"))

	d.app = good // it is out of the guarded group
	w = get(t, d.app, "/mfa?return_to=%2Fadmin", bob, "Accept: text/html", "Sec-Fetch-Mode: navigate")
	assert.Equal(t, http.StatusOK, w.Code)
}

// TestRunbookWrongAppID has a portal with the id of another app: JWTs are refused for
// their audience, and GenAuth rejects the call for opaque tokens.
func TestRunbookWrongAppID(t *testing.T) {
	t.Parallel()
	audience := row(t, "Mass 401", "at Error, `event=token_wrong_audience`")
	assert.Equal(t, "`AppID`, or `Audience` if both are yours", audience.remedy)
	rejected := row(t, "Mass 503", "`Lookups.Misconfigured` grows, lines at Error")
	assert.Equal(t, "`BaseURL`, `AppID`, `AppIDHeader`", rejected.remedy)

	d := newDesk(t, deskPolicy, false, genauthtest.Config{}, "0123456789abcdef01234567")
	w := d.asks(d.genauth.AccessToken("alice-id"))
	require.Equal(t, http.StatusUnauthorized, w.Code)
	assert.Contains(t, d.line(d.referenceOf(w), "`error`"), "the token is meant for another application")
	keys, _, _ := strings.Cut(audience.shows, ";")
	line := d.line("event=token_wrong_audience", keys)
	assert.Contains(t, line, "level=ERROR")
	assert.Contains(t, line, d.genauth.AppID(), "the app that the tokens are for: the AppID to set")

	assert.Equal(t, "0", d.figure("Lookups.Misconfigured"))
	opaque := d.genauth.Mint(genauthtest.Token{UserID: "alice-id", Opaque: true})
	w = d.asks(opaque)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.Contains(t, d.line(d.referenceOf(w), "`error`"), "level=ERROR")
	assert.Equal(t, "1", d.figure("Lookups.Misconfigured"))
	w = d.entersPassword("alice")
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	assert.Contains(t, w.Body.String(), "GenAuth does not know it", "no user is told that the password is wrong")

	right := newDesk(t, deskPolicy, false, genauthtest.Config{}, "")
	assert.Equal(t, http.StatusOK, right.asks(right.genauth.AccessToken("alice-id")).Code)
}
