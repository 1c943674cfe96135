package enroll

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/echomfa/echomfa/client"
)

// tokenLifetime is how long GenAuth documents an enrollment token to be good. It
// is counted from before it was asked for.
const tokenLifetime = time.Minute

// isOld reports whether the enrollment token may have run out.
func (st *state) isOld() bool { return time.Since(st.Begun) >= tokenLifetime }

// beginApp asks GenAuth for a secret and shows it.
func (v *visit) beginApp(st *state) {
	if err := v.askForApp(st); err != nil {
		v.failedToBegin(err)
		return
	}
	v.goOn(&shown{View: viewApp, State: st})
}

// errKeyURI is what GenAuth sent for an authenticator app. It is not quoted: it has the
// secret.
var errKeyURI = errors.New("enroll: authenticator apps cannot read the otpauth URI")

// failedToBegin answers an error of askForApp.
func (v *visit) failedToBegin(err error) {
	switch {
	case errors.Is(err, errKeyURI): // which does not pass
		v.log("enroll_call_failed", "enrollment call failed", err)
		v.message(http.StatusBadGateway, "error.key", v.provider(), v.whom())
	case !v.refusedToBegin(err):
		v.fail(err)
	}
}

// askForApp puts a new secret and its enrollment token into the state.
func (v *visit) askForApp(st *state) error {
	begun := time.Now()
	e, err := v.h.cfg.Client.SendEnrollFactorRequest(v.r.Context(), v.token, client.EnrollRequest{Type: client.OTP})
	if err != nil {
		return err
	}
	if _, ok := readKeyURI(e.OTP.QRCodeURI); !ok {
		return errKeyURI
	}
	st.Begun, st.Token, st.KeyURI, st.Recovery = begun, e.Token, e.OTP.QRCodeURI, e.OTP.RecoveryCode
	return v.h.seal.fits(st)
}

func (v *visit) appPage(st *state) *Page {
	key, _ := readKeyURI(st.KeyURI)
	p := &Page{
		Name: "otp", Type: st.Type, State: v.h.seal.seal(st, v.token),
		QRCode: key.qrCode(), Secret: grouped(key.Secret), KeyLink: key.link(), Account: key.Account, Digits: key.Digits,
	}
	if !key.isUsual() {
		p.Settings = []any{key.Algorithm, key.Digits, key.Period}
	}
	return p
}

// confirm ends the enrollment of a factor with the code that the user has typed.
func (v *visit) confirm() {
	st, ok := v.state()
	if !ok || st.Token == "" || st.Done {
		v.restart()
		return
	}
	code := v.typed()
	if !isCode(code, st.Type) || st.Type == client.OTP && len(code) != st.digits() {
		v.goOn(codePage(st).wrong("code", "error.code"))
		return
	}
	if !v.mayTry() {
		v.goOn(codePage(st).later("code", "error.too_many", v.again))
		return
	}
	overtaken, err := v.overtaken(st)
	switch {
	case err != nil:
		v.fail(err)
	case overtaken && st.Type != client.OTP:
		v.restart()
	case overtaken: // the form was sent twice, or another tab was faster
		v.already(st, code)
	case st.isOld():
		v.renew(st, code)
	default:
		v.enroll(st, code)
	}
}

// enroll ends the enrollment.
func (v *visit) enroll(st *state, code string) {
	err := v.h.cfg.Client.EnrollFactor(v.lasting(), v.token, client.EnrollConfirmation{
		Type: st.Type, EnrollmentToken: st.Token, PassCode: code,
	})
	switch {
	case err == nil:
		v.right()
		v.enrolled(st)
	case client.IsWrongCode(err):
		v.wasWrong()
		v.goOn(codePage(st).wrong("code", "error.code"))
	case errors.Is(err, client.ErrUnauthenticated), errors.Is(err, client.ErrRateLimited):
		v.fail(err)
	default:
		v.unclear(st, code, err)
	}
}

// unclear answers an error that does not say whether the factor is enrolled now:
// the answer may have been lost, the form may have been sent twice, another tab
// may have been faster, or the enrollment token may have run out.
func (v *visit) unclear(st *state, code string, err error) {
	v.forget(v.lasting())
	now, _, listErr := v.fresh(v.lasting())
	switch {
	case listErr != nil:
		v.fail(listErr)
	case count(now, st.Type) > st.Had:
		v.already(st, code)
	case isRefusal(err) && !st.isOld():
		// It is not for the age of the enrollment token, so it is for the code.
		v.wasWrong()
		v.log("enroll_code_refused", "GenAuth rejected a code without saying why", err)
		v.goOn(codePage(st).wrong("code", "error.code"))
	case errors.Is(err, client.ErrMisconfigured) && st.isOld():
		v.renew(st, code)
	default:
		v.fail(err)
	}
}

// already answers a form whose factor is enrolled by now.
func (v *visit) already(st *state, code string) {
	if v.ours(st, code) {
		v.enrolled(st)
		return
	}
	v.goOn(&shown{ID: st.ID, View: viewAlready, Type: st.Type, Notice: "notice.already"})
}

