package enroll_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/enroll"
)

// TestRecentSignIn has when a user without an authenticator app may begin.
func TestRecentSignIn(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) any { return d } // counted when the row runs
	app := func(ago time.Duration, err error) func(*setup) {
		return func(set *setup) {
			set.RecentSignIn = func(*http.Request) (enroll.SignIn, error) {
				return enroll.SignIn{Subject: "bob", Time: time.Now().Add(-ago)}, err
			}
		}
	}
	rows := map[string]struct {
		change   func(*setup)
		authTime any
		want     int
		text     string
		provenBy time.Duration // about how long the state is good
	}{
		"auth_time: now":                      {nil, ago(0), 200, "title.address", 15 * time.Minute},
		"auth_time: within":                   {nil, ago(14 * time.Minute), 200, "title.address", 5 * time.Minute},
		"auth_time: too old":                  {nil, ago(15*time.Minute + time.Second), 403, "signin.button", 0},
		"auth_time: a little ahead":           {nil, ago(-30 * time.Second), 200, "title.address", 15 * time.Minute},
		"auth_time: in the future":            {nil, ago(-2 * time.Minute), 403, "signin.button", 0},
		"auth_time: none":                     {nil, nil, 403, "error.sign_in_unknown", 0},
		"auth_time: null, iat does not count": {func(set *setup) { set.SignInWithin = time.Hour }, nil, 403, "error.sign_in_unknown", 0},
		"auth_time: no number":                {nil, "now", 403, "error.sign_in_unknown", 0},
		"SignInWithin: within":                {func(set *setup) { set.SignInWithin = time.Hour }, ago(59 * time.Minute), 200, "title.address", 5 * time.Minute},
		"SignInWithin: too old":               {func(set *setup) { set.SignInWithin = time.Minute }, ago(2 * time.Minute), 403, "signin.button", 0},
		"RecentSignIn: now":                   {app(0, nil), nil, 200, "title.address", 15 * time.Minute},
		"RecentSignIn: old beats auth_time":   {app(time.Hour, nil), ago(0), 403, "signin.button", 0},
		"RecentSignIn: not known": {func(set *setup) {
			set.RecentSignIn = func(*http.Request) (enroll.SignIn, error) { return enroll.SignIn{Subject: "bob"}, nil }
		}, ago(0), 403, "signin.button", 0},
		"RecentSignIn: future":              {app(-time.Hour, nil), ago(0), 403, "signin.button", 0},
		"RecentSignIn: fails":               {app(0, errors.New("no session store")), ago(0), 500, "error.internal", 0},
		"RecentSignIn: says to sign in":     {app(0, fmt.Errorf("x: %w", echomfa.ErrUnauthenticated)), ago(0), 403, "signin.button", 0},
		"RecentSignIn: asks GenAuth, fails": {app(0, fmt.Errorf("x: %w", client.ErrUnavailable)), ago(0), 503, "error.unavailable", 0},
		"RecentSignIn: panics": {func(set *setup) {
			set.RecentSignIn = func(*http.Request) (enroll.SignIn, error) { panic(callbackPanic) }
		}, ago(0), 500, "error.internal", 0},
		"InsecureSkipProof: no time":   {func(set *setup) { set.InsecureSkipProof = true }, nil, 200, "title.address", 15 * time.Minute},
		"sign-in page unknown":         {func(set *setup) { set.MFA.LoginURL = "" }, ago(time.Hour), 403, "signin.by_hand", 0},
		"RecentSignIn: nearly too old": {app(14*time.Minute, nil), nil, 200, "title.address", 5 * time.Minute},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, row.change)
			if ago, ok := row.authTime.(time.Duration); ok {
				row.authTime = time.Now().Add(-ago).Unix()
			}
			user := s.with(s.genauth.AddUser(genauthtest.User{ID: "bob"}).ID, map[string]any{"auth_time": row.authTime})
			a := user.post("/mfa/begin", "type", "SMS", "return_to", "/admin?page=2").is(row.want, row.text)
			if row.want == http.StatusOK {
				assert.InDelta(t, row.provenBy.Seconds(), s.pages.ProvenFor(a.state(), user.token).Seconds(), 40)
			}
			if row.text == "signin.button" {
				assert.Contains(t, a.text, `href="/login?return_to=%2Fmfa%2Fsigned-in%3Freturn_to%3D%252Fadmin%253Fpage%253D2&prompt=login"`)
			}
			assert.Zero(t, s.genauth.Calls(sendPath))
		})
	}
}

