package enroll_test

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/enroll"
)

// TestX6AnothersSignInProvesNothing has a token beside a session of somebody else who has
// signed in a moment ago, and nothing else: for tokens that say whose they are, and for
// those of which GenAuth says it.
func TestX6AnothersSignInProvesNothing(t *testing.T) {
	t.Parallel()
	now := time.Now()
	rows := map[string]struct {
		last   enroll.SignIn
		opaque bool
		want   int
		text   string
	}{
		"the user's":                      {enroll.SignIn{Subject: "bob", Time: now}, false, 200, "title.address"},
		"another's":                       {enroll.SignIn{Subject: "mallory", Time: now}, false, 403, "title.signin"},
		"capitals":                        {enroll.SignIn{Subject: "BOB", Time: now}, false, 403, "title.signin"},
		"nobody's":                        {enroll.SignIn{Time: now}, false, 500, "error.internal"},
		"no sign-in":                      {enroll.SignIn{}, false, 403, "title.signin"},
		"opaque: the user's":              {enroll.SignIn{Subject: "bob", Time: now}, true, 200, "title.address"},
		"opaque: another's":               {enroll.SignIn{Subject: "mallory", Time: now}, true, 403, "title.signin"},
		"opaque: nobody's":                {enroll.SignIn{Time: now}, true, 500, "error.internal"},
		"opaque: GenAuth does not answer": {enroll.SignIn{Subject: "bob", Time: now}, true, 503, "error.unavailable"},
		"opaque: GenAuth names nobody":    {enroll.SignIn{Subject: "bob", Time: now}, true, 503, "error.unavailable"},
	}
	faults := map[string]func(*genauthtest.Answer){
		"opaque: GenAuth does not answer": genauthtest.HTTPStatus(500, ""),
		"opaque: GenAuth names nobody":    genauthtest.Data(`{"userId":""}`),
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(set *setup) {
				set.RecentSignIn = func(*http.Request) (enroll.SignIn, error) { return row.last, nil }
			})
			id := s.genauth.AddUser(genauthtest.User{ID: "bob"}).ID
			user := session{site: s, id: id, token: s.genauth.Mint(genauthtest.Token{UserID: id, Opaque: row.opaque})}
			if fault, ok := faults[name]; ok {
				s.withFault("/api/v3/get-profile", fault)
			}
			user.post("/mfa/begin", "type", "SMS").is(row.want, row.text)
			assert.Zero(t, s.genauth.Calls(sendPath))
		})
	}
}

// TestFieldN2NewAsksWhenUsersSignedIn refuses what would let no user add a factor.
func TestFieldN2NewAsksWhenUsersSignedIn(t *testing.T) {
	t.Parallel()
	signedIn := func(*http.Request) (enroll.SignIn, error) { return enroll.SignIn{}, nil }
	rows := map[string]struct {
		change func(*enroll.Config)
		want   string
	}{
		"nothing":           {func(c *enroll.Config) { c.AuthTime = false }, "enroll: RecentSignIn: required"},
		"AuthTime":          {func(*enroll.Config) {}, ""},
		"RecentSignIn":      {func(c *enroll.Config) { c.AuthTime, c.RecentSignIn = false, signedIn }, ""},
		"InsecureSkipProof": {func(c *enroll.Config) { c.AuthTime, c.InsecureSkipProof = false, true }, ""},
		"both":              {func(c *enroll.Config) { c.RecentSignIn = signedIn }, "enroll: RecentSignIn and AuthTime: set one of them"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := goodConfig(t)
			row.change(&cfg)
			_, err := enroll.New(cfg)
			if row.want == "" {
				assert.NoError(t, err)
				return
			}
			assert.ErrorContains(t, err, row.want)
		})
	}
}

