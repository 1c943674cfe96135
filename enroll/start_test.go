package enroll_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
)

const (
	otp   = genauthtest.OTP
	sms   = genauthtest.SMS
	email = genauthtest.Email
	face  = genauthtest.Face
)

// TestStart has what the first page says and offers.
func TestStart(t *testing.T) {
	t.Parallel()
	type types = []genauthtest.FactorType
	all, some := echomfa.AllOf, echomfa.AnyOf
	rows := map[string]struct {
		given   types
		offered types
		hosted  string
		policy  echomfa.Policy
		title   string
		want    []string // texts
		absent  []string
		begin   types // the buttons
		remove  types
	}{
		"needs one":                {nil, types{otp, sms}, "", some(echomfa.OTP), "title.needed", []string{"start.needs", "factor.OTP", "check"}, []string{"start.needs_one", "start.more", "start.have"}, types{otp}, nil},
		"needs one of several":     {types{face}, types{otp, sms}, "", some(echomfa.OTP, echomfa.SMS), "title.needed_more", []string{"start.needs_one", "start.have"}, nil, types{otp, sms}, types{face}},
		"needs all":                {nil, types{otp, email}, "", all(echomfa.OTP, echomfa.Email), "title.needed", []string{"start.needs", "join.and"}, nil, types{otp, email}, nil},
		"needs the rest":           {types{otp}, types{email}, "", all(echomfa.OTP, echomfa.Email), "title.needed_more", []string{"start.needs"}, []string{"join.and"}, types{email}, types{otp}},
		"satisfied":                {types{otp}, types{}, "", some(echomfa.OTP), "title.start", []string{"start.satisfied", "continue"}, []string{"start.more", "start.needs", "check"}, nil, types{otp}},
		"satisfied, more":          {types{otp}, types{sms, email, face}, "", some(echomfa.OTP), "title.start", []string{"start.satisfied", "start.more"}, nil, types{sms, email}, types{otp}},
		"nothing offered":          {nil, types{}, "", some(echomfa.OTP), "title.deadend", []string{"deadend", "admin"}, []string{"check"}, nil, nil},
		"nothing offered helps":    {types{face}, types{sms, email}, "", some(echomfa.OTP), "title.deadend", []string{"deadend", "start.have"}, nil, nil, types{face}},
		"only partly offered":      {nil, types{otp}, "", all(echomfa.OTP, echomfa.Face), "title.deadend", []string{"deadend", "join.and"}, nil, nil, nil},
		"one of two partly":        {nil, types{otp, sms}, "", all(echomfa.OTP, echomfa.Face).Or(some(echomfa.SMS)), "title.needed", []string{"start.needs"}, nil, types{sms}, nil},
		"face by GenAuth's page":   {nil, types{face}, "https://genauth.example/u", some(echomfa.Face), "title.needed", []string{"factor.FACE"}, nil, types{face}, nil},
		"face without that":        {nil, types{face}, "", some(echomfa.Face), "title.deadend", []string{"factor.FACE", "deadend.hosted", "admin"}, []string{"deadend", "deadend.here"}, nil, nil},
		"a part without that":      {nil, types{otp, sms, face}, "", all(echomfa.OTP, echomfa.Face), "title.deadend", []string{"join.and", "deadend.hosted", "deadend.here"}, []string{"deadend", "factor.SMS"}, types{otp}, nil},
		"the rest without that":    {types{otp}, types{face}, "", all(echomfa.OTP, echomfa.Face), "title.deadend", []string{"deadend.hosted"}, []string{"deadend", "deadend.here", "join.and"}, nil, types{otp}},
		"neither":                  {nil, types{otp, sms}, "", some(echomfa.Face), "title.deadend", []string{"deadend"}, []string{"deadend.hosted", "factor.OTP"}, nil, nil},
		"what helps, nothing more": {nil, types{otp, sms}, "", some(echomfa.OTP), "title.needed", nil, []string{"factor.SMS"}, types{otp}, nil},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(set *setup) {
				set.Policy, set.HostedURL, set.GenAuth.EnabledFactors = row.policy, row.hosted, row.offered
			})
			user := s.signIn(row.given...)
			a := user.get("/mfa?return_to=/admin").is(http.StatusOK, append(row.want, row.title)...)
			a.isNot(row.absent...)
			for step, types := range map[string]types{"begin": row.begin, "remove": row.remove} {
				assert.Equal(t, len(types), strings.Count(a.html, `action="/mfa/`+step+`"`), step)
				for _, typ := range types {
					assert.Contains(t, a.html, `action="/mfa/`+step+"\">\n<input type=\"hidden\" name=\"type\" value=\""+string(typ)+`">`)
				}
			}
			if slices.Contains(row.want, "start.needs_one") { // and where no page was wanted
				user.get("/mfa").is(http.StatusOK, "start.asks_one").isNot("start.needs_one")
			} else if slices.Contains(row.want, "start.needs") {
				user.get("/mfa").is(http.StatusOK, "start.asks").isNot("start.needs")
			}
			assert.Equal(t, row.title == "title.deadend", strings.Contains(s.logged.String(), "event=enroll_dead_end"))
			hosted := slices.Contains(row.want, "deadend.hosted")
			assert.Equal(t, hosted, strings.Contains(s.logged.String(), "reason=hosted_url_missing"))
			assert.Equal(t, row.title == "title.deadend" && !hosted, strings.Contains(s.logged.String(), "reason=not_offered"))
		})
	}
}

