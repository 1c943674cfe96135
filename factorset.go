package echomfa

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/spelling"
)

// FactorType names a kind of MFA factor. The set is open: types that have no
// constant are kept as GenAuth spells them. It is [client.FactorType].
type FactorType = client.FactorType

// The factor types that have a name here. GenAuth documents OTP, SMS, EMAIL and
// FACE; its hosted sign-in page also knows PASSKEY.
const (
	OTP     = client.OTP
	SMS     = client.SMS
	Email   = client.Email
	Face    = client.Face
	Passkey = client.Passkey
)

// named lists the constants in the order of their bits.
func named() [namedBits]FactorType { return [...]FactorType{OTP, SMS, Email, Face, Passkey} }

// namedBits is how many bits of a mask are the constants'.
const namedBits = 5

// bitOf returns the bit of a constant, or -1 for any other type.
func bitOf(t FactorType) int {
	switch t {
	case OTP:
		return 0
	case SMS:
		return 1
	case Email:
		return 2
	case Face:
		return 3
	case Passkey:
		return 4
	}
	return -1
}

// FactorSet is a set of factor types. It does not change and may be copied and
// shared. The zero value is the empty set.
type FactorSet struct {
	_    [0]func() // not to be compared by ==, but by Equal
	bits uint32    // of the constants
	// rest are the others, sorted, without duplicates, or nil: rare, and a
	// slice of its own would make the set twice as large.
	rest *[]FactorType
}

// others returns the types that have no constant. The slice is shared.
func (s FactorSet) others() []FactorType {
	if s.rest == nil {
		return nil
	}
	return *s.rest
}

// Factors returns the set of the given types. Case does not matter, TOTP is
// OTP, and an empty type is left out.
func Factors(types ...FactorType) FactorSet {
	var s FactorSet
	var others []FactorType
	for _, t := range types {
		t = t.Normalize()
		if bit := bitOf(t); bit >= 0 {
			s.bits |= 1 << bit
		} else if t != "" {
			others = append(others, t)
		}
	}
	if others != nil {
		slices.Sort(others)
		others = slices.Compact(others)
		s.rest = &others
	}
	return s
}

// Has reports whether t is in the set.
func (s FactorSet) Has(t FactorType) bool {
	t = t.Normalize()
	if bit := bitOf(t); bit >= 0 {
		return s.bits&(1<<bit) != 0
	}
	return s.hasOther(t)
}

func (s FactorSet) hasOther(t FactorType) bool {
	_, found := slices.BinarySearch(s.others(), t)
	return found
}

// mask returns the set as bits, those of others after the constants'.
func (s FactorSet) mask(others []FactorType) uint32 {
	m := s.bits
	for i, t := range others {
		if s.hasOther(t) {
			m |= 1 << (namedBits + i)
		}
	}
	return m
}

// Types returns the types: the constants in the order of their declaration,
// then the others in alphabetical order. The slice is the caller's, and nil for
// the empty set.
func (s FactorSet) Types() []FactorType {
	return append(typesOf(s.bits, nil), s.others()...)
}

// typesOf spells a mask.
func typesOf(mask uint32, others []FactorType) []FactorType {
	var types []FactorType
	for bit, t := range named() {
		if mask&(1<<bit) != 0 {
			types = append(types, t)
		}
	}
	for i, t := range others {
		if mask&(1<<(namedBits+i)) != 0 {
			types = append(types, t)
		}
	}
	return types
}

// contains reports whether all types of other are in the set.
func (s FactorSet) contains(other FactorSet) bool {
	return other.bits&^s.bits == 0 && !slices.ContainsFunc(other.others(), func(t FactorType) bool { return !s.hasOther(t) })
}

// Len returns how many types there are.
func (s FactorSet) Len() int { return len(s.Types()) }

// Equal reports whether both sets have the same types.
func (s FactorSet) Equal(other FactorSet) bool {
	return s.bits == other.bits && slices.Equal(s.others(), other.others())
}

// String returns the types with commas between them, "none" for the empty set.
func (s FactorSet) String() string {
	types := s.Types()
	if len(types) == 0 {
		return "none"
	}
	var b strings.Builder
	for i, t := range types {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(string(t))
	}
	return b.String()
}

// distinctTypes normalizes types and drops repetitions.
func distinctTypes(types []FactorType) ([]FactorType, error) {
	if len(types) == 0 {
		return nil, fmt.Errorf("%w: no factor types", ErrInvalidPolicy)
	}
	for _, t := range types {
		if err := checkType(t); err != nil {
			return nil, err
		}
	}
	distinct := Factors(types...).Types()
	if len(distinct) > maxPolicyTypes {
		return nil, errTooManyTypes()
	}
	return distinct, nil
}

// distinctNamed is distinctTypes for types that must have a constant.
func distinctNamed(types []FactorType) ([]FactorType, error) {
	distinct, err := distinctTypes(types)
	if err != nil {
		return nil, err
	}
	for _, t := range types {
		if bitOf(t.Normalize()) < 0 {
			return nil, fmt.Errorf("%w: %s (a custom type is Custom(%q))", ErrInvalidPolicy, unknownType(t), t)
		}
	}
	return distinct, nil
}

func checkType(t FactorType) error {
	switch {
	case t == "":
		return fmt.Errorf("%w: an empty factor type", ErrInvalidPolicy)
	case len(t) > maxTypeBytes:
		return fmt.Errorf("%w: a factor type of over %d bytes", ErrInvalidPolicy, maxTypeBytes)
	case strings.TrimSpace(string(t)) != string(t):
		// No type has one, and so nobody would be let in.
		return fmt.Errorf("%w: factor type %q starts or ends with a space", ErrInvalidPolicy, t)
	case !utf8.ValidString(string(t)) || strings.ContainsFunc(string(t), func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%w: factor type %q is not printable", ErrInvalidPolicy, t)
	}
	return nil
}

// constantOf returns the Go name of a type that has one.
func constantOf(t FactorType) string {
	return [...]string{"OTP", "SMS", "Email", "Face", "Passkey"}[bitOf(t)]
}

// unknownType says that a type has no constant, and which one may be meant.
func unknownType(t FactorType) string {
	var known []string
	for _, constant := range named() {
		known = append(known, string(constant))
	}
	if near, ok := spelling.Nearest(string(t.Normalize()), append(known, "TOTP")); ok {
		near = string(FactorType(near).Normalize())
		return fmt.Sprintf("unknown factor type %q: did you mean %s?", t, near)
	}
	return fmt.Sprintf("unknown factor type %q: the known ones are %s", t, strings.Join(known, ", "))
}

// Bounds on what one answer may put into the cache. A type or a number of
// types over them comes from no GenAuth that is documented: such facts are
// partial, and may allow but not refuse.
const (
	maxOtherTypes = 32
	maxTypeBytes  = 64
)

// newFacts keeps of an answer what the cache may hold.
func newFacts(list []client.Factor, partial bool) facts {
	types := make([]FactorType, 0, len(list))
	for _, f := range list {
		if len(f.Type) == 0 || len(f.Type) > maxTypeBytes {
			partial = true
			continue
		}
		types = append(types, f.Type)
	}
	set := Factors(types...)
	if kept := set.Types(); len(kept) > maxOtherTypes {
		// The constants come first: they are not lost.
		set, partial = Factors(kept[:maxOtherTypes]...), true
	}
	return facts{enrolled: set, partial: partial}
}
