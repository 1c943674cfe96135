// Package digest makes cache keys of access tokens.
//
// A key stands for a namespace and a whole token. The token itself is not kept,
// and a key never leaves the process. Two different tokens must not share a key,
// even if an attacker chose them: one user's factors would be taken for another's.
//
// # Why it is enough
//
// A key is E(E(a) xor b). E is AES-128, and a and b are two passes of NH over the
// token (Black, Halevi, Krawczyk, Krovetz and Rogaway, "UMAC: Fast and Secure Message
// Authentication", CRYPTO '99). All secrets are drawn at start-up: they are the key
// stream of AES-256 under a SHA-256 of 32 random bytes and the namespace. So each
// [Keyer] has secrets of its own, and those of two namespaces have nothing in common.
//
// NH takes a text as blocks of two words of 64 bits, and adds up the products of
// (first word + secret word) and (second word + secret word), each sum modulo 2^64,
// the whole modulo 2^128. The second pass does the same with the secret words moved on
// by one block. The first block is the length of the token. If the last one is not full,
// it begins earlier, among what is in the one before; or it is filled up with zeros, if
// there is none before. So different tokens have different blocks.
//
//   - Collisions of tokens with equally many blocks. Look at the last block in which
//     they differ: what comes after it adds the same to both sums. Its two secret
//     words in the second pass occur nowhere before, in neither pass. Whatever all
//     other words are, the sums of the second pass are equal with a probability of at
//     most 2^-64 over these two: that is the theorem on NH. The same holds for the first
//     pass and its two words of that block, so that both are equal with at most 2^-128
//     (in the paper the Toeplitz construction).
//   - Collisions of tokens with more and fewer blocks. Look at the last block of the
//     longer one in the same way. The sums of a pass are equal only if the product of
//     two random words is one certain number. No number is such a product with a
//     probability of 2^-63 or more, not even zero, so that both are equal with less
//     than 2^-126.
//   - Both bounds hold for texts that an attacker chooses, as long as the attacker
//     learns nothing about the secret words. Nobody sees a sum: E(E(a) xor b) is the
//     CBC-MAC of two blocks, which no one can tell from a random function as long as
//     AES is a good cipher (Bellare, Kilian and Rogaway, "The Security of the Cipher
//     Block Chaining Message Authentication Code", theorem 1). What is observable of
//     keys (which shard is busy, the jitter of an entry's life, [Keyer.Ref]) tells
//     nothing but which tokens are the same one. It also bounds the collisions of keys
//     of different sums, by about 2^-124 for each pair.
//
// So 10^12 tokens in one cache collide with a probability below 10^-13 in total, and a
// single guess of an attacker below 10^-37.
//
// GHASH, of which GCM is made, has as good a bound and reads a long token as fast. The
// standard library only has it as a part of GCM, which costs as much for a short token
// as a whole decision does. SHA-256 takes over four times as long. docs/performance.md
// has the figures.
//
// # FIPS 140
//
// FIPS 140 does not approve NH. Where the module that is approved is in use, a key is
// the first half of a SHA-256 over the secret, the namespace with its length, and the
// token. The same is done for a text that is longer than any token.
package digest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"sync"
	"unsafe"
)

// Key names a token in the cache. The zero Key names none.
type Key [16]byte

const (
	blockBytes = 16
	blockWords = 2
	// maxBytes is the longest text that NH is taken of: the longest token.
	maxBytes = 8 << 10
	// nhWords is a block for the length, those of the text, and one by which the
	// second pass is ahead of the first.
	nhWords = (1 + maxBytes/blockBytes + 1) * blockWords
)

// Keyer makes keys, all under secrets of its own. It may be used by several
// goroutines at once. Make one with [New].
type Keyer struct {
	secret [32]byte
	prefix []byte // what stands before the token where SHA-256 is used
	block  cipher.Block
	nh     [nhWords]uint64
	sha    bool // in FIPS 140 mode
}

// New returns a Keyer with secrets that it draws.
func New(namespace string) *Keyer {
	var secret [32]byte
	rand.Read(secret[:]) // never fails, as its documentation says
	return newKeyer(secret, namespace)
}

func newKeyer(secret [32]byte, namespace string) *Keyer {
	k := &Keyer{secret: secret, prefix: AppendPart(secret[:], namespace), sha: fips140.Enabled()}
	seed := sha256.Sum256(k.prefix)
	var stream [aesBytes + nhWords*8]byte
	cipher.NewCTR(newCipher(seed[:]), make([]byte, aes.BlockSize)).XORKeyStream(stream[:], stream[:]) //nolint:gosec // the key is used once
	k.block = newCipher(stream[:aesBytes])
	for i := range k.nh {
		k.nh[i] = binary.LittleEndian.Uint64(stream[aesBytes+i*8:])
	}
	return k
}

const aesBytes = 16 // AES-128

func newCipher(key []byte) cipher.Block {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // cannot happen: AES has keys of this length
	}
	return block
}

// scratch is what one digest writes to. It would be allocated for each, since
// the compiler cannot see that an interface keeps none of it.
type scratch struct {
	sum  [aes.BlockSize]byte
	text []byte // where SHA-256 is used
}

