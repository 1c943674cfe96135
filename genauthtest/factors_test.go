package genauthtest_test

import (
	"encoding/base64"
	"image/png"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/genauthtest"
)

const (
	toEnrollPath = "/api/v3/list-factors-to-enroll"
	sendPath     = "/api/v3/send-enroll-factor-request"
	enrollPath   = "/api/v3/enroll-factor"
	resetPath    = "/api/v3/reset-factor"
	getPath      = "/api/v3/get-factor"
	verifyPath   = "/api/v3/mfa-totp-verify"
	signInPath   = "/api/v3/signin"
)

// signedIn returns an emulator and a client with alice's token.
func signedIn(t *testing.T, cfg genauthtest.Config, u genauthtest.User) (*genauthtest.Server, *caller) {
	t.Helper()
	s := start(t, cfg)
	u.ID = "alice"
	s.AddUser(u)
	return s, as(t, s, s.AccessToken("alice"))
}

// begun begins an enrollment and returns its token.
func begun(t *testing.T, c *caller, body any) string {
	t.Helper()
	r := c.post(sendPath, body)
	require.Equal(t, 200, r.StatusCode, r.Body)
	return decode[struct{ EnrollmentToken string }](t, r).EnrollmentToken
}

func confirmation(kind, token, code string) map[string]any {
	return map[string]any{"factorType": kind, "enrollmentToken": token, "enrollmentData": map[string]string{"passCode": code, "photo": code}}
}

// TestEndpointsRefuse has what each endpoint refuses, by which statusCode and
// apiCode, in an HTTP 200.
func TestEndpointsRefuse(t *testing.T) {
	t.Parallel()
	_, alice := signedIn(t, genauthtest.Config{}, genauthtest.User{Factors: []genauthtest.FactorType{genauthtest.OTP}})
	otp, sms := map[string]string{"factorType": "OTP"}, map[string]string{"factorType": "SMS"}
	rows := map[string]struct {
		path          string
		body          any
		status, apiID int
	}{
		"send: no JSON":          {sendPath, "{", 400, 0},
		"send: no type":          {sendPath, "{}", 400, 0},
		"send: bound already":    {sendPath, otp, 422, 0},
		"send: not enabled":      {sendPath, map[string]string{"factorType": "PASSKEY"}, 422, 0},
		"send: no phone number":  {sendPath, sms, 400, 0},
		"send: face of nobody":   {sendPath, map[string]string{"factorType": "FACE"}, 400, 1703},
		"enroll: no JSON":        {enrollPath, "{", 400, 0},
		"enroll: unknown token":  {enrollPath, confirmation("OTP", "x", "1"), 400, 0},
		"reset: no JSON":         {resetPath, "{", 400, 0},
		"reset: no factor":       {resetPath, "{}", 400, 0},
		"reset: unknown factor":  {resetPath, map[string]string{"factorId": "x"}, 404, 0},
		"verify: no JSON":        {verifyPath, "{", 400, 0},
		"verify: no code":        {verifyPath, "{}", 400, 6003},
		"sign-in: no JSON":       {signInPath, "{", 400, 0},
		"sign-in: incomplete":    {signInPath, map[string]any{"connection": "PASSWORD"}, 400, 0},
		"sign-in: another way":   {signInPath, map[string]any{"connection": "PASSCODE"}, 501, 0},
		"sign-in: another app":   {signInPath, map[string]any{"connection": "PASSWORD", "client_id": "x"}, 499, 2011},
		"check secret: no JSON":  {"/api/v3/check-app-id-secret", "{", 400, 0},
		"get: unknown factor":    {getPath + "?factorId=x", nil, 404, 0},
		"unknown: no such thing": {"/api/v3/other", "{}", 404, 0},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r *reply
			if row.body == nil {
				r = alice.get(row.path)
			} else {
				r = alice.post(row.path, row.body)
			}
			assert.Equal(t, row.status, r.StatusCode, r.Body)
			assert.Equal(t, row.apiID, r.APICode, r.Body)
			assert.Equal(t, strings.HasPrefix(name, "unknown"), r.HTTPStatus == http.StatusNotFound)
			assert.NotEmpty(t, r.RequestID)
			assert.Nil(t, r.Data)
		})
	}
}

