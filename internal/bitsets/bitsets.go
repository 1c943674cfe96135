// Package bitsets combines sets of up to 32 members, each of them one bit of a
// number. A monotone condition on sets is the list of the minimal ones that meet it.
package bitsets

import (
	"cmp"
	"math/bits"
	"slices"
)

// BySize orders sets by how many members they have, then by value.
func BySize(a, b uint32) int {
	return cmp.Or(cmp.Compare(bits.OnesCount32(a), bits.OnesCount32(b)), cmp.Compare(a, b))
}

// HoldsOne reports whether a set contains one of the others as a whole. It does not
// allocate.
func HoldsOne(set uint32, others []uint32) bool {
	for _, s := range others {
		if s&^set == 0 {
			return true
		}
	}
	return false
}

// Union returns the set of all members.
func Union(sets []uint32) uint32 {
	var all uint32
	for _, s := range sets {
		all |= s
	}
	return all
}

// Minimal returns those sets that contain none of the others, by size, and false if
// there are more than limit. It sorts what it is given. Going by size, a set that is
// kept stays.
func Minimal(sets []uint32, limit int) (kept []uint32, ok bool) {
	slices.SortFunc(sets, BySize)
	for _, s := range sets {
		if HoldsOne(s, kept) {
			continue
		}
		if len(kept) == limit {
			return nil, false
		}
		kept = append(kept, s)
	}
	return kept, true
}

// Choose returns all subsets of n members.
func Choose(set uint32, n int) []uint32 {
	members := make([]uint32, 0, bits.OnesCount32(set))
	for m := set; m != 0; m &= m - 1 {
		members = append(members, m&-m)
	}
	var sets []uint32
	choose(members, n, 0, func(chosen uint32) { sets = append(sets, chosen) })
	return sets
}

// choose calls yield for the union of every n of the members with a set.
func choose(members []uint32, n int, set uint32, yield func(uint32)) {
	if n == 0 {
		yield(set)
		return
	}
	for i := range len(members) - n + 1 {
		choose(members[i+1:], n-1, set|members[i], yield)
	}
}

// Binomial returns n over k: how many subsets Choose returns. It does not overflow
// for an n of up to 32.
func Binomial(n, k int) int {
	b := 1
	for i := range k {
		b = b * (n - i) / (i + 1)
	}
	return b
}

// AreChosen reports whether distinct sets are all that Choose returns for their
// members, of a size above 1 and below the number of members.
func AreChosen(sets []uint32) bool {
	k := bits.OnesCount32(sets[0])
	for _, s := range sets {
		if bits.OnesCount32(s) != k {
			return false
		}
	}
	return k > 1 && len(sets) > 1 && len(sets) == Binomial(bits.OnesCount32(Union(sets)), k)
}
