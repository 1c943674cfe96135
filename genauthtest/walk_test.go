package genauthtest_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
)

// TestEnrollmentWalk enrolls and removes an authenticator app by the client of
// this project, with real codes.
func TestEnrollmentWalk(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.AddUser(genauthtest.User{ID: "u1", Username: "alice", Password: "pw", Email: "a@example.com", Phone: "188"})
	c, err := client.New(client.Config{BaseURL: s.URL(), AppID: s.AppID(), Timeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	ctx, token := t.Context(), s.AccessToken("u1")

	offered, err := c.ListFactorsToEnroll(ctx, token)
	require.NoError(t, err)
	assert.Contains(t, offered, client.OTP)

	begun, err := c.SendEnrollFactorRequest(ctx, token, client.EnrollRequest{Type: client.OTP})
	require.NoError(t, err)
	uri, err := url.Parse(begun.OTP.QRCodeURI)
	require.NoError(t, err)
	code, err := genauthtest.TOTP(uri.Query().Get("secret"), s.Now())
	require.NoError(t, err)
	confirm := client.EnrollConfirmation{Type: client.OTP, EnrollmentToken: begun.Token, PassCode: "000000"}
	if code == confirm.PassCode {
		confirm.PassCode = "000001"
	}
	assert.True(t, client.IsWrongCode(c.EnrollFactor(ctx, token, confirm)), "a wrong code is said to be one")
	confirm.PassCode = code
	require.NoError(t, c.EnrollFactor(ctx, token, confirm))

	list, err := c.ListEnrolledFactors(ctx, token)
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, client.OTP, list[0].Type)
	one, err := c.GetFactor(ctx, token, list[0].ID)
	require.NoError(t, err)
	assert.Equal(t, list[0].ID, one.ID)
	ok, err := c.VerifyTOTP(ctx, token, s.OTPCode("u1"))
	require.NoError(t, err)
	assert.True(t, ok)
	require.NoError(t, c.ResetFactor(ctx, token, list[0].ID))
	list, err = c.ListEnrolledFactors(ctx, token)
	require.NoError(t, err)
	assert.Empty(t, list)
}

// TestEnrollmentTokenExpires shows that the one minute is kept.
func TestEnrollmentTokenExpires(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.AddUser(genauthtest.User{ID: "u1", Email: "a@example.com", Phone: "188"})
	c, err := client.New(client.Config{BaseURL: s.URL(), AppID: s.AppID(), Timeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	ctx, token := t.Context(), s.AccessToken("u1")
	begun, err := c.SendEnrollFactorRequest(ctx, token, client.EnrollRequest{Type: client.Email, Email: "a@example.com"})
	require.NoError(t, err)
	confirm := client.EnrollConfirmation{Type: client.Email, EnrollmentToken: begun.Token, PassCode: s.PassCode("u1", genauthtest.Email)}
	s.Advance(61 * time.Second)
	require.Error(t, c.EnrollFactor(ctx, token, confirm))
	begun, err = c.SendEnrollFactorRequest(ctx, token, client.EnrollRequest{Type: client.Email, Email: "a@example.com"})
	require.NoError(t, err)
	_, err = c.SendEnrollFactorRequest(ctx, token, client.EnrollRequest{Type: client.Email, Email: "a@example.com"})
	require.Error(t, err, "one a minute")
	confirm.EnrollmentToken, confirm.PassCode = begun.Token, s.PassCode("u1", genauthtest.Email)
	require.NoError(t, c.EnrollFactor(ctx, token, confirm))
	assert.Equal(t, []genauthtest.FactorType{genauthtest.Email}, s.Enrolled("u1"))
}

// TestSignInAndOIDC has the endpoints around the factors.
func TestSignInAndOIDC(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.AddUser(genauthtest.User{ID: "u1", Username: "alice", Password: "pw"})
	anybody := as(t, s, "")
	signed := anybody.post("/api/v3/signin", map[string]any{
		"connection": "PASSWORD", "client_id": s.AppID(),
		"passwordPayload": map[string]string{"username": "alice", "password": "pw"},
	})
	assert.Equal(t, 200, signed.StatusCode)
	tokens := decode[map[string]any](t, signed)
	access, ok := tokens["access_token"].(string)
	require.True(t, ok)
	assert.Contains(t, tokens, "expire_in")
	assert.Equal(t, 200, as(t, s, access).list().StatusCode)
	assert.Equal(t, 200, as(t, s, access).get("/api/v3/get-profile").StatusCode)

	wrong := anybody.post("/api/v3/signin", map[string]any{
		"connection": "PASSWORD", "passwordPayload": map[string]string{"username": "alice", "password": "no"},
	})
	assert.NotEqual(t, 200, wrong.StatusCode)

	mfa := s.Mint(genauthtest.Token{UserID: "u1", Kind: genauthtest.KindMFA})
	active := decode[map[string]any](t, anybody.form("/mfa/token/introspection", "token", mfa))
	assert.Equal(t, true, active["active"])
	assert.NotEqual(t, http.StatusOK, as(t, s, mfa).list().StatusCode, "no access token")
	inactive := decode[map[string]any](t, anybody.form("/mfa/token/introspection", "token", access))
	assert.Equal(t, false, inactive["active"])
}

// TestN8CheckAgainstTheEmulator shows that Check passes where the client works,
// in every mode, and tells a wrong application.
func TestN8CheckAgainstTheEmulator(t *testing.T) {
	t.Parallel()
	s := start(t)
	check := func(s *genauthtest.Server, change func(*client.Config)) error {
		config := client.Config{BaseURL: s.URL(), AppID: s.AppID()}
		change(&config)
		c, err := client.New(config)
		require.NoError(t, err)
		t.Cleanup(c.CloseIdleConnections)
		return c.Check(t.Context())
	}
	right := func(*client.Config) {}
	require.NoError(t, check(s, right))
	require.NoError(t, check(s, func(c *client.Config) { c.AppIDHeader = "x-genauth-app-id" }))
	odd := start(t, genauthtest.Config{AppIDOptional: true, AcceptAnyAudience: true, DataAsObject: true, AcceptIDTokens: true})
	require.NoError(t, check(odd, right))

	var failed *client.CheckError
	require.ErrorAs(t, check(s, func(c *client.Config) { c.AppID = "another" }), &failed)
	assert.Contains(t, failed.Problem, "no such application")
	require.ErrorAs(t, check(s, func(c *client.Config) { c.AppIDHeader = "x-other-app-id" }), &failed)
	assert.Contains(t, failed.Problem, "no such application")
	s.SetFault(genauthtest.Fault{Path: "*", Change: genauthtest.HTML()})
	require.ErrorAs(t, check(s, right), &failed)
	assert.Contains(t, failed.Problem, "a web page")
}
