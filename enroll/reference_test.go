package enroll_test

import (
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/enroll"
)

// references are those of the lines with a message.
func (s *site) references(message string) []string {
	s.t.Helper()
	var list []string
	for line := range strings.Lines(s.logged.String()) {
		if strings.Contains(line, `msg="`+message+`"`) {
			found := regexp.MustCompile(` reference=([A-Z2-7]{26})\b`).FindStringSubmatch(line)
			require.NotNil(s.t, found, line)
			list = append(list, found[1])
		}
	}
	return list
}

// reference is the one on the page, or "".
func (a answer) reference() string {
	found := regexp.MustCompile(`<p class="hint">Reference: <code>([A-Z2-7]{26})</code></p>`).FindStringSubmatch(a.html)
	if found == nil {
		return ""
	}
	return found[1]
}

// TestReferenceOfAFailure has each page that says of a failure of the app or of GenAuth: the
// user can quote what the log has.
func TestReferenceOfAFailure(t *testing.T) {
	t.Parallel()
	failing := func() error { return errors.New("no database") }
	rows := map[string]struct {
		change  func(*setup)
		do      func(session) answer
		message string
	}{
		"GenAuth is down": {nil, func(u session) answer {
			u.withFault(offerPath, genauthtest.HTTPStatus(http.StatusServiceUnavailable, ""))
			return u.get("/mfa").is(http.StatusServiceUnavailable, "error.unavailable")
		}, "enrollment call failed"},
		"no key": {nil, func(u session) answer {
			u.withFault(sendPath, genauthtest.Data(`{"enrollmentToken":"t","otpData":{"qrCodeUri":"x","recoveryCode":"y"}}`))
			return u.post("/mfa/begin", "type", "OTP").is(http.StatusBadGateway, "error.key")
		}, "enrollment call failed"},
		"not offered": {nil, func(u session) answer {
			u.withFault(sendPath, genauthtest.Envelope(422, 0))
			return u.post("/mfa/begin", "type", "OTP").is(http.StatusConflict, "error.not_offered")
		}, "GenAuth refused to begin an enrollment"},
		"an address is refused, on a page of its own": {nil, func(u session) answer {
			page := u.begin(email)
			u.withFault(sendPath, genauthtest.Envelope(422, 0))
			return u.post("/mfa/send", "state", page.state(), "email", "ann@example.com").is(http.StatusOK, "error.email_refused")
		}, "GenAuth refused to begin an enrollment"},
		"dead end": {
			func(set *setup) { set.Policy = echomfa.AnyOf(echomfa.Face) },
			func(u session) answer { return u.get("/mfa").is(http.StatusOK, "title.deadend") },
			"enrollment policy cannot be satisfied on these pages",
		},
		"unknown sign-in": {
			func(set *setup) { set.AuthTime = true }, func(u session) answer {
				return u.with(u.id, nil).post("/mfa/begin", "type", "OTP").is(http.StatusForbidden, "error.sign_in_unknown")
			}, "enrollment needs a recent sign-in",
		},
		"RecentSignIn": {
			func(set *setup) {
				set.RecentSignIn = func(*http.Request) (enroll.SignIn, error) { return enroll.SignIn{}, failing() }
			},
			func(u session) answer {
				return u.post("/mfa/begin", "type", "OTP").is(http.StatusInternalServerError, "error.internal")
			}, "RecentSignIn failed",
		},
		"PolicyFunc": {
			func(set *setup) {
				set.Policy = echomfa.Policy{}
				set.PolicyFunc = func(*http.Request, string) (echomfa.Policy, error) { return echomfa.Policy{}, failing() }
			},
			func(u session) answer { return u.get("/mfa").is(http.StatusInternalServerError, "error.internal") },
			"enrollment policy failed",
		},
		"a panic": {
			func(set *setup) { set.UserName = func(*http.Request) string { panic(callbackPanic) } },
			func(u session) answer { return u.get("/mfa").is(http.StatusInternalServerError, "error.internal") },
			"enrollment page panicked",
		},
		"another site": {nil, func(u session) answer {
			a := u.do(http.MethodPost, "/mfa/begin", nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
			again := u.do(http.MethodPost, "/mfa/remove", nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
			assert.Equal(u.t, a.reference(), again.reference(), "there is one line a minute")
			return a.is(http.StatusForbidden, "error.cross_site")
		}, "enrollment form may come from another site"},
		"not removed": {func(set *setup) { set.GenAuth.ImplicitSMS = true }, func(u session) answer {
			ann := u.again(u.genauth.AddUser(genauthtest.User{Phone: "13800001111"}).ID)
			return ann.post("/mfa/remove", "type", "SMS", "confirm", "yes").is(http.StatusConflict, "error.not_removed")
		}, "GenAuth refused to remove a factor"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, row.change)
			a := row.do(s.signIn())
			require.NotEmpty(t, a.reference(), a.html)
			assert.Equal(t, []string{a.reference()}, s.references(row.message))
		})
	}
	s := newSite(t, nil)
	user := s.signIn()
	page := user.begin(otp)
	for _, a := range []answer{
		user.get("/mfa/x"), user.post("/mfa/confirm", "state", "x"), user.post("/mfa/confirm", "state", page.state(), "code", "1"), user.get("/mfa"),
	} {
		assert.Empty(t, a.reference(), "the log has nothing about it")
	}
	assert.NotContains(t, s.logged.String(), "reference=")
}

