package echomfa

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/echomfa/echomfa/client"
)

// TestT16AndT17CacheKeyPartsCannotRunTogether shows that the key covers host,
// app id, namespace and the whole token, and that no two of them can be mistaken
// for one another.
func TestT16AndT17CacheKeyPartsCannotRunTogether(t *testing.T) {
	t.Parallel()
	keys := make(map[cacheKey]string)
	for _, namespace := range []string{"", "a", "ab", "abc", "a\x00", "\x00\x00\x00\x00\x00\x00\x00\x01a"} {
		c := newCache(CacheConfig{Size: 64, RefusedSize: 16}, namespace)
		c.prefix = appendPart(make([]byte, 32), namespace) // the same secret for all
		for _, token := range []string{"", "c", "bc", "abc", "\x00", "token", "token2", "tokeN"} {
			name := namespace + "|" + token
			k := c.key(token)
			assert.NotContains(t, keys, k, name)
			keys[k] = name
			assert.Equal(t, k, c.key(token))
		}
	}
}

// TestT17KeysOfTwoProcessesDiffer shows that a key tells nothing without the
// process's secret.
func TestT17KeysOfTwoProcessesDiffer(t *testing.T) {
	t.Parallel()
	rules := CacheConfig{Size: 64, RefusedSize: 16}
	a, b := newCache(rules, "n"), newCache(rules, "n")
	assert.NotEqual(t, a.key("token"), b.key("token"))
	assert.NotEqual(t, a.ref(a.key("token")), b.ref(b.key("token")))
}

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