// ours reports whether the app that is enrolled is the one of this form: then
// the code of the form is good for it too. A code may be good only once, and then
// it cannot be told.
func (v *visit) ours(st *state, code string) bool {
	if st.Type != client.OTP {
		return true
	}
	verified, err := v.h.cfg.Client.VerifyTOTP(v.lasting(), v.token, code)
	switch {
	case err == nil && verified:
		v.right()
		return true
	case err == nil, client.IsWrongCode(err):
		v.wasWrong()
	}
	return false
}

// renew goes on after the enrollment token has run out. If GenAuth gives the
// same secret again, the code that was typed is still the right one. A message is
// not sent unasked.
func (v *visit) renew(st *state, code string) {
	if st.Type != client.OTP {
		v.goOn(codePage(st).wrong("code", "error.code_expired"))
		return
	}
	before, _ := readKeyURI(st.KeyURI)
	if err := v.askForApp(st); err != nil {
		v.failedToBegin(err)
		return
	}
	if after, _ := readKeyURI(st.KeyURI); after.Secret != before.Secret {
		v.goOn(&shown{View: viewApp, State: st, Notice: "notice.new_secret"})
		return
	}
	v.enroll(st, code)
}

// digits returns how long a code of the authenticator app is.
func (st *state) digits() int {
	key, _ := readKeyURI(st.KeyURI)
	return key.Digits
}

// codePage is the page on which the code of a state is asked for.
func codePage(st *state) *shown {
	if st.Type == client.OTP {
		return &shown{View: viewApp, State: st}
	}
	return &shown{View: viewCode, State: st}
}

// enrolled goes on after a factor has been enrolled: back, or first to the
// recovery code, which GenAuth shows once.
func (v *visit) enrolled(st *state) {
	key, _ := readKeyURI(st.KeyURI)
	what := st.Token
	if st.Type == client.OTP {
		what = key.Secret // which is the same with a token that was renewed
	}
	v.changed(Enrolled, st.Type, what)
	if st.Recovery == "" {
		v.goOn(&shown{ID: st.ID, View: viewChanged, Type: st.Type, Change: Enrolled})
		return
	}
	v.goOn(&shown{View: viewRecovery, State: &state{
		ID: st.ID, Type: st.Type, ProvenUntil: time.Now().Add(maxSignInWithin), Recovery: st.Recovery, Account: key.Account, Done: true,
	}})
}

// showChange says what has been done. A user who was on the way somewhere goes there.
func (v *visit) showChange(s *shown) {
	if s.Change == Enrolled && v.back != "" {
		v.refresh()
	}
	v.show(&Page{Name: "changed", Type: s.Type, Changed: s.Change, Notice: v.text("notice."+s.Change.String(), v.texts().FactorName(s.Type))})
}

func (v *visit) recoveryPage(st *state) *Page {
	return &Page{Name: "recovery", RecoveryCode: st.Recovery, State: v.h.seal.seal(st, v.token)}
}

// recovery sends the recovery code as a file.
func (v *visit) recovery() {
	st, ok := v.state()
	if !ok || !st.Done {
		v.restart()
		return
	}
	var b strings.Builder
	line := func(key, value string) {
		if value != "" {
			b.WriteString(v.text(key, value) + "\n")
		}
	}
	today := time.Now().UTC().Format(time.DateOnly)
	if line("recovery.file", v.h.cfg.Brand.Name); v.h.cfg.Brand.Name == "" {
		b.WriteString(v.text("recovery.file.plain") + "\n")
	}
	line("recovery.file.account", v.account(st))
	line("recovery.file.date", today)
	b.WriteString("\n" + st.Recovery + "\n\n" + v.text("recovery.file.use", v.provider()) + "\n")
	h := v.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="recovery-code-`+today+`.txt"`)
	write(v.w, v.r, http.StatusOK, []byte(b.String()))
}

// account is how the user knows the account: by the app's name for it, or GenAuth's.
func (v *visit) account(st *state) string {
	if v.h.cfg.UserName != nil {
		if name := v.h.cfg.UserName(v.r); name != "" {
			return name
		}
	}
	return st.Account
}

// done goes back once the recovery code is saved.
func (v *visit) done() {
	st, ok := v.state()
	if ok && st.Done && v.form.Get("saved") == "" {
		v.goOn((&shown{View: viewRecovery, State: st}).wrong("saved", "error.not_saved"))
		return
	}
	if ok {
		v.forgetStep(st.ID)
	}
	v.leave()
}

// state returns the state that came with the form.
func (v *visit) state() (*state, bool) {
	st, err := v.h.seal.open(v.form.Get("state"), v.token, time.Now())
	if err != nil {
		return nil, false
	}
	page := codePage(st)
	switch {
	case st.Done:
		page.View = viewRecovery
	case st.Type != client.OTP && st.Token == "":
		page.View = viewAddress
	}
	v.current = v.stepAddress(st.ID, page.View)
	return st, true
}
