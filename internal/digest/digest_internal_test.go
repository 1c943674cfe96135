package digest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestT17CacheKeyPartsCannotRunTogether shows that neither a shift between
// namespace and token nor another process's secret gives the same key, and that
// all of a token counts. Both ways to make a key are held to it.
func TestT17CacheKeyPartsCannotRunTogether(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*Keyer) *Keyer{
		"GMAC":             func(k *Keyer) *Keyer { return k },
		"approved by NIST": func(k *Keyer) *Keyer { k.gmac = nil; return k },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key := func(secret byte, namespace, token string) Key {
				return prepare(newKeyer([32]byte{secret}, namespace)).Key(token)
			}
			long := strings.Repeat("a", 8192)
			again := key(1, "ab", "c")
			require.Equal(t, key(1, "ab", "c"), again)
			seen := map[Key]string{{}: "the zero key"}
			for _, parts := range [][2]string{
				{"ab", "c"},
				{"a", "bc"},
				{"abc", ""},
				{"", "abc"},
				{"ab", "c="},
				{"ab", "cc"},
				{"ab\x00", "c"},
				{"ab", "\x00c"},
				{"ab", long},
				{"ab", long[1:]},
				{"ab", long[1:] + "b"},
				{"ab", "b" + long[1:]},
			} {
				k := key(1, parts[0], parts[1])
				assert.NotContains(t, seen, k, "%.20q is %.20q", parts, seen[k])
				seen[k] = parts[0] + "|" + parts[1]
			}
			assert.NotEqual(t, key(1, "ab", "c"), key(2, "ab", "c"), "the secret counts")
		})
	}
	own, another := New("ab").Key("c"), New("ab").Key("c")
	assert.NotEqual(t, own, another, "the secret is the process's own")
}

// TestTokenRefTellsNothing shows that the short name of a token is the same each
// time, differs from process to process, and is no part of the key.
func TestTokenRefTellsNothing(t *testing.T) {
	t.Parallel()
	c, other := New("n"), New("n")
	k := c.Key("token")
	assert.Len(t, c.Ref(k), 16)
	assert.Equal(t, c.Ref(k), c.Ref(c.Key("token")))
	assert.NotEqual(t, c.Ref(k), other.Ref(other.Key("token")))
	assert.NotEqual(t, c.Ref(k), other.Ref(k))
	assert.NotEqual(t, c.Ref(k), c.Ref(c.Key("token2")))
}
