package roles_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/enroll"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/echomfa/echomfa/integration/recipes/roles"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newShop has a session for each role, named by the cookie.
func newShop(t *testing.T) (*genauthtest.Server, http.Handler) {
	t.Helper()
	emulator := genauthtest.Start(t)
	sessions := make(map[string]roles.Session)
	for name, factors := range map[string][]genauthtest.FactorType{
		"customer": nil, "staff": {genauthtest.OTP}, "staff-new": nil, "staff-full": {genauthtest.OTP, genauthtest.Email}, "clerk": nil,
	} {
		emulator.AddUser(genauthtest.User{ID: name, Factors: factors})
		role := name
		if len(role) > 5 && role[:5] == "staff" {
			role = "staff"
		}
		token := emulator.Mint(genauthtest.Token{UserID: name, Claims: map[string]any{"auth_time": time.Now().Unix()}})
		sessions[name] = roles.Session{UserID: name, Token: token, Role: role}
	}
	genauth, err := client.New(client.Config{BaseURL: emulator.URL(), AppID: emulator.AppID()})
	require.NoError(t, err)
	mfa, app, err := roles.NewApp(genauth, enroll.InsecureRandomKey(), func(r *http.Request) (roles.Session, bool) {
		cookie, err := r.Cookie("session")
		if err != nil {
			return roles.Session{}, false
		}
		session, ok := sessions[cookie.Value]
		return session, ok
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, mfa.Close())
		genauth.CloseIdleConnections()
	})
	return emulator, app
}

func get(t *testing.T, app http.Handler, target, session string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if session != "" {
		r.AddCookie(&http.Cookie{Name: "session", Value: session})
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, r)
	return w
}

// TestRoles has who gets what where.
func TestRoles(t *testing.T) {
	t.Parallel()
	emulator, app := newShop(t)
	for _, row := range []struct {
		session     string
		shop, admin int
	}{
		{"", 200, 401},
		{"a-cookie-of-yesterday", 200, 401},
		{"customer", 200, 403},
		{"clerk", 500, 403},
		{"staff-new", 403, 403},
		{"staff", 200, 403},
		{"staff-full", 200, 200},
	} {
		if row.session == "staff-new" {
			assert.Zero(t, emulator.ListCalls(), "GenAuth is asked about staff only")
		}
		assert.Equal(t, row.shop, get(t, app, "/shop", row.session).Code, "shop: %s", row.session)
		assert.Equal(t, row.admin, get(t, app, "/admin", row.session).Code, "admin: %s", row.session)
	}
	assert.Equal(t, "For staff only.\n", get(t, app, "/admin", "customer").Body.String(), "not a question of MFA")
}

// TestAnonymousBrowsers are sent to sign in, and only where they have to.
func TestAnonymousBrowsers(t *testing.T) {
	t.Parallel()
	_, app := newShop(t)
	w := get(t, app, "/admin", "", "Accept", "text/html", "Sec-Fetch-Mode", "navigate")
	assert.Equal(t, http.StatusFound, w.Code)
	assert.Equal(t, "/login?return_to=%2Fadmin", w.Header().Get("Location"))
	assert.Equal(t, "Hello, \n", get(t, app, "/shop", "", "Accept", "text/html", "Sec-Fetch-Mode", "navigate").Body.String())
}

// TestPagesAskForTheSame compares what the enrollment pages ask for with the routes.
func TestPagesAskForTheSame(t *testing.T) {
	t.Parallel()
	_, app := newShop(t)
	asked := func(session, returnTo string) string {
		w := get(t, app, "/mfa?return_to="+returnTo, session, "Accept", "text/html")
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		return w.Body.String()
	}
	assert.Contains(t, asked("staff-new", "/shop"), `value="OTP"`)
	assert.NotContains(t, asked("staff-new", "/shop"), `value="EMAIL"`)
	assert.NotContains(t, asked("staff", "/admin"), "You&#39;re all set.")
	assert.Contains(t, asked("staff", "/shop"), "You&#39;re all set.")
	assert.Contains(t, asked("customer", "/admin"), "You&#39;re all set.")
}
