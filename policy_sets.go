package echomfa

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a policy may hold at most. The limits are far above what anybody can
// read, and keep a hostile text from costing more than it is worth.
const (
	maxPolicyTypes = 16
	maxPolicySets  = 256
	maxTypeBytes   = 64
)

var (
	errTooManyTypes = fmt.Errorf("more than %d factor types", maxPolicyTypes)
	errTooManySets  = fmt.Errorf("more than %d alternatives", maxPolicySets)
)

// antichain is a monotone boolean function of factor types, which is exactly
// its minimal satisfying sets: none of them contains another, and the function
// is true of what contains any of them.
//
// The form is canonical: others has no type that no set uses, and sets are in
// the order of compareSets. So two functions are the same if their antichains
// are.
type antichain struct {
	others []FactorType // sorted, distinct; the type at i owns bit fixedCount+i
	sets   []uint32     // not empty
}

// kOf returns the function that is true of what holds at least k of types. It
// normalizes them, and counts a type once.
func kOf(k int, types []FactorType) (antichain, error) {
	if len(types) == 0 {
		return antichain{}, errors.New("no factor types")
	}
	for _, t := range types {
		if err := checkType(t); err != nil {
			return antichain{}, err
		}
	}
	all := Factors(types...)
	n := all.Len()
	switch {
	case n > maxPolicyTypes:
		return antichain{}, errTooManyTypes
	case k < 1:
		return antichain{}, fmt.Errorf("%d of %d factor types: must be at least 1", k, n)
	case k > n:
		return antichain{}, fmt.Errorf("%d of %d different factor types can never be enrolled", k, n)
	case binomial(n, k) > maxPolicySets:
		return antichain{}, errTooManySets
	}
	used := all.fixed | (1<<len(all.others)-1)<<fixedCount
	var sets []uint32
	for set := used; set != 0; set = (set - 1) & used { // all its subsets
		if bits.OnesCount32(set) == k {
			sets = append(sets, set)
		}
	}
	slices.SortFunc(sets, compareSets)
	return antichain{others: all.others, sets: sets}, nil
}

// checkType reports why t cannot be in a policy.
func checkType(t FactorType) error {
	switch {
	case t == "":
		return errors.New("empty factor type")
	case len(t) > maxTypeBytes:
		return fmt.Errorf("factor type of %d bytes: at most %d", len(t), maxTypeBytes)
	case !utf8.ValidString(string(t)):
		return fmt.Errorf("factor type %q: not UTF-8", string(t))
	case strings.ContainsFunc(string(t), unicode.IsControl):
		return fmt.Errorf("factor type %q: control character", string(t))
	case strings.TrimSpace(string(t)) != string(t):
		return fmt.Errorf("factor type %q: space around it", string(t))
	}
	return nil
}

// and returns the function that is true where a and b are.
func (a antichain) and(b antichain) (antichain, error) {
	others, x, y, err := align(a, b)
	if err != nil {
		return antichain{}, err
	}
	var sets []uint32
	for _, set := range x {
		if containsAny(set, y) {
			sets = append(sets, set) // its other unions contain it
			continue
		}
		for _, set2 := range y {
			sets = append(sets, set|set2)
		}
	}
	return canonical(others, sets)
}

// or returns the function that is true where a or b is.
func (a antichain) or(b antichain) (antichain, error) {
	others, x, y, err := align(a, b)
	if err != nil {
		return antichain{}, err
	}
	return canonical(others, append(x, y...))
}

// align returns the sets of a and b over the types of both.
func align(a, b antichain) (others []FactorType, x, y []uint32, err error) {
	others = slices.Concat(a.others, b.others)
	slices.Sort(others)
	others = slices.Compact(others)
	if bits.OnesCount32((union(a.sets)|union(b.sets))&fixedMask)+len(others) > maxPolicyTypes {
		return nil, nil, nil, errTooManyTypes
	}
	return others, transfer(a.sets, a.others, others), transfer(b.sets, b.others, others), nil
}

// canonical returns the antichain of sets, which it may overwrite.
func canonical(others []FactorType, sets []uint32) (antichain, error) {
	sets, ok := minimal(sets)
	if !ok {
		return antichain{}, errTooManySets
	}
	used, kept := union(sets), make([]FactorType, 0, len(others))
	for i, t := range others {
		if used&(1<<(fixedCount+i)) != 0 {
			kept = append(kept, t)
		}
	}
	sets = transfer(sets, others, kept)
	return antichain{others: kept, sets: sets}, nil
}

// minimal returns those of sets that contain no other, each once and in order.
// It reuses sets. It gives up and reports false as soon as there are too many.
func minimal(sets []uint32) ([]uint32, bool) {
	slices.SortFunc(sets, compareSets)
	// What has fewer members comes first, so a set that is kept stays kept.
	kept := sets[:0]
	for _, set := range sets {
		if containsAny(set, kept) {
			continue
		}
		if len(kept) == maxPolicySets {
			return nil, false
		}
		kept = append(kept, set)
	}
	return kept, true
}

// compareSets orders sets by size, and sets of one size as their lists of types
// are ordered.
func compareSets(a, b uint32) int {
	return cmp.Or(
		cmp.Compare(bits.OnesCount32(a), bits.OnesCount32(b)),
		cmp.Compare(bits.Reverse32(b), bits.Reverse32(a)), // who has the first type that the other lacks
	)
}

// containsAny reports whether set contains any of sets.
func containsAny(set uint32, sets []uint32) bool {
	for _, s := range sets {
		if s&^set == 0 {
			return true
		}
	}
	return false
}

// union returns the members of all sets.
func union(sets []uint32) uint32 {
	var all uint32
	for _, set := range sets {
		all |= set
	}
	return all
}

// transfer returns a copy of sets with the bits that types have in to instead
// of those that they have in from. Types that to lacks are dropped.
func transfer(sets []uint32, from, to []FactorType) []uint32 {
	moved := make([]uint32, len(sets))
	for i, set := range sets {
		moved[i] = set & fixedMask
	}
	for i, t := range from {
		j, found := slices.BinarySearch(to, t)
		if !found {
			continue
		}
		for k, set := range sets {
			moved[k] |= set >> (fixedCount + i) & 1 << (fixedCount + j)
		}
	}
	return moved
}

// types lists the types of set.
func (a antichain) types(set uint32) []FactorType {
	var others []FactorType
	for i, t := range a.others {
		if set&(1<<(fixedCount+i)) != 0 {
			others = append(others, t)
		}
	}
	return typesOf(set&fixedMask, others)
}

// project returns the bits of those types of enrolled that a uses.
func (a antichain) project(enrolled FactorSet) uint32 {
	have, i := enrolled.fixed, 0
	for j, t := range a.others { // both are sorted
		for i < len(enrolled.others) && enrolled.others[i] < t {
			i++
		}
		if i < len(enrolled.others) && enrolled.others[i] == t {
			have |= 1 << (fixedCount + j)
		}
	}
	return have
}

// binomial returns how many sets of k there are of n, for n up to 16.
func binomial(n, k int) int {
	count := 1
	for i := range min(k, n-k) {
		count = count * (n - i) / (i + 1)
	}
	return count
}
