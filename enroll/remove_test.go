package enroll_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/enroll"
)

func removed(t client.FactorType) enroll.Event { return enroll.Event{Change: enroll.Removed, Type: t} }

// TestRemoveApp asks, wants the box and the code, and shuts the guarded page at
// once, in this session and the user's other one.
func TestRemoveApp(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn(otp)
	other := s.again(user.id)
	for _, u := range []session{user, other} {
		assert.Equal(t, http.StatusNoContent, u.guarded())
	}
	right := s.genauth.OTPCode(user.id)
	form := func(more ...string) []string {
		return append([]string{"type", "OTP", "return_to", "/home?a=b"}, more...)
	}

	user.post("/mfa/remove", form()...).is(http.StatusOK, "title.remove", "remove.locks", "remove.understood", "prove", "remove.confirm")
	user.post("/mfa/remove", form("code", right, "understood", "yes")...).is(http.StatusOK, "title.remove") // not confirmed
	user.post("/mfa/remove", form("confirm", "yes", "code", right)...).is(http.StatusOK, "error.understood")
	user.post("/mfa/remove", form("confirm", "yes", "understood", "yes")...).is(http.StatusOK, "error.code")
	a := user.post("/mfa/remove", form("confirm", "yes", "understood", "yes", "code", wrongCode(right))...).is(http.StatusOK, "error.code")
	assert.Contains(t, a.html, `id="code-error"`)
	assert.Equal(t, []genauthtest.FactorType{otp}, s.genauth.Enrolled(user.id))
	assert.Zero(t, s.genauth.Calls(resetPath))
	assert.Empty(t, s.changes())

	user.post("/mfa/remove", form("confirm", "yes", "understood", "yes", "code", right)...).goes("/home?a=b")
	assert.Empty(t, s.genauth.Enrolled(user.id))
	s.assertChanges(user, removed(client.OTP))
	for _, u := range []session{user, other} {
		assert.Equal(t, http.StatusForbidden, u.guarded())
	}

	user.post("/mfa/remove", form("confirm", "yes")...).goes("/home?a=b") // gone already
	assert.Equal(t, 1, s.genauth.Calls(resetPath))
	s.assertChanges(user, removed(client.OTP))
}

// TestRemoveProof has what is needed to remove a factor that is not an app.
func TestRemoveProof(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) any { return time.Now().Add(-d).Unix() }
	rows := map[string]struct {
		given    []genauthtest.FactorType
		authTime any
		skip     bool
		ask, do  int // the statuses
		text     string
	}{
		"recent sign-in":            {[]genauthtest.FactorType{email}, ago(0), false, 200, 200, "notice.removed"},
		"old sign-in":               {[]genauthtest.FactorType{email}, ago(time.Hour), false, 403, 403, "signin"},
		"sign-in unknown":           {[]genauthtest.FactorType{email}, nil, false, 403, 403, "error.sign_in_unknown"},
		"an app, no code":           {[]genauthtest.FactorType{email, otp}, ago(0), false, 200, 200, "error.code"},
		"InsecureSkipProof":         {[]genauthtest.FactorType{email}, nil, true, 200, 200, "notice.removed"},
		"InsecureSkipProof, an app": {[]genauthtest.FactorType{email, otp}, nil, true, 200, 200, "notice.removed"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(set *setup) { set.InsecureSkipProof = row.skip })
			id := s.genauth.AddUser(genauthtest.User{Email: "ann@example.com", Factors: row.given}).ID
			user := s.with(id, map[string]any{"auth_time": row.authTime})
			user.post("/mfa/remove", "type", "EMAIL").is(row.ask).isNot("remove.locks")
			a := user.post("/mfa/remove", "type", "EMAIL", "confirm", "yes").is(row.do)
			if row.text != "" {
				a.is(row.do, row.text)
			}
			assert.Equal(t, row.text == "notice.removed", s.genauth.Calls(resetPath) == 1)
			assert.Equal(t, row.text == "notice.removed", len(s.changes()) == 1)
		})
	}
}

// TestLocks has when the user is warned: a page that is open now would be shut.
func TestLocks(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		given []genauthtest.FactorType
		wants echomfa.Policy
		typ   string
		locks bool
	}{
		"a mounted policy":             {[]genauthtest.FactorType{otp, email}, echomfa.AnyOf(echomfa.Email, echomfa.OTP), "OTP", true},
		"the wanted policy":            {[]genauthtest.FactorType{email}, echomfa.AnyOf(echomfa.Email), "EMAIL", true},
		"another satisfies it":         {[]genauthtest.FactorType{email, sms}, echomfa.AnyOf(echomfa.Email, echomfa.SMS), "EMAIL", false},
		"it is not satisfied anyhow":   {[]genauthtest.FactorType{email}, echomfa.AllOf(echomfa.Email, echomfa.SMS), "EMAIL", false},
		"it does not care":             {[]genauthtest.FactorType{email, sms}, echomfa.AnyOf(echomfa.SMS), "EMAIL", false},
		"two of the type, one is left": {nil, echomfa.AnyOf(echomfa.SMS), "SMS", false},
	}
	for name, row := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(set *setup) { set.Policy = row.wants })
			user := s.signIn(row.given...)
			if row.given == nil {
				s.withFault(listPath, rows("1", "SMS", "2", "SMS"))
			}
			a := user.post("/mfa/remove", "type", row.typ).is(http.StatusOK, "title.remove")
			assert.Equal(t, row.locks, strings.Contains(a.html, `id="understood"`))
			assert.Equal(t, row.locks, strings.Contains(a.html, `id="locks"`))
		})
	}
}

