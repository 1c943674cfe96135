package client_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

const (
	testFactorID   = "0a1b2c3d4e5f60718293a4b5|email"
	testEnrollment = "ZW5yb2xsLWNhbmFyeQ=="
)

// everyCall returns every method that calls GenAuth.
func everyCall(c *client.Client) map[string]func(context.Context, string) error {
	return map[string]func(context.Context, string) error{
		"list-enrolled-factors": func(ctx context.Context, token string) error {
			_, err := c.ListEnrolledFactors(ctx, token)
			return err
		},
		"list-factors-to-enroll": func(ctx context.Context, token string) error {
			_, err := c.ListFactorsToEnroll(ctx, token)
			return err
		},
		"get-factor": func(ctx context.Context, token string) error {
			_, err := c.GetFactor(ctx, token, testFactorID)
			return err
		},
		"reset-factor": func(ctx context.Context, token string) error {
			return c.ResetFactor(ctx, token, testFactorID)
		},
		"send-enroll-factor-request": func(ctx context.Context, token string) error {
			_, err := c.SendEnrollFactorRequest(ctx, token, client.EnrollRequest{Type: client.SMS, PhoneNumber: "5550100-canary"})
			return err
		},
		"enroll-factor": func(ctx context.Context, token string) error {
			return c.EnrollFactor(ctx, token, client.EnrollConfirmation{
				Type: client.OTP, EnrollmentToken: testEnrollment, PassCode: "123456-canary",
			})
		},
		"mfa-totp-verify": func(ctx context.Context, token string) error {
			_, err := c.VerifyTOTP(ctx, token, "123456-canary")
			return err
		},
		"introspection": func(ctx context.Context, token string) error {
			_, err := c.IntrospectMFAToken(ctx, token)
			return err
		},
	}
}

// exchange is what one method sends and gets.
type exchange struct {
	method, uri, contentType, body string
	noToken                        bool
	answer                         string
}

// newClientExpecting returns a client for a server that expects x.
func newClientExpecting(t *testing.T, x exchange) *client.Client {
	t.Helper()
	return newClient(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		assert.Equal(t, x.method, r.Method)
		assert.Equal(t, x.uri, r.RequestURI)
		assert.Equal(t, x.body, string(body))
		assert.Equal(t, x.contentType, r.Header.Get("Content-Type"))
		assert.Equal(t, []string{testAppID}, r.Header.Values("X-Authing-App-Id"))
		if x.noToken {
			assert.Empty(t, r.Header.Values("Authorization"))
		} else {
			assert.Equal(t, []string{"Bearer " + testToken}, r.Header.Values("Authorization"))
		}
		_, _ = io.WriteString(w, x.answer)
	})
}

func TestListFactorsToEnroll(t *testing.T) {
	t.Parallel()
	x := exchange{method: "GET", uri: "/api/v3/list-factors-to-enroll", answer: golden(t, "endpoints", "to-enroll.json")}
	types, err := newClientExpecting(t, x).ListFactorsToEnroll(t.Context(), testToken)
	require.NoError(t, err)
	assert.Equal(t, []client.FactorType{client.OTP, client.Face}, types)

	x.answer = `{"statusCode":200,"data":{"factorType":"SMS"}}`
	types, err = newClientExpecting(t, x).ListFactorsToEnroll(t.Context(), testToken)
	require.NoError(t, err)
	assert.Equal(t, []client.FactorType{client.SMS}, types)

	x.answer = `{"statusCode":200,"data":[{"factorType":"SMS"},{}]}`
	types, err = newClientExpecting(t, x).ListFactorsToEnroll(t.Context(), testToken)
	assert.Equal(t, []client.FactorType{client.SMS}, types)
	var partial *client.PartialError
	require.ErrorAs(t, err, &partial)

	x.answer = `{"statusCode":200}`
	types, err = newClientExpecting(t, x).ListFactorsToEnroll(t.Context(), testToken)
	assert.Nil(t, types)
	assertClass(t, client.ErrMalformed, err)
}

