package enroll

import (
	"errors"
	"net/http"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/claims"
)

// What stands between a session and a change of factors.
var (
	errNeedsCode   = errors.New("enroll: a code of the authenticator app is needed")
	errWrongCode   = errors.New("enroll: the code is wrong")
	errTooMany     = errors.New("enroll: too many codes were tried")
	errNeedsSignIn = errors.New("enroll: a recent sign-in is needed")
	errUnknown     = errors.New("enroll: AuthTime: the access token has no auth_time")
	errNobody      = errors.New("enroll: RecentSignIn: the SignIn has no Subject")
)

// proven returns until when it is proved that the user is there, and not only
// their session: by a code of the authenticator app if there is one, since
// binding another factor is how a stolen session becomes a stolen account, and
// by a recent sign-in where there is none to ask for. GenAuth has no call that
// proves a factor of another type.
func (v *visit) proven(enrolled []client.Factor, partial bool) (until time.Time, err error) {
	cfg, now := &v.h.cfg, time.Now()
	until = now.Add(cfg.SignInWithin)
	switch {
	case cfg.InsecureSkipProof:
		return until, nil
	case hasApp(enrolled):
		return until, v.provenByCode()
	case partial:
		// One of the factors that could not be read may be the app.
		return time.Time{}, client.ErrMalformed
	}
	return v.recently()
}

// timeToFinish is what a user has at least to finish what was begun in time.
const timeToFinish = 5 * time.Minute

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// overtaken reports whether what was begun by a recent sign-in goes on after the
// user has enrolled an authenticator app: from then on it takes a code of it. It asks
// GenAuth, since what the enforcer knows may be a minute old.
func (v *visit) overtaken(st *state) (bool, error) {
	if st.HadApp || v.h.cfg.InsecureSkipProof {
		return false, nil
	}
	enrolled, partial, err := v.fresh(v.r.Context())
	switch {
	case err != nil:
		return false, err
	case hasApp(enrolled):
		return true, nil
	case partial: // one of those that could not be read may be the app
		return false, client.ErrMalformed
	}
	return false, nil
}

func (v *visit) provenByCode() error {
	code := v.typed()
	switch {
	case v.form.Get("code") == "":
		return errNeedsCode
	case !isCode(code, client.OTP):
		return errWrongCode
	case !v.mayTry():
		return errTooMany
	}
	verified, err := v.h.cfg.Client.VerifyTOTP(v.r.Context(), v.token, code)
	switch {
	case client.IsWrongCode(err), err == nil && !verified:
		v.wasWrong()
		return errWrongCode
	case err != nil:
		return err
	}
	v.right()
	return nil
}

// signedIn returns when the user signed in. The zero time is a very old sign-in.
func (v *visit) signedIn() (time.Time, error) {
	if ask := v.h.cfg.RecentSignIn; ask != nil {
		last, err := ask(v.r)
		switch {
		case errors.Is(err, echomfa.ErrUnauthenticated):
			return time.Time{}, errNeedsSignIn
		case err != nil || last.Time.IsZero():
			return time.Time{}, err
		case last.Subject == "":
			return time.Time{}, errNobody
		}
		// A token that was stolen beside the thief's own session proves nothing.
		if user, err := v.user(); err != nil || user != last.Subject {
			return time.Time{}, err
		}
		return last.Time, nil
	}
	// The claim is unverified here, but GenAuth has accepted this very token.
	c, err := claims.Parse(v.token)
	if err != nil || c.AuthTime.IsZero() {
		return time.Time{}, errUnknown
	}
	return c.AuthTime, nil
}

// unproven answers an error of proven. The page that it leads to asks for the code.
func (v *visit) unproven(err error, ask *shown) {
	switch {
	case errors.Is(err, errNeedsCode):
		v.goOn(ask)
	case errors.Is(err, errWrongCode):
		v.goOn(ask.wrong("code", "error.code"))
	case errors.Is(err, errTooMany):
		v.goOn(ask.later("code", "error.too_many", v.again))
	case errors.Is(err, errNeedsSignIn):
		to := v.h.cfg.Enforcer.Address(v.base+"/signin", v.back)
		if !v.keepsWay(to) {
			v.askToSignIn()
			return
		}
		if v.fromList {
			to = withQuery(to, "from=list")
		}
		v.redirect(to)
	case errors.Is(err, errUnknown):
		v.log("enroll_auth_time_missing", "enrollment needs a recent sign-in", err)
		v.message(http.StatusForbidden, "error.sign_in_unknown", v.whom())
	default:
		v.failedProof(err)
	}
}

// failedProof tells a call to GenAuth that failed from the app's own function.
func (v *visit) failedProof(err error) {
	for _, class := range []error{
		client.ErrUnauthenticated, client.ErrRateLimited, client.ErrMisconfigured, client.ErrMalformed, client.ErrUnavailable,
	} {
		if errors.Is(err, class) {
			v.fail(err)
			return
		}
	}
	v.log("enroll_recent_sign_in_failed", "RecentSignIn failed", err)
	v.message(http.StatusInternalServerError, "error.internal")
}
