package echomfa

import (
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
		c := newCache(testRules(), namespace)
		c.secret = base.secret
		c.prefix = appendPart(slices.Clone(c.secret[:]), namespace)
		return c.key(token)
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
	assert.NotEqual(t, cacheKey(sha256.Sum256([]byte("c"))), base.key("c"))
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
	assert.Panics(t, func() { newLRU[*entry](0) })
}

// stepped returns the time that the clock tells if its wall clock, and not its
// monotonic one, was set by that much.
func stepped(t *testing.T, at time.Time, by time.Duration) time.Time {
	t.Helper()
	type layout struct { // of time.Time, which has no way to say it
		_         uint64
		monotonic int64
		_         *time.Location
	}
	set := at.Add(by)
	(*layout)(unsafe.Pointer(&set)).monotonic = (*layout)(unsafe.Pointer(&at)).monotonic
	require.Zero(t, set.Sub(at))
	require.Equal(t, by, set.Round(0).Sub(at.Round(0)))
	return set
}

// TestAgeUnderClockSteps shows that age is what that clock says which says more:
// a wall clock that is set ahead, or a machine that was suspended, ages facts,
// and one that is set back does not make them younger.
func TestAgeUnderClockSteps(t *testing.T) {
	t.Parallel()
	sent := time.Now()
	for name, row := range map[string]struct {
		passed, step, want time.Duration
		satisfied, refused answer // what facts of that age say
	}{
		"no step":                          {time.Second, 0, time.Second, answerAllow, answerRefuse},
		"set ahead by an hour":             {time.Second, time.Hour, time.Hour + time.Second, answerAsk, answerAsk},
		"set back by an hour":              {time.Second, -time.Hour, time.Second, answerAllow, answerRefuse},
		"set back by an hour, a bit older": {3 * time.Second, -time.Hour, 3 * time.Second, answerAllow, answerAsk},
		"set back by an hour, old":         {time.Minute + 1, -time.Hour, time.Minute + 1, answerAsk, answerAsk},
	} {
		now := stepped(t, sent.Add(row.passed), row.step)
		kept := &entry{sent: sent, freshFor: time.Minute}
		c := newCache(testRules(), "n")
		assert.Equal(t, row.want, kept.age(now), name)
		assert.Equal(t, row.satisfied, c.rely(kept, true, kept.age(now)), name)
		assert.Equal(t, row.refused, c.rely(kept, false, kept.age(now)), name)

		c.shard(cacheKey{}).refused.Add(cacheKey{}, refusal{at: sent, err: ErrUnauthenticated})
		assert.Equal(t, row.want <= c.rules.RefusedFor, c.refusal(cacheKey{}, now) != nil, name)
	}
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
