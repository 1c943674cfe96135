package enroll_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/echomfa/echomfa/storetest"
	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/enroll"
)

// TestBeginFails has why no secret is shown.
func TestBeginFails(t *testing.T) {
	t.Parallel()
	rows := map[string]struct {
		change func(*genauthtest.Answer)
		want   int
		text   string
	}{
		"not offered":   {genauthtest.Envelope(422, 0), 409, "error.not_offered"},
		"unavailable":   {genauthtest.HTTPStatus(500, ""), 503, "error.unavailable"},
		"no data":       {genauthtest.Data(""), 503, "error.unavailable"},
		"no app's data": {genauthtest.Data(`{"enrollmentToken":"t"}`), 503, "error.unavailable"},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			user := s.signIn()
			s.withFault(sendPath, row.change)
			user.post("/mfa/begin", "type", "OTP").is(row.want, row.text)
		})
	}
	s := newSite(t, nil)
	user := s.signIn(otp)
	user.post("/mfa/begin", "type", "OTP", "code", s.genauth.OTPCode(user.id)).is(http.StatusConflict, "error.not_offered")
}

// TestStates has fields that are none of ours, or not for this step.
func TestStates(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	user, mallory := s.signIn(), s.signIn()
	page := user.begin(otp)
	address := user.begin(sms)
	expired := s.pages.Expire(page.state(), user.token)
	code := user.code(page.secret())
	done := mallory.begin(otp)
	done = mallory.post("/mfa/confirm", "state", done.state(), "code", mallory.code(done.secret())).is(http.StatusOK, "title.recovery")
	rows := []struct {
		user        session
		step, state string
	}{
		{user, "confirm", ""},
		{user, "confirm", "x"},
		{user, "confirm", expired},
		{user, "confirm", address.state()}, // nothing has been sent
		{user, "send", page.state()},       // it is an app's
		{user, "send", ""},
		{user, "recovery", page.state()}, // not enrolled yet
		{user, "recovery", ""},
		{user, "recovery", done.state()}, // another user's
		{user, "confirm", done.state()},
		{mallory, "confirm", page.state()},
		{mallory, "confirm", done.state()}, // done
		{mallory, "send", address.state()},
		{mallory, "send", done.state()},
	}
	calls := s.genauth.Calls(enrollPath) + s.genauth.Calls(sendPath)
	for i, row := range rows {
		a := row.user.post("/mfa/"+row.step, "state", row.state, "code", code, "phone", "13800000000", "region", "CN").is(http.StatusBadRequest, "error.state")
		assert.NotContains(t, a.html, `name="state"`, i)
	}
	assert.Equal(t, calls, s.genauth.Calls(enrollPath)+s.genauth.Calls(sendPath))
	user.post("/mfa/done", "state", page.state(), "return_to", "/admin").goes("/admin")
	user.post("/mfa/confirm", "state", page.state(), "code", code).is(http.StatusOK, "title.recovery")
}

// TestOnChangePanics does not stop the user.
func TestOnChangePanics(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) {
		set.OnChange = func(context.Context, enroll.Event) { panic(callbackPanic) }
	})
	user := s.signIn()
	assert.Equal(t, http.StatusForbidden, user.guarded())
	page := user.begin(otp)
	user.post("/mfa/confirm", "state", page.state(), "code", user.code(page.secret())).is(http.StatusOK, "title.recovery")
	assert.Equal(t, http.StatusNoContent, user.guarded())
	assert.Contains(t, s.logged.String(), "OnChange panicked")
}

// TestNoOnChange needs none, and finds out who an opaque token is of.
func TestNoOnChange(t *testing.T) {
	t.Parallel()
	for _, opaque := range []bool{false, true} {
		var events []enroll.Event
		s := newSite(t, func(set *setup) {
			set.RecentSignIn = func(*http.Request) (enroll.SignIn, error) {
				return enroll.SignIn{Subject: "bob", Time: time.Now()}, nil
			}
			set.OnChange = nil
			if opaque {
				set.OnChange = func(_ context.Context, e enroll.Event) { events = append(events, e) }
			}
		})
		id := s.genauth.AddUser(genauthtest.User{ID: "bob"}).ID
		user := session{site: s, id: id, token: s.genauth.Mint(genauthtest.Token{UserID: id, Opaque: opaque})}
		assert.Equal(t, http.StatusForbidden, user.guarded())
		page := user.begin(otp)
		user.post("/mfa/confirm", "state", page.state(), "code", user.code(page.secret())).is(http.StatusOK, "title.recovery")
		assert.Equal(t, http.StatusNoContent, user.guarded())
		if opaque {
			assert.Len(t, events, 1)
			assert.Equal(t, "bob", events[0].Subject)
		}
	}
}

// TestFace is explained, with GenAuth's page if there is one.
func TestFace(t *testing.T) {
	t.Parallel()
	for hosted, want := range map[string][]string{
		"": {"face.not_here"}, "https://genauth.example/u?a=b": {"face", "face.open", "face.then", "check"},
	} {
		s := newSite(t, func(set *setup) { set.HostedURL, set.Policy = hosted, echomfa.AnyOf(echomfa.Face) })
		a := s.signIn().post("/mfa/begin", "type", "FACE", "return_to", "/admin").is(http.StatusOK, append(want, "title.face")...)
		assert.Equal(t, hosted != "", strings.Contains(a.html, `rel="noopener noreferrer"`))
		assert.Contains(t, a.text, `href="`+hosted)
		assert.Contains(t, a.html, `href="/mfa?return_to=`+url.QueryEscape("/admin"))
		assert.Zero(t, s.genauth.Calls(listPath)-1)
	}
}

// deafStore is a Store that cannot tell anybody.
type deafStore struct{ *storetest.Memory }

func (deafStore) Delete(context.Context, echomfa.StoreKey, echomfa.StoreKey) error {
	return errors.New("store is away")
}

// TestOtherInstancesAreNotTold logs that a change is not known to all instances,
// and does not keep the user from going on.
func TestOtherInstancesAreNotTold(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(set *setup) { set.MFA.Cache.Store = deafStore{storetest.NewMemory()} })
	user := s.signIn()
	page := user.begin(otp)
	user.post("/mfa/confirm", "state", page.state(), "code", user.code(s.genauth.OTPSecret(user.id))).is(http.StatusOK, "title.recovery")
	assert.Contains(t, s.logged.String(), "enrollment change is not known to all instances")
	assert.Contains(t, s.logged.String(), "store is away")
}
