package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMutants: each replaces one place of the source, which is there, and breaks a
// rule of its own.
func TestMutants(t *testing.T) {
	t.Chdir("../..")
	rules := make(map[string]bool)
	for _, m := range mutants() {
		assert.False(t, rules[m.rule], "twice: %s", m.rule)
		rules[m.rule] = true
		source, err := m.mutate()
		require.NoError(t, err, m.rule)
		assert.True(t, bytes.Contains(source, []byte(m.new)), m.rule)
	}
	assert.GreaterOrEqual(t, len(rules), 15)
}