// TestOpaqueTokenHasNoAuthTime needs RecentSignIn.
func TestOpaqueTokenHasNoAuthTime(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	id := s.genauth.AddUser(genauthtest.User{}).ID
	user := session{site: s, id: id, token: s.genauth.Mint(genauthtest.Token{UserID: id, Opaque: true})}
	user.post("/mfa/begin", "type", "OTP").is(http.StatusForbidden, "error.sign_in_unknown")
	assert.Zero(t, s.genauth.Calls(sendPath))
}

// TestProofByCode has what a user with an authenticator app must type, however
// recent the sign-in is.
func TestProofByCode(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		code    func(right string) string
		want    int
		text    string
		asked   int // GenAuth
		settled bool
	}{
		"none":           {func(string) string { return "" }, 200, "prove", 0, false},
		"right":          {func(right string) string { return right }, 200, "title.address", 1, true},
		"with spaces":    {func(right string) string { return " " + right[:3] + "\u00a0-\t" + right[3:] + " " }, 200, "title.address", 1, true},
		"wrong":          {wrongCode, 200, "error.code", 1, false},
		"short":          {func(right string) string { return right[:5] }, 200, "error.code", 0, false},
		"long":           {func(right string) string { return right + "0" }, 200, "error.code", 0, false},
		"letters":        {func(string) string { return "abcdef" }, 200, "error.code", 0, false},
		"other digits":   {func(string) string { return "１２" }, 200, "error.code", 0, false},
		"only separator": {func(string) string { return "-" }, 200, "error.code", 0, false},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			user := s.signIn(otp)
			a := user.post("/mfa/begin", "type", "sms", "code", row.code(s.genauth.OTPCode(user.id)), "return_to", "/admin").is(row.want, row.text)
			assert.Equal(t, row.asked, s.genauth.Calls(verifyPath))
			if !row.settled {
				a.is(row.want, "title.prove", "prove.lost")
				assert.Contains(t, a.html, `action="/mfa/begin">`)
				assert.Contains(t, a.html, `name="type" value="SMS"`)
				assert.Contains(t, a.html, `name="return_to" value="/admin"`)
				assert.NotContains(t, a.html, `name="state"`)
			}
		})
	}
}

// TestProofByCodeWhenGenAuthFails lets nobody through.
func TestProofByCodeWhenGenAuthFails(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		path   string
		change func(*genauthtest.Answer)
		want   int
		text   string
	}{
		"wrong, said as an error": {verifyPath, genauthtest.Envelope(400, 6001), 200, "error.code"},
		"unavailable":             {verifyPath, genauthtest.HTTPStatus(500, ""), 503, "error.unavailable"},
		"limited":                 {verifyPath, genauthtest.RateLimited("3"), 503, "error.unavailable"},
		"misconfigured":           {verifyPath, genauthtest.Envelope(404, 0), 503, "error.unavailable"},
		"malformed":               {verifyPath, genauthtest.Data(`{"verified":"true"}`), 503, "error.unavailable"},
		"token refused":           {verifyPath, genauthtest.Envelope(401, 2020), 303, ""},
		"list unavailable":        {listPath, genauthtest.HTTPStatus(500, ""), 503, "error.unavailable"},
		"list partial, no app":    {listPath, partial("1", "FACE"), 503, "error.unavailable"},
		"list partial, an app":    {listPath, partial("1", "OTP"), 200, "title.address"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			user := s.signIn(otp)
			user.get("/mfa").is(http.StatusOK) // the enforcer knows enough
			s.withFault(row.path, row.change)
			a := user.post("/mfa/begin", "type", "EMAIL", "code", s.genauth.OTPCode(user.id)).is(row.want)
			if row.text != "" {
				a.is(row.want, row.text)
			}
		})
	}
}