func TestStartAsksWhomItIsTold(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.Support, set.GenAuth.EnabledFactors = "Bob & <b>", []genauthtest.FactorType{} })
	a := s.signIn().get("/mfa").is(http.StatusOK, "deadend")
	a.isNot("admin")
	assert.Contains(t, a.html, "Ask Bob &amp; &lt;b&gt;.")
}

// TestStartWhenGenAuthFails has what becomes of the first page.
func TestStartWhenGenAuthFails(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		path       string
		change     func(*genauthtest.Answer)
		want       int
		retryAfter string
	}{
		"offers unavailable":         {offerPath, genauthtest.HTTPStatus(502, ""), 503, "1"},
		"offers limited":             {offerPath, genauthtest.RateLimited("17"), 503, "17"},
		"H1 limited for an hour":     {offerPath, genauthtest.RateLimited("3600"), 503, "60"},
		"offers refused":             {offerPath, genauthtest.Envelope(401, 2020), 302, ""},
		"offers partial":             {offerPath, genauthtest.Data(`[{"factorType":"OTP"},{}]`), 200, ""},
		"offers partial, none helps": {offerPath, genauthtest.Data(`[{"factorType":"SMS"},{}]`), 503, "1"},
		"offers twice":               {offerPath, genauthtest.Data(`[{"factorType":"otp"},{"factorType":"OTP"}]`), 200, ""},
		"factors unavailable":        {listPath, genauthtest.HTTPStatus(502, ""), 503, ""},
		"factors refused":            {listPath, genauthtest.Envelope(401, 2020), 302, ""},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			user := s.signIn()
			s.withFault(row.path, row.change)
			a := user.get("/mfa?return_to=/admin").is(row.want)
			switch row.want {
			case http.StatusOK:
				assert.Equal(t, 1, strings.Count(a.html, `action="/mfa/begin"`))
			case http.StatusFound:
				assert.Contains(t, a.Header.Get("Location"), "/login?return_to=")
			default:
				if row.retryAfter != "" {
					a.is(row.want, "error.unavailable")
					assert.Equal(t, row.retryAfter, a.Header.Get("Retry-After"))
				}
			}
		})
	}
}

// TestWithoutToken asks to sign in, whatever is asked for.
func TestWithoutToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	nobody := session{site: s}
	nobody.get("/mfa").is(http.StatusFound)
	for _, step := range steps() {
		a := nobody.post(step, "type", "OTP", "confirm", "yes").is(http.StatusSeeOther)
		assert.True(t, strings.HasPrefix(a.Header.Get("Location"), "/login"), step)
	}
	s.genauth.AddUser(genauthtest.User{ID: "alice"})
	assert.Zero(t, s.genauth.Calls(listPath))
	session{site: s, token: s.genauth.Mint(genauthtest.Token{UserID: "alice", Kind: genauthtest.KindID})}.get("/mfa").is(http.StatusFound)
	assert.Zero(t, s.genauth.Calls(listPath), "an ID token")
}

// TestCheck makes count what was enrolled elsewhere, and at once.
func TestCheck(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	other := s.again(user.id)
	for _, u := range []session{user, other} {
		assert.Equal(t, http.StatusForbidden, u.guarded())
	}
	s.genauth.Enroll(user.id, otp)
	user.post("/mfa/check", "return_to", "/admin?page=2").goes("/admin?page=2")
	for _, u := range []session{user, other} {
		assert.Equal(t, http.StatusNoContent, u.guarded())
	}
	user.post("/mfa/check").goes("/home")
	s.assertChanges(user)
}

