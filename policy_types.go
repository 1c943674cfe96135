package echomfa

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

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
		return fmt.Errorf("%w: factor type %q begins or ends with a blank", ErrInvalidPolicy, t)
	case !utf8.ValidString(string(t)) || strings.ContainsFunc(string(t), func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%w: factor type %q is not printable", ErrInvalidPolicy, t)
	}
	return nil
}

// Custom returns the policy that asks for one factor type which has no constant
// in this package, and is invalid for one that has, as in
//
//	AnyOf(OTP).Or(Custom("VOICE"))
//
// It declares that the name is meant: in [AnyOf], [AllOf] and [AtLeast] such a
// type is a mistake, for a misspelled one would lock everybody out. [ParsePolicy]
// reads such a type in quotes, also where several are counted.
func Custom(t FactorType) Policy {
	if named := t.Normalize(); bitOf(named) >= 0 {
		return invalid(fmt.Errorf("%w: %s has a constant: use %s", ErrInvalidPolicy, named, constantOf(named)))
	}
	return customAtLeast(1, t)
}

// constantOf returns the Go name of a type that has one.
func constantOf(t FactorType) string {
	return [...]string{"OTP", "SMS", "Email", "Face", "Passkey"}[bitOf(t)]
}

// customAtLeast is AtLeast for types that have been declared.
func customAtLeast(n int, types ...FactorType) Policy {
	distinct, err := distinctTypes(types)
	if err != nil {
		return invalid(err)
	}
	return atLeast(n, distinct)
}

// unknownType says that a type has no constant, and which one may be meant.
func unknownType(t FactorType) string {
	if near, ok := nearest(t.Normalize()); ok {
		return fmt.Sprintf("unknown factor type %q: did you mean %s?", t, near)
	}
	var known []string
	for _, constant := range named() {
		known = append(known, string(constant))
	}
	return fmt.Sprintf("unknown factor type %q: the known ones are %s", t, strings.Join(known, ", "))
}

// maxMistakes is how many letters of a word somebody mistypes.
const maxMistakes = 2

// nearest returns the constant of which t may be a misspelling: it differs in two
// letters at most, and in fewer than half of them.
func nearest(t FactorType) (best FactorType, ok bool) {
	least := min(maxMistakes+1, (len(t)+1)/2)
	for _, candidate := range named() {
		if extra := len(t) - len(candidate); extra > maxMistakes || -extra > maxMistakes {
			continue // a text may be long
		}
		if d := distance(string(t), string(candidate)); d < least {
			best, least = candidate, d
		}
	}
	return best, best != ""
}

// distance is the number of letters to add, remove or change, or to swap with
// their neighbor.
func distance(a, b string) int {
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
