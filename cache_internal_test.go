package echomfa

import (
	"fmt"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
	"github.com/echomfa/echomfa/internal/digest"
	"github.com/echomfa/echomfa/internal/typelists"
)

// TestSizeIsValidatedBefore shows that a table of no size cannot be made: it
// would keep nothing, or all.
func TestSizeIsValidatedBefore(t *testing.T) {
	t.Parallel()
	assert.Panics(t, func() { newLRU[entry](0) })
}

// TestContains shows which sets hold all that another holds: what decides
// whether an answer that left something out may replace older facts.
func TestContains(t *testing.T) {
	t.Parallel()
	all := Factors(OTP, SMS, "A", "B")
	for _, part := range []FactorSet{{}, Factors(OTP), Factors("A"), Factors(SMS, "B"), all} {
		assert.True(t, all.contains(part), part)
	}
	for _, other := range []FactorSet{Factors(Face), Factors("C"), Factors(OTP, "A", "C")} {
		assert.False(t, all.contains(other), other)
	}
	assert.False(t, FactorSet{}.contains(all))
}

// TestFactsServeToTheirLastInstant has the ends of the lives of facts, to the
// nanosecond.
func TestFactsServeToTheirLastInstant(t *testing.T) {
	t.Parallel()
	c := newCache(CacheConfig{Size: 64, RefusedSize: 16, FreshFor: time.Minute, DenyFreshFor: 2 * time.Second}, "n")
	says := func(k digest.Key, satisfied bool, age time.Duration) need {
		p := AnyOf(OTP)
		if !satisfied {
			p = AnyOf(SMS)
		}
		return c.weigh(k, p, &reading{known: true, facts: facts{enrolled: Factors(OTP)}, age: age}, c.epochNow())
	}
	k := digest.Key{8: 0xff, 9: 0xff} // its jitter is the largest
	fresh := c.freshFor(k)
	assert.InDelta(t, 54*time.Second, fresh, float64(time.Millisecond))
	assert.Equal(t, time.Minute, c.freshFor(digest.Key{}))
	assert.Equal(t, nothing, says(k, true, fresh))
	assert.Equal(t, renewal, says(k, true, fresh+1))
	assert.Equal(t, nothing, says(k, false, 2*time.Second))
	assert.Equal(t, recheck, says(k, false, 2*time.Second+1))
	c.epoch.Add(1)
	stale := &reading{known: true, facts: facts{enrolled: Factors(OTP)}}
	assert.Equal(t, renewal, c.weigh(k, AnyOf(OTP), stale, 0), "of an earlier epoch")
	assert.Equal(t, recheck, c.weigh(k, AnyOf(SMS), stale, 0), "of an earlier epoch")
}

// TestShards shows that a cache has as many parts, up to 64, as leave each of
// them 64 entries and 16 refusals, and that each holds its part and no more.
func TestShards(t *testing.T) {
	t.Parallel()
	for sizes, want := range map[[2]int]int{
		{1, 1}: 1, {127, 1 << 10}: 1, {128, 32}: 2, {1 << 10, 31}: 1, {1 << 10, 32}: 2, {255, 1 << 10}: 2, {256, 64}: 4,
		{1 << 10, 256}: 16, {1 << 12, 1 << 10}: 64, {1 << 16, 1 << 14}: 64,
	} {
		c := newCache(CacheConfig{Size: sizes[0], RefusedSize: sizes[1]}, "n")
		assert.Len(t, c.shards, want, sizes)
		for i := range max(sizes[0], sizes[1]) + 1 {
			k := digest.Key{8: byte(i >> 16), 9: byte(i >> 8), 10: byte(i)} // all of the first part
			c.shards[0].entries.Add(k, entry{})
			c.shards[0].refused.Add(k, refusal{})
		}
		entries, refused, _ := c.size()
		assert.Equal(t, sizes[0]/want, entries, sizes)
		assert.Equal(t, sizes[1]/want, refused, sizes)
	}
}

// TestLargestAnswer has the most that one answer may put into the cache, and
// what is one more.
func TestLargestAnswer(t *testing.T) {
	t.Parallel()
	types := func(n, length int) []client.Factor {
		list := make([]client.Factor, n)
		for i := range list {
			list[i].Type = FactorType(fmt.Sprintf("%0*d", length, i))
		}
		return list
	}
	for size, partial := range map[[2]int]bool{{32, 64}: false, {33, 64}: true, {32, 65}: true} {
		got := newFacts(types(size[0], size[1]), false)
		assert.Equal(t, partial, got.partial, size)
		assert.LessOrEqual(t, got.enrolled.Len(), 32, size)
	}
}

