package echomfa

import (
	"math/bits"
	"strconv"
	"strings"
)

// String returns the policy's text, by which [ParsePolicy] makes an equal
// policy. The text of an invalid policy says why, and does not parse.
func (p Policy) String() string {
	if err := p.Err(); err != nil {
		return err.Error()
	}
	if p.p.exempt {
		return "exempt " + strconv.Quote(p.p.reason)
	}
	return spell(p.p.sets, p.p.others)
}

// spell writes satisfying sets in the shortest of a few forms.
func spell(sets []uint32, others []FactorType) string {
	common, all := sets[0], uint32(0)
	for _, s := range sets {
		common &= s
		all |= s
	}
	switch {
	case len(sets) == 1:
	case common != 0:
		rest := make([]uint32, len(sets))
		for i, s := range sets {
			rest[i] = s &^ common
		}
		text := spell(rest, others)
		if !isCount(rest) {
			text = "(" + text + ")"
		}
		return spellAll(common, others) + " and " + text
	case isCount(sets):
		types := make([]string, 0, bits.OnesCount32(all))
		for _, t := range typesOf(all, others) {
			types = append(types, spellType(t))
		}
		return strconv.Itoa(bits.OnesCount32(sets[0])) + " of (" + strings.Join(types, ", ") + ")"
	}
	alternatives := make([]string, 0, len(sets))
	for _, s := range sets {
		alternatives = append(alternatives, spellAll(s, others))
	}
	return strings.Join(alternatives, " or ")
}

// isCount reports whether the sets are all the k-element subsets of their
// types, for a k above 1.
func isCount(sets []uint32) bool {
	all, k := uint32(0), bits.OnesCount32(sets[0])
	for _, s := range sets {
		all |= s
		if bits.OnesCount32(s) != k {
			return false
		}
	}
	return k > 1 && len(sets) > 1 && len(sets) == binomial(bits.OnesCount32(all), k)
}

func spellAll(mask uint32, others []FactorType) string {
	types := typesOf(mask, others)
	words := make([]string, 0, len(types))
	for _, t := range types {
		words = append(words, spellType(t))
	}
	return strings.Join(words, " and ")
}

func spellType(t FactorType) string {
	if bitOf(t) >= 0 {
		return string(t)
	}
	return strconv.Quote(string(t))
}

// MarshalText returns the policy's text. An invalid policy is an error.
func (p Policy) MarshalText() ([]byte, error) {
	if err := p.Err(); err != nil {
		return nil, err
	}
	return []byte(p.String()), nil
}

// UnmarshalText reads a policy as [ParsePolicy] does. On an error the policy
// stays as it was.
func (p *Policy) UnmarshalText(text []byte) error {
	parsed, err := ParsePolicy(string(text))
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}