// TestAppIDIsLookedAt shows both spellings of the header, and what comes
// without.
func TestAppIDIsLookedAt(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		header, value string
		cfg           genauthtest.Config
		want          int
	}{
		"authing":           {"X-Authing-App-Id", "app", genauthtest.Config{AppID: "app"}, 200},
		"genauth":           {"X-Genauth-App-Id", "app", genauthtest.Config{AppID: "app"}, 200},
		"another":           {"X-Genauth-App-Id", "other", genauthtest.Config{AppID: "app"}, 499},
		"none":              {"X-Other", "app", genauthtest.Config{AppID: "app"}, 499},
		"none, optional":    {"X-Other", "app", genauthtest.Config{AppID: "app", AppIDOptional: true}, 200},
		"another, optional": {"X-Authing-App-Id", "other", genauthtest.Config{AppID: "app", AppIDOptional: true}, 499},
	} {
		_, alice := signedIn(t, row.cfg, genauthtest.User{})
		token := alice.header.Get("Authorization")
		alice.header = http.Header{"Authorization": {token}}
		alice.header.Set(row.header, row.value)
		assert.Equal(t, row.want, alice.list().StatusCode, name)
		alice.header.Set("Authorization", strings.TrimPrefix(token, "Bearer "))
		assert.Equal(t, row.want, alice.list().StatusCode, "%s, a raw token", name)
	}
}

// TestOTPEnrollment shows the data that an authenticator app needs, and each
// wrong confirmation.
func TestOTPEnrollment(t *testing.T) {
	t.Parallel()
	for _, reuse := range []bool{false, true} {
		s, alice := signedIn(t, genauthtest.Config{ReuseOTPSecret: reuse, UserPoolName: "My Pool"}, genauthtest.User{})
		assert.Empty(t, s.OTPCode("alice"))
		begin := func() (token, secret string) {
			r := alice.post(sendPath, map[string]string{"factorType": "OTP"})
			data := decode[struct {
				EnrollmentToken string
				OTPData         struct{ QRCodeURI, QRCodeDataURL, RecoveryCode string }
			}](t, r)
			uri, err := url.Parse(data.OTPData.QRCodeURI)
			require.NoError(t, err)
			assert.Equal(t, "otpauth", uri.Scheme)
			assert.Equal(t, "/My Pool:alice", uri.Path)
			assert.Equal(t, "My Pool", uri.Query().Get("issuer"))
			_, picture, _ := strings.Cut(data.OTPData.QRCodeDataURL, ",")
			_, err = png.Decode(base64.NewDecoder(base64.StdEncoding, strings.NewReader(picture)))
			require.NoError(t, err)
			assert.Regexp(t, `^[0-9a-f]{4}(-[0-9a-f]{4}){5}$`, data.OTPData.RecoveryCode)
			return data.EnrollmentToken, uri.Query().Get("secret")
		}
		token, before := begin()
		second, after := begin()
		assert.Equal(t, reuse, before == after)
		assert.Equal(t, after, s.OTPSecret("alice"))
		if reuse {
			token = second
		}
		code, err := genauthtest.TOTP(before, s.Now())
		require.NoError(t, err)
		wrong := "000000"
		if code == wrong {
			wrong = "111111"
		}
		assert.Equal(t, 6003, alice.post(enrollPath, confirmation("OTP", token, "")).APICode)
		assert.Equal(t, 6001, alice.post(enrollPath, confirmation("OTP", token, wrong)).APICode)
		assert.Equal(t, 400, alice.post(enrollPath, confirmation("SMS", token, code)).StatusCode, "of another type")
		assert.Equal(t, 200, alice.post(enrollPath, confirmation("OTP", token, code)).StatusCode)
		assert.Equal(t, 400, alice.post(enrollPath, confirmation("OTP", token, code)).StatusCode, "it is spent")
		assert.Equal(t, before, s.OTPSecret("alice"))

		verified := func(code string) bool {
			return decode[struct{ Verified bool }](t, alice.post(verifyPath, map[string]string{"totp": code})).Verified
		}
		assert.True(t, verified(s.OTPCode("alice")))
		// A period has just begun: a busy machine has all of it.
		s.Advance(s.Now().Truncate(30 * time.Second).Add(30 * time.Second).Sub(s.Now()))
		s.Advance(-30 * time.Second)
		early := s.OTPCode("alice")
		s.Advance(30 * time.Second)
		assert.True(t, verified(early), "one period of drift")
		s.Reset("alice")
		assert.False(t, verified(code))
	}
}

