package echomfa

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

func testRules() CacheConfig {
	var rules CacheConfig
	_ = rules.prepare() // the zero value is valid
	return rules
}

// TestT17CacheKeyPartsCannotRunTogether shows that neither a shift between
// namespace and token nor another process's secret gives the same key, and that
// all of a token counts, also behind the buffer on the stack.
func TestT17CacheKeyPartsCannotRunTogether(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 8192)
	base := newCache(testRules(), "ab")
	keyed := func(namespace, token string) cacheKey {
		d := &digester{secret: base.secret, prefix: appendPart(nil, namespace)}
		d.prepare()
		return d.key(token)
	}
	require.Equal(t, base.key("c"), keyed("ab", "c"))
	seen := make(map[cacheKey]string)
	for _, parts := range [][2]string{
		{"ab", "c"},
		{"a", "bc"},
		{"abc", ""},
		{"", "abc"},
		{"ab", "c="},
		{"ab\x00", "c"},
		{"ab", "\x00c"},
		{"ab", long},
		{"ab", long[1:]},
		{"ab", long[1:] + "b"},
		{"ab", "b" + long[1:]},
	} {
		k, name := keyed(parts[0], parts[1]), parts[0]+"|"+parts[1]
		assert.NotContains(t, seen, k, "%.20q is %.20q", name, seen[k])
		seen[k] = name
	}
	assert.NotEqual(t, newCache(testRules(), "ab").key("c"), base.key("c"), "the secret is the process's own")
	unkeyed := &digester{prefix: base.prefix}
	unkeyed.prepare()
	assert.NotEqual(t, unkeyed.key("c"), base.key("c"))
}

// TestKeysWithoutGMAC has the digest of FIPS 140 mode, which tells apart what the
// other one does.
func TestKeysWithoutGMAC(t *testing.T) {
	t.Parallel()
	keyed := func(secret byte, namespace, token string) cacheKey {
		return (&digester{secret: [32]byte{secret}, prefix: appendPart(nil, namespace)}).key(token)
	}
	base := keyed(1, "ab", "c")
	assert.Equal(t, base, keyed(1, "ab", "c"))
	for _, other := range []cacheKey{keyed(2, "ab", "c"), keyed(1, "a", "bc"), keyed(1, "ab", "cc"), keyed(1, "", "abc"), {}} {
		assert.NotEqual(t, base, other)
	}
}

// TestTokenRefTellsNothing shows that the short name of a token is the same each
// time, differs from process to process, and is no part of the cache key.
func TestTokenRefTellsNothing(t *testing.T) {
	t.Parallel()
	c, other := newCache(testRules(), "n"), newCache(testRules(), "n")
	k := c.key("token")
	assert.Len(t, c.ref(k), 16)
	assert.Equal(t, c.ref(k), c.ref(c.key("token")))
	assert.NotEqual(t, c.ref(k), other.ref(other.key("token")))
	assert.NotEqual(t, c.ref(k), other.ref(k))
	assert.NotEqual(t, c.ref(k), c.ref(c.key("token2")))
}

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
	e, k := &entry{}, cacheKey{8: 0xff, 9: 0xff} // its jitter is the largest
	fresh := c.freshFor(k)
	assert.InDelta(t, 54*time.Second, fresh, float64(time.Millisecond))
	assert.Equal(t, time.Minute, c.freshFor(cacheKey{}))
	assert.Equal(t, answerAllow, c.rely(k, e, true, fresh))
	assert.Equal(t, answerAsk, c.rely(k, e, true, fresh+1))
	assert.Equal(t, answerRefuse, c.rely(k, e, false, 2*time.Second))
	assert.Equal(t, answerAsk, c.rely(k, e, false, 2*time.Second+1))
	e.partial = true
	assert.Equal(t, answerAllow, c.rely(k, e, true, fresh))
	assert.Equal(t, answerFail, c.rely(k, e, false, 2*time.Second))
	assert.Equal(t, answerAsk, c.rely(k, e, false, 2*time.Second+1))
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
			k := cacheKey{8: byte(i >> 16), 9: byte(i >> 8), 10: byte(i)} // all of the first part
			c.shards[0].entries.Add(k, entry{})
			c.shards[0].refused.Add(k, refusal{})
		}
		entries, refused := c.size()
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