func TestGetFactor(t *testing.T) {
	t.Parallel()
	x := exchange{
		method: "GET", uri: "/api/v3/get-factor?factorId=0a1b2c3d4e5f60718293a4b5%7Cemail",
		answer: golden(t, "endpoints", "factor.json"),
	}
	factor, err := newClientExpecting(t, x).GetFactor(t.Context(), testToken, testFactorID)
	require.NoError(t, err)
	assert.Equal(t, client.Factor{
		ID: testFactorID, Type: client.Email, Profile: map[string]any{"email": "ann@example.com"},
	}, factor)

	for _, data := range []string{
		``, `,"data":null`, `,"data":[]`, `,"data":[{"factorId":"1","factorType":"OTP"}]`, `,"data":{}`,
		`,"data":{"factorId":"1"}`, `,"data":{"factorType":"OTP"}`,
		`,"data":{"factorId":"1","factorType":"OTP","factorType":"OTP"}`,
	} {
		x.answer = `{"statusCode":200` + data + `}`
		factor, err = newClientExpecting(t, x).GetFactor(t.Context(), testToken, testFactorID)
		assertClass(t, client.ErrMalformed, err, data)
		assert.Zero(t, factor)
	}

	x = exchange{method: "GET", uri: "/api/v3/get-factor?factorId=a%26b%3Dc+%2F..%23", answer: golden(t, "endpoints", "factor.json")}
	_, err = newClientExpecting(t, x).GetFactor(t.Context(), testToken, "a&b=c /..#")
	require.NoError(t, err)
}

func TestResetFactor(t *testing.T) {
	t.Parallel()
	x := exchange{
		method: "POST", uri: "/api/v3/reset-factor", contentType: "application/json",
		body: `{"factorId":"0a1b2c3d4e5f60718293a4b5|email"}`, answer: golden(t, "endpoints", "done.json"),
	}
	require.NoError(t, newClientExpecting(t, x).ResetFactor(t.Context(), testToken, testFactorID))

	x.answer = `{"statusCode":404,"message":"no such factor"}`
	err := newClientExpecting(t, x).ResetFactor(t.Context(), testToken, testFactorID)
	assertClass(t, client.ErrMisconfigured, err)
	assert.EqualError(t, err, "client: reset-factor: HTTP 200, statusCode 404: no such factor")
}

