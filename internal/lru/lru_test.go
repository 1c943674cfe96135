package lru_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/internal/lru"
)

// TestCacheIsAnLRU does the same to a cache and to golang-lru's, and compares all that
// they say.
func TestCacheIsAnLRU(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 2, 3, 255, 256, 257, 600} {
		t.Run(strconv.Itoa(size), func(t *testing.T) {
			t.Parallel()
			got, err := lru.New[int, int](size)
			require.NoError(t, err)
			want, err := simplelru.NewLRU[int, int](size, nil)
			require.NoError(t, err)
			random := rand.New(rand.NewPCG(1, uint64(size)))
			for step := range 20_000 {
				key := random.IntN(size*2 + 1)
				switch random.IntN(5) {
				case 0:
					got.Remove(key)
					want.Remove(key)
				case 1:
					value, ok := got.Peek(key)
					wantValue, wantOK := want.Peek(key)
					require.Equal(t, wantOK, ok)
					require.Equal(t, wantValue, value)
				case 2:
					value, ok := got.Get(key)
					wantValue, wantOK := want.Get(key)
					require.Equal(t, wantOK, ok)
					require.Equal(t, wantValue, value)
				default:
					got.Add(key, step)
					want.Add(key, step)
				}
				require.Equal(t, want.Len(), got.Len())
			}
			require.Equal(t, want.Values(), slices.Collect(got.Values()))
			for range got.Values() {
				break // as a caller may
			}
		})
	}
}

// TestCacheOfNoSize has what is not a size.
func TestCacheOfNoSize(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, -1} {
		_, err := lru.New[int, int](size)
		assert.Error(t, err)
	}
}
