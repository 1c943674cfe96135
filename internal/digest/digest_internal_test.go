package digest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/echomfa/echomfa/client"
)

// TestT17CacheKeyPartsCannotRunTogether shows that neither a shift between
// namespace and token nor another process's secret gives the same key, and that
// all of a token counts. Both ways to make a key are held to it.
func TestT17CacheKeyPartsCannotRunTogether(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*Keyer) *Keyer{
		"NH":               func(k *Keyer) *Keyer { return k },
		"approved by NIST": func(k *Keyer) *Keyer { k.sha = true; return k },
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

// TestNH compares both sums with those of the definition, for each way that a text
// can end, and for secret words and texts that carry.
func TestNH(t *testing.T) {
	t.Parallel()
	require.Equal(t, maxBytes, client.MaxTokenBytes, "the longest token is a text that NH is taken of")
	k := newKeyer([32]byte{1}, "n")
	var ones [nhWords]uint64
	for i := range ones {
		ones[i] = ^uint64(0)
	}
	for name, secret := range map[string]*[nhWords]uint64{"drawn": &k.nh, "zero": {}, "ones": &ones} {
		for _, length := range []int{0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 1185, maxBytes - 1, maxBytes} {
			for _, letter := range []string{"\x00", "a", "\xff", "0123456789abcdefg"} {
				text := strings.Repeat(letter, length)[:length]
				aHigh, aLow, bHigh, bLow := nh(secret, text)
				require.Equal(t, defined(secret[:], text), number(aHigh, aLow), "%s: the first pass over %d of %q", name, length, letter)
				require.Equal(t, defined(secret[2:], text), number(bHigh, bLow), "%s: the second pass over %d of %q", name, length, letter)
			}
		}
	}
}

// defined is NH as the paper has it.
func defined(secret []uint64, text string) string {
	blocks := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	blocks = append(blocks, make([]byte, 8)...)
	whole := len(text) / 16 * 16
	blocks = append(blocks, text[:whole]...)
	switch {
	case len(text) > whole && whole > 0:
		blocks = append(blocks, text[len(text)-16:]...)
	case len(text) > whole:
		blocks = append(append(blocks, text...), make([]byte, 16-len(text))...)
	}
	sum, word := new(big.Int), new(big.Int).Lsh(big.NewInt(1), 64)
	for i := 0; i < len(blocks); i += 16 {
		product := big.NewInt(1)
		for j := range 2 {
			factor := new(big.Int).SetUint64(binary.LittleEndian.Uint64(blocks[i+8*j:]))
			factor.Add(factor, new(big.Int).SetUint64(secret[i/8+j]))
			product.Mul(product, factor.Mod(factor, word))
		}
		sum.Add(sum, product)
	}
	return sum.Mod(sum, word.Mul(word, word)).Text(16)
}

func number(high, low uint64) string {
	n := new(big.Int).SetUint64(high)
	return n.Add(n.Lsh(n, 64), new(big.Int).SetUint64(low)).Text(16)
}

// TestKeyIsMadeOfBothSums computes the CBC-MAC of the two sums as the package comment
// defines it.
func TestKeyIsMadeOfBothSums(t *testing.T) {
	t.Parallel()
	k := newKeyer([32]byte{1}, "namespace")
	k.sha = false
	seed := sha256.Sum256(k.prefix)
	outer, err := aes.NewCipher(seed[:])
	require.NoError(t, err)
	var secret [aesBytes]byte
	cipher.NewCTR(outer, make([]byte, aes.BlockSize)).XORKeyStream(secret[:], secret[:])
	block, err := aes.NewCipher(secret[:])
	require.NoError(t, err)
	for _, token := range []string{"", "a", "sixteen bytes ..", strings.Repeat("long ", 500)} {
		aHigh, aLow, bHigh, bLow := nh(&k.nh, token)
		var sums [2 * aes.BlockSize]byte
		for i, word := range []uint64{aLow, aHigh, bLow, bHigh} {
			binary.LittleEndian.PutUint64(sums[8*i:], word)
		}
		cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(sums[:], sums[:])
		assert.Equal(t, Key(sums[aes.BlockSize:]), k.Key(token), token)
	}
}

// TestFIPSIsHeeded shows that the approved way is taken where only that may be.
func TestFIPSIsHeeded(t *testing.T) {
	t.Parallel()
	assert.Equal(t, fips140.Enabled(), New("").sha)
}

// TestSecretsAreDrawn shows that no secret word is the same twice, and that a text
// longer than any token has a key too.
func TestSecretsAreDrawn(t *testing.T) {
	t.Parallel()
	one, other := newKeyer([32]byte{1}, "n"), newKeyer([32]byte{1}, "m")
	seen := map[uint64]bool{}
	for _, word := range append(one.nh[:], other.nh[:]...) {
		assert.False(t, seen[word])
		seen[word] = true
	}
	long := strings.Repeat("a", maxBytes+1)
	assert.NotEqual(t, one.Key(long), one.Key(long+"a"))
	assert.NotEqual(t, one.Key(long), one.Key(long[1:]))
}

// TestCipherNeedsAKey shows that a cipher of no key is not made.
func TestCipherNeedsAKey(t *testing.T) {
	t.Parallel()
	assert.Panics(t, func() { newCipher(nil) })
}
