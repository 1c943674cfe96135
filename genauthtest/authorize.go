package genauthtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// hostedCookie names the browser's session at the hosted pages.
const hostedCookie = "genauthtest_session"

// hosted is a session of the hosted pages.
type hosted struct {
	userID   string
	signedIn time.Time
}

// code is an authorization code that has not been used.
type code struct {
	userID, scope, nonce   string
	redirectURI            string
	challenge, method      string
	signedIn, expires      time.Time
	withAuthTime, consents bool
}

// codeLifetime is what GenAuth documents.
const codeLifetime = 10 * time.Minute

// authorize is GET and POST /oidc/auth, for the code flow with answers in the query.
// GenAuth's hosted pages, which it leads to, are a form here that asks for a name and a
// password. To sign in is to consent.
func (s *Server) authorize(r *http.Request) Answer {
	q := r.URL.Query()
	back, err := url.Parse(q.Get("redirect_uri"))
	switch {
	case q.Get("client_id") != s.cfg.AppID:
		return hostedPage(http.StatusBadRequest, "This application does not exist.", "")
	case err != nil || back.Host == "" || !registered(s.cfg.RedirectURIs, q.Get("redirect_uri")):
		return hostedPage(http.StatusBadRequest, "The redirect_uri is not one of the application.", "")
	}
	prompt := strings.Fields(q.Get("prompt"))
	if code, what := s.badAuthorization(q, prompt); code != "" {
		return sendBack(back, "error", code, "error_description", what, "state", q.Get("state"))
	}
	session, ok := s.hostedSession(r)
	var cookie *http.Cookie
	message := ""
	if r.Method == http.MethodPost {
		userID, _, right := s.checkPassword(r.PostFormValue("username"), r.PostFormValue("password"))
		if !right {
			ok, message = false, "The user name or the password is wrong."
		} else {
			session, cookie = s.beginHosted(userID)
			ok, prompt = true, nil
		}
	}
	if seconds, err := strconv.ParseInt(q.Get("max_age"), 10, 32); ok && err == nil && cookie == nil && !s.cfg.IgnoreMaxAge {
		ok = s.Now().Sub(session.signedIn) <= time.Duration(seconds)*time.Second
	}
	switch {
	case ok && !slices.Contains(prompt, "login"):
		a := sendBack(back, "code", s.newCode(q, session), "state", q.Get("state"))
		if cookie != nil {
			a.Header.Set("Set-Cookie", cookie.String())
		}
		return a
	case slices.Contains(prompt, "none"):
		return sendBack(back, "error", "login_required", "error_description", "End-User authentication is required", "state", q.Get("state"))
	}
	return hostedPage(http.StatusOK, message, r.URL.RequestURI())
}

// badAuthorization returns the error code and description of a request that GenAuth does
// not document, or that this emulator does not take.
func (s *Server) badAuthorization(q url.Values, prompt []string) (code, description string) {
	method, challenge := q.Get("code_challenge_method"), q.Get("code_challenge")
	switch {
	case q.Get("response_type") != "code":
		return "unsupported_response_type", "this emulator takes the response_type code"
	case q.Get("response_mode") != "" && q.Get("response_mode") != "query":
		return "unsupported_response_mode", "this emulator takes the response_mode query"
	case !slices.Contains(strings.Fields(q.Get("scope")), "openid"):
		return "invalid_request", "openid is required in scope"
	case q.Get("state") == "":
		return "invalid_request", "state is required"
	case challenge == "" && method != "", challenge != "" && len(challenge) < 43:
		return "invalid_request", "code_challenge has less than 43 characters"
	case method != "" && method != "S256" && method != "plain":
		return "invalid_request", "code_challenge_method is plain or S256"
	case slices.Contains(prompt, "none") && len(prompt) > 1:
		return "invalid_request", "prompt none stands alone"
	}
	for _, p := range prompt {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, p) {
			return "invalid_request", "prompt is none, login, consent or select_account"
		}
	}
	return "", ""
}

// registered reports whether an address is in a list; nil stands for all.
func registered(list []string, address string) bool {
	return list == nil || slices.Contains(list, address)
}

// sendBack redirects to an address of the app with names and values in its query.
func sendBack(back *url.URL, pairs ...string) Answer {
	to, q := *back, back.Query()
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] != "" {
			q.Set(pair[0], pair[1])
		}
	}
	to.RawQuery = q.Encode()
	return Answer{Status: http.StatusFound, Header: http.Header{"Location": {to.String()}, "Cache-Control": {"no-store"}}}
}

