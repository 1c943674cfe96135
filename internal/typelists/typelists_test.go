package typelists_test

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/internal/factortype"
	"github.com/echomfa/echomfa/internal/typelists"
)

// TestTable shows that each list has a number of its own, that lists cannot run
// together, and that there are no more than Most.
func TestTable(t *testing.T) {
	t.Parallel()
	var table typelists.Table
	n, ok := table.Number(nil)
	require.True(t, ok)
	assert.Zero(t, n)
	assert.Nil(t, table.Get(0))

	seen := make(map[uint32]bool)
	lists := [][]factortype.Type{{"AB", "C"}, {"A", "BC"}, {"ABC"}}
	for len(lists) < typelists.Most {
		lists = append(lists, []factortype.Type{factortype.Type(strconv.Itoa(len(lists)))})
	}
	for _, list := range lists {
		n, ok := table.Number(&list)
		require.True(t, ok, list)
		require.False(t, seen[n], list)
		seen[n] = true
		again := append([]factortype.Type{}, list...)
		same, ok := table.Number(&again)
		require.True(t, ok)
		require.Equal(t, n, same)
		require.Equal(t, list, *table.Get(n))
	}
	_, ok = table.Number(&[]factortype.Type{"one too many"})
	assert.False(t, ok)
	_, ok = table.Number(&lists[0])
	assert.True(t, ok)
}
