package redisstore

import (
	"testing"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestOwnEntryThatIsYetToBeReadIsNotLost looks at the log again before it was read, as
// after a connection that broke: an own entry that was not heard is no loss until then.
func TestOwnEntryThatIsYetToBeReadIsNotLost(t *testing.T) {
	t.Parallel()
	s, err := New(Config{
		Redis:   rueidis.ClientOption{InitAddress: []string{redistest.New(t).Addr}},
		Secrets: [][]byte{make([]byte, 32)},
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	client, err := s.connect(t.Context())
	require.NoError(t, err)
	var heard []echomfa.StoreEvent
	r := &reader{s: s, hear: func(e echomfa.StoreEvent) { heard = append(heard, e) }, heard: make(map[place]bool)}
	look := func() (rewound bool) {
		rewound, err := r.look(t.Context(), client)
		require.NoError(t, err)
		return rewound
	}
	require.False(t, look())
	user := echomfa.StoreKey{1}
	require.NoError(t, s.DeleteUser(t.Context(), user))
	for range 3 {
		assert.False(t, look(), "nobody has read it yet")
	}
	_, err = r.round(t.Context(), client)
	require.NoError(t, err)
	for range 3 {
		assert.False(t, look(), "it was heard")
	}
	assert.Equal(t, []echomfa.StoreEvent{{User: user}}, heard)

	require.NoError(t, s.DeleteUser(t.Context(), user))
	require.False(t, look())
	r.caughtUp = true // it was read to its end, without this entry
	assert.True(t, look(), "it was lost")
}
