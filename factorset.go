package echomfa

import (
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/echomfa/echomfa/client"
)

// FactorType names a kind of MFA factor, as GenAuth spells it. The set is open:
// see [client.FactorType].
type FactorType = client.FactorType

// The factor types that package client knows by name.
const (
	OTP     = client.OTP
	SMS     = client.SMS
	Email   = client.Email
	Face    = client.Face
	Passkey = client.Passkey
)

// The constants above own the lowest bits of a set, in the order of their
// declaration, which is also the order in which types are listed.
const (
	fixedCount = 5
	fixedMask  = 1<<fixedCount - 1
)

// fixedTypes returns the types that own a bit, in the order of the bits.
func fixedTypes() [fixedCount]FactorType {
	return [...]FactorType{OTP, SMS, Email, Face, Passkey}
}

// fixedBit returns the bit of t, or 0 if t, which is normalized, owns none.
func fixedBit(t FactorType) uint32 {
	switch t {
	case OTP:
		return 1 << 0
	case SMS:
		return 1 << 1
	case Email:
		return 1 << 2
	case Face:
		return 1 << 3
	case Passkey:
		return 1 << 4
	}
	return 0
}

// FactorSet is a set of factor types, such as those that a user has enrolled.
//
// The zero value is the empty set. A FactorSet does not change: it may be
// copied and used concurrently.
type FactorSet struct {
	fixed  uint32       // bits of the constants
	others []FactorType // sorted, distinct
}

// Factors returns the set of the given types. They are normalized as
// [client.FactorType.Normalize] does, so that "totp" is OTP, and an empty type
// is ignored.
func Factors(types ...FactorType) FactorSet {
	var s FactorSet
	for _, t := range types {
		s.add(t)
	}
	s.settle()
	return s
}

// factorSetOf returns the set of the factors' types. A factor without a type is
// ignored.
func factorSetOf(factors []client.Factor) FactorSet {
	var s FactorSet
	for i := range factors {
		s.add(factors[i].Type)
	}
	s.settle()
	return s
}

// add puts t into a set that is being made.
func (s *FactorSet) add(t FactorType) {
	t = t.Normalize()
	if bit := fixedBit(t); bit != 0 {
		s.fixed |= bit
	} else if t != "" {
		s.others = append(s.others, t)
	}
}

// settle ends the making of a set.
func (s *FactorSet) settle() {
	slices.Sort(s.others)
	s.others = slices.Clip(slices.Compact(s.others))
}

// Has reports whether t, normalized, is in the set.
func (s FactorSet) Has(t FactorType) bool {
	t = t.Normalize()
	if bit := fixedBit(t); bit != 0 {
		return s.fixed&bit != 0
	}
	_, found := slices.BinarySearch(s.others, t)
	return found
}

// Len returns the number of types in the set.
func (s FactorSet) Len() int { return bits.OnesCount32(s.fixed) + len(s.others) }

// Types returns the types in the set: the constants of this package in the
// order of their declaration, then the others in ascending order. The slice is
// the caller's own. It is nil if the set is empty.
func (s FactorSet) Types() []FactorType { return typesOf(s.fixed, s.others) }

// Equal reports whether s and o hold the same types.
func (s FactorSet) Equal(o FactorSet) bool {
	return s.fixed == o.fixed && slices.Equal(s.others, o.others)
}

// String returns the types as a policy's text spells them, such as
// `OTP, SMS, "WEBAUTHN-KEY"`, or "none".
func (s FactorSet) String() string {
	if s.Len() == 0 {
		return "none"
	}
	return spell(s.Types(), ", ")
}

// typesOf lists the constants of which fixed has the bits, then others.
func typesOf(fixed uint32, others []FactorType) []FactorType {
	n := bits.OnesCount32(fixed) + len(others)
	if n == 0 {
		return nil
	}
	types := make([]FactorType, 0, n)
	for i, t := range fixedTypes() {
		if fixed&(1<<i) != 0 {
			types = append(types, t)
		}
	}
	return append(types, others...)
}

// spell joins types by separator. What is not one of the constants is quoted.
func spell(types []FactorType, separator string) string {
	words := make([]string, len(types))
	for i, t := range types {
		words[i] = string(t)
		if fixedBit(t) == 0 {
			words[i] = strconv.Quote(string(t))
		}
	}
	return strings.Join(words, separator)
}
