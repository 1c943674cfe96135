package oidc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/enroll"
	"golang.org/x/oauth2"
)

// sessionLife is how long a session lasts.
const sessionLife = 8 * time.Hour

// session is a browser that has signed in. The tokens stay on the server.
type session struct {
	userID, name string
	idToken      string // by which GenAuth knows whose session ends
	signedIn     time.Time
	ends         time.Time
	tokens       oauth2.TokenSource
}

// sessions are in the memory of this process. A store that instances share has to keep
// two of them from renewing one token at once.
type sessions struct {
	mu   sync.Mutex
	byID map[string]*session
}

// begin starts a session in the place of the browser's old one, and returns its id.
func (s *sessions) begin(old string, started *session) (id string) {
	id = rand.Text()
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, old)
	for id, session := range s.byID {
		if now.After(session.ends) {
			delete(s.byID, id)
		}
	}
	s.byID[id] = started
	return id
}

// of returns a session, or nil.
func (s *sessions) of(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.byID[id]
	if found == nil || time.Now().After(found.ends) {
		return nil
	}
	return found
}

// end forgets a session and returns it, or nil.
func (s *sessions) end(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := s.byID[id]
	delete(s.byID, id)
	return found
}

func (s *SignIn) sessionID(r *http.Request) string {
	cookies := r.CookiesNamed(s.cookieName("session"))
	if len(cookies) != 1 {
		return ""
	}
	return cookies[0].Value
}

// User is who has signed in.
type User struct {
	ID, Name    string
	SignedIn    time.Time // when the password was given; zero if GenAuth has not said
	AccessToken string
}

type userKey struct{}

// UserOf returns who has signed in, inside of Sessions; the zero User is nobody.
func UserOf(r *http.Request) User {
	user, _ := r.Context().Value(userKey{}).(User)
	return user
}

// Sessions is the middleware that knows who is there, and renews the access token shortly
// before it expires. Mount it before the guard and the enrollment pages.
func (s *SignIn) Sessions(mfa *echomfa.Enforcer) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id := s.sessionID(r)
			current := s.sessions.of(id)
			if current == nil {
				next.ServeHTTP(w, r) // nobody
				return
			}
			token, err := current.tokens.Token()
			var refused *oauth2.RetrieveError
			switch {
			case err == nil:
				user := User{ID: current.userID, Name: current.name, SignedIn: current.signedIn, AccessToken: token.AccessToken}
				next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
			case errors.As(err, &refused) && refused.ErrorCode == "invalid_grant":
				// The user has signed out at GenAuth, or must not sign in any more.
				s.sessions.end(id)
				next.ServeHTTP(w, r)
			default:
				// GenAuth is away. The session may be good, so it stays.
				s.cfg.Logger.ErrorContext(r.Context(), "the access token cannot be renewed", "error", err)
				mfa.WriteRefusal(w, r, fmt.Errorf("%w: %w", echomfa.ErrUnavailable, err))
			}
		})
	}
}

// Token is echomfa.Config.Token.
func Token(r *http.Request) (string, error) { return UserOf(r).AccessToken, nil } // "" is a 401

// RecentSignIn is enroll.Config.RecentSignIn.
func RecentSignIn(r *http.Request) (enroll.SignIn, error) {
	user := UserOf(r)
	return enroll.SignIn{Subject: user.ID, Time: user.SignedIn}, nil
}

// UserName is enroll.Config.UserName.
func UserName(r *http.Request) string { return UserOf(r).Name }
