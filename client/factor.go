package client

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/echomfa/echomfa/internal/factortype"
)

// FactorType names a kind of MFA factor, as GenAuth spells it. It is a string
// with one method:
//
//	func (t FactorType) Normalize() FactorType
//
// returns t with its ASCII letters in upper case, and OTP for TOTP, the name that
// parts of GenAuth's own software use for the same factor.
//
// The set is open: GenAuth may list types that have no constant here, and they
// are kept as they come. The zero value names no factor.
type FactorType = factortype.Type

// The factor types that GenAuth documents (OTP, SMS, EMAIL, FACE), and PASSKEY,
// which its hosted sign-in page knows although no document shows
// list-enrolled-factors returning it.
const (
	OTP     FactorType = "OTP"
	SMS     FactorType = "SMS"
	Email   FactorType = "EMAIL"
	Face    FactorType = "FACE"
	Passkey FactorType = "PASSKEY"
)

// Factor is one MFA factor that a user has enrolled.
//
// Its profile is in no output of fmt, slog and encoding/json, unless the field is
// named. fmt calls no methods on unexported fields: a struct that holds a factor
// in one has to keep it out of logs by itself.
type Factor struct {
	// ID identifies the factor at GenAuth. It is opaque and may hold any
	// character, "|" among them.
	ID string
	// Type is the kind of the factor, spelled as GenAuth spelled it.
	Type FactorType
	// Profile is what GenAuth tells about the factor, such as a telephone
	// number or an e-mail address. It may be nil. It is personal data: this
	// module never caches it and never logs it.
	Profile map[string]any
}

// Format writes the factor without its profile, whatever the verb.
func (f Factor) Format(s fmt.State, _ rune) { _, _ = fmt.Fprintf(s, "{%s %s}", f.ID, f.Type) }

// LogValue returns the factor without its profile. It implements
// [slog.LogValuer].
func (f Factor) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", f.ID), slog.String("type", string(f.Type)))
}

// MarshalJSON returns the factor without its profile: loggers write lists as JSON.
func (f Factor) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ID   string     `json:"id"`
		Type FactorType `json:"type"`
	}{f.ID, f.Type})
}
