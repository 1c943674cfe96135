package echomfa

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/client"
)

// TestT16HostAndAppAreInTheNamespace shows that parts which only differ in where
// one ends are told apart.
func TestT16HostAndAppAreInTheNamespace(t *testing.T) {
	t.Parallel()
	one := appendPart(appendPart(nil, "https://a"), "bc")
	two := appendPart(appendPart(nil, "https://ab"), "c")
	assert.NotEqual(t, one, two)
}

// TestT36WhatAnEntryHoldsIsBounded shows that no answer can make one entry large.
func TestT36WhatAnEntryHoldsIsBounded(t *testing.T) {
	t.Parallel()
	list := manyFactors(1000)
	known := newFacts(list, false)
	assert.Len(t, known.enrolled.Types(), maxOtherTypes)
	assert.True(t, known.enrolled.Has(OTP), "the constants are not lost")
	assert.True(t, known.partial, "such facts may allow and never refuse")

	known = newFacts(list[:1], false)
	assert.False(t, known.partial)
}

// manyFactors returns OTP, and n-1 factors of types that nobody knows.
func manyFactors(n int) []client.Factor {
	list := make([]client.Factor, 0, n)
	for i := range n - 1 {
		list = append(list, client.Factor{ID: "id", Type: FactorType(fmt.Sprintf("TYPE-%d", i))})
	}
	return append([]client.Factor{{ID: "id", Type: OTP}}, list...)
}
