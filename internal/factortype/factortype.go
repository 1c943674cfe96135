// Package factortype has the one type that package client and the emulator
// share. The emulator imports no other code of this module, so that it cannot
// repeat its mistakes.
package factortype

// Type names a kind of MFA factor, as GenAuth spells it. The zero value names
// none. Its public name is client.FactorType.
type Type string

// Normalize returns t with its ASCII letters in upper case, and OTP for TOTP,
// the name that parts of GenAuth's own software use for the same factor.
//
// Nothing is trimmed, and letters outside ASCII stay as they are: Unicode's
// case mapping would turn "ſMS" (with a long s) into SMS. It allocates only if
// there is something to change.
func (t Type) Normalize() Type {
	for i := range len(t) {
		if 'a' <= t[i] && t[i] <= 'z' {
			upper := []byte(t)
			for j, b := range upper {
				if 'a' <= b && b <= 'z' {
					upper[j] = b - 'a' + 'A'
				}
			}
			t = Type(upper)
			break
		}
	}
	if t == "TOTP" {
		return "OTP"
	}
	return t
}