//nolint:gochecknoglobals // a pool is shared
var scratches = sync.Pool{New: func() any { return new(scratch) }}

// Key returns the key of a token. It does not allocate.
func (k *Keyer) Key(token string) Key {
	s, _ := scratches.Get().(*scratch)
	if k.sha || len(token) > maxBytes {
		defer scratches.Put(s)
		return k.approved(s, token)
	}
	aHigh, aLow, bHigh, bLow := nh(&k.nh, token)
	binary.LittleEndian.PutUint64(s.sum[:], aLow)
	binary.LittleEndian.PutUint64(s.sum[8:], aHigh)
	k.block.Encrypt(s.sum[:], s.sum[:])
	binary.LittleEndian.PutUint64(s.sum[:], bLow^binary.LittleEndian.Uint64(s.sum[:]))
	binary.LittleEndian.PutUint64(s.sum[8:], bHigh^binary.LittleEndian.Uint64(s.sum[8:]))
	k.block.Encrypt(s.sum[:], s.sum[:])
	key := s.sum
	scratches.Put(s)
	return key
}

// nh returns the two sums of a text of at most maxBytes. It reads the text where it
// is.
func nh(secret *[nhWords]uint64, text string) (aHigh, aLow, bHigh, bLow uint64) {
	rest := unsafe.Slice(unsafe.StringData(text), len(text)) //nolint:gosec // it is only read
	var last []byte
	var filled [blockBytes]byte
	switch length := len(rest); {
	case length%blockBytes == 0:
		// The blocks are all full.
	case length > blockBytes:
		last = rest[length-blockBytes:]
	default:
		copy(filled[:], rest)
		last = filled[:]
	}
	secret0 := (*[2 * blockWords]uint64)(secret[:])
	x, y := uint64(len(text)), uint64(0)
	aHigh, aLow = add(0, 0, x+secret0[0], y+secret0[1])
	bHigh, bLow = add(0, 0, x+secret0[2], y+secret0[3])
	words := secret[blockWords:]
	// Most of what a request of a known user costs is here. How long both are is looked
	// at once in two blocks: with more, the processor has too few registers.
	for ; len(rest) >= 2*blockBytes; rest, words = rest[2*blockBytes:], words[2*blockWords:] {
		t, w := (*[2 * blockBytes]byte)(rest), (*[3 * blockWords]uint64)(words)
		x, y = word(t[0:]), word(t[8:])
		aHigh, aLow = add(aHigh, aLow, x+w[0], y+w[1])
		bHigh, bLow = add(bHigh, bLow, x+w[2], y+w[3])
		x, y = word(t[16:]), word(t[24:])
		aHigh, aLow = add(aHigh, aLow, x+w[2], y+w[3])
		bHigh, bLow = add(bHigh, bLow, x+w[4], y+w[5])
	}
	for {
		t := last
		switch {
		case len(rest) >= blockBytes:
			t, rest = rest[:blockBytes], rest[blockBytes:]
		case last == nil:
			return aHigh, aLow, bHigh, bLow
		default:
			rest, last = nil, nil
		}
		w := (*[2 * blockWords]uint64)(words)
		words = words[blockWords:]
		x, y = word(t), word(t[8:])
		aHigh, aLow = add(aHigh, aLow, x+w[0], y+w[1])
		bHigh, bLow = add(bHigh, bLow, x+w[2], y+w[3])
	}
}

// add adds a product to a sum, modulo 2^128.
func add(high, low, x, y uint64) (sumHigh, sumLow uint64) {
	productHigh, productLow := bits.Mul64(x, y)
	low, carry := bits.Add64(low, productLow, 0)
	high, _ = bits.Add64(high, productHigh, carry)
	return high, low
}

// word reads a word, which the compiler does at once where the processor can.
func word(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// approved returns the key that FIPS 140 allows. The next digest overwrites what is
// left of the token in the buffer, and this one clears it.
func (k *Keyer) approved(s *scratch, token string) Key {
	s.text = append(append(s.text[:0], k.prefix...), token...)
	sum := sha256.Sum256(s.text)
	clear(s.text)
	return Key(sum[:16])
}

// Ref returns a short name of a key, for the log. It tells nothing about the key,
// and differs from process to process: it is the start of a SHA-256 over the
// secret and the key, both of a fixed length.
func (k *Keyer) Ref(key Key) string {
	var text [len(k.secret) + len(key)]byte
	copy(text[copy(text[:], k.secret[:]):], key[:])
	sum := sha256.Sum256(text[:])
	return hex.EncodeToString(sum[:8])
}

// UserRef returns a short name of a user's id under a key of the application, or "" if
// there is no key or no id. It is the first 80 bits of an HMAC-SHA-256, so that a million
// users share none with a probability above 10^-12, and 16 characters that can be read
// out. The text before the id keeps it apart from whatever else the key is used for.
func UserRef(key []byte, userID string) string {
	if len(key) == 0 || userID == "" {
		return ""
	}
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte("echomfa user_ref 1:" + userID)) // never fails
	return base32.StdEncoding.EncodeToString(mac.Sum(nil)[:10])
}

// AppendPart appends a string with its length before it, so that two parts
// cannot run together.
func AppendPart(b []byte, part string) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
	return append(b, part...)
}
