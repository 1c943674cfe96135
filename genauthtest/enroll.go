package genauthtest

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// enrollmentLifetime and codeInterval are documented by GenAuth: one minute.
const (
	enrollmentLifetime = time.Minute
	codeInterval       = time.Minute
)

// enrollment is an enrollment that has begun.
type enrollment struct {
	userID   string
	factor   factor
	secret   string // for OTP
	passCode string // for SMS and EMAIL
	expires  time.Time
}

// contact is where a code is sent.
type contact struct {
	PhoneNumber      string `json:"phoneNumber"`
	PhoneCountryCode string `json:"phoneCountryCode"`
	Email            string `json:"email"`
}

// otpData is what an authenticator app needs.
type otpData struct {
	QRCodeURI     string `json:"qrCodeUri"`
	QRCodeDataURL string `json:"qrCodeDataUrl"`
	RecoveryCode  string `json:"recoveryCode"`
}

// started is the data of send-enroll-factor-request.
type started struct {
	EnrollmentToken string   `json:"enrollmentToken"`
	OTPData         *otpData `json:"otpData,omitempty"`
}

// sendEnrollFactorRequest is POST /api/v3/send-enroll-factor-request.
func (s *Server) sendEnrollFactorRequest(r *http.Request) Answer {
	var body struct {
		FactorType FactorType `json:"factorType"`
		Profile    contact    `json:"profile"`
	}
	if !readJSON(r, &body) {
		return badRequest("the body is not JSON")
	}
	return s.asCaller(r, func(a *account) Answer {
		t := body.FactorType
		switch {
		case t == "":
			return badRequest("factorType is missing")
		case !slices.Contains(s.cfg.EnabledFactors, t) || a.has(t):
			// The statusCode was seen by the authors of GenAuth's C# client;
			// the reason is not documented.
			return fail(http.StatusUnprocessableEntity, 0, "The factor is not enabled, or is bound already.")
		}
		e := &enrollment{userID: a.ID, factor: factor{Type: t}, expires: s.now().Add(enrollmentLifetime)}
		var data started
		switch t {
		default: // for another kind nothing is sent
		case OTP:
			data.OTPData = s.beginOTP(a, e)
		case SMS, Email:
			if refusal, ok := s.beginMessage(a, e, body.Profile); !ok {
				return refusal
			}
		case Face:
			if a.Phone == "" && a.Email == "" {
				return fail(http.StatusBadRequest, codeFaceNeedsPhone, "No e-mail address or phone number is bound.")
			}
		}
		data.EnrollmentToken = base64.StdEncoding.EncodeToString(randomBytes(128))
		s.enrollments[data.EnrollmentToken] = e
		return succeed(data)
	})
}

// beginOTP makes the secret. Its picture shows nothing: a QR code would need a
// library, which every user of the module would have to require.
func (s *Server) beginOTP(a *account, e *enrollment) *otpData {
	if a.otpPending == "" || !s.cfg.ReuseOTPSecret {
		a.otpPending = newOTPSecret()
	}
	e.secret = a.otpPending
	uri := fmt.Sprintf("otpauth://totp/%s:%s?secret=%s&period=%d&digits=%d&algorithm=SHA1&issuer=%s",
		url.PathEscape(s.cfg.UserPoolName), url.PathEscape(a.Username), e.secret, totpPeriod, totpDigits, url.QueryEscape(s.cfg.UserPoolName))
	return &otpData{
		QRCodeURI:     uri,
		QRCodeDataURL: "data:image/png;base64," + base64.StdEncoding.EncodeToString(blankPicture()),
		RecoveryCode:  newRecoveryCode(),
	}
}

// blankPicture returns a picture of the size that GenAuth's sample has.
func blankPicture() []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 228, 228))); err != nil {
		b.Reset() // cannot happen: a Buffer takes all
	}
	return b.Bytes()
}

// beginMessage makes the code of an SMS or e-mail factor, which
// [Server.PassCode] tells. It reports false with an answer that refuses.
// GenAuth documents one request a minute and address, not how it refuses the
// second; the apiCode is from its login component.
func (s *Server) beginMessage(a *account, e *enrollment, to contact) (Answer, bool) {
	address := to.Email
	e.factor.Profile = map[string]any{"email": to.Email}
	if e.factor.Type == SMS {
		country := cmp.Or(to.PhoneCountryCode, "+86")
		address = to.PhoneNumber
		e.factor.Profile = map[string]any{"phoneNumber": to.PhoneNumber, "phoneCountryCode": country}
		if address != "" {
			address = country + address
		}
	}
	if address == "" {
		return badRequest("profile is missing"), false
	}
	now := s.now()
	if last, sent := s.sent[address]; sent && now.Before(last.Add(codeInterval)) {
		return fail(http.StatusTooManyRequests, codeTooManyMails, "One code a minute."), false
	}
	s.sent[address] = now
	e.passCode = hotp(randomBytes(20), 0, 6)
	a.passCodes[e.factor.Type] = e.passCode
	return Answer{}, true
}

// enrollFactor is POST /api/v3/enroll-factor. That the token is spent by a
// success only, so that a wrong code can be tried again, is a choice; so is
// the answer to a token that has expired.
func (s *Server) enrollFactor(r *http.Request) Answer {
	var body struct {
		FactorType      FactorType `json:"factorType"`
		EnrollmentToken string     `json:"enrollmentToken"`
		EnrollmentData  struct {
			PassCode string `json:"passCode"`
			Photo    string `json:"photo"`
		} `json:"enrollmentData"`
	}
	if !readJSON(r, &body) {
		return badRequest("the body is not JSON")
	}
	return s.asCaller(r, func(a *account) Answer {
		e := s.enrollments[body.EnrollmentToken]
		if e == nil || e.userID != a.ID || e.factor.Type != body.FactorType || !s.now().Before(e.expires) {
			return badRequest("enrollmentToken is invalid or has expired")
		}
		if refusal, ok := e.check(body.EnrollmentData.PassCode, body.EnrollmentData.Photo, s.now()); !ok {
			return refusal
		}
		delete(s.enrollments, body.EnrollmentToken)
		if a.has(e.factor.Type) {
			return fail(http.StatusUnprocessableEntity, 0, "The factor is bound already.")
		}
		if e.factor.Type == OTP {
			a.otpSecret, a.otpPending = e.secret, ""
		}
		s.bind(a, e.factor)
		return succeed(nil)
	})
}

// check reports whether the user has proved to hold the factor, or false with
// an answer that refuses. GenAuth documents the apiCodes of OTP and FACE, not
// the statusCodes that come with them.
func (e *enrollment) check(passCode, photo string, now time.Time) (Answer, bool) {
	switch {
	case e.factor.Type == Face && photo == "":
		return fail(http.StatusBadRequest, codeNoFacePhoto, "The photo is missing."), false
	case e.factor.Type == Face:
	case e.factor.Type == OTP && passCode == "":
		return fail(http.StatusBadRequest, codeMissingTOTP, "The code is missing."), false
	case e.factor.Type == OTP && !matchesTOTP(e.secret, passCode, now):
		return fail(http.StatusBadRequest, codeWrongTOTP, "The code is wrong."), false
	case e.factor.Type != OTP && passCode != e.passCode:
		return fail(http.StatusBadRequest, codeWrongPassCode, "The code is wrong."), false
	}
	return Answer{}, true
}