// TestUnknownFactorsAreNotNone has answers that do not say what the user has
// enrolled: none of them makes a recent sign-in enough for a user with an app.
func TestUnknownFactorsAreNotNone(t *testing.T) {
	t.Parallel()
	spoil := func(body string) func(*genauthtest.Answer) {
		return func(a *genauthtest.Answer) { a.Body = []byte(body) }
	}
	for name, change := range map[string]func(*genauthtest.Answer){
		"null":               genauthtest.Data("null"),
		"text":               genauthtest.Data(`"[]"`),
		"number":             genauthtest.Data("0"),
		"no data":            genauthtest.Data(""),
		"empty object":       genauthtest.Data("{}"),
		"rows of no use":     genauthtest.Data("[null]"),
		"type of no use":     genauthtest.Data(`[{"factorId":"a","factorType":7}]`),
		"no type":            genauthtest.Data(`[{"factorId":"a"}]`),
		"error, empty list":  spoil(`{"statusCode":500,"data":[]}`),
		"refusal, as a list": spoil(`{"statusCode":403,"data":[]}`),
		"status as a text":   spoil(`{"statusCode":"200","data":[]}`),
		"no status":          spoil(`{"data":[]}`),
		"data twice":         spoil(`{"statusCode":200,"data":[{"factorId":"a","factorType":"OTP"}],"data":[]}`),
		"two values":         spoil(`{"statusCode":200,"data":[]}{"statusCode":500}`),
		"cut off":            spoil(`{"statusCode":200,"data":[`),
		"markup":             spoil(`<html></html>`),
		"nothing":            spoil(""),
		"not found":          genauthtest.HTTPStatus(http.StatusNotFound, `{"statusCode":200,"data":[]}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			user := s.signIn(otp, email)
			user.get("/mfa").is(http.StatusOK) // the enforcer knows enough
			for _, form := range [][]string{
				{"/mfa/begin", "type", "SMS"}, {"/mfa/begin", "type", "OTP"}, {"/mfa/remove", "type", "EMAIL", "confirm", "yes"},
			} {
				s.genauth.SetFault(genauthtest.Fault{Path: listPath, Change: change})
				a := user.post(form[0], form[1:]...)
				assert.NotContains(t, a.html, `name="state"`)
				assert.NotContains(t, a.html, `name="code"`)
				assert.Equal(t, http.StatusServiceUnavailable, a.StatusCode, form)
			}
			assert.Zero(t, s.genauth.Calls(sendPath)+s.genauth.Calls(resetPath))
		})
	}
}

// TestTooManyCodes stops a user who tries them, in all sessions and at every form
// that takes one, and nobody else.
func TestTooManyCodes(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user, other := s.signIn(otp), s.signIn(otp)
	again := s.again(user.id)
	right := s.genauth.OTPCode(user.id)
	for range 10 {
		user.post("/mfa/begin", "type", "SMS", "code", wrongCode(right)).is(http.StatusOK)
	}
	asked := s.genauth.Calls(verifyPath)
	user.post("/mfa/begin", "type", "SMS", "code", right).is(http.StatusOK, "error.too_many")
	again.post("/mfa/begin", "type", "SMS", "code", right).is(http.StatusOK, "error.too_many")
	user.post("/mfa/remove", "type", "OTP", "confirm", "yes", "understood", "yes", "code", right).is(http.StatusOK, "error.too_many")
	assert.Equal(t, asked, s.genauth.Calls(verifyPath))
	other.post("/mfa/begin", "type", "SMS", "code", s.genauth.OTPCode(other.id)).is(http.StatusOK, "title.address")
	assert.Equal(t, []genauthtest.FactorType{otp}, s.genauth.Enrolled(user.id))
}

// TestTooManyCodesOfAnOpaqueToken counts by the token.
func TestTooManyCodesOfAnOpaqueToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) {
		set.RecentSignIn = func(*http.Request) (enroll.SignIn, error) {
			return enroll.SignIn{Subject: "bob", Time: time.Now()}, nil
		}
	})
	id := s.genauth.AddUser(genauthtest.User{ID: "bob"}).ID
	user := session{site: s, id: id, token: s.genauth.Mint(genauthtest.Token{UserID: id, Opaque: true})}
	page := user.begin(otp)
	right := user.code(page.secret())
	for range 10 {
		user.post("/mfa/confirm", "state", page.state(), "code", wrongCode(right)).is(http.StatusOK, "error.code")
	}
	user.post("/mfa/confirm", "state", page.state(), "code", right).is(http.StatusOK, "error.too_many", "title.otp")
	assert.Empty(t, s.genauth.Enrolled(id))
}

// TestSkippedProofIsNotAskedForLater lets an enrollment go on beside an app that
// came after it.
func TestSkippedProofIsNotAskedForLater(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.InsecureSkipProof = true })
	user := s.signIn()
	address := user.begin(email)
	s.genauth.Enroll(user.id, otp)
	require.NoError(t, s.mfa.Invalidate(t.Context(), user.token))
	sent := user.post("/mfa/send", "state", address.state(), "email", "me@example.com").is(http.StatusOK, "title.sent")
	user.post("/mfa/confirm", "state", sent.state(), "code", s.genauth.PassCode(user.id, email)).goes("/home")
	s.assertChanges(user, enrolled(client.Email))
}
