package enroll

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/echomfa/echomfa/client"
)

// Each form is answered with a redirect to a page of its own, so that back, reload and a
// tab that the phone has dropped in the meantime ask for that page again, and no browser
// asks whether to send a form once more. What such a page shows has to be somewhere
// between the two requests:
//
//   - In the address, sealed, it would be in the history of the browser and in the logs of
//     proxies, and with it the secret of an authenticator app for as long as StateKeys are
//     kept. It is too long for some of them, too.
//   - In the memory of an instance, another instance would not know it.
//   - So it is in a cookie, sealed for the user like the state of a form. The address has
//     no more than a random id. The cookie's Path is that of the one enrollment, so that
//     tabs do not get in each other's way, and so that no request carries more than one of
//     them: headers that grow with each attempt are refused by proxies. It has no name
//     with __Host-, whose Path would be "/": who plants a cookie cannot seal it anyhow. It
//     is SameSite=Lax and not Strict, because who has to sign in on another site in the
//     middle comes back to the page by a redirect of that site; it changes nothing there.
//
// A browser without cookies gets as far as the first page, which says so. The forms carry
// the state in a field as well: a cookie that the browser has dropped is missed by a
// reload only.
const (
	stepCookie       = "echomfa_step"
	secureStepCookie = "__Secure-" + stepCookie
	// maxHeadBytes is what nginx reads of the headers of an answer by default, and
	// reservedBytes are for all but the cookie and the address. Browsers keep cookies of
	// as much (RFC 6265, section 6.1). What is longer is shown in answer to the form.
	maxHeadBytes  = 4096
	reservedBytes = 1024
	// askedFor is how long a page without a state can be shown again.
	askedFor = 15 * time.Minute
)

// The pages that a form leads to.
const (
	viewApp      = "app"
	viewAddress  = "address"
	viewCode     = "code"
	viewRecovery = "recovery"
	viewProve    = "prove"
	viewHosted   = "hosted"
	viewRemove   = "remove"
	viewChanged  = "changed"
	viewAlready  = "already"
	viewChecked  = "checked"
	// viewNow is whichever of them the enrollment is at.
	viewNow = "now"
)

// shown is what a page shows. It is sealed for another purpose than a state: what asks
// for a proof must not pass for one.
type shown struct {
	ID    string    `json:"id"`
	View  string    `json:"view"`
	Until time.Time `json:"until"`
	// State is that of the forms on the page, if it has one.
	State *state            `json:"state,omitempty"`
	Type  client.FactorType `json:"type,omitempty"`
	// Field is the input that Error is about; Error and Notice are keys of texts.
	Field  string `json:"field,omitempty"`
	Error  string `json:"error,omitempty"`
	Notice string `json:"notice,omitempty"`
	// Reference is what the log has about Error, if it has a line.
	Reference string `json:"reference,omitempty"`
	// At is when what was refused may be tried again, and SendAt when a code can be sent.
	At     time.Time `json:"at,omitzero"`
	SendAt time.Time `json:"send_at,omitzero"`
	// FactorID and Understood are what was chosen and ticked, Change what was done.
	FactorID string `json:"factor_id,omitempty"`
	// FromList says where the step was begun.
	FromList   bool   `json:"from_list,omitempty"`
	Understood bool   `json:"understood,omitempty"`
	Change     Change `json:"change,omitempty"`
}

var (
	stepPath = regexp.MustCompile(`^/step/([0-9a-f]{16})/([a-z]+)$`)
	idOfStep = regexp.MustCompile(`^[0-9a-f]{16}$`)
)

// stepID returns the id of the page that a form without a state was on, or "".
func (v *visit) stepID() string { return idOfStep.FindString(v.form.Get("step")) }

// newID returns an id that nobody guesses.
func newID() string {
	var raw [8]byte
	rand.Read(raw[:]) // never fails, as its documentation says
	return hex.EncodeToString(raw[:])
}

// wrong returns the page as it is shown again because of an input.
func (s *shown) wrong(field, key string) *shown {
	s.Field, s.Error = field, key
	return s
}

// later returns the page as it is shown again because of something that has to wait.
func (s *shown) later(field, key string, at time.Time) *shown {
	s.At = at
	return s.wrong(field, key)
}

// waits returns the page with when a code can be sent again. That is not an error.
func (s *shown) waits(at time.Time) *shown {
	s.Notice, s.SendAt = "notice.one_a_minute", at
	return s
}