func TestSendEnrollFactorRequest(t *testing.T) {
	t.Parallel()
	const uri = "/api/v3/send-enroll-factor-request"
	tests := map[string]struct {
		request client.EnrollRequest
		body    string
		answer  string
		want    *client.Enrollment // nil: malformed
	}{
		"OTP": {
			client.EnrollRequest{Type: client.OTP},
			`{"factorType":"OTP","profile":{}}`,
			golden(t, "endpoints", "enrollment-otp.json"),
			&client.Enrollment{Token: testEnrollment, OTP: &client.OTPEnrollment{
				QRCodeURI:     "otpauth://totp/pool:ann?secret=JBSWY3DPEHPK3PXP&period=30&digits=6&algorithm=SHA1&issuer=pool",
				QRCodeDataURL: "data:image/png;base64,iVBORw0KGgo=",
				RecoveryCode:  "0000-1111-2222-3333-4444-5555",
			}},
		},
		"OTP by another name": {
			client.EnrollRequest{Type: "totp"},
			`{"factorType":"OTP","profile":{}}`,
			`{"statusCode":200,"data":{"enrollmentToken":"t","otpData":{"qrCodeUri":"otpauth://x"}}}`,
			&client.Enrollment{Token: "t", OTP: &client.OTPEnrollment{QRCodeURI: "otpauth://x"}},
		},
		"SMS": {
			client.EnrollRequest{Type: client.SMS, PhoneNumber: "5550100", PhoneCountryCode: "+1"},
			`{"factorType":"SMS","profile":{"phoneNumber":"5550100","phoneCountryCode":"+1"}}`,
			golden(t, "endpoints", "enrollment-sms.json"), &client.Enrollment{Token: testEnrollment},
		},
		"e-mail": {
			client.EnrollRequest{Type: client.Email, Email: "ann@example.com"},
			`{"factorType":"EMAIL","profile":{"email":"ann@example.com"}}`,
			golden(t, "endpoints", "enrollment-sms.json"), &client.Enrollment{Token: testEnrollment},
		},
		"SMS, otpData null": {
			client.EnrollRequest{Type: client.SMS},
			`{"factorType":"SMS","profile":{}}`,
			`{"statusCode":200,"data":{"enrollmentToken":"t","otpData":null}}`, &client.Enrollment{Token: "t"},
		},
		"OTP without otpData": {
			client.EnrollRequest{Type: client.OTP},
			`{"factorType":"OTP","profile":{}}`,
			golden(t, "endpoints", "enrollment-sms.json"), nil,
		},
		"OTP without a URI": {
			client.EnrollRequest{Type: client.OTP},
			`{"factorType":"OTP","profile":{}}`,
			`{"statusCode":200,"data":{"enrollmentToken":"t","otpData":{"recoveryCode":"r"}}}`, nil,
		},
		"OTP with a duplicate": {
			client.EnrollRequest{Type: client.OTP},
			`{"factorType":"OTP","profile":{}}`,
			`{"statusCode":200,"data":{"enrollmentToken":"t","otpData":{"qrCodeUri":"a","qrCodeUri":"b"}}}`, nil,
		},
		"no token":   {client.EnrollRequest{Type: client.Face}, `{"factorType":"FACE","profile":{}}`, `{"statusCode":200,"data":{}}`, nil},
		"no data":    {client.EnrollRequest{Type: client.Face}, `{"factorType":"FACE","profile":{}}`, `{"statusCode":200}`, nil},
		"data array": {client.EnrollRequest{Type: client.Face}, `{"factorType":"FACE","profile":{}}`, `{"statusCode":200,"data":[]}`, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClientExpecting(t, exchange{
				method: "POST", uri: uri, contentType: "application/json", body: tt.body, answer: tt.answer,
			})
			got, err := c.SendEnrollFactorRequest(t.Context(), testToken, tt.request)
			assert.Equal(t, tt.want, got)
			if tt.want == nil {
				assertClass(t, client.ErrMalformed, err)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

func TestEnrollFactor(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		confirmation client.EnrollConfirmation
		body         string
	}{
		"code": {
			client.EnrollConfirmation{Type: "totp", EnrollmentToken: testEnrollment, PassCode: "123456"},
			`{"factorType":"OTP","enrollmentToken":"ZW5yb2xsLWNhbmFyeQ==","enrollmentData":{"passCode":"123456"}}`,
		},
		"photo": {
			client.EnrollConfirmation{Type: client.Face, EnrollmentToken: testEnrollment, Photo: "p"},
			`{"factorType":"FACE","enrollmentToken":"ZW5yb2xsLWNhbmFyeQ==","enrollmentData":{"photo":"p","isExternalPhoto":false}}`,
		},
		"external photo": {
			client.EnrollConfirmation{Type: client.Face, EnrollmentToken: testEnrollment, Photo: "p", IsExternalPhoto: true},
			`{"factorType":"FACE","enrollmentToken":"ZW5yb2xsLWNhbmFyeQ==","enrollmentData":{"photo":"p","isExternalPhoto":true}}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := exchange{
				method: "POST", uri: "/api/v3/enroll-factor", contentType: "application/json",
				body: tt.body, answer: golden(t, "endpoints", "done.json"),
			}
			require.NoError(t, newClientExpecting(t, x).EnrollFactor(t.Context(), testToken, tt.confirmation))
			x.answer = golden(t, "endpoints", "wrong-code.json")
			err := newClientExpecting(t, x).EnrollFactor(t.Context(), testToken, tt.confirmation)
			assert.True(t, client.IsWrongCode(err))
			assertClass(t, client.ErrMisconfigured, err)
		})
	}
}

func TestVerifyTOTP(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer  string
		want    bool
		wantErr error
	}{
		"right":             {golden(t, "endpoints", "verified.json"), true, nil},
		"wrong":             {`{"statusCode":200,"data":{"verified":false}}`, false, nil},
		"wrong by code":     {golden(t, "endpoints", "wrong-code.json"), false, client.ErrMisconfigured},
		"no data":           {`{"statusCode":200}`, false, client.ErrMalformed},
		"not said":          {`{"statusCode":200,"data":{}}`, false, client.ErrMalformed},
		"text":              {`{"statusCode":200,"data":{"verified":"true"}}`, false, client.ErrMalformed},
		"number":            {`{"statusCode":200,"data":{"verified":1}}`, false, client.ErrMalformed},
		"case variant":      {`{"statusCode":200,"data":{"Verified":true}}`, false, client.ErrMalformed},
		"twice":             {`{"statusCode":200,"data":{"verified":false,"verified":true}}`, false, client.ErrMalformed},
		"true with failure": {`{"statusCode":500,"data":{"verified":true}}`, false, client.ErrUnavailable},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClientExpecting(t, exchange{
				method: "POST", uri: "/api/v3/mfa-totp-verify", contentType: "application/json",
				body: `{"totp":"123456"}`, answer: tt.answer,
			})
			got, err := c.VerifyTOTP(t.Context(), testToken, "123456")
			assert.Equal(t, tt.want, got)
			if tt.wantErr == nil {
				require.NoError(t, err)
			} else {
				assertClass(t, tt.wantErr, err)
			}
		})
	}
}

func TestIntrospectMFAToken(t *testing.T) {
	t.Parallel()
	active := client.MFATokenInfo{
		Active: true, UserPoolID: "0a1b2c3d4e5f60718293a4c0", UserID: "0a1b2c3d4e5f60718293a4c1",
		ExpiresAt: time.Unix(1900000000, 0), IssuedAt: time.Unix(1899996400, 0),
	}
	tests := map[string]struct {
		answer  string
		want    client.MFATokenInfo
		wantErr error
	}{
		"active":                 {golden(t, "endpoints", "introspection.json"), active, nil},
		"inactive":               {`{"active":false}`, client.MFATokenInfo{}, nil},
		"inactive with claims":   {`{"active":false,"userId":"u","exp":1}`, client.MFATokenInfo{}, nil},
		"active, no more":        {`{"active":true,"exp":null}`, client.MFATokenInfo{Active: true}, nil},
		"active, with a status":  {`{"active":true,"statusCode":200}`, client.MFATokenInfo{Active: true}, nil},
		"empty":                  {`{}`, client.MFATokenInfo{}, client.ErrMalformed},
		"not JSON":               {`active`, client.MFATokenInfo{}, client.ErrMalformed},
		"array":                  {`[{"active":true}]`, client.MFATokenInfo{}, client.ErrMalformed},
		"null":                   {`{"active":null}`, client.MFATokenInfo{}, client.ErrMalformed},
		"text":                   {`{"active":"true"}`, client.MFATokenInfo{}, client.ErrMalformed},
		"twice":                  {`{"active":true,"active":false}`, client.MFATokenInfo{}, client.ErrMalformed},
		"time as text":           {`{"active":true,"exp":"1"}`, client.MFATokenInfo{}, client.ErrMalformed},
		"time too far":           {`{"active":true,"exp":253402300800}`, client.MFATokenInfo{}, client.ErrMalformed},
		"time negative":          {`{"active":true,"iat":-1}`, client.MFATokenInfo{}, client.ErrMalformed},
		"time as a fraction":     {`{"active":true,"iat":1.5}`, client.MFATokenInfo{}, client.ErrMalformed},
		"OAuth error":            {`{"error":"invalid_client"}`, client.MFATokenInfo{}, client.ErrMalformed},
		"enveloped failure":      {`{"statusCode":401,"apiCode":2020,"active":true}`, client.MFATokenInfo{}, client.ErrUnauthenticated},
		"code without a status":  {`{"apiCode":2011,"active":true}`, client.MFATokenInfo{}, client.ErrMisconfigured},
		"odd code":               {`{"apiCode":"x","active":true}`, client.MFATokenInfo{}, client.ErrMalformed},
		"active with a failure":  {`{"statusCode":500,"active":true}`, client.MFATokenInfo{}, client.ErrUnavailable},
		"active in the envelope": {`{"statusCode":200,"data":{"active":true}}`, client.MFATokenInfo{}, client.ErrMalformed},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClientExpecting(t, exchange{
				method: "POST", uri: "/mfa/token/introspection", contentType: "application/x-www-form-urlencoded",
				body: "token=a%2Bb%2Fc%3D", noToken: true, answer: tt.answer,
			})
			got, err := c.IntrospectMFAToken(t.Context(), "a+b/c=")
			assert.Equal(t, tt.want, got)
			if tt.wantErr == nil {
				require.NoError(t, err)
			} else {
				assertClass(t, tt.wantErr, err)
			}
		})
	}
}

func TestMissingArguments(t *testing.T) {
	t.Parallel()
	c := newFakeClient(t, transportFunc(func(*http.Request) (*http.Response, error) {
		t.Error("a call was made")
		return nil, http.ErrServerClosed
	}))
	_, err := c.GetFactor(t.Context(), testToken, "")
	assertClass(t, client.ErrMisconfigured, err)
	assertClass(t, client.ErrMisconfigured, c.ResetFactor(t.Context(), testToken, ""))
	_, err = c.SendEnrollFactorRequest(t.Context(), testToken, client.EnrollRequest{})
	assertClass(t, client.ErrMisconfigured, err)
	assertClass(t, client.ErrMisconfigured, c.EnrollFactor(t.Context(), testToken, client.EnrollConfirmation{EnrollmentToken: "t"}))
	assertClass(t, client.ErrMisconfigured, c.EnrollFactor(t.Context(), testToken, client.EnrollConfirmation{Type: client.OTP}))
	_, err = c.VerifyTOTP(t.Context(), testToken, "")
	assertClass(t, client.ErrMisconfigured, err)
}

func TestZeroClientReturnsErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]*client.Client{"nil": nil, "zero": {}} {
		assert.Empty(t, c.BaseURL(), name)
		assert.Empty(t, c.AppID(), name)
		assert.NotPanics(t, c.CloseIdleConnections, name)
		for method, call := range everyCall(c) {
			assertClass(t, client.ErrMisconfigured, call(t.Context(), testToken), name+" "+method)
		}
	}
}