// TestPolicyFunc chooses by the return-to, which it is given checked.
func TestPolicyFunc(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) {
		set.Policy = echomfa.Policy{}
		set.PolicyFunc = func(_ *http.Request, returnTo string) (echomfa.Policy, error) {
			switch returnTo {
			case "/sms":
				return echomfa.AnyOf(echomfa.SMS), nil
			case "/zero":
				return echomfa.Policy{}, nil
			case "/error":
				return echomfa.AnyOf(echomfa.OTP), errors.New("no policy")
			case "/panic":
				panic(callbackPanic)
			}
			return echomfa.AnyOf(echomfa.OTP), nil
		}
	})
	user := s.signIn()
	user.get("/mfa?return_to=/sms").is(http.StatusOK, "factor.SMS")
	user.get("/mfa?return_to=//sms").is(http.StatusOK, "factor.OTP")
	for _, bad := range []string{"/zero", "/error", "/panic"} {
		user.get("/mfa?return_to="+bad).is(http.StatusInternalServerError, "error.internal")
		user.post("/mfa/begin", "type", "OTP", "return_to", bad).is(http.StatusInternalServerError, "error.internal")
	}
	assert.Zero(t, s.genauth.Calls(sendPath), "nothing goes on")
}

// TestDeadEndOfOtherTypes has types that GenAuth offers and only its own pages set up,
// beside alternatives that it does not offer.
func TestDeadEndOfOtherTypes(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		policy  echomfa.Policy
		offered string
		want    string
		begin   int // the buttons
	}{
		"passkey": {echomfa.AnyOf(echomfa.Passkey, echomfa.Face), `[{"factorType":"passkey"}]`, "<li>passkey</li>", 0},
		"both":    {echomfa.AnyOf(echomfa.Passkey, echomfa.Face), `[{"factorType":"PASSKEY"},{"factorType":"FACE"}]`, "<li>face</li>\n<li>passkey</li>", 0},
		"own": {
			echomfa.Custom("VOICE").And(echomfa.AnyOf(echomfa.OTP, echomfa.SMS, echomfa.Face)),
			`[{"factorType":"VOICE"},{"factorType":"OTP"},{"factorType":"SMS"}]`, "<li>VOICE</li>", 2,
		},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(set *setup) { set.Policy = row.policy })
			s.withFault(offerPath, genauthtest.Data(row.offered))
			a := s.signIn().get("/mfa").is(http.StatusOK, "title.deadend", "deadend.hosted")
			_, elsewhere, _ := strings.Cut(a.text, english(t)["admin"])
			assert.Contains(t, elsewhere, "<ul>\n"+row.want+"\n</ul>")
			assert.Equal(t, name == "both", strings.Contains(a.text, "<li>face"), "what the app does not offer")
			assert.Equal(t, row.begin, strings.Count(a.html, `action="/mfa/begin"`))
			assert.Contains(t, s.logged.String(), "reason=hosted_url_missing")
		})
	}
}

// TestPolicyFuncAsksToSignIn has a PolicyFunc that knows nobody: the user signs in again, and
// who comes back as before is told so.
func TestPolicyFuncAsksToSignIn(t *testing.T) {
	t.Parallel()
	known := false
	s := newSite(t, func(set *setup) {
		set.Policy = echomfa.Policy{}
		set.PolicyFunc = func(*http.Request, string) (echomfa.Policy, error) {
			if !known {
				return echomfa.Policy{}, fmt.Errorf("no session: %w", echomfa.ErrUnauthenticated)
			}
			return echomfa.AnyOf(echomfa.OTP), nil
		}
	})
	user := s.signIn()
	for _, a := range []answer{user.get("/mfa?return_to=/admin"), user.post("/mfa/begin", "type", "OTP", "return_to", "/admin")} {
		a.is(http.StatusForbidden, "title.signin", "signin").isNot("error.same_sign_in")
		assert.Contains(t, a.text, `href="/login?return_to=%2Fmfa%2Fsigned-in%3Freturn_to%3D%252Fadmin&prompt=login"`)
	}
	user.get("/mfa/signed-in?return_to=/admin").is(http.StatusForbidden, "title.signin", "error.same_sign_in")
	assert.NotContains(t, s.logged.String(), "enroll_policy_failed")
	assert.Zero(t, s.genauth.Calls(sendPath), "nothing goes on")
	known = true
	user.get("/mfa/signed-in?return_to=/admin").goes("/mfa?return_to=%2Fadmin")
}
