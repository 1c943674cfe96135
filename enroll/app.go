package enroll

import (
	"errors"
	"net/http"
	"time"

	"github.com/echomfa/echomfa/client"
)

// tokenLifetime is how long GenAuth documents an enrollment token to be good. It
// is counted from before it was asked for.
const tokenLifetime = time.Minute

// isOld reports whether the enrollment token may have run out.
func (st *state) isOld() bool { return time.Since(st.Begun) >= tokenLifetime }

// beginApp asks GenAuth for a secret and shows it. Notice tells a user who has
// been here before why there is another one.
func (v *visit) beginApp(st *state, notice string) {
	if err := v.askForApp(st); err != nil {
		v.failedToBegin(err)
		return
	}
	p := v.appPage(st)
	p.Notice = notice
	v.show(p)
}

// errKeyURI is what GenAuth sent for an authenticator app. It is not quoted: it has the
// secret.
var errKeyURI = errors.New("enroll: the otpauth URI is none that authenticator apps read")

// failedToBegin answers an error of askForApp.
func (v *visit) failedToBegin(err error) {
	switch {
	case errors.Is(err, errKeyURI): // which does not pass
		v.log("enrollment call failed", err)
		v.message(http.StatusBadGateway, "error.key")
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
	if !ok || st.Token == "" || st.Done || st.Type != client.OTP && v.overtaken(st) {
		v.restart()
		return
	}
	code := v.typed()
	switch {
	case !isCode(code, st.Type) || st.Type == client.OTP && len(code) != st.digits():
		v.show(v.codePage(st).wrong(v, http.StatusUnprocessableEntity, "code", "error.code"))
		return
	case !v.mayTry():
		v.show(v.codePage(st).wrong(v, http.StatusTooManyRequests, "code", "error.too_many"))
		return
	case v.overtaken(st): // the form was sent twice, or another tab was faster
		v.already(st, code)
		return
	case st.isOld():
		v.renew(st, code)
		return
	}
	v.enroll(st, code)
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
		v.show(v.codePage(st).wrong(v, http.StatusUnprocessableEntity, "code", "error.code"))
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
		v.log("GenAuth refused a code without saying why", err)
		v.show(v.codePage(st).wrong(v, http.StatusUnprocessableEntity, "code", "error.code"))
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
	v.show(&Page{Name: "message", Type: st.Type, Notice: v.text("notice.already"), Satisfied: true})
}

// ours reports whether the app that is enrolled is the one of this form: then
// the code of the form is good for it too. A code may be good only once, and then
// it cannot be told.
func (v *visit) ours(st *state, code string) bool {
	if st.Type != client.OTP {
		return true
	}
	verified, err := v.h.cfg.Client.VerifyTOTP(v.lasting(), v.token, code)
	return err == nil && verified
}

// renew goes on after the enrollment token has run out. If GenAuth gives the
// same secret again, the code that was typed is still the right one. A message is
// not sent unasked.
func (v *visit) renew(st *state, code string) {
	if st.Type != client.OTP {
		v.show(v.codePage(st).wrong(v, http.StatusUnprocessableEntity, "code", "error.code_expired"))
		return
	}
	before, _ := readKeyURI(st.KeyURI)
	if err := v.askForApp(st); err != nil {
		v.failedToBegin(err)
		return
	}
	if after, _ := readKeyURI(st.KeyURI); after.Secret != before.Secret {
		p := v.appPage(st)
		p.Notice = v.text("notice.new_secret")
		v.show(p)
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
func (v *visit) codePage(st *state) *Page {
	if st.Type == client.OTP {
		return v.appPage(st)
	}
	return v.messagePage(st)
}

// enrolled goes on after a factor has been enrolled: back, or first to the
// recovery code, which GenAuth shows once.
func (v *visit) enrolled(st *state) {
	v.changed(Enrolled, st.Type)
	if st.Recovery == "" {
		v.redirect(v.destination())
		return
	}
	v.show(v.recoveryPage(&state{Type: st.Type, ProvenUntil: time.Now().Add(maxSignInWithin), Recovery: st.Recovery, Done: true}))
}

func (v *visit) recoveryPage(st *state) *Page {
	return &Page{Name: "recovery", Type: st.Type, RecoveryCode: st.Recovery, State: v.h.seal.seal(st, v.token)}
}

// recovery sends the recovery code as a file.
func (v *visit) recovery() {
	st, ok := v.state()
	if !ok || !st.Done {
		v.restart()
		return
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Disposition", `attachment; filename="recovery-code.txt"`)
	write(v.w, v.r, http.StatusOK, []byte(v.h.cfg.Brand.Name+"\n"+st.Recovery+"\n"))
}

// done goes back once the recovery code is saved.
func (v *visit) done() {
	st, ok := v.state()
	if ok && st.Done && v.form.Get("saved") == "" {
		v.show(v.recoveryPage(st).wrong(v, http.StatusUnprocessableEntity, "saved", "error.not_saved"))
		return
	}
	v.redirect(v.destination())
}

// state returns the state that came with the form.
func (v *visit) state() (*state, bool) {
	st, err := v.h.seal.open(v.form.Get("state"), v.token, time.Now())
	return st, err == nil
}
