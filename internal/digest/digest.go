// Package digest makes cache keys of access tokens.
//
// A key stands for a namespace and a whole token. The token itself is not kept,
// and a key never leaves the process. Two different tokens must not share a key,
// whoever chose them: one user's factors would be taken for another's.
//
// # Why a GMAC is enough
//
// A key is a GMAC (NIST SP 800-38D) of the token under a secret that is drawn at
// start-up, encrypted once more with AES under a second secret. The nonce is
// always the same: the first 12 bytes of the SHA-256 of the namespace.
//
//   - Collisions. Under one key and one nonce, two GMACs are equal exactly if
//     two GHASH values are. GHASH takes the length of its input into the last
//     block, so that no text is a prefix of another, and two different texts of
//     at most n blocks collide with a probability of at most (n+1)/2^128 over
//     the secret (McGrew and Viega, "The Security and Performance of the
//     Galois/Counter Mode", lemma 2). This holds for texts that an attacker
//     chooses, as long as the attacker learns nothing about the secret. A token
//     has at most 8 KiB, which is 512 blocks: 10^12 tokens in one cache collide
//     with a probability below 10^-5 in total, and a single guess of an attacker
//     below 10^-35.
//   - Repeated nonces. Two GMACs under one nonce that somebody sees give the
//     secret of GHASH away. Nobody sees one: a GMAC is encrypted by a block
//     cipher under a secret of its own before it becomes a key. What is
//     observable of keys (which shard is busy, the jitter of an entry's life,
//     [Keyer.Ref]) is then a function of the output of a pseudorandom
//     permutation on distinct inputs, which tells nothing about them.
//   - Namespaces. Within a process a namespace has one nonce for all tokens, and
//     each [Keyer] has secrets of its own. Keys of two Keyers have nothing in
//     common.
//
// This takes about a quarter of the time of SHA-256 over an access token, which
// would be most of what a request of a known user costs: docs/performance.md.
//
// # FIPS 140
//
// FIPS 140 does not approve GMAC with a nonce that the caller chooses. Where only
// approved cryptography may be used, a key is the first half of a SHA-256 over
// the secret, the namespace with its length, and the token.
package digest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"unsafe"
)

// Key names a token in the cache. The zero Key names none.
type Key [16]byte

// Keyer makes keys, all under secrets of its own. It may be used by several
// goroutines at once. Make one with [New].
type Keyer struct {
	secret [32]byte
	nonce  [12]byte
	prefix []byte      // what stands before the token where there is no GMAC
	gmac   cipher.AEAD // nil in FIPS 140 mode
	mask   cipher.Block
}

// New returns a Keyer with secrets that it draws.
func New(namespace string) *Keyer {
	var secret [32]byte
	rand.Read(secret[:]) // never fails, as its documentation says
	return newKeyer(secret, namespace)
}

func newKeyer(secret [32]byte, namespace string) *Keyer {
	sum := sha256.Sum256([]byte(namespace))
	k := &Keyer{secret: secret, prefix: AppendPart(secret[:], namespace)}
	copy(k.nonce[:], sum[:])
	block, err := aes.NewCipher(secret[:16])
	if err != nil {
		return k // cannot happen: the key has 16 bytes
	}
	mask, err := aes.NewCipher(secret[16:])
	if err != nil {
		return k // cannot happen either
	}
	if gmac, err := cipher.NewGCM(block); err == nil { // fails in FIPS 140 mode
		k.gmac, k.mask = gmac, mask
	}
	return k
}

// scratch is what one digest writes to. It would be allocated for each, since
// the compiler cannot see that an interface keeps none of it.
type scratch struct {
	nonce [12]byte
	tag   [16]byte
	text  []byte // in FIPS 140 mode
}

//nolint:gochecknoglobals // a pool is shared
var scratches = sync.Pool{New: func() any { return new(scratch) }}

// Key returns the key of a token. It does not allocate.
func (k *Keyer) Key(token string) Key {
	s, _ := scratches.Get().(*scratch)
	defer scratches.Put(s)
	if k.gmac == nil {
		return k.approved(s, token)
	}
	s.nonce = k.nonce
	// The bytes of the token are read where they are. Seal does not write to
	// its additional data, so a string may be shown as a slice.
	k.gmac.Seal(s.tag[:0], s.nonce[:], nil, unsafe.Slice(unsafe.StringData(token), len(token))) //nolint:gosec // it is only read
	k.mask.Encrypt(s.tag[:], s.tag[:])
	return s.tag
}

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

// AppendPart appends a string with its length before it, so that two parts
// cannot run together.
func AppendPart(b []byte, part string) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
	return append(b, part...)
}
