package bitsets_test

import (
	"math/bits"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/internal/bitsets"
)

// TestChoose compares the subsets of a size with all sets of up to seven members.
func TestChoose(t *testing.T) {
	t.Parallel()
	for set := range uint32(1 << 7) {
		for n := range 8 {
			var want []uint32
			for s := range uint32(1 << 7) {
				if s&^set == 0 && bits.OnesCount32(s) == n {
					want = append(want, s)
				}
			}
			if n > bits.OnesCount32(set) {
				continue
			}
			chosen := bitsets.Choose(set, n)
			assert.ElementsMatch(t, want, chosen)
			assert.Len(t, chosen, bitsets.Binomial(bits.OnesCount32(set), n))
			assert.Equal(t, n > 1 && n < bits.OnesCount32(set), bitsets.AreChosen(chosen), "%b of %d", set, n)
		}
	}
}

// TestMinimal holds what is kept of all lists of three sets against the definition:
// the same sets contain one of the list, and no set that is kept contains another.
func TestMinimal(t *testing.T) {
	t.Parallel()
	for list := range uint32(1 << 12) {
		sets := []uint32{list & 0xf, list >> 4 & 0xf, list >> 8 & 0xf}
		kept, ok := bitsets.Minimal(append([]uint32{}, sets...), 3)
		assert.True(t, ok)
		for s := range uint32(16) {
			assert.Equal(t, bitsets.HoldsOne(s, sets), bitsets.HoldsOne(s, kept), "%b of %b", s, sets)
		}
		for i, s := range kept {
			assert.False(t, bitsets.HoldsOne(s, append(append([]uint32{}, kept[:i]...), kept[i+1:]...)), "%b", kept)
		}
		_, ok = bitsets.Minimal(sets, len(kept)-1)
		assert.False(t, ok)
	}
}
