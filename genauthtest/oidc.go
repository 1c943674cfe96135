package genauthtest

import (
	"net/http"
	"strings"
)

// discovery is GET /oidc/.well-known/openid-configuration. It names only what
// the emulator serves. GenAuth's claims_supported have no amr and no acr.
func (s *Server) discovery(*http.Request) Answer {
	issuer := s.URL() + "/oidc"
	clientAuth := []string{"client_secret_post", "client_secret_basic", "none"}
	idTokens := "RS256"
	if s.cfg.HS256IDTokens {
		idTokens = "HS256"
	}
	return jsonAnswer(http.StatusOK, map[string]any{
		"issuer":                                        issuer,
		"authorization_endpoint":                        issuer + "/auth",
		"token_endpoint":                                issuer + "/token",
		"userinfo_endpoint":                             issuer + "/me",
		"jwks_uri":                                      issuer + "/.well-known/jwks.json",
		"introspection_endpoint":                        issuer + "/token/introspection",
		"revocation_endpoint":                           issuer + "/token/revocation",
		"end_session_endpoint":                          issuer + "/session/end",
		"scopes_supported":                              []string{"openid", "offline_access", "profile", "email", "phone"},
		"response_types_supported":                      []string{"code"},
		"response_modes_supported":                      []string{"query"},
		"code_challenge_methods_supported":              []string{"plain", "S256"},
		"grant_types_supported":                         []string{"authorization_code", "password", "refresh_token", "client_credentials"},
		"subject_types_supported":                       []string{"public"},
		"id_token_signing_alg_values_supported":         []string{idTokens},
		"token_endpoint_auth_methods_supported":         clientAuth,
		"introspection_endpoint_auth_methods_supported": clientAuth,
		"revocation_endpoint_auth_methods_supported":    clientAuth,
		"claims_supported": []string{
			"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "preferred_username",
			"email", "email_verified", "phone_number", "phone_number_verified",
		},
	})
}

// jwks is the key set, at the path of old and, under the app id, at the one
// that GenAuth's newest clients use.
func (s *Server) jwks(r *http.Request) Answer {
	if app := r.PathValue("app"); app != "" && app != s.cfg.AppID {
		return notFound(r)
	}
	return jsonAnswer(http.StatusOK, map[string]any{"keys": s.publicKeys()})
}

// oidcError is a failure of an OAuth endpoint, bare (RFC 6749 section 5.2).
func oidcError(status int, code, description string) Answer {
	return jsonAnswer(status, struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{code, description})
}

func invalidGrant() Answer {
	return oidcError(http.StatusBadRequest, "invalid_grant", "grant request is invalid")
}

func invalidClient() Answer {
	return oidcError(http.StatusUnauthorized, "invalid_client", "client authentication failed")
}

// fromClient reports whether the client that a form names is the app's.
func (s *Server) fromClient(r *http.Request) bool {
	app, ok := s.clientOf(r, r.PostFormValue("client_id"), r.PostFormValue("client_secret"))
	return ok && app != ""
}

// token is POST /oidc/token.
func (s *Server) token(r *http.Request) Answer {
	if !s.fromClient(r) {
		return invalidClient()
	}
	scope := r.PostFormValue("scope")
	switch r.PostFormValue("grant_type") {
	case "authorization_code":
		return s.exchange(r)
	case "password":
		userID, _, ok := s.checkPassword(r.PostFormValue("username"), r.PostFormValue("password"))
		if !ok {
			return invalidGrant()
		}
		return s.tokenAnswer(s.issue(grantRequest{userID: userID, scope: scope, nonce: r.PostFormValue("nonce")}))
	case "refresh_token":
		return s.refreshTokens(r.PostFormValue("refresh_token"))
	case "client_credentials":
		raw := s.Mint(Token{Kind: KindMachine, Scope: scope})
		return s.tokenAnswer(tokenSet{access: raw, scope: scope})
	}
	return oidcError(http.StatusBadRequest, "unsupported_grant_type", "this emulator takes authorization_code, password, refresh_token and client_credentials")
}

