package genauthtest

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

// TokenKind is what a token is for.
type TokenKind int

const (
	// KindAccess is a user's access token, the zero value.
	KindAccess TokenKind = iota
	// KindID is an ID token: it has nonce and at_hash.
	KindID
	// KindMachine is an access token of a program: it has azp and no sub.
	KindMachine
	// KindMFA is the token of a sign-in that waits for MFA.
	KindMFA
)

// Token says what token [Server.Mint] makes. The zero value but for UserID is
// an ordinary access token.
type Token struct {
	Kind TokenKind
	// UserID is the user of the token. Required, but for KindMachine, which
	// has none.
	UserID string
	// Audience is the application that the token is for. Default the
	// emulator's.
	Audience string
	// Scope is space-separated. Default "openid profile".
	Scope string
	// Lifetime counts from IssuedAt. Default Config.TokenLifetime. A negative
	// one makes a token that has expired already.
	Lifetime time.Duration
	// IssuedAt is by the emulator's clock. Default now.
	IssuedAt time.Time
	// Claims are added to those of the kind, or replace them; a nil value
	// removes one. They change what the token says, not what the emulator
	// knows of it.
	Claims map[string]any
	// Opaque makes random characters instead of a JWT.
	Opaque bool
	// MinLength makes the token at least so long, as tokens with many claims
	// are.
	MinLength int
}

// grant is what the emulator knows of a token that it has made.
type grant struct {
	kind              TokenKind
	jti, userID       string
	audience, scope   string
	issuedAt, expires time.Time
	revoked           bool
}

func (g *grant) activeAt(now time.Time) bool { return !g.revoked && now.Before(g.expires) }

// AccessToken makes an ordinary access token of a user: a JWT signed by RS256,
// with the claims that GenAuth's samples have (jti, sub, iat, exp, scope, iss,
// aud). Each call makes another one.
func (s *Server) AccessToken(userID string) string { return s.Mint(Token{UserID: userID}) }

// Mint makes a token. The emulator takes only tokens that it has made itself
// and that are as it made them, so a token of another [Server] is rejected.
// It panics on an unknown user, and on claims that are not JSON.
func (s *Server) Mint(t Token) string {
	g := s.newGrant(t, s.mintTime(t))
	raw := s.render(t, g)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.grants[raw] = g
	return raw
}

// mintTime returns the emulator's time, after it has made sure that the token's
// user is there: its panic must not leave the lock held.
func (s *Server) mintTime(t Token) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Kind != KindMachine {
		s.mustUser(t.UserID)
	}
	return s.now()
}

func (s *Server) newGrant(t Token, now time.Time) *grant {
	if !t.IssuedAt.IsZero() {
		now = t.IssuedAt
	}
	now = now.Truncate(time.Second) // exp in the token is in seconds, and the emulator means the same
	return &grant{
		kind:     t.Kind,
		jti:      base64.RawURLEncoding.EncodeToString(randomBytes(16)),
		userID:   t.UserID,
		audience: cmp.Or(t.Audience, s.cfg.AppID),
		scope:    cmp.Or(t.Scope, "openid profile"),
		issuedAt: now,
		expires:  now.Add(cmp.Or(t.Lifetime, s.cfg.TokenLifetime).Truncate(time.Second)),
	}
}

// render returns the token itself.
func (s *Server) render(t Token, g *grant) string {
	if t.Opaque {
		return base64.RawURLEncoding.EncodeToString(randomBytes(max(32, (t.MinLength*3+3)/4)))
	}
	claims := map[string]any{
		"jti": g.jti, "iat": g.issuedAt.Unix(), "exp": g.expires.Unix(),
		"iss": s.URL() + "/oidc", "aud": g.audience,
	}
	switch t.Kind {
	case KindAccess:
		claims["sub"], claims["scope"] = g.userID, g.scope
	case KindID:
		claims["sub"], claims["nonce"], claims["at_hash"] = g.userID, randomHex(8), atHash(g.jti)
	case KindMachine:
		claims["azp"], claims["scope"] = g.audience, g.scope
	case KindMFA:
		claims["sub"] = g.userID
	}
	for name, value := range t.Claims {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
	raw := s.sign(t.Kind, claims)
	if short := t.MinLength - len(raw); short > 0 {
		claims["padding"] = strings.Repeat("x", short*3/4+1) // base64 makes four of three
		raw = s.sign(t.Kind, claims)
	}
	return raw
}

// Revoke makes the emulator reject a token that it has made.
func (s *Server) Revoke(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := cmp.Or(s.grants[token], s.refresh[token])
	if g == nil {
		panic(fmt.Sprintf("genauthtest: a token of %d characters was not made by this emulator", len(token)))
	}
	g.revoked = true
}

// tokenSet is what a sign-in gives.
type tokenSet struct{ access, id, refresh, scope string }

// grantRequest says whose tokens are made, and which.
type grantRequest struct {
	userID, scope, nonce string
	authTime             time.Time // when the user has signed in,
	withAuthTime         bool      // if the ID token says so
	noRefresh            bool      // whatever the scope says
}

// issue makes the tokens of a sign-in: a refresh token only for the scope
// offline_access (OpenID Connect Core section 11), an ID token only for
// openid.
func (s *Server) issue(req grantRequest) tokenSet {
	set := tokenSet{scope: cmp.Or(req.scope, "openid profile")}
	set.access = s.Mint(Token{UserID: req.userID, Scope: set.scope})
	for name := range strings.FieldsSeq(set.scope) {
		switch name {
		case "openid":
			claims := map[string]any{"at_hash": atHash(set.access), "nonce": nil}
			if req.nonce != "" {
				claims["nonce"] = req.nonce
			}
			if req.withAuthTime {
				claims["auth_time"] = req.authTime.Unix()
			}
			if slices.Contains(strings.Fields(set.scope), "profile") {
				claims["preferred_username"] = s.username(req.userID)
			}
			set.id = s.Mint(Token{Kind: KindID, UserID: req.userID, Claims: claims})
		case "offline_access":
			if req.noRefresh {
				continue
			}
			set.refresh = base64.RawURLEncoding.EncodeToString(randomBytes(32))
		}
	}
	if set.refresh != "" {
		s.mu.Lock()
		defer s.mu.Unlock()
		g := s.newGrant(Token{UserID: req.userID, Scope: set.scope, Lifetime: refreshLifetime}, s.now())
		s.refresh[set.refresh] = g
	}
	return set
}

// refreshLifetime is a choice: GenAuth lets each application set it.
const refreshLifetime = 30 * 24 * time.Hour