// newCode makes a code for what a request asks for.
func (s *Server) newCode(q url.Values, session hosted) string {
	raw := base64.RawURLEncoding.EncodeToString(randomBytes(24))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[raw] = code{
		userID: session.userID, scope: q.Get("scope"), nonce: q.Get("nonce"), redirectURI: q.Get("redirect_uri"),
		challenge: q.Get("code_challenge"), method: q.Get("code_challenge_method"),
		signedIn: session.signedIn, expires: s.now().Add(codeLifetime),
		withAuthTime: q.Get("max_age") != "" && !s.cfg.IgnoreMaxAge,
		consents:     slices.Contains(strings.Fields(q.Get("prompt")), "consent"),
	}
	return raw
}

// exchange spends a code. GenAuth documents that it is good once, for ten minutes, with
// the redirect_uri that it was asked for with, and that a refresh token comes only for
// the scope offline_access with the prompt consent.
func (s *Server) exchange(r *http.Request) Answer {
	raw := r.PostFormValue("code")
	s.mu.Lock()
	c, ok := s.codes[raw]
	delete(s.codes, raw)
	ok = ok && s.now().Before(c.expires) && !s.users[c.userID].disabled
	s.mu.Unlock()
	if !ok || c.redirectURI != r.PostFormValue("redirect_uri") || !c.verifiedBy(r.PostFormValue("code_verifier")) {
		return invalidGrant()
	}
	return s.tokenAnswer(s.issue(grantRequest{
		userID: c.userID, scope: c.scope, nonce: c.nonce, authTime: c.signedIn, withAuthTime: c.withAuthTime, noRefresh: !c.consents,
	}))
}

// verifiedBy is RFC 7636, section 4.6.
func (c code) verifiedBy(verifier string) bool {
	switch {
	case c.challenge == "":
		return verifier == ""
	case c.method == "S256":
		sum := sha256.Sum256([]byte(verifier))
		return c.challenge == base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return c.challenge == verifier
}

func (s *Server) hostedSession(r *http.Request) (hosted, bool) {
	cookie, err := r.Cookie(hostedCookie)
	if err != nil {
		return hosted{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	session, ok := s.hosted[cookie.Value]
	return session, ok && !s.users[session.userID].disabled
}

func (s *Server) beginHosted(userID string) (hosted, *http.Cookie) {
	id := randomHex(16)
	s.mu.Lock()
	defer s.mu.Unlock()
	session := hosted{userID: userID, signedIn: s.now()}
	s.hosted[id] = session
	return session, &http.Cookie{Name: hostedCookie, Value: id, Path: "/oidc", HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// endSession is GET /oidc/session/end. GenAuth documents that it leads back to
// post_logout_redirect_uri only beside an id_token_hint, and only to an address that the
// console has; what it shows otherwise is the emulator's choice.
func (s *Server) endSession(r *http.Request) Answer {
	q := r.URL.Query()
	s.mu.Lock()
	if cookie, err := r.Cookie(hostedCookie); err == nil {
		delete(s.hosted, cookie.Value)
	}
	hint := s.grants[q.Get("id_token_hint")]
	s.mu.Unlock()
	a := hostedPage(http.StatusOK, "You have signed out.", "")
	back, err := url.Parse(q.Get("post_logout_redirect_uri"))
	if err == nil && back.Host != "" && hint != nil && hint.kind == KindID && registered(s.cfg.LogoutRedirectURIs, q.Get("post_logout_redirect_uri")) {
		a = sendBack(back, "state", q.Get("state"))
	}
	a.Header.Set("Set-Cookie", (&http.Cookie{Name: hostedCookie, Path: "/oidc", MaxAge: -1}).String())
	return a
}

// hostedPage stands in for GenAuth's hosted pages, and is like none of them.
func hostedPage(status int, message, action string) Answer {
	var b bytes.Buffer
	if err := hostedForm.Execute(&b, struct{ Message, Action string }{message, action}); err != nil {
		panic("genauthtest: " + err.Error())
	}
	return Answer{
		Status: status,
		Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}, "Cache-Control": {"no-store"}, "X-Frame-Options": {"DENY"}},
		Body:   b.Bytes(),
	}
}

var hostedForm = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>GenAuth emulator</title><h1>GenAuth emulator</h1>
{{with .Message}}<p role="status">{{.}}</p>
{{end}}{{with .Action}}<form method="post" action="{{.}}">
<p><label>User name <input name="username" autocomplete="username" required></label>
<p><label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<p><button>Sign in</button></form>
{{end}}</html>
`))
