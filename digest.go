package echomfa

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"sync"
)

// cacheKey names a token in the cache: a digest over the namespace and the whole
// token, under a secret of this process. The token itself is not kept, and a key
// never leaves the process.
type cacheKey [16]byte

// digester makes cache keys.
//
// A key is a GMAC (NIST SP 800-38D) under a key that is drawn at start-up, always
// with the same nonce. That gives away the authenticity that GMAC is made for to
// whoever sees two tags, and nobody sees one: what is relied upon is that two
// texts collide with a probability of their length in blocks / 2^128, whoever
// chose them, as long as the key is unknown (McGrew and Viega, "The Security and
// Performance of the Galois/Counter Mode", lemma 2). It takes a fifth of the time
// of SHA-256 over an access token, which would be most of what a request of a
// known user costs: see docs/performance.md.
//
// Where only FIPS 140 cryptography may be used, GMAC with a nonce of one's own is
// none, and a key is the first half of a SHA-256 over the secret and the rest.
type digester struct {
	secret [32]byte
	prefix []byte      // the namespace, before each token
	gmac   cipher.AEAD // or nil
	mask   cipher.Block
}

// newDigester returns a digester with a secret of its own.
func newDigester(namespace string) *digester {
	d := &digester{prefix: appendPart(nil, namespace)}
	rand.Read(d.secret[:]) // never fails, as its documentation says
	d.prepare()
	return d
}

// prepare makes what the secret is used with.
func (d *digester) prepare() {
	block, err := aes.NewCipher(d.secret[:16])
	if err != nil {
		return // cannot happen: the key has 16 bytes
	}
	if d.gmac, err = cipher.NewGCM(block); err != nil {
		d.gmac = nil
		return
	}
	if d.mask, err = aes.NewCipher(d.secret[16:]); err != nil {
		d.gmac = nil // cannot happen either
	}
}

// scratch is what one digest needs, so that none of it is allocated each time.
type scratch struct {
	text  []byte
	nonce [12]byte
	tag   [16]byte
}

//nolint:gochecknoglobals // a pool is shared
var scratches = sync.Pool{New: func() any { return &scratch{text: make([]byte, 0, 2048)} }}

// key digests a token. What is left of it in the buffer is overwritten by the
// next, and cleared.
func (d *digester) key(token string) cacheKey {
	s, _ := scratches.Get().(*scratch)
	s.text = appendPart(append(s.text[:0], d.prefix...), token)
	var k cacheKey
	if d.gmac != nil {
		d.gmac.Seal(s.tag[:0], s.nonce[:], nil, s.text)
		d.mask.Encrypt(s.tag[:], s.tag[:])
		k = s.tag
	} else {
		s.text = append(s.text, d.secret[:]...)
		sum := sha256.Sum256(s.text)
		k = cacheKey(sum[:16])
	}
	clear(s.text)
	scratches.Put(s)
	return k
}

// ref is a short name for a key that tells nothing about it: the start of a
// SHA-256 over the secret and the key, both of a fixed length.
func (d *digester) ref(k cacheKey) string {
	var text [len(d.secret) + len(k)]byte
	copy(text[copy(text[:], d.secret[:]):], k[:])
	sum := sha256.Sum256(text[:])
	return hex.EncodeToString(sum[:8])
}

// appendPart appends a string with its length before it, so that two parts
// cannot run together.
func appendPart(b []byte, part string) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
	return append(b, part...)
}
