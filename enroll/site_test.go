package enroll_test

import (
	"bytes"
	"context"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/genauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/enroll"
)

const (
	listPath   = genauthtest.ListEnrolledFactorsPath
	offerPath  = "/api/v3/list-factors-to-enroll"
	sendPath   = "/api/v3/send-enroll-factor-request"
	enrollPath = "/api/v3/enroll-factor"
	resetPath  = "/api/v3/reset-factor"
	verifyPath = "/api/v3/mfa-totp-verify"
)

// callbackPanic is what a callback of an app panics with.
const callbackPanic = "callback failed"

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// setup is what a test may change of a site.
type setup struct {
	enroll.Config

	GenAuth genauthtest.Config
	Beside  *genauthtest.Server // of another instance of the app
	MFA     echomfa.Config
}

// site is an app with the pages and one guarded page, /admin, which needs OTP.
type site struct {
	t       *testing.T
	genauth *genauthtest.Server
	mfa     *echomfa.Enforcer
	pages   *enroll.Handler
	app     http.Handler
	logged  *buffer

	mu     sync.Mutex
	events []enroll.Event
}

func newSite(t *testing.T, change func(*setup)) *site {
	t.Helper()
	s := &site{t: t, logged: &buffer{}}
	logger := slog.New(slog.NewTextHandler(s.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	set := &setup{
		Config: enroll.Config{
			BasePath: "/mfa", StateKeys: [][]byte{enroll.InsecureRandomKey()}, Policy: echomfa.AnyOf(echomfa.OTP), Home: "/home",
			Logger: logger,
			OnChange: func(_ context.Context, e enroll.Event) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.events = append(s.events, e)
			},
		},
		MFA: echomfa.Config{EnrollURL: "/mfa", LoginURL: "/login", Logger: logger, Lookup: echomfa.LookupConfig{Timeout: time.Minute}},
	}
	if change != nil {
		change(set)
	}
	set.AuthTime = set.AuthTime || set.RecentSignIn == nil && !set.InsecureSkipProof
	if s.genauth = set.Beside; s.genauth == nil {
		s.genauth = genauthtest.Start(t, set.GenAuth)
	}
	genauth, err := client.New(client.Config{BaseURL: s.genauth.URL(), AppID: s.genauth.AppID(), Timeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(genauth.CloseIdleConnections)
	set.MFA.Client = genauth
	s.mfa, err = echomfa.New(set.MFA)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.mfa.Close()) })
	set.Client, set.Enforcer = genauth, s.mfa
	s.pages, err = enroll.New(set.Config)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/mfa", s.pages)
	mux.Handle("/mfa/", s.pages)
	mux.Handle("/admin", s.mfa.Middleware(echomfa.HandlerConfig{Policy: echomfa.AnyOf(echomfa.OTP)})(http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })))
	s.app = mux
	return s
}

func (s *site) changes() []enroll.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]enroll.Event(nil), s.events...)
}

// assertChanges checks what OnChange has been told.
func (s *site) assertChanges(user session, want ...enroll.Event) {
	s.t.Helper()
	have := s.changes()
	for i := range have {
		assert.WithinDuration(s.t, time.Now(), have[i].Time, time.Minute)
		have[i].Time = time.Time{}
	}
	for i := range want {
		want[i].Subject = user.id
	}
	assert.Equal(s.t, want, have)
}

// session is a signed-in user.
type session struct {
	*site

	id, token string
}

// signIn adds a user who signed in just now.
func (s *site) signIn(factors ...genauthtest.FactorType) session {
	s.t.Helper()
	user := s.genauth.AddUser(genauthtest.User{Factors: factors})
	return s.again(user.ID)
}

// again is another session of a user.
func (s *site) again(id string) session {
	return s.with(id, map[string]any{"auth_time": time.Now().Unix()})
}

func (s *site) with(id string, claims map[string]any) session {
	return session{site: s, id: id, token: s.genauth.Mint(genauthtest.Token{UserID: id, Claims: claims})}
}