// TestEnrollmentsOfTheSameFactor shows that the second one to end is refused.
func TestEnrollmentsOfTheSameFactor(t *testing.T) {
	t.Parallel()
	_, alice := signedIn(t, genauthtest.Config{}, genauthtest.User{Email: "a@example.com"})
	face := map[string]string{"factorType": "FACE"}
	first, second := begun(t, alice, face), begun(t, alice, face)
	assert.Equal(t, 1700, alice.post(enrollPath, confirmation("FACE", first, "")).APICode, "no photo")
	assert.Equal(t, 200, alice.post(enrollPath, confirmation("FACE", first, "photo")).StatusCode)
	assert.Equal(t, 422, alice.post(enrollPath, confirmation("FACE", second, "photo")).StatusCode)
	assert.Equal(t, []genauthtest.FactorType{genauthtest.Face}, alice.list().types(t))
}

// TestSMSEnrollment shows the code, the wait of a minute for each number, and the
// profile.
func TestSMSEnrollment(t *testing.T) {
	t.Parallel()
	s, alice := signedIn(t, genauthtest.Config{}, genauthtest.User{})
	body := func(number, country string) map[string]any {
		return map[string]any{"factorType": "SMS", "profile": map[string]string{"phoneNumber": number, "phoneCountryCode": country}}
	}
	begun(t, alice, body("188", ""))
	assert.Equal(t, 2080, alice.post(sendPath, body("188", "+86")).APICode, "the same number, spelled out")
	token := begun(t, alice, body("188", "+1"))
	code := s.PassCode("alice", genauthtest.SMS)
	assert.Regexp(t, `^[0-9]{6}$`, code)
	assert.Equal(t, 2001, alice.post(enrollPath, confirmation("SMS", token, "x"+code)).APICode)
	s.Advance(30 * time.Second)
	assert.Equal(t, 2080, alice.post(sendPath, body("188", "+1")).APICode)
	assert.Equal(t, 200, alice.post(enrollPath, confirmation("SMS", token, code)).StatusCode)
	list := decode[[]row](t, alice.list())
	require.Len(t, list, 1)
	assert.Equal(t, map[string]any{"phoneNumber": "188", "phoneCountryCode": "+1"}, list[0].Profile)
}

// TestListOptions has the points that GenAuth leaves open.
func TestListOptions(t *testing.T) {
	t.Parallel()
	s, alice := signedIn(t, genauthtest.Config{
		ImplicitSMS: true, ImplicitEmail: true, CompositeFactorIDs: true, DataAsObject: true,
	}, genauthtest.User{Email: "a@example.com", Phone: "188", Factors: []genauthtest.FactorType{genauthtest.SMS}})
	list := decode[[]row](t, alice.list())
	require.Len(t, list, 2)
	assert.Equal(t, row{"alice|implicit-email", genauthtest.Email, map[string]any{"email": "a@example.com"}}, list[0])
	assert.Equal(t, row{"alice|phone", genauthtest.SMS, map[string]any{"phoneNumber": "188", "phoneCountryCode": "+86"}}, list[1])
	assert.Equal(t, 422, alice.post(resetPath, map[string]string{"factorId": list[0].ID}).StatusCode, "an implicit one stays")
	assert.Equal(t, list[1], decode[row](t, alice.get(getPath+"?factorId="+url.QueryEscape(list[1].ID))))
	assert.Len(t, decode[[]any](t, alice.get(toEnrollPath)), 2)
	s.Enroll("alice", genauthtest.OTP, genauthtest.OTP)
	assert.Equal(t, map[string]any{"factorType": "FACE"}, decode[map[string]any](t, alice.get(toEnrollPath)), "one element as an object")

	_, alice = signedIn(t, genauthtest.Config{EnabledFactors: []genauthtest.FactorType{}}, genauthtest.User{Phone: "188"})
	assert.Equal(t, "[]", string(alice.list().Data))
	assert.Equal(t, "[]", string(alice.get(toEnrollPath).Data))
}
