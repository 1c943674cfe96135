package main

import (
	"crypto/rand"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/enroll"
	"github.com/labstack/echo/v4"
)

const (
	cookieName  = "portal_session"
	sessionLife = 8 * time.Hour
)

// session is a signed-in browser. The access token stays on the server: anybody
// who holds one can change the user's factors at GenAuth directly.
type session struct {
	user     string
	userID   string // at GenAuth
	token    string
	signedIn time.Time
}

// sessions are kept in memory: a real app has a store that its instances share.
type sessions struct {
	path string // of the cookie

	mu   sync.Mutex
	byID map[string]session
}

// begin starts a session and gives the browser its cookie.
func (s *sessions) begin(c echo.Context, user, userID, token string) {
	now, id := time.Now(), rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(c.Request())
	for old, session := range s.byID {
		if now.Sub(session.signedIn) > sessionLife {
			delete(s.byID, old)
		}
	}
	s.byID[id] = session{user: user, userID: userID, token: token, signedIn: now}
	c.SetCookie(&http.Cookie{
		Name: cookieName, Value: id, Path: s.path, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: c.IsTLS(),
	})
}

// end ends the session of a request, if there is one.
func (s *sessions) end(c echo.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(c.Request())
	c.SetCookie(&http.Cookie{Name: cookieName, Path: s.path, MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: c.IsTLS()})
}

// drop forgets the session of a request. The lock is held.
func (s *sessions) drop(r *http.Request) {
	for _, cookie := range r.CookiesNamed(cookieName) {
		delete(s.byID, cookie.Value)
	}
}

// of returns the session of a request; the zero session has no token.
func (s *sessions) of(r *http.Request) (session, error) {
	cookies := r.CookiesNamed(cookieName)
	switch len(cookies) {
	case 0:
		return session{}, nil
	case 1:
	default:
		return session{}, &echomfa.TokenError{Code: "invalid_request", Reason: "more than one session"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.byID[cookies[0].Value]
	if time.Since(found.signedIn) > sessionLife {
		return session{}, nil
	}
	return found, nil
}

// token reads the Authorization header if there is one, else the session. Both,
// and different, leaves open who is asking.
func (s *sessions) token(r *http.Request) (string, error) {
	current, err := s.of(r)
	if err != nil {
		return "", err
	}
	lines := r.Header.Values("Authorization")
	if len(lines) == 0 {
		return current.token, nil
	}
	scheme, token, _ := strings.Cut(lines[0], " ")
	token = strings.TrimLeft(token, " ")
	if len(lines) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" || current.token != "" && current.token != token {
		return "", &echomfa.TokenError{Code: "invalid_request", Reason: "more than one credential, or not a bearer token"}
	}
	return token, nil
}

// recentSignIn tells the enrollment pages who gave the password when. A request with a
// header and no session did not.
func (s *sessions) recentSignIn(r *http.Request) (enroll.SignIn, error) {
	current, err := s.of(r)
	return enroll.SignIn{Subject: current.userID, Time: current.signedIn}, err
}

// userName tells the enrollment pages what the user knows the account by.
func (s *sessions) userName(r *http.Request) string {
	current, _ := s.of(r)
	return current.user
}
