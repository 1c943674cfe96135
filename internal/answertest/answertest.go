// Package answertest holds the table of answers, one row for each row of the
// table in docs/answers.md, to be run over every adapter: Echo v4, Echo v5, net/http, and
// in the integration module gin and chi.
package answertest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
)

// Mount puts handler behind the policy, at every path and for every method.
type Mount func(e *echomfa.Enforcer, p echomfa.Policy, handler http.Handler) http.Handler

// The tokens that the table's GenAuth knows.
const (
	Enrolled      = "token-enrolled"
	NotEnrolled   = "token-not-enrolled"
	refused       = "token-refused"
	unavailable   = "token-unavailable"
	limited       = "token-limited"
	misconfigured = "token-misconfigured"
	malformed     = "token-malformed"
	panicking     = "token-panicking"
)

// named is a token of a user who has not enrolled the factors either.
func named() string { return JWT(map[string]any{"sub": "user-1", "aud": "app"}) }

// Lister answers for the tokens above.
func Lister(_ context.Context, token string) ([]client.Factor, error) {
	switch token {
	case Enrolled:
		return []client.Factor{{ID: "1", Type: client.OTP}}, nil
	case NotEnrolled, named():
		return []client.Factor{{ID: "2", Type: client.Email}}, nil
	case refused:
		return nil, client.ErrUnauthenticated
	case limited:
		return nil, &client.APIError{HTTPStatus: http.StatusTooManyRequests, StatusCode: 429, RetryAfter: 7 * time.Second}
	case misconfigured:
		return nil, client.ErrMisconfigured
	case malformed:
		return nil, client.ErrMalformed
	case panicking:
		panic("lister")
	default:
		return nil, client.ErrUnavailable
	}
}

// Row is one request and its answer.
type Row struct {
	request    string            // "GET /path?query"
	headers    []string          // "Name: value"
	config     echomfa.Config    // EnrollURL, LoginURL, ReturnTo, TokenLookup
	wantStatus int               //
	want       map[string]string // header values; empty: the header is absent
	wantError  string            // of the challenge, for a 401
	wantBody   string            // what the body contains, "" for an empty one
	wantPolicy string            // what the Content-Security-Policy contains
}

const (
	asBrowser = "Sec-Fetch-Mode: navigate"
	asHTMX    = "HX-Request: true"
	fromPage  = "HX-Current-URL: http://example.com/admin/list?page=3"
	isJSON    = "application/problem+json"
	isHTML    = "text/html; charset=utf-8"
	anyBody   = "\x00"
)

func bearer(token string) string { return "Authorization: Bearer " + token }

// Run runs the table. Each answer is also compared, as a whole, with the file
// of its row in the golden directory.
func Run(t *testing.T, mount Mount, golden string) {
	t.Helper()
	all := rows()
	checkGoldenFiles(t, golden, all)
	for name, row := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checkGolden(t, goldenFile(golden, name), row.run(t, mount))
		})
	}
}

// run sends the row's request and returns it and its answer as text.
func (row *Row) run(t *testing.T, mount Mount) string {
	t.Helper()
	cfg := row.config
	cfg.Client, cfg.Namespace, cfg.Audience = echomfa.FactorListerFunc(Lister), "answertest", []string{"app"}
	enforcer, err := echomfa.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, enforcer.Close()) })

	ran := false
	handler := mount(enforcer, echomfa.AnyOf(echomfa.OTP, echomfa.Face), http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			ran = true
			w.Header().Set("Content-Type", "text/plain; charset=utf-8") // Echo would not guess it
			_, _ = w.Write([]byte("secret page"))
		}))

	method, target, _ := strings.Cut(row.request, " ")
	r := httptest.NewRequestWithContext(t.Context(), method, target, nil)
	for _, line := range row.headers {
		key, value, _ := strings.Cut(line, ": ")
		r.Header.Add(key, value)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	row.check(t, w, ran)
	return row.request + "\n" + strings.Join(row.headers, "\n") + "\n\n" + answerText(w.Result())
}

func (row *Row) check(t *testing.T, w *httptest.ResponseRecorder, ran bool) {
	t.Helper()
	assert.Equal(t, row.wantStatus, w.Code)
	assert.Equal(t, row.wantStatus == http.StatusOK, ran, "the handler runs only behind an allowed request")
	for key, value := range row.want {
		assert.Equal(t, value, w.Header().Get(key), key)
	}
	body := w.Body.String()
	switch row.wantBody {
	case anyBody:
	case "":
		assert.Empty(t, body)
	default:
		assert.Contains(t, body, row.wantBody)
	}
	if ran {
		return
	}
	assert.NotContains(t, body, "secret page")
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
	assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	vary := strings.Join(w.Header().Values("Vary"), ",")
	for _, name := range []string{
		"Accept", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-Site", "HX-Request", "HX-Boosted", "HX-History-Restore-Request",
		"HX-Current-URL", "X-Requested-With", "X-Inertia", "X-Up-Version", "X-Up-Target", "Turbo-Frame", "X-Turbo-Request-Id",
		"Sec-Purpose", "Cookie",
	} {
		assert.Contains(t, vary, name)
	}
	assert.Contains(t, w.Header().Get("Content-Security-Policy"), row.wantPolicy)
	if w.Code == http.StatusUnauthorized {
		row.checkChallenge(t, w.Header().Get("WWW-Authenticate"))
	} else {
		assert.Empty(t, w.Header().Get("WWW-Authenticate"))
	}
	if w.Header().Get("Content-Type") == isJSON && body != "" {
		checkProblem(t, w)
	}
}

func (row *Row) checkChallenge(t *testing.T, challenge string) {
	t.Helper()
	require.True(t, strings.HasPrefix(challenge, `Bearer realm="mfa"`), challenge)
	if row.wantError == "" {
		assert.NotContains(t, challenge, "error=")
		return
	}
	assert.Contains(t, challenge, `error="`+row.wantError+`"`)
}

// checkProblem checks what all problem documents have in common.
func checkProblem(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	var p struct {
		Type, Title, Detail string
		Status              int
		DecisionID          string `json:"decision_id"`
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
	assert.Equal(t, w.Code, p.Status)
	assert.NotEmpty(t, p.Type)
	assert.NotEmpty(t, p.Title)
	assert.NotEmpty(t, p.Detail)
	assert.NotEmpty(t, p.DecisionID)
}

// JWT returns an unsigned token with the given claims.
func JWT(claims map[string]any) string {
	raw, err := json.Marshal(claims)
	if err != nil {
		panic(errors.New("claims: " + err.Error()))
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(raw) + "." + encode([]byte("signature"))
}
