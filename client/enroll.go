package client

import (
	"context"
	"encoding/json"
)

// EnrollRequest says which factor a user wants to enroll.
//
// It prints as "[redacted]": the number and the address are personal data.
type EnrollRequest struct {
	secret

	// Type is the kind of factor. Required. It is sent normalized.
	Type FactorType
	// PhoneNumber is where the code of an SMS factor goes.
	PhoneNumber string
	// PhoneCountryCode belongs to PhoneNumber, such as "+1". GenAuth documents
	// "+86" as the default.
	PhoneCountryCode string
	// Email is where the code of an EMAIL factor goes.
	Email string
}

// Enrollment is an enrollment that has begun.
//
// It prints as "[redacted]", also in logs and as JSON.
type Enrollment struct {
	secret

	// Token has to be given to [Client.EnrollFactor]. It is a secret. GenAuth
	// documents that it is good for one minute.
	Token string
	// OTP is what the user needs for an OTP factor, else nil.
	OTP *OTPEnrollment
}

// OTPEnrollment is what a user needs to set up an authenticator app. All of it
// is secret, and GenAuth shows it once.
//
// It prints as "[redacted]", also in logs and as JSON.
type OTPEnrollment struct {
	secret

	// QRCodeURI is an otpauth URI, which holds the shared secret.
	QRCodeURI string
	// QRCodeDataURL is the URI as a picture, in a data URL. It may be empty.
	QRCodeDataURL string
	// RecoveryCode gets the user in when the authenticator is lost. It may be
	// empty.
	RecoveryCode string
}

// EnrollConfirmation ends an enrollment.
//
// It prints as "[redacted]", also in logs and as JSON.
type EnrollConfirmation struct {
	secret

	// Type is the kind of factor, as in the [EnrollRequest]. Required.
	Type FactorType
	// EnrollmentToken is the Token of the [Enrollment]. Required.
	EnrollmentToken string
	// PassCode is the code that the user typed, for OTP, SMS and EMAIL.
	PassCode string
	// Photo is the photo of a FACE factor, as GenAuth documents it.
	Photo string
	// IsExternalPhoto says that Photo is the address of a picture outside of
	// GenAuth's storage. It is sent only with a Photo.
	IsExternalPhoto bool
}

// SendEnrollFactorRequest begins the enrollment of a factor: GenAuth makes an
// OTP secret, or sends a code by SMS or e-mail (GenAuth documents at most one a
// minute and address).
//
// It calls POST /api/v3/send-enroll-factor-request with {factorType, profile}.
// GenAuth documents data as {enrollmentToken, otpData}, the latter for OTP.
// Not idempotent: after an error the code may still have been sent.
func (c *Client) SendEnrollFactorRequest(ctx context.Context, token string, req EnrollRequest) (*Enrollment, error) {
	if err := c.begin(ctx, token); err != nil {
		return nil, err
	}
	if req.Type == "" {
		return nil, missing("factor type")
	}
	type profile struct {
		PhoneNumber      string `json:"phoneNumber,omitempty"`
		PhoneCountryCode string `json:"phoneCountryCode,omitempty"`
		Email            string `json:"email,omitempty"`
	}
	kind := req.Type.Normalize()
	r := postCall("/api/v3/send-enroll-factor-request", token, struct {
		FactorType FactorType `json:"factorType"`
		Profile    profile    `json:"profile"`
	}{kind, profile{req.PhoneNumber, req.PhoneCountryCode, req.Email}}, req.PhoneNumber, req.Email)
	env, rep, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	enrollment, err := readEnrollment(env.data)
	if err == nil && (enrollment.Token == "" || kind == OTP && enrollment.OTP == nil) {
		err = errDataContent
	}
	if err != nil {
		return nil, c.unusable(r, rep, env, err)
	}
	return enrollment, nil
}

// EnrollFactor ends the enrollment of a factor with the code that the user has
// typed. [IsWrongCode] tells whether a failure is worth asking the user again.
//
// It calls POST /api/v3/enroll-factor with {factorType, enrollmentToken,
// enrollmentData}. GenAuth documents an answer without data. Not
// idempotent: after an error the factor may still have been enrolled.
func (c *Client) EnrollFactor(ctx context.Context, token string, conf EnrollConfirmation) error {
	if err := c.begin(ctx, token); err != nil {
		return err
	}
	switch {
	case conf.Type == "":
		return missing("factor type")
	case conf.EnrollmentToken == "":
		return missing("enrollment token")
	}
	type data struct {
		PassCode        string `json:"passCode,omitempty"`
		Photo           string `json:"photo,omitempty"`
		IsExternalPhoto *bool  `json:"isExternalPhoto,omitempty"`
	}
	d := data{PassCode: conf.PassCode, Photo: conf.Photo}
	if conf.Photo != "" {
		d.IsExternalPhoto = &conf.IsExternalPhoto
	}
	return c.post(ctx, "/api/v3/enroll-factor", token, struct {
		FactorType      FactorType `json:"factorType"`
		EnrollmentToken string     `json:"enrollmentToken"`
		EnrollmentData  data       `json:"enrollmentData"`
	}{conf.Type.Normalize(), conf.EnrollmentToken, d}, conf.EnrollmentToken, conf.PassCode, conf.Photo)
}

func readEnrollment(value json.RawMessage) (*Enrollment, error) {
	var e Enrollment
	err := dataMembers(value, func(name string, value json.RawMessage) error {
		switch name {
		case "enrollmentToken":
			e.Token, _ = readString(value)
		case "otpData":
			if !isObject(value) {
				return nil
			}
			var otp OTPEnrollment
			err := members(value, func(name string, value json.RawMessage) error {
				switch name {
				case "qrCodeUri":
					otp.QRCodeURI, _ = readString(value)
				case "qrCodeDataUrl":
					otp.QRCodeDataURL, _ = readString(value)
				case "recoveryCode":
					otp.RecoveryCode, _ = readString(value)
				}
				return nil
			})
			if err != nil {
				return err
			}
			if otp.QRCodeURI != "" {
				e.OTP = &otp
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &e, nil
}

// dataMembers is members for a data that must be an object.
func dataMembers(data json.RawMessage, visit func(name string, value json.RawMessage) error) error {
	switch {
	case data == nil:
		return errNoData
	case !isObject(data):
		return errDataType
	}
	return members(data, visit)
}
