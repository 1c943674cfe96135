package echomfa

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

// TestT16HostAndAppAreInTheNamespace shows that each host, app and namespace has
// keys of its own, also those that only differ in where one ends. Package digest
// shows that keys of two namespaces differ.
func TestT16HostAndAppAreInTheNamespace(t *testing.T) {
	t.Parallel()
	seen := make(map[string]string)
	for _, source := range [][3]string{
		{"https://a.example", "app", ""},
		{"https://b.example", "app", ""},
		{"https://a.example", "app2", ""},
		{"https://a.example", "app", "n"},
		{"https://a.example", "ap", "pn"},
		{"https://a.example/a", "pp", ""},
		{"https://a.example:8443", "app", ""},
		{"https://a.example/x", "app", ""},
	} {
		genauth, err := client.New(client.Config{BaseURL: source[0], AppID: source[1]})
		require.NoError(t, err)
		cfg, err := Config{Client: genauth, Namespace: source[2]}.prepared()
		require.NoError(t, err)
		assert.Empty(t, seen[cfg.Namespace], "%v", source)
		seen[cfg.Namespace] = fmt.Sprint(source)
	}
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