func (s *Server) tokenAnswer(set tokenSet) Answer {
	a := jsonAnswer(http.StatusOK, struct {
		AccessToken  string `json:"access_token"`
		ExpiresIn    int64  `json:"expires_in"`
		IDToken      string `json:"id_token,omitempty"`
		RefreshToken string `json:"refresh_token,omitempty"`
		Scope        string `json:"scope,omitempty"`
		TokenType    string `json:"token_type"`
	}{set.access, s.lifetimeSeconds(), set.id, set.refresh, set.scope, "Bearer"})
	a.Header.Set("Cache-Control", "no-store")
	return a
}

// refreshTokens spends a refresh token. GenAuth does not document that it is
// good once only.
func (s *Server) refreshTokens(raw string) Answer {
	s.mu.Lock()
	g := s.refresh[raw]
	ok := g != nil && g.activeAt(s.now()) && !s.users[g.userID].disabled
	if ok {
		g.revoked = true
	}
	s.mu.Unlock()
	if !ok {
		return invalidGrant()
	}
	return s.tokenAnswer(s.issue(grantRequest{userID: g.userID, scope: g.scope}))
}

// userInfo is GET and POST /oidc/me. GenAuth's Node client sends the token in
// the query.
func (s *Server) userInfo(r *http.Request) Answer {
	token := bearer(r)
	if token == "" {
		token = r.FormValue("access_token")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a, g := s.userOf(token)
	if g == nil || a.disabled {
		answer := oidcError(http.StatusUnauthorized, "invalid_token", "invalid token provided")
		answer.Header.Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		return answer
	}
	claims := map[string]any{"sub": a.ID, "preferred_username": a.Username}
	if a.Email != "" {
		claims["email"], claims["email_verified"] = a.Email, true
	}
	if a.Phone != "" {
		claims["phone_number"], claims["phone_number_verified"] = a.Phone, true
	}
	return jsonAnswer(http.StatusOK, claims)
}

// introspect is POST /oidc/token/introspection: of access and refresh tokens
// only, as GenAuth documents.
func (s *Server) introspect(r *http.Request) Answer {
	if !s.fromClient(r) {
		return invalidClient()
	}
	raw := r.PostFormValue("token")
	issuer := s.URL() + "/oidc"
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.grants[raw]
	if g == nil {
		g = s.refresh[raw]
	}
	if g == nil || !g.activeAt(s.now()) || g.kind != KindAccess && g.kind != KindMachine {
		return inactive()
	}
	return jsonAnswer(http.StatusOK, struct {
		Active    bool   `json:"active"`
		Sub       string `json:"sub,omitempty"`
		ClientID  string `json:"client_id"`
		Exp       int64  `json:"exp"`
		Iat       int64  `json:"iat"`
		Iss       string `json:"iss"`
		Jti       string `json:"jti"`
		Scope     string `json:"scope"`
		TokenType string `json:"token_type"`
	}{true, g.userID, g.audience, g.expires.Unix(), g.issuedAt.Unix(), issuer, g.jti, g.scope, "Bearer"})
}

func inactive() Answer {
	return jsonAnswer(http.StatusOK, map[string]any{"active": false})
}

// revoke is POST /oidc/token/revocation. An unknown token is a success
// (RFC 7009 section 2.2). The body is GenAuth's; the RFC lets clients ignore it.
func (s *Server) revoke(r *http.Request) Answer {
	if !s.fromClient(r) {
		return invalidClient()
	}
	raw := r.PostFormValue("token")
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.grants[raw]; g != nil {
		g.revoked = true
	}
	if g := s.refresh[raw]; g != nil {
		g.revoked = true
	}
	return succeed(map[string]any{"success": true})
}

// introspectMFAToken is POST /mfa/token/introspection. Its answer has no
// envelope.
func (s *Server) introspectMFAToken(r *http.Request) Answer {
	raw := strings.TrimSpace(r.PostFormValue("token"))
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.grants[raw]
	if g == nil || g.kind != KindMFA || !g.activeAt(s.now()) {
		return inactive()
	}
	return jsonAnswer(http.StatusOK, struct {
		Active     bool   `json:"active"`
		UserPoolID string `json:"userPoolId"`
		UserID     string `json:"userId"`
		Exp        int64  `json:"exp"`
		Iat        int64  `json:"iat"`
	}{true, s.poolID, g.userID, g.expires.Unix(), g.issuedAt.Unix()})
}