// TestFieldF08TokenIsRenewed has the access token renewed between all steps.
func TestFieldF08TokenIsRenewed(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	first := s.signIn()
	page := first.begin(otp)
	page = s.again(first.id).post("/mfa/confirm", "state", page.state(), "code", wrongCode(first.code(page.secret()))).is(http.StatusOK, "error.code")
	page = s.again(first.id).post("/mfa/confirm", "state", page.state(), "code", first.code(page.secret())).is(http.StatusOK, "title.recovery")
	page = s.again(first.id).post("/mfa/done", "state", page.state(), "return_to", "/admin").is(http.StatusOK, "title.recovery", "error.not_saved")
	s.again(first.id).post("/mfa/recovery", "state", page.state()).is(http.StatusOK)
	s.again(first.id).post("/mfa/done", "state", page.state(), "saved", "yes", "return_to", "/admin").goes("/admin")
	// Another user's, and a token that names nobody, are none of its.
	s.signIn().post("/mfa/recovery", "state", page.state()).is(http.StatusBadRequest, "error.state")
}

// TestFieldF04SessionEnds has a form come when the session is over: after the sign-in the
// user is back at the pages, with the address that was wanted.
func TestFieldF04SessionEnds(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	gone := map[string]string{"no token": "", "refused": "made-up-0123456789"}
	for name, token := range gone {
		user := session{site: s, token: token}
		for _, step := range steps() {
			user.post(step, "type", "OTP", "return_to", "/admin?page=2").goes("/login?return_to=%2Fmfa%3Freturn_to%3D%252Fadmin%253Fpage%253D2")
			user.post(step, "return_to", "https://evil.example/").goes("/login?return_to=%2Fmfa")
			a := user.do(http.MethodPost, step, formOf("return_to", "/admin"), func(r *http.Request) {
				r.Header.Set("Accept", "application/json")
				r.Header.Set("Sec-Fetch-Mode", "cors")
			})
			assert.Equal(t, http.StatusUnauthorized, a.StatusCode, "%s: a program", name)
		}
	}
	for _, step := range steps() { // an address that was typed, or kept
		s.signIn().get(step + "?return_to=%2Fadmin").goes("/mfa?return_to=%2Fadmin")
	}
}

// TestFieldF09TrailingSlash has what Echo's AddTrailingSlash makes of addresses.
func TestFieldF09TrailingSlash(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn()
	user.get("/mfa/").is(http.StatusOK, "title.needed")
	page := user.post("/mfa/begin/", "type", "OTP").is(http.StatusOK, "title.otp")
	style := regexp.MustCompile(`href="(/mfa/assets/[^"]+)"`).FindStringSubmatch(page.html)[1]
	assert.Equal(t, "text/css; charset=utf-8", user.get(style+"/").Header.Get("Content-Type"))
	user.post("/mfa/confirm/", "state", page.state(), "code", user.code(page.secret())).is(http.StatusOK, "title.recovery")
}

// TestFieldF10PastedCodes has codes as people copy them out of messages and apps.
func TestFieldF10PastedCodes(t *testing.T) {
	t.Parallel()
	rows := map[string]func(code string) string{
		"zero-width space":      func(c string) string { return c[:3] + "\u200b" + c[3:] },
		"direction marks":       func(c string) string { return "\u202a" + c + "\u202c" },
		"isolates":              func(c string) string { return "\u2066" + c + "\u2069" },
		"no-break hyphen":       func(c string) string { return c[:3] + "\u2011" + c[3:] },
		"minus":                 func(c string) string { return c[:3] + "\u2212" + c[3:] },
		"thin space":            func(c string) string { return c[:3] + "\u2009" + c[3:] },
		"byte order mark":       func(c string) string { return "\ufeff" + c },
		"soft hyphen":           func(c string) string { return c[:3] + "\u00ad" + c[3:] },
		"a line's end":          func(c string) string { return c + "\r\n" },
		"Arabic digits":         script('٠'),
		"Persian digits":        script('۰'),
		"Devanagari digits":     script('०'),
		"wide digits":           script('０'),
		"mathematical digits":   script('𝟘'),
		"digits of two kinds":   func(c string) string { return script('٠')(c[:3]) + c[3:] },
		"dots between all":      func(c string) string { return c[:1] + "." + c[1:2] + "." + c[2:] },
		"variation selectors":   func(c string) string { return c[:1] + "\ufe0f\u20e3" + c[1:] },
		"ideographic full stop": func(c string) string { return c[:3] + "・" + c[3:] },
	}
	for name, paste := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			user := s.signIn()
			page := user.begin(otp)
			user.post("/mfa/confirm", "state", page.state(), "code", paste(user.code(page.secret()))).is(http.StatusOK, "title.recovery")
		})
	}
}

