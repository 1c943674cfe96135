package client

import "log/slog"

// FactorType names a kind of MFA factor, as GenAuth spells it.
//
// The set is open: GenAuth may list types that have no constant here, and they
// are kept as they come. The zero value names no factor.
type FactorType string

// The factor types that GenAuth documents (OTP, SMS, EMAIL, FACE), and PASSKEY,
// which its hosted login page knows although no document shows
// list-enrolled-factors returning it.
const (
	OTP     FactorType = "OTP"
	SMS     FactorType = "SMS"
	Email   FactorType = "EMAIL"
	Face    FactorType = "FACE"
	Passkey FactorType = "PASSKEY"
)

// Normalize returns t with its ASCII letters in upper case, and OTP for TOTP,
// the name that parts of GenAuth's own software use for the same factor.
//
// Nothing is trimmed, and letters outside ASCII stay as they are: Unicode's
// case mapping would turn "ſMS" (with a long s) into SMS. It allocates only if
// there is something to change.
func (t FactorType) Normalize() FactorType {
	for i := range len(t) {
		if 'a' <= t[i] && t[i] <= 'z' {
			upper := []byte(t)
			for j, b := range upper {
				if 'a' <= b && b <= 'z' {
					upper[j] = b - 'a' + 'A'
				}
			}
			t = FactorType(upper)
			break
		}
	}
	if t == "TOTP" {
		return OTP
	}
	return t
}

// Factor is one MFA factor that a user has enrolled.
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

// LogValue returns the factor without its profile. It implements
// [slog.LogValuer].
func (f Factor) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", f.ID), slog.String("type", string(f.Type)))
}
