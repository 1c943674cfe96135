package genauthtest

import (
	"net/http"
	"strings"
)

// GenAuth's codes (its error-code page), as far as the emulator sends them.
const (
	codeUserLocked     = 2005    // sign-in of a disabled user
	codeNoSuchApp      = 2011    // the application does not exist
	codeNotSignedIn    = 2020    // no right to the request
	codeTooManyMails   = 2080    // one code a minute
	codeWrongPassword  = 2333    // wrong account or password
	codeWrongPassCode  = 2001    // wrong SMS or e-mail code
	codeUserDisabled   = 2120008 // disabled, or not in the tenant
	codeNoFacePhoto    = 1700
	codeFaceNeedsPhone = 1703
	codeWrongTOTP      = 6001
	codeMissingTOTP    = 6003
)

// noSuchApp answers a wrong app id. GenAuth documents the code and, on an
// older page, the statusCode.
func noSuchApp() Answer { return fail(499, codeNoSuchApp, "The application does not exist.") }

// unauthenticated answers a missing or bad token. GenAuth documents the
// statusCode and the code; that they come together, and that they come for
// expired, revoked and foreign tokens alike, is the emulator's choice.
func unauthenticated() Answer {
	return fail(http.StatusUnauthorized, codeNotSignedIn, "Not logged in, no permission to access this request.")
}

func badRequest(message string) Answer { return fail(http.StatusBadRequest, 0, message) }

// appOf returns the app id of a request, by the first of the header's names that
// it has.
func (s *Server) appOf(r *http.Request) string {
	for _, name := range s.cfg.AppIDHeaders {
		if app := r.Header.Get(name); app != "" {
			return app
		}
	}
	return ""
}

// bearer returns the token of a request. GenAuth's own clients send it with
// and without the scheme.
func bearer(r *http.Request) string {
	value := strings.TrimSpace(r.Header.Get("Authorization"))
	if scheme, token, found := strings.Cut(value, " "); found {
		if !strings.EqualFold(scheme, "Bearer") {
			return ""
		}
		return strings.TrimSpace(token)
	}
	return value
}

// asCaller runs an endpoint for the user of the request's token, holding s.mu,
// or answers why there is none.
func (s *Server) asCaller(r *http.Request, endpoint func(*account) Answer) Answer {
	switch app := s.appOf(r); {
	case app == "" && s.cfg.AppIDOptional:
	case app != s.cfg.AppID:
		return noSuchApp()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, g := s.userOf(bearer(r))
	switch {
	case g == nil:
		return unauthenticated()
	case a.disabled:
		return fail(http.StatusForbidden, codeUserDisabled, "The user is disabled.")
	}
	return endpoint(a)
}

// userOf returns the user of a token that the API takes, and what is known of
// the token; nil, nil for any other.
func (s *Server) userOf(token string) (*account, *grant) {
	g := s.grants[token]
	if g == nil || !g.activeAt(s.now()) || g.audience != s.cfg.AppID && !s.cfg.AcceptAnyAudience {
		return nil, nil
	}
	switch g.kind {
	case KindAccess:
	case KindID:
		if !s.cfg.AcceptIDTokens {
			return nil, nil
		}
	case KindMFA:
		if !s.cfg.AcceptMFATokens {
			return nil, nil
		}
	case KindMachine:
		return nil, nil
	}
	return s.users[g.userID], g
}
