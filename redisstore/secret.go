package redisstore

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"github.com/echomfa/echomfa"
)

// What a digest is of. A token and a user with the same StoreKey have different
// digests.
const (
	ofToken = 't'
	ofUser  = 'u'
	ofCount = 'c'
)

// layout is in all names. Another layout has another one: instances of two releases do
// not read each other's.
const layout = "v2"

// digestBytes is how much of an HMAC-SHA-256 names something in Redis.
const digestBytes = 16

// secret is one of Config.Secrets, ready for use. It may be used by several
// goroutines at once.
type secret struct {
	prefix  string
	log     string // the key of the log
	history string // the key beside it
	naming  []byte
	aead    cipher.AEAD
}

func newSecret(raw []byte, prefix string) (*secret, error) {
	naming, err := hkdf.Key(sha256.New, raw, nil, "echomfa/redisstore names v2", 32)
	if err != nil {
		return nil, err
	}
	sealing, err := hkdf.Key(sha256.New, raw, nil, "echomfa/redisstore values v2", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sealing)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	s := &secret{prefix: prefix + ":" + layout + ":", naming: naming, aead: aead}
	// Of one slot, and of another one for another prefix.
	s.log, s.history = s.prefix+"{"+prefix+":log}:e", s.prefix+"{"+prefix+":log}:h"
	return s, nil
}

func (s *secret) digest(what byte, key echomfa.StoreKey) string {
	mac := hmac.New(sha256.New, s.naming)
	mac.Write([]byte{what})
	mac.Write(key[:])
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:digestBytes])
}

// names are the keys in Redis of one token. They have the same hash tag, so that
// one node of a cluster has them all, and can compare and write in one step.
type names struct {
	value string
	token string // generation of the token, there for a while after a Delete
	user  string // generation of the user, or "" if the token names nobody
}

func (s *secret) names(key, user echomfa.StoreKey) names {
	token := s.digest(ofToken, key)
	if user == (echomfa.StoreKey{}) {
		tagged := s.prefix + "{" + token + "}:"
		return names{value: tagged + "f", token: tagged + "t"}
	}
	tagged := s.prefix + "{" + s.digest(ofUser, user) + "}:"
	return names{value: tagged + "f:" + token, token: tagged + "t:" + token, user: tagged + "g"}
}

func (n names) all() []string {
	if n.user == "" {
		return []string{n.value, n.token}
	}
	return []string{n.value, n.token, n.user}
}

// countName is the key of a count.
func (s *secret) countName(name echomfa.StoreKey) string {
	return s.prefix + "{" + s.digest(ofCount, name) + "}:c"
}

// userName is the key of a user's generation.
func (s *secret) userName(user echomfa.StoreKey) string {
	return s.prefix + "{" + s.digest(ofUser, user) + "}:g"
}

// Generations begin with what has made them.
const (
	bySet    = "s" // a Set, where there was none: nothing was invalidated
	byDelete = "d"
	// generationBytes is how long all of them are.
	generationBytes = 1 + 16
)

func newGeneration(by string) string {
	var random [12]byte
	rand.Read(random[:]) // never fails, as its documentation says
	return by + base64.RawURLEncoding.EncodeToString(random[:])
}

// isGeneration reports whether text can be a generation. Redis may hold anything.
func isGeneration(text string) bool {
	return len(text) == generationBytes && (text[:1] == bySet || text[:1] == byDelete)
}

// seal encrypts, and binds what is encrypted to its place.
func (s *secret) seal(plain []byte, place string) []byte {
	return s.aead.Seal(nil, nil, plain, []byte(place))
}

func (s *secret) open(sealed, place string) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, []byte(sealed), []byte(place))
	if err != nil {
		return nil, fmt.Errorf("it was not sealed here: %w", err)
	}
	return plain, nil
}
