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

// beginApp asks GenAuth for a secret and shows it. Notice tells a user who has
// been here before why there is another one.
func (v *visit) beginApp(st *state, notice string) {
	if err := v.askForApp(st); err != nil {
		if !v.refusedToBegin(err) {
			v.fail(err)
		}
		return
	}
	p := v.appPage(st)
	p.Notice = notice
	v.show(p)
}

// askForApp puts a new secret and its enrollment token into the state.
func (v *visit) askForApp(st *state) error {
	begun := time.Now()
	e, err := v.h.cfg.Client.SendEnrollFactorRequest(v.r.Context(), v.token, client.EnrollRequest{Type: client.OTP})
	if err != nil {
		return err
	}
	if _, ok := secretOf(e.OTP.QRCodeURI); !ok {
		return client.ErrMalformed
	}
	st.Begun, st.Token, st.KeyURI, st.Recovery = begun, e.Token, e.OTP.QRCodeURI, e.OTP.RecoveryCode
	return v.h.seal.fits(st)
}

func (v *visit) appPage(st *state) *Page {
	secret, _ := secretOf(st.KeyURI)
	return &Page{
		Name: "otp", Type: st.Type, State: v.h.seal.seal(st, v.token),
		QRCode: qrCode(st.KeyURI), Secret: grouped(secret),
	}
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
	case !isCode(code, st.Type):
		v.show(v.codePage(st).wrong(v, http.StatusUnprocessableEntity, "code", "error.code"))
		return
	case !v.mayTry():
		v.show(v.codePage(st).wrong(v, http.StatusTooManyRequests, "code", "error.too_many"))
		return
	case v.overtaken(st): // the form was sent twice, or another tab was faster
		v.already(st, code)
		return
	case time.Since(st.Begun) >= tokenLifetime:
		v.renew(st, code)
		return
	}
	v.enroll(st, code, false)
}

// enroll ends the enrollment. Renewed says that the enrollment token is a new
// one, so that it is not for its age that it is refused.
func (v *visit) enroll(st *state, code string, renewed bool) {
	err := v.h.cfg.Client.EnrollFactor(v.lasting(), v.token, client.EnrollConfirmation{
		Type: st.Type, EnrollmentToken: st.Token, PassCode: code,
	})
	switch {
	case err == nil:
		v.enrolled(st)
	case client.IsWrongCode(err):
		v.show(v.codePage(st).wrong(v, http.StatusUnprocessableEntity, "code", "error.code"))
	case errors.Is(err, client.ErrUnauthenticated), errors.Is(err, client.ErrRateLimited):
		v.fail(err)
	default:
		v.unclear(st, code, err, renewed)
	}
}

// unclear answers an error that does not say whether the factor is enrolled now:
// the answer may have been lost, the form may have been sent twice, another tab
// may have been faster, or the enrollment token may have run out.
func (v *visit) unclear(st *state, code string, err error, renewed bool) {
	v.forget(v.lasting())
	now, _, listErr := v.fresh(v.lasting())
	switch {
	case listErr != nil:
		v.fail(listErr)
	case count(now, st.Type) > st.Had:
		v.already(st, code)
	case errors.Is(err, client.ErrMisconfigured) && !renewed:
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
	before, _ := secretOf(st.KeyURI)
	if err := v.askForApp(st); err != nil {
		if !v.refusedToBegin(err) {
			v.fail(err)
		}
		return
	}
	if after, _ := secretOf(st.KeyURI); after != before {
		p := v.appPage(st)
		p.Notice = v.text("notice.new_secret")
		v.show(p)
		return
	}
	v.enroll(st, code, true)
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