// TestLimitIsLoggedOnceAMinute has a user meet each limit, again and again: one line says
// so, whose reference is on all the pages, and which has nothing of the user.
func TestLimitIsLoggedOnceAMinute(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		change func(*setup)
		factor genauthtest.FactorType
		do     func(session) answer
		limit  string
	}{
		"codes": {nil, otp, func(u session) answer {
			return u.post("/mfa/begin", "type", "SMS", "code", wrongCode(u.genauth.OTPCode(u.id)))
		}, "codes"},
		"codes, to remove": {nil, otp, func(u session) answer {
			return u.post("/mfa/remove", "type", "OTP", "confirm", "yes", "understood", "yes", "code", wrongCode(u.genauth.OTPCode(u.id)))
		}, "codes"},
		"codes, of a new app": {nil, email, func(u session) answer {
			page := u.begin(otp)
			return u.post("/mfa/confirm", "state", page.state(), "code", wrongCode(u.code(page.secret())))
		}, "codes"},
		"messages": {nil, email, func(u session) answer {
			return u.post("/mfa/send", "state", u.begin(sms).state(), "region", "CN", "phone", "13800000000")
		}, "messages"},
		"pages": {nil, email, func(u session) answer { return u.get("/mfa") }, "pages"},
		"all pages": {nil, email, func(u session) answer {
			u.pages.TurnAway()
			return u.get("/mfa")
		}, "all pages"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, row.change)
			user := s.signIn(row.factor)
			if row.limit == "codes" || row.limit == "messages" {
				s.pages.Unlimited()
			}
			var references []string
			for range 100 {
				if ref := row.do(user).reference(); ref != "" {
					references = append(references, ref)
				}
				if len(references) == 3 {
					break
				}
			}
			require.Len(t, references, 3, "the limit was met")
			assert.Len(t, slices.Compact(references), 1)
			assert.Equal(t, references[:1], s.references("enrollment limit reached"))
			logged := s.logged.String()
			assert.Contains(t, logged, "level=WARN msg=\"enrollment limit reached\" event=enroll_limit_reached path=/mfa")
			assert.Regexp(t, `limit="?`+row.limit+`"? for=\d`, logged)
			for _, secret := range []string{user.id, user.token, "13800000000"} {
				assert.NotContains(t, logged, secret)
			}
		})
	}
}

// TestLimitIsLoggedOfEachUser has another user meet the same limit.
func TestLimitIsLoggedOfEachUser(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.pages.Unlimited()
	var seen []string
	for range 2 {
		user := s.signIn(otp)
		for range 12 {
			seen = append(seen, user.post("/mfa/begin", "type", "SMS", "code", wrongCode(s.genauth.OTPCode(user.id))).reference())
		}
	}
	seen = slices.DeleteFunc(slices.Compact(seen), func(ref string) bool { return ref == "" })
	assert.Len(t, seen, 2)
	assert.Equal(t, seen, s.references("enrollment limit reached"))
}