// goOn leads the browser to a page.
func (v *visit) goOn(s *shown) {
	if st := s.State; st != nil {
		if st.ID == "" { // of an instance that gave none
			st.ID = newID()
		}
		s.ID, s.Type, s.Until = st.ID, st.Type, st.ProvenUntil
	}
	if s.ID == "" {
		s.ID = newID()
	}
	if s.FromList = v.fromList; s.Error != "" {
		s.Reference = v.ref
	}
	if s.Until.IsZero() {
		s.Until = time.Now().Add(askedFor)
	}
	cookie := v.cookie(s.ID, v.h.seal.sealPage(s, v.token), max(1, int(time.Until(s.Until).Seconds())))
	to := v.stepAddress(s.ID, s.View)
	if !v.keepsWay(to) || len(cookie.String())+len(to) > maxHeadBytes-reservedBytes {
		v.render(s)
		return
	}
	http.SetCookie(v.w, cookie)
	v.redirect(to)
}

// keepsWay reports whether an address of these pages has the return-to, if there is one:
// it is left out of what would be too long for a redirect. A form has room for it.
func (v *visit) keepsWay(address string) bool { return v.back == "" || strings.Contains(address, "?") }

// stepAddress returns the address of a page, or "" without an id.
func (v *visit) stepAddress(id, view string) string {
	if id == "" {
		return ""
	}
	return v.h.cfg.Enforcer.Address(v.base+"/step/"+id+"/"+view, v.back)
}

// stepNow returns the address of the page that a form was on, or "" if it was none of an
// enrollment.
func (v *visit) stepNow() string { return v.stepAddress(v.stepID(), viewNow) }

// cookie returns that of an enrollment.
func (v *visit) cookie(id, value string, seconds int) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure where the app is reached by https
		Name: v.cookieName(), Value: value, MaxAge: seconds, Path: v.h.cfg.Enforcer.Address(v.base, "") + "/step/" + id,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: v.isSecure(),
	}
}

func (v *visit) cookieName() string {
	if v.isSecure() {
		return secureStepCookie
	}
	return stepCookie
}

// isSecure reports whether browsers reach the app by https, as far as is known.
func (v *visit) isSecure() bool {
	return v.r.TLS != nil || strings.HasPrefix(v.h.cfg.Enforcer.Origin(), "https:")
}

// forgetStep drops what the pages of an enrollment show: it is finished.
func (v *visit) forgetStep(id string) {
	if id != "" {
		http.SetCookie(v.w, v.cookie(id, "", -1))
	}
}

// step shows the page at an address below /step.
func (v *visit) step() {
	at := stepPath.FindStringSubmatch(v.path)
	for _, cookie := range v.r.CookiesNamed(v.cookieName()) {
		s, err := v.h.seal.openPage(cookie.Value, v.token, time.Now())
		if err == nil && s.ID == at[1] && s.at(at[2]) {
			v.fromList = s.FromList
			v.render(s)
			return
		}
	}
	// Finished, too old, another user's, or the browser keeps no cookies.
	if v.mayAsk() {
		v.startWith("notice.gone")
	}
}

// at makes the page that of another address of the same enrollment, and reports whether
// there is one: who goes back from the code to the address wants to change it.
func (s *shown) at(view string) bool {
	if view == s.View || view == viewNow {
		return true
	}
	if s.State == nil || s.State.Done || s.State.Type == client.OTP || view != viewAddress && (view != viewCode || s.State.Token == "") {
		return false
	}
	*s = shown{ID: s.ID, View: view, Until: s.Until, State: s.State, Type: s.Type, FromList: s.FromList}
	return true
}

// render shows a page.
func (v *visit) render(s *shown) {
	var p *Page
	switch s.View {
	case viewApp:
		p = v.appPage(s.State)
	case viewAddress:
		p = v.addressPage(s.State)
	case viewCode:
		p = v.messagePage(s.State)
	case viewRecovery:
		p = v.recoveryPage(s.State)
	case viewRemove:
		v.showRemoval(s)
		return
	case viewProve:
		p = &Page{Name: "prove", Action: "begin"}
	case viewHosted:
		p = &Page{Name: "face", Hosted: v.h.cfg.HostedURL}
	case viewChanged:
		v.showChange(s)
		return
	case viewChecked:
		v.showChecked(s)
		return
	default:
		p = &Page{Name: "message", Satisfied: true}
	}
	v.showStep(s, p)
}

// showStep shows a page with what is said on it.
func (v *visit) showStep(s *shown, p *Page) {
	p.Type, p.Field, p.Step = s.Type, s.Field, s.ID
	if s.Error != "" {
		p.Error, p.Reference = v.text(s.Error), s.Reference
	}
	if s.Notice != "" {
		p.Notice = v.text(s.Notice)
	}
	if p.At = s.At; !s.SendAt.IsZero() {
		p.SendAt = s.SendAt
	}
	v.show(p)
}