// script writes digits in a script that has this zero.
func script(zero rune) func(string) string {
	return func(code string) string {
		var out []rune
		for _, c := range code {
			out = append(out, zero+c-'0')
		}
		return string(out)
	}
}

// TestFieldN10RightCodesAreNoAttempts has a user walk more often than codes may be wrong.
func TestFieldN10RightCodesAreNoAttempts(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user := s.signIn(otp)
	for range 25 {
		user.post("/mfa/begin", "type", "SMS", "code", s.genauth.OTPCode(user.id)).is(http.StatusOK, "title.address")
	}
	for range 10 {
		user.post("/mfa/begin", "type", "SMS", "code", wrongCode(s.genauth.OTPCode(user.id))).is(http.StatusOK, "error.code")
	}
	user.post("/mfa/begin", "type", "SMS", "code", s.genauth.OTPCode(user.id)).is(http.StatusOK, "error.too_many")
}

// TestX15OpaqueTokensOfOneUserCountTogether has an attacker open a session for each try.
func TestX15OpaqueTokensOfOneUserCountTogether(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.InsecureSkipProof = true })
	id := s.genauth.AddUser(genauthtest.User{ID: "bob"}).ID
	opaque := func() session {
		return session{site: s, id: id, token: s.genauth.Mint(genauthtest.Token{UserID: id, Opaque: true})}
	}
	for range 10 {
		user := opaque()
		page := user.begin(otp)
		user.post("/mfa/confirm", "state", page.state(), "code", wrongCode(user.code(page.secret()))).is(http.StatusOK, "error.code")
	}
	user := opaque()
	page := user.begin(otp)
	user.post("/mfa/confirm", "state", page.state(), "code", user.code(page.secret())).is(http.StatusOK, "error.too_many")
}

// TestX4OneUserDoesNotSpendTheQuota has a user open pages without end: what is asked of
// GenAuth is bounded, and others are served.
func TestX4OneUserDoesNotSpendTheQuota(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user, other := s.signIn(), s.signIn()
	limited := 0
	for range 300 {
		if a := user.get("/mfa"); a.StatusCode == http.StatusTooManyRequests {
			limited++
			a.is(http.StatusTooManyRequests, "error.too_fast")
			assert.Equal(t, "1", a.Header.Get("Retry-After"))
		}
	}
	assert.LessOrEqual(t, s.genauth.Calls(listPath), 2*(300-limited), "one for the page, and one of the enforcer's for some")
	assert.LessOrEqual(t, s.genauth.Calls(offerPath), 300-limited)
	assert.Positive(t, limited)
	other.get("/mfa").is(http.StatusOK, "title.needed")
	assert.Equal(t, http.StatusForbidden, user.guarded(), "the app's own routes are not limited")
}

// TestT47DelegatedTokens refuses the one who acts with a token of somebody else, where the app lets
// such tokens by: the user would get a factor of another person.
func TestT47DelegatedTokens(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.MFA.AllowDelegated = true })
	id := s.genauth.AddUser(genauthtest.User{ID: "bob"}).ID
	delegated := s.genauth.Mint(genauthtest.Token{UserID: id, Claims: map[string]any{"act": map[string]any{"sub": "agent"}}})
	user := session{site: s, id: id, token: delegated}
	decision, _ := s.mfa.Decide(t.Context(), delegated, echomfa.AnyOf(echomfa.OTP))
	assert.Equal(t, echomfa.NotEnrolled, decision.Outcome, "the token as such is accepted")
	calls := s.genauth.Calls(sendPath)
	for _, path := range []string{"/mfa", "/mfa?return_to=%2Fadmin"} {
		user.get(path).is(http.StatusForbidden, "error.delegated")
	}
	for path, form := range map[string][]string{"/mfa/begin": {"type", "OTP"}, "/mfa/remove": {"type", "OTP"}} {
		user.post(path, form...).is(http.StatusForbidden, "error.delegated")
	}
	assert.Equal(t, calls, s.genauth.Calls(sendPath))
}