func (u session) do(method, target string, form url.Values, change ...func(*http.Request)) answer {
	u.t.Helper()
	r := httptest.NewRequestWithContext(u.t.Context(), method, target, strings.NewReader(form.Encode()))
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if u.token != "" {
		r.Header.Set("Authorization", "Bearer "+u.token)
	}
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	u.app.ServeHTTP(w, r)
	a := answer{Response: w.Result(), t: u.t, html: w.Body.String()}
	a.text = html.UnescapeString(a.html)
	if method == http.MethodPost && a.StatusCode == http.StatusSeeOther {
		return u.follow(a, change...)
	}
	return a
}

var ownPage = regexp.MustCompile(`^[^?]*?(/mfa/(?:step/|signin|continue).*)$`)

// follow asks for the page that a form leads to, as a browser does.
func (u session) follow(from answer, change ...func(*http.Request)) answer {
	u.t.Helper()
	at := ownPage.FindStringSubmatch(from.Header.Get("Location"))
	if at == nil {
		return from
	}
	require.Empty(u.t, from.html)
	a := u.do(http.MethodGet, at[1], nil, append(change, with(from.Cookies()))...)
	a.from, a.at, a.cookies = &from, at[1], from.Cookies()
	return a
}

// with adds the cookies of an answer to a request.
func with(cookies []*http.Cookie) func(*http.Request) {
	return func(r *http.Request) {
		for _, cookie := range cookies {
			if cookie.MaxAge >= 0 {
				r.AddCookie(cookie)
			}
		}
	}
}

// reload asks for a page again that a form led to.
func (u session) reload(a answer) answer {
	u.t.Helper()
	require.NotEmpty(u.t, a.at)
	again := u.do(http.MethodGet, a.at, nil, with(a.cookies))
	again.at, again.cookies = a.at, a.cookies
	return again
}

func (u session) get(target string) answer { return u.do(http.MethodGet, target, nil) }

// post sends a form, given as name, value, ...
func (u session) post(target string, fields ...string) answer {
	u.t.Helper()
	return u.do(http.MethodPost, target, formOf(fields...))
}

func formOf(fields ...string) url.Values {
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return form
}

// begin begins the enrollment of a factor with nothing but the session.
func (u session) begin(t genauthtest.FactorType) answer {
	u.t.Helper()
	return u.post("/mfa/begin", "type", string(t)).is(http.StatusOK)
}

// guarded is the status of the guarded page.
func (u session) guarded() int {
	u.t.Helper()
	return u.do(http.MethodGet, "/admin", nil, func(r *http.Request) {
		r.Header.Set("Accept", "application/json")
		r.Header.Del("Sec-Fetch-Mode")
	}).StatusCode
}

// code is what the app with a secret shows now.
func (u session) code(secret string) string {
	u.t.Helper()
	code, err := genauthtest.TOTP(secret, u.genauth.Now())
	require.NoError(u.t, err)
	return code
}

// wrongCode returns a code that is wrong now.
func wrongCode(right string) string {
	if right[5] == '9' {
		return right[:5] + "0"
	}
	return right[:5] + string(right[5]+1)
}

// withFault spoils the next answers of an endpoint of GenAuth.
func (s *site) withFault(path string, change func(*genauthtest.Answer)) {
	s.genauth.SetFault(genauthtest.Fault{Path: path, Change: change})
}

// after spoils answers from the moment on that an endpoint is asked.
func (s *site) after(path string, faults ...genauthtest.Fault) {
	s.genauth.OnRequest(func(asked *http.Request) {
		if asked.URL.Path == path {
			s.genauth.SetFault(faults...)
		}
	})
}

// rows is the data of an answer that lists factors, given as id, type, ...
func rows(fields ...string) func(*genauthtest.Answer) {
	var list []string
	for i := 0; i+1 < len(fields); i += 2 {
		list = append(list, fmt.Sprintf(`{"factorId":%q,"factorType":%q}`, fields[i], fields[i+1]))
	}
	return genauthtest.Data("[" + strings.Join(list, ",") + "]")
}

// partial is a list of factors of which one cannot be read.
func partial(fields ...string) func(*genauthtest.Answer) {
	return func(a *genauthtest.Answer) {
		rows(fields...)(a)
		a.Body = bytes.Replace(a.Body, []byte(`"data":[`), []byte(`"data":[{"factorType":""}`+map[bool]string{true: ",", false: ""}[len(fields) > 0]), 1)
	}
}
