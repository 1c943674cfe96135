package genauthtest

import (
	"cmp"
	"net/http"
	"time"
)

// credentials is the body of POST /api/v3/signin.
type credentials struct {
	Connection      string `json:"connection"`
	PasswordPayload struct {
		Account  string `json:"account"`
		Email    string `json:"email"`
		Username string `json:"username"`
		Phone    string `json:"phone"`
		Password string `json:"password"`
	} `json:"passwordPayload"`
	Options struct {
		Scope               string `json:"scope"`
		PasswordEncryptType string `json:"passwordEncryptType"`
	} `json:"options"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

// signIn is POST /api/v3/signin by password, without MFA, as GenAuth documents
// for this endpoint.
func (s *Server) signIn(r *http.Request) Answer {
	var body credentials
	if !readJSON(r, &body) {
		return badRequest("the body is not JSON")
	}
	if app, ok := s.clientOf(r, body.ClientID, body.ClientSecret); !ok || app == "" {
		return noSuchApp()
	}
	p := body.PasswordPayload
	name := cmp.Or(p.Account, p.Username, p.Email, p.Phone)
	switch {
	case body.Connection != "PASSWORD", cmp.Or(body.Options.PasswordEncryptType, "none") != "none":
		return fail(http.StatusNotImplemented, 0, "This emulator takes plain passwords only.")
	case name == "" || p.Password == "":
		return badRequest("passwordPayload is incomplete")
	}
	userID, refusal, ok := s.checkPassword(name, p.Password)
	if !ok {
		return refusal
	}
	set := s.issue(grantRequest{userID: userID, scope: body.Options.Scope})
	return succeed(struct {
		Scope        string `json:"scope"`
		AccessToken  string `json:"access_token"`
		IDToken      string `json:"id_token,omitempty"`
		RefreshToken string `json:"refresh_token,omitempty"`
		TokenType    string `json:"token_type"`
		ExpireIn     int64  `json:"expire_in"` // GenAuth documents this spelling here
	}{set.scope, set.access, set.id, set.refresh, "bearer", s.lifetimeSeconds()})
}

// clientOf returns the app that a request comes from, by its body, Basic
// credentials or header. It reports false if they name another app or a wrong
// secret. The header is looked at last: GenAuth's clients send it always.
func (s *Server) clientOf(r *http.Request, id, secret string) (app string, ok bool) {
	if basicID, basicSecret, basic := r.BasicAuth(); basic {
		id, secret = basicID, basicSecret
	}
	app = cmp.Or(id, s.appOf(r))
	return app, (app == "" || app == s.cfg.AppID) && (secret == "" || secret == s.cfg.AppSecret)
}

// checkPassword returns the user's id, or false with an answer that refuses.
func (s *Server) checkPassword(name, password string) (string, Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.find(name)
	switch {
	case a == nil || a.Password != password:
		return "", fail(http.StatusForbidden, codeWrongPassword, "Account not exists or password is incorrect."), false
	case a.disabled:
		return "", fail(http.StatusForbidden, codeUserLocked, "The user is locked."), false
	}
	return a.ID, Answer{}, true
}

func (s *Server) lifetimeSeconds() int64 { return int64(s.cfg.TokenLifetime / time.Second) }

// profile is GET /api/v3/get-profile: the members that the emulator knows, and
// those that GenAuth's schema requires. Nothing changes a user here, so updatedAt
// is createdAt; gender, workStatus and userSourceType are the same for everybody.
func (s *Server) profile(r *http.Request) Answer {
	return s.asCaller(r, func(a *account) Answer {
		created := a.created.UTC().Format("2006-01-02T15:04:05.000Z")
		return succeed(struct {
			UserID           string `json:"userId"`
			CreatedAt        string `json:"createdAt"`
			UpdatedAt        string `json:"updatedAt"`
			Status           string `json:"status"`
			WorkStatus       string `json:"workStatus"`
			UserSourceType   string `json:"userSourceType"`
			Gender           string `json:"gender"`
			Username         string `json:"username"`
			Email            string `json:"email,omitempty"`
			EmailVerified    bool   `json:"emailVerified"`
			Phone            string `json:"phone,omitempty"`
			PhoneCountryCode string `json:"phoneCountryCode,omitempty"`
			PhoneVerified    bool   `json:"phoneVerified"`
		}{a.ID, created, created, "Activated", "Active", "register", "U", a.Username, a.Email, a.Email != "", a.Phone, a.PhoneCountryCode, a.Phone != ""})
	})
}

// checkAppIDSecret is POST /api/v3/check-app-id-secret, which GenAuth's Go
// client calls when it is made.
func (s *Server) checkAppIDSecret(r *http.Request) Answer {
	var body struct {
		AppID     string `json:"appId"`
		AppSecret string `json:"appSecret"`
	}
	if !readJSON(r, &body) {
		return badRequest("the body is not JSON")
	}
	return succeed(map[string]any{"valid": body.AppID == s.cfg.AppID && body.AppSecret == s.cfg.AppSecret})
}
