package redisstore

import (
	"testing"
	"time"

	"github.com/echomfa/echomfa"
	"github.com/echomfa/echomfa/internal/redistest"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readerRig is a reader whose rounds and looks a test has it make.
type readerRig struct {
	*reader
	t      *testing.T
	client rueidis.Client
	said   []echomfa.StoreEvent
}

func newReaderRig(t *testing.T) *readerRig {
	t.Helper()
	option := rueidis.ClientOption{InitAddress: []string{redistest.New(t).Addr}, ConnWriteTimeout: time.Minute}
	option.Dialer.Timeout = time.Minute // a machine may be busy
	s, err := New(Config{Redis: option, Secrets: [][]byte{make([]byte, 32)}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	r := &readerRig{t: t}
	r.client, err = s.connect(t.Context())
	require.NoError(t, err)
	r.reader = &reader{s: s, hear: func(e echomfa.StoreEvent) { r.said = append(r.said, e) }, heard: make(map[place]bool)}
	return r
}

// sees looks, and reports whether the log was rewound.
func (r *readerRig) sees() (rewound bool) {
	r.t.Helper()
	rewound, err := r.look(r.t.Context(), r.client)
	require.NoError(r.t, err)
	return rewound
}

// forget invalidates a user.
func (r *readerRig) forget(user echomfa.StoreKey) {
	r.t.Helper()
	require.NoError(r.t, r.s.DeleteUser(r.t.Context(), user))
}

func (r *readerRig) command(words ...string) rueidis.RedisResult {
	r.t.Helper()
	result := r.client.Do(r.t.Context(), r.client.B().Arbitrary(words...).Build())
	require.NoError(r.t, result.Error())
	return result
}

// TestOwnEntryThatIsYetToBeReadIsNotLost looks at the log again before it was read, as
// after a connection that broke: an own entry that was not heard is not lost until then.
func TestOwnEntryThatIsYetToBeReadIsNotLost(t *testing.T) {
	t.Parallel()
	r, user := newReaderRig(t), echomfa.StoreKey{1}
	require.False(t, r.sees())
	r.forget(user)
	for range 3 {
		assert.False(t, r.sees(), "nobody has read it yet")
	}
	_, err := r.round(t.Context(), r.client)
	require.NoError(t, err)
	for range 3 {
		assert.False(t, r.sees(), "it was heard")
	}
	assert.Equal(t, []echomfa.StoreEvent{{User: user}}, r.said)

	r.forget(user)
	require.False(t, r.sees())
	r.caughtUp = true // it was read to its end, without this entry
	assert.True(t, r.sees(), "it was lost")
}

// TestLossIsToldOnce: the log is gone, and another one begins before the reader looks. What
// was acknowledged before is sent again once, and not heard of twice.
func TestLossIsToldOnce(t *testing.T) {
	t.Parallel()
	r, before, after := newReaderRig(t), echomfa.StoreKey{1}, echomfa.StoreKey{2}
	r.forget(before)
	_, err := r.round(t.Context(), r.client)
	require.NoError(t, err)
	r.forget(before) // nobody reads this one
	for range 2 {
		r.command("FLUSHALL")
		r.forget(after)
	}
	r.looked = time.Now()
	_, err = r.round(t.Context(), r.client)
	require.ErrorIs(t, err, errFork)
	for range 4 {
		r.looked = time.Time{}
		_, err = r.round(t.Context(), r.client)
		require.NoError(t, err)
	}
	assert.Equal(t, []echomfa.StoreEvent{{User: before}, {Kind: echomfa.Rewound}, {User: after}}, r.said)
}

// TestReadFromAnOldMaster: the log is looked at where it is, and then read from a node that was
// its master, has hung, and does not know better yet. What that one lacks is heard later.
func TestReadFromAnOldMaster(t *testing.T) {
	t.Parallel()
	r, old := newReaderRig(t), newReaderRig(t)
	before, meanwhile, after := echomfa.StoreKey{1}, echomfa.StoreKey{2}, echomfa.StoreKey{3}
	r.forget(before)
	_, err := r.round(t.Context(), r.client)
	require.NoError(t, err)
	r.forget(meanwhile)
	require.False(t, r.sees())
	more, err := r.round(t.Context(), old.client)
	require.NoError(t, err)
	assert.True(t, more, "not everything was told")
	_, err = r.round(t.Context(), r.client)
	require.NoError(t, err)
	r.forget(after)
	_, err = r.round(t.Context(), r.client)
	require.NoError(t, err)
	assert.Equal(t, []echomfa.StoreEvent{{User: before}, {Kind: echomfa.Rewound}, {User: before}, {User: meanwhile}, {User: after}}, r.said)
}

// TestEntryThatWasDeleted: somebody deletes the last entry. It is looked for once from the start,
// and then something was missed.
func TestEntryThatWasDeleted(t *testing.T) {
	t.Parallel()
	r, first, deleted, last := newReaderRig(t), echomfa.StoreKey{1}, echomfa.StoreKey{2}, echomfa.StoreKey{3}
	r.forget(first)
	_, err := r.round(t.Context(), r.client)
	require.NoError(t, err)
	r.forget(deleted)
	require.False(t, r.sees())
	r.command("XDEL", r.s.secrets[0].log, r.tail.String())
	for range 6 {
		_, err = r.round(t.Context(), r.client)
		require.NoError(t, err)
	}
	r.forget(last)
	_, err = r.round(t.Context(), r.client)
	require.NoError(t, err)
	assert.Equal(t, []echomfa.StoreEvent{{User: first}, {Kind: echomfa.Rewound}, {User: first}, {Kind: echomfa.Resumed}, {User: last}}, r.said)
}

// TestLogIsLookedAtAfterEachWait: a reader who hears nothing looks whether the log is still there
// before listening again.
func TestLogIsLookedAtAfterEachWait(t *testing.T) {
	t.Parallel()
	r := newReaderRig(t)
	for n := range 4 {
		_, err := r.round(t.Context(), r.client)
		require.NoError(t, err)
		require.Len(t, r.said, n, "it was looked at before each wait")
		r.command("DEL", r.s.secrets[0].history)
	}
}

// TestLogThatNeverFitsTogether: somebody who has no secret appends an old entry as it is. Each
// time that it is met the round fails, so that the reader pauses and says Deaf.
func TestLogThatNeverFitsTogether(t *testing.T) {
	t.Parallel()
	r, user := newReaderRig(t), echomfa.StoreKey{1}
	r.forget(user)
	entries, err := r.command("XRANGE", r.s.secrets[0].log, "-", "+").AsXRange()
	require.NoError(t, err)
	require.Len(t, entries, 1)
	r.command("XADD", r.s.secrets[0].log, "*", "p", "0-0", "e", entries[0].FieldValues["e"])
	for range 3 {
		_, err = r.round(t.Context(), r.client)
		require.ErrorIs(t, err, errFork)
	}
	assert.Equal(t, uint64(3), r.s.Stats().Rewound)
}

// TestIDThatIsGivenTwice: a failover loses the last entry, and the next master, whose clock is
// behind, gives its id to another one.
func TestIDThatIsGivenTwice(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]bool{"it is the last": false, "another one follows": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, lost, other, next := newReaderRig(t), echomfa.StoreKey{1}, echomfa.StoreKey{2}, echomfa.StoreKey{3}
			r.forget(lost)
			_, err := r.round(t.Context(), r.client)
			require.NoError(t, err)
			log, id := r.s.secrets[0].log, r.cursor.String()
			r.command("DEL", log)
			r.command("XADD", log, id, "p", "0-0", "t", "other", "e", r.s.sealEvent(echomfa.StoreEvent{User: other}))
			r.command("SET", r.s.secrets[0].history, r.history+" "+id+":other", "PX", "60000")
			want := []echomfa.StoreEvent{{User: lost}, {Kind: echomfa.Rewound}, {User: other}}
			if more {
				r.forget(next)
				r.looked = time.Now()
				_, err = r.round(t.Context(), r.client)
				require.ErrorIs(t, err, errFork)
				want = append(want, echomfa.StoreEvent{User: next})
			}
			r.looked = time.Time{}
			_, err = r.round(t.Context(), r.client)
			require.NoError(t, err)
			assert.Equal(t, want, r.said)
		})
	}
}

// TestAcknowledgedAreBounded: what is remembered of own entries is the latest.
func TestAcknowledgedAreBounded(t *testing.T) {
	t.Parallel()
	var own acknowledged
	for i := range uint64(3 * ownMost) {
		own.add(mark{at: place{seq: i}})
		if i%999 == 0 {
			kept, next := own.since(0)
			require.Equal(t, i+1, next)
			require.Less(t, len(kept), 2*ownMost)
			require.GreaterOrEqual(t, uint64(len(kept)), min(i+1, ownMost))
		}
		last, _ := own.since(i)
		require.Equal(t, []mark{{at: place{seq: i}}}, last)
	}
	_, next := own.since(0)
	nothing, _ := own.since(next)
	assert.Empty(t, nothing)
}