// TestLocksOfRoutesThatChoose has a policy that no route is mounted with.
func TestLocksOfRoutesThatChoose(t *testing.T) {
	t.Parallel()
	for name, chosen := range map[string][]echomfa.Policy{"none": nil, "one": {echomfa.AnyOf(echomfa.Email)}} {
		s := newSite(t, func(set *setup) { set.RoutePolicies = chosen })
		a := s.signIn(email).post("/mfa/remove", "type", "EMAIL").is(http.StatusOK, "title.remove")
		assert.Equal(t, chosen != nil, strings.Contains(a.html, `id="locks"`), name)
	}
}

// TestRemoveOneOfSeveral lets the user choose, by as much of the number or the
// address as tells them apart.
func TestRemoveOneOfSeveral(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.Policy = echomfa.AnyOf(echomfa.Email, echomfa.OTP) })
	user := s.signIn()
	s.withFault(listPath, genauthtest.Data(`[
		{"factorId":"one","factorType":"SMS","profile":{"phoneNumber":"13800001111"}},
		{"factorId":"two","factorType":"SMS","profile":{"phoneNumber":"1234"}},
		{"factorId":"three","factorType":"sms","profile":{"email":"öle@example.com"}},
		{"factorId":"four","factorType":"SMS","profile":{"email":"@example.com","phoneNumber":4}},
		{"factorId":"five","factorType":"EMAIL"}]`))
	a := user.post("/mfa/remove", "type", "SMS").is(http.StatusOK, "remove.which")
	assert.Equal(t, 4, strings.Count(a.html, `name="factor_id"`))
	assert.NotContains(t, a.html, " checked")
	assert.Contains(t, a.text, "…1111<")
	assert.Contains(t, a.text, "ö…@example.com<")
	for _, hidden := range []string{"1380", "1234", "öle"} {
		assert.NotContains(t, a.text, hidden)
	}
	user.post("/mfa/remove", "type", "SMS", "confirm", "yes").is(http.StatusOK, "error.choose")
	for _, id := range []string{"five", "six"} {
		user.post("/mfa/remove", "type", "SMS", "confirm", "yes", "factor_id", id).goes("/home")
	}
	assert.Zero(t, s.genauth.Calls(resetPath))
	s.genauth.SetFault(
		genauthtest.Fault{Path: listPath, Change: rows("one", "SMS", "two", "SMS")},
		genauthtest.Fault{Path: resetPath, Change: genauthtest.Data("")},
	)
	user.post("/mfa/remove", "type", "SMS", "confirm", "yes", "factor_id", "two").goes("/home")
	s.assertChanges(user, removed(client.SMS))
}

// TestRemoveFails has why a factor stays.
func TestRemoveFails(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		path   string
		change func(*genauthtest.Answer)
		want   int
		text   string
	}{
		"list unavailable":   {listPath, genauthtest.HTTPStatus(500, ""), 503, "error.unavailable"},
		"list partial":       {listPath, partial("1", "EMAIL"), 503, "error.unavailable"},
		"GenAuth refuses":    {resetPath, genauthtest.Envelope(422, 0), 409, "error.not_removed"},
		"answer malformed":   {resetPath, genauthtest.HTML(), 503, "error.unavailable"},
		"token refused":      {resetPath, genauthtest.Envelope(401, 2020), 303, ""},
		"limited by GenAuth": {resetPath, genauthtest.RateLimited("9"), 503, "error.unavailable"},
	}
	for name, row := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(set *setup) { set.Policy = echomfa.AnyOf(echomfa.OTP) })
			user := s.signIn(email)
			user.get("/mfa").is(http.StatusOK)
			s.genauth.SetFault(
				genauthtest.Fault{Path: row.path, Change: row.change},
				genauthtest.Fault{Path: listPath, Change: rows("1", "EMAIL")}, // nobody has removed it
			)
			a := user.post("/mfa/remove", "type", "EMAIL", "confirm", "yes").is(row.want)
			assert.Empty(t, s.changes())
			if row.text != "" {
				a.is(row.want, row.text)
			}
		})
	}
}

// TestRemoveImplicit has a number of the profile, which GenAuth lists and does
// not remove.
func TestRemoveImplicit(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.GenAuth.ImplicitSMS = true })
	user := s.again(s.genauth.AddUser(genauthtest.User{Phone: "13800001111"}).ID)
	user.get("/mfa").is(http.StatusOK, "start.have")
	user.post("/mfa/remove", "type", "SMS", "confirm", "yes").is(http.StatusConflict, "error.not_removed")
	assert.Empty(t, s.changes())
}