// TestTypeListsAreBounded shows that lists of types without a constant come back as
// they were, and that facts whose list is one too many are not kept.
func TestTypeListsAreBounded(t *testing.T) {
	t.Parallel()
	c := newCache(CacheConfig{Size: 64, RefusedSize: 64, FreshFor: time.Minute, DenyFreshFor: time.Second}, "n")
	keep := func(i int) need {
		q := &question{key: digest.Key{8: byte(i >> 8), 9: byte(i)}, keep: true}
		set := Factors(OTP, FactorType(fmt.Sprintf("T%d", i)))
		c.keep(c.shard(q.key), &flight{q: q, sent: c.send(time.Now()), facts: facts{enrolled: set}})
		var r reading
		n := c.read(q.key, AnyOf(OTP), c.now(), &r)
		if n == nothing {
			assert.True(t, r.enrolled.Equal(set), "%v is not %v", r.enrolled, set)
		}
		return n
	}
	for i := range typelists.Most {
		require.Equal(t, nothing, keep(i), i)
	}
	assert.Equal(t, cold, keep(typelists.Most), "one list too many")
	assert.Equal(t, nothing, keep(typelists.Most-1), "a list that is known")
}

// TestEntryKeepsAllOfItsParts packs the least and the most that each part of an entry
// may be, and shows how much room an entry takes.
func TestEntryKeepsAllOfItsParts(t *testing.T) {
	t.Parallel()
	assert.Equal(t, uintptr(24), unsafe.Sizeof(entry{}))
	for _, token := range []uint32{0, 1, maxTombstones - 1, maxTombstones} {
		for _, user := range []uint32{0, 1, maxTombstones - 1, maxTombstones} {
			for _, others := range []uint32{0, 1, typelists.Most} {
				for flags := range 4 {
					e := entry{packed: pack(graves{token: token, user: user}, flags&1 != 0, flags&2 != 0, others)}
					assert.Equal(t, graves{token: token, user: user}, e.graves())
					assert.Equal(t, others, e.others())
					assert.Equal(t, flags&1 != 0, e.partial())
					assert.Equal(t, flags&2 != 0, e.stored())
				}
			}
		}
	}
}

// TestNewer shows what keeps facts from being stored that were asked for at the moment
// 100: what was asked for after them, and has not been invalidated.
func TestNewer(t *testing.T) {
	t.Parallel()
	const token, user = 1, 2 // slots
	for name, row := range map[string]struct {
		refused, known int64 // when it was asked for that the cache has; zero if it has not
		buried         int64 // when the token was invalidated
		sent           int64
		want           bool
	}{
		"nothing":                            {sent: 100},
		"refused before":                     {refused: 99, sent: 100},
		"refused at the same moment":         {refused: 100, sent: 100},
		"refused after":                      {refused: 101, sent: 100, want: true},
		"refused after, and invalidated":     {refused: 101, buried: 102, sent: 100},
		"asked before":                       {known: 99, sent: 100},
		"asked at the same moment":           {known: 100, sent: 100},
		"asked after":                        {known: 101, sent: 100, want: true},
		"asked after, and invalidated":       {known: 101, buried: 102, sent: 100},
		"refused after, asked before":        {refused: 101, known: 99, sent: 100, want: true},
		"lookups fail, facts of before here": {sent: -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCache(CacheConfig{Size: 64, RefusedSize: 64}, "n")
			q := &question{key: digest.Key{1}, graves: graves{token: token, user: user}}
			s := c.shard(q.key)
			memory := refusal{graves: q.graves} // of a token whose lookups fail
			if row.refused != 0 {
				memory.at.monotonic, memory.err = row.refused, client.ErrUnauthenticated
			}
			s.refused.Add(q.key, memory)
			if row.known != 0 {
				s.entries.Add(q.key, entry{sent: row.known, packed: pack(q.graves, false, false, 0)})
			}
			if row.buried != 0 {
				c.bury(token, row.buried)
			}
			assert.Equal(t, row.want, c.newer(s, &flight{q: q, sent: moment{monotonic: row.sent}}))
		})
	}
}

// TestTombstonesFitAnEntry has caches of every size: an entry has room for the number of
// each slot.
func TestTombstonesFitAnEntry(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]int{
		1: minTombstones, minTombstones + 1: 2 * minTombstones, maxTombstones: maxTombstones, maxTombstones + 1: maxTombstones,
	} {
		slots := newTombstones(size)
		assert.Len(t, slots.slots, want+1, size)
		assert.Equal(t, slots.nobody(), (&entry{packed: pack(graves{user: slots.nobody()}, false, false, 0)}).graves().user)
	}
}
