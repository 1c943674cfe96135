package genauthtest_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/genauthtest"
)

// schemas is testdata/required.json, which says where it comes from.
type schemas struct {
	Failure map[string]string `json:"failure"`
	Success map[string]struct {
		Schema   string            `json:"schema"`
		Required map[string]string `json:"required"`
		LeftOut  []string          `json:"left_out"`
	} `json:"success"`
}

func readSchemas(t *testing.T) schemas {
	t.Helper()
	text, err := os.ReadFile("testdata/required.json")
	require.NoError(t, err)
	var s schemas
	require.NoError(t, json.Unmarshal(text, &s))
	return s
}

// at returns the values at a path such as "data[].factorId".
func at(value any, path string) []any {
	name, rest, deeper := strings.Cut(path, ".")
	name, each := strings.CutSuffix(name, "[]")
	object, _ := value.(map[string]any)
	found, ok := object[name]
	if !ok {
		return []any{nil}
	}
	values := []any{found}
	if each {
		values, _ = found.([]any)
	}
	if !deeper {
		return values
	}
	var all []any
	for _, v := range values {
		all = append(all, at(v, rest)...)
	}
	return all
}

func kindOf(value any) string {
	switch value.(type) {
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return "absent or null"
}

// hasRequired checks an answer against a table of members.
func hasRequired(t *testing.T, r *reply, required map[string]string, name string) map[string]any {
	t.Helper()
	var body map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.Body), &body), "%s: %s", name, r.Body)
	for path, kind := range required {
		values := at(body, path)
		assert.NotEmpty(t, values, "%s: %s", name, path)
		for _, value := range values {
			assert.Equal(t, kind, kindOf(value), "%s: %s in %s", name, path, r.Body)
		}
	}
	return body
}

// TestAnswersHaveTheRequiredMembers compares a success of every endpoint with
// GenAuth's schemas.
func TestAnswersHaveTheRequiredMembers(t *testing.T) {
	t.Parallel()
	s, alice := signedIn(t, genauthtest.Config{}, genauthtest.User{
		Username: "alice", Email: "a@example.com", Phone: "188", Factors: []genauthtest.FactorType{genauthtest.Email},
	})
	token := s.AccessToken("alice")
	id := decode[[]row](t, alice.list())[0].ID
	begun := alice.post(sendPath, map[string]any{"factorType": "OTP", "profile": map[string]any{}})
	enrollment := decode[struct{ EnrollmentToken string }](t, begun).EnrollmentToken
	signIn := map[string]any{
		"connection": "PASSWORD", "client_id": s.AppID(),
		"passwordPayload": map[string]string{"account": "alice", "password": "password"},
	}
	secret := map[string]string{"appId": s.AppID(), "appSecret": "genauthtest-app-secret"}
	mfa := s.Mint(genauthtest.Token{Kind: genauthtest.KindMFA, UserID: "alice"})
	// In this order: each may change what the next one finds.
	calls := []struct {
		endpoint string
		answer   func() *reply
	}{
		{"GET /api/v3/list-enrolled-factors", alice.list},
		{"GET /api/v3/list-factors-to-enroll", func() *reply { return alice.get(toEnrollPath) }},
		{"GET /api/v3/get-factor", func() *reply { return alice.get(getPath + "?factorId=" + id) }},
		{"POST /api/v3/send-enroll-factor-request", func() *reply { return begun }},
		{"POST /api/v3/enroll-factor", func() *reply { return alice.post(enrollPath, confirmation("OTP", enrollment, s.OTPCode("alice"))) }},
		{"POST /api/v3/mfa-totp-verify", func() *reply { return alice.post(verifyPath, map[string]string{"totp": s.OTPCode("alice")}) }},
		{"POST /api/v3/reset-factor", func() *reply { return alice.post(resetPath, map[string]string{"factorId": id}) }},
		{"POST /api/v3/signin", func() *reply { return alice.post(signInPath, signIn) }},
		{"GET /api/v3/get-profile", func() *reply { return alice.get("/api/v3/get-profile") }},
		{"POST /api/v3/check-app-id-secret", func() *reply { return alice.post("/api/v3/check-app-id-secret", secret) }},
		{"POST /mfa/token/introspection", func() *reply { return alice.form("/mfa/token/introspection", "token", mfa) }},
		{"POST /oidc/token/introspection", func() *reply { return alice.form("/oidc/token/introspection", "token", token) }},
		{"POST /oidc/token/revocation", func() *reply { return alice.form("/oidc/token/revocation", "token", token) }},
		{"GET /oidc/.well-known/openid-configuration", func() *reply { return alice.get("/oidc/.well-known/openid-configuration") }},
	}
	table := readSchemas(t)
	assert.Len(t, calls, len(table.Success))
	for _, call := range calls {
		want, known := table.Success[call.endpoint]
		require.True(t, known, call.endpoint)
		r := call.answer()
		assert.Equal(t, http.StatusOK, r.HTTPStatus, call.endpoint)
		if _, enveloped := want.Required["statusCode"]; enveloped {
			assert.Equal(t, http.StatusOK, r.StatusCode, "%s: %s", call.endpoint, r.Body)
		}
		body := hasRequired(t, r, want.Required, call.endpoint)
		for _, name := range want.LeftOut {
			assert.NotContains(t, body, name, "%s: it is there, so it is not left out", call.endpoint)
		}
	}
}

// TestFailuresLookLikeTheDocumentedOnes has a failure of every endpoint under
// /api/v3. None has data, whatever the schema of the success requires.
func TestFailuresLookLikeTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	s, alice := signedIn(t, genauthtest.Config{}, genauthtest.User{})
	nobody, elsewhere := as(t, s, ""), as(t, s, s.AccessToken("alice"))
	elsewhere.header.Set("X-Authing-App-Id", "another")
	table := readSchemas(t)
	for endpoint := range table.Success {
		method, path, _ := strings.Cut(endpoint, " ")
		if !strings.HasPrefix(path, "/api/v3/") {
			continue
		}
		failures := map[string]*reply{"not JSON, or no such": alice.do(method, path, "application/json", "{")}
		if path != "/api/v3/check-app-id-secret" { // it takes no token and says false
			failures["no token"] = nobody.do(method, path, "application/json", "{}")
			failures["no such app"] = elsewhere.do(method, path, "application/json", "{}")
		}
		s.SetFault(genauthtest.Fault{Path: path, Change: genauthtest.RateLimited("")})
		failures["limited"] = alice.do(method, path, "application/json", "{}")
		s.SetFault(genauthtest.Fault{Path: path, Change: genauthtest.Envelope(500, 0)})
		failures["trouble"] = alice.do(method, path, "application/json", "{}")
		s.ClearFaults()
		for name, r := range failures {
			if r.StatusCode == http.StatusOK && method == http.MethodGet {
				continue // a GET has no body to be wrong
			}
			body := hasRequired(t, r, table.Failure, endpoint+", "+name)
			assert.NotEqual(t, http.StatusOK, r.StatusCode, "%s, %s", endpoint, name)
			assert.NotContains(t, body, "data", "%s, %s", endpoint, name)
		}
	}
}
